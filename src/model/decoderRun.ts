import { throwIfCancelled } from "../core/errors";
import type { TensorSource } from "../core/tensors";
import { panelBackward } from "../kernels/nn/gemm";
import { normKernels } from "../kernels/nn/rmsnorm";
import type { Gpu } from "../gpu/gpu";
import { EMBEDDING, HEAD } from "./architectures";
import { planBatches } from "./batches";
import { BatchState } from "./batchState";
import { blockBackward, blockBuffers, blockForward, loadBlock, releaseBlock, type BlockContext, type BlockWeights } from "./block";
import type { ModelConfig } from "./config";
import type { CommonOptions, DecoderOptions, ForwardResult } from "./decoder";
import type { DecoderJournal } from "./decoderJournal";
import type { ForwardVisitor } from "./forwardVisitor";
import type { GradientVisitor } from "./gradients";
import { Head, type LogitsPanel } from "./head";
import { LossSweep, type OnLogits } from "./loss";
import { Pace } from "./pace";
import { Pinned } from "./pinned";
import { ropeTable } from "./rope";
import { BufferScope } from "./scope";
import { gatherEmbeddingRows, loadVector } from "./weights";

const FINAL_NORM = "model.norm.weight";

/** The state of one call: batches with their buffers, and the steps in the order in which they are taken. */
export class DecoderRun extends BufferScope {
  readonly pace: Pace;
  /** Blocks of the forward walk that the backward walk will want, while there is room for them. */
  readonly pinned: Pinned<BlockWeights>;
  readonly batches: BatchState[];
  private readonly head: Head;
  readonly lossSweep: LossSweep;
  private context!: BlockContext;
  private finalGain!: GPUBuffer;

  constructor(
    gpu: Gpu,
    private readonly source: TensorSource,
    private readonly config: ModelConfig,
    private readonly options: DecoderOptions,
    sequences: number[][],
    private readonly common: CommonOptions,
  ) {
    super(gpu);
    this.pace = new Pace(gpu, common.signal);
    const plan = planBatches(sequences, config, options);
    this.pinned = new Pinned(gpu, "oldest", blockBuffers);
    this.batches = plan.map((batch, i) => new BatchState(this, batch, { first: i === 0, last: i === plan.length - 1 }));
    this.head = new Head(gpu, source, config, Math.max(...plan.map((b) => b.rows)), options.panelBytes);
    this.lossSweep = new LossSweep(this, this.head, this.pace, config.vocab);
  }

  /** Rotary tables, and the hidden states where the walk begins: embedding rows, or what a journal kept. */
  async open(journal?: DecoderJournal, visitor?: ForwardVisitor): Promise<void> {
    throwIfCancelled(this.pace.signal);
    const { cos, sin } = ropeTable(this.config, Math.max(...this.batches.map((b) => b.longest)));
    this.context = { gpu: this.gpu, config: this.config, cosine: this.upload(cos, "cos"), sine: this.upload(sin, "sin"), pace: this.pace, visitor };
    if (journal) await journal.restoreHidden();
    else
      for (const state of this.batches) {
        state.x = await this.embed(state);
        await visitor?.output?.({ name: EMBEDDING, y: state.x, N: this.config.hidden }, state.gradient);
      }
  }

  /** The input of block 0. */
  async embed(state: BatchState): Promise<GPUBuffer> {
    return this.upload(await gatherEmbeddingRows(this.source, EMBEDDING, state.batch.tokens), "embedding");
  }

  private loadBlock(layer: number) {
    return loadBlock(this.gpu, this.source, this.config, layer, this.pace.signal, this.options.panelBytes);
  }

  /** Replaces each batch's x by the block's output; the input is kept for the backward pass or given back. Without a backward pass x may wait on the host. */
  async forwardBlock(layer: number, keepInput: boolean): Promise<void> {
    // Reading overlaps with the block before, which the GPU may still be computing; then the CPU waits for it.
    const block = await this.loadBlock(layer);
    try {
      await this.pace.wait();
      for (const state of this.batches) {
        this.fetch(state);
        const y = this.adopt(await blockForward(this.context, block, state, state.x));
        if (keepInput && this.options.inputsOnHost) state.inputs[layer] = await this.gpu.readFloats(state.x, state.rows * this.config.hidden);
        else if (keepInput) state.inputs[layer] = state.x;
        if (!keepInput || this.options.inputsOnHost) this.free(state.x);
        state.x = y;
        if (keepInput || !this.options.inputsOnHost) continue;
        state.waiting = await this.gpu.readFloats(y, state.rows * this.config.hidden);
        this.free(y);
      }
    } catch (error) {
      releaseBlock(this.gpu, block);
      throw error;
    }
    if (keepInput) this.pinned.keep(layer, block);
    else releaseBlock(this.gpu, block);
  }

  /** Brings hidden states that wait on the host back to x. */
  private fetch(state: BatchState): void {
    if (!state.waiting) return;
    state.x = this.upload(state.waiting, "hidden");
    state.waiting = undefined;
  }

  private async loadFinalGain(): Promise<void> {
    this.finalGain = this.adopt(await loadVector(this.gpu, this.source, FINAL_NORM));
  }

  private normalise(state: BatchState): void {
    const { hidden: C, rmsEps: eps } = this.config;
    state.normed = this.alloc(4 * state.rows * C, "final norm");
    state.rstd = this.alloc(4 * state.rows, "final rstd");
    this.gpu.run(normKernels(this.gpu, C).forward, { x: state.x, weight: this.finalGain, y: state.normed, rstd: state.rstd }, { N: state.rows, C, eps });
  }

  async finalNorm(): Promise<void> {
    await this.loadFinalGain();
    for (const state of this.batches) this.normalise(state);
  }

  /** The final norm where no backward pass follows: its input is given back, and its output too unless logits are wanted. */
  async output(wantsLogits: boolean, visitor?: ForwardVisitor): Promise<void> {
    const { hidden: C } = this.config;
    await this.loadFinalGain();
    for (const state of this.batches) {
      this.fetch(state);
      await visitor?.input?.({ names: [FINAL_NORM], kind: "norm", x: state.x, K: C, rowsPerToken: 1 }, state.gradient);
      this.normalise(state);
      this.free(state.x, state.rstd);
      await visitor?.output?.({ name: FINAL_NORM, y: state.normed, N: C }, state.gradient);
      await visitor?.input?.({ names: [HEAD], kind: "linear", x: state.normed, K: C, rowsPerToken: 1 }, state.gradient);
      if (!wantsLogits) this.free(state.normed);
    }
  }

  /** Shows the logits, panel by panel, and forms no loss. */
  async logits(onLogits?: OnLogits): Promise<void> {
    await this.head.sweep(this.batches, (state) => state.normed, this.pace, (state, at) => this.showLogits(at, state, onLogits));
  }

  private async showLogits(at: LogitsPanel, state: BatchState, onLogits?: OnLogits): Promise<void> {
    await this.common.onLogitsPanel?.(at, state);
    await onLogits?.(at, state);
  }

  loss(onLogits?: OnLogits): Promise<number[]> {
    return this.lossSweep.losses(this.batches, this.common.labels, (at, batch) => this.showLogits(at, batch, onLogits));
  }

  /** From the logits to d loss / d (input of the final norm), in each batch's gradient buffer. */
  async headBackward(scale: number, visitor: GradientVisitor): Promise<void> {
    const { gpu, config, head } = this;
    const { hidden: C, vocab: V, tied } = config;
    for (const state of this.batches) state.dx = this.alloc(4 * state.rows * C, "d final norm");
    await this.lossSweep.gradients(this.batches, scale, async (state, { panel, logits }, index) => {
      if (!tied) await visitor.head?.({ name: head.name, V, C, row0: panel.row0, rows: panel.rows, hidden: state.normed, dlogits: logits, tied, weight: head.weightOf(panel) }, state.gradient);
      panelBackward(gpu, { dy: logits, panel, cols: C, dtype: head.dtype, dx: state.dx, M: state.rows, accumulate: index > 0 });
      await this.pace.after(4 * state.rows * panel.rows * C);
    });
    for (const state of this.batches) {
      const dy = state.dx;
      await visitor.norm?.({ name: FINAL_NORM, C, x: state.x, rstd: state.rstd, dy, rowsPerToken: 1 }, state.gradient);
      const dx = this.alloc(4 * state.rows * C, "gradient");
      gpu.run(normKernels(gpu, C).backward, { x: state.x, weight: this.finalGain, rstd: state.rstd, dy, dx }, { N: state.rows, C, accumulate: 0 });
      this.free(dy, state.x, state.rstd);
      if (!tied) this.free(state.normed);
      state.dx = dx;
    }
    if (!tied) head.release();
  }

  async backwardBlock(layer: number, visitor: GradientVisitor, journal?: DecoderJournal): Promise<void> {
    const block = this.pinned.take(layer) ?? (await this.loadBlock(layer));
    try {
      await this.pace.wait();
      for (const state of this.batches) {
        const kept = state.inputs[layer] ?? (await journal!.input(layer, state));
        state.inputs[layer] = undefined;
        const x = kept instanceof Float32Array ? this.upload(kept, "block input") : kept;
        await blockBackward(this.context, block, state, x, state.dx, visitor);
        this.free(x);
      }
    } finally {
      releaseBlock(this.gpu, block);
    }
  }

  /** The embedding, whose gradient is what arrives below block 0; a tied head is shown now, with both its sides. */
  async embeddingBackward(scale: number, visitor: GradientVisitor): Promise<void> {
    const { hidden: C, vocab: V, tied } = this.config;
    for (const state of this.batches)
      await visitor.embedding?.({ name: EMBEDDING, V, C, tokens: state.batch.tokens, dx: state.dx, tied }, state.gradient);
    if (!tied || !visitor.head) return;
    await this.lossSweep.gradients(this.batches, scale, async (state, { panel, logits }) => {
      const embedding = { tokens: state.batch.tokens, dx: state.dx };
      await visitor.head!({ name: this.head.name, V, C, row0: panel.row0, rows: panel.rows, hidden: state.normed, dlogits: logits, tied, embedding, weight: this.head.weightOf(panel) }, state.gradient);
      await this.pace.after(2 * state.rows * panel.rows * C);
    });
  }

  /** Appends each sequence's current hidden states to its list. */
  async readHidden(into: Float32Array[][]): Promise<void> {
    const C = this.config.hidden;
    for (const { batch, x, waiting } of this.batches) {
      const all = waiting ?? (await this.gpu.readFloats(x, batch.rows * C));
      batch.sequences.forEach((_, s) => into[batch.firstSequence + s]!.push(all.slice(batch.starts[s]! * C, batch.starts[s + 1]! * C)));
    }
  }

  /** Copies the wanted rows of one panel of logits into their [V] arrays; one readback from the first to the last of them. */
  async readLogits({ panel, logits }: LogitsPanel, { batch }: BatchState, wanted: (sequence: number, position: number) => boolean, into: ForwardResult["logits"]): Promise<void> {
    const rows = batch.sequences.flatMap((tokens, s) => tokens.map((_, position) => ({ sequence: batch.firstSequence + s, position, row: batch.starts[s]! + position }))).filter((r) => wanted(r.sequence, r.position));
    if (rows.length === 0) return;
    const from = rows[0]!.row;
    const values = await this.gpu.readFloats(logits, (rows.at(-1)!.row + 1 - from) * panel.rows, 4 * from * panel.rows);
    const known = new Map(into.map((entry) => [`${entry.sequence} ${entry.position}`, entry]));
    for (const { sequence, position, row } of rows) {
      let entry = known.get(`${sequence} ${position}`);
      if (!entry) into.push((entry = { sequence, position, values: new Float32Array(this.config.vocab) }));
      entry.values.set(values.subarray((row - from) * panel.rows, (row + 1 - from) * panel.rows), panel.row0);
    }
  }

  override end(): void {
    this.pinned.end();
    this.head.release();
    super.end();
  }
}
