import { throwIfCancelled } from "../core/errors";
import type { TensorSource } from "../core/tensors";
import { panelBackward } from "../kernels/nn/gemm";
import { rmsnorm, rmsnormBackward } from "../kernels/nn/rmsnorm";
import type { Gpu } from "../gpu/gpu";
import { EMBEDDING } from "./architectures";
import { planBatches, type BatchLimits } from "./batches";
import { blockBackward, blockForward, loadBlock, releaseBlock, type BlockContext } from "./block";
import type { ModelConfig } from "./config";
import type { GradientVisitor } from "./gradients";
import { Head, type LogitsPanel } from "./head";
import { LossSweep, type Labels } from "./loss";
import { Pace } from "./pace";
import { BatchState } from "./batchState";
import { ropeTable } from "./rope";
import { BufferScope } from "./scope";
import { checkTensors, gatherEmbeddingRows, loadVector } from "./weights";

export const DEFAULT_LOSS_SCALE = 2 ** 12;
const FINAL_NORM = "model.norm.weight";

export interface DecoderOptions extends Partial<BatchLimits> {
  /** No weight panel, and no panel of logits, is larger; the binding limit when absent. */
  panelBytes?: number | undefined;
  /** Block inputs wait for the backward pass in host memory, not on the GPU. */
  inputsOnHost?: boolean | undefined;
}

/** What `forward` and `pass` have in common. */
interface CommonOptions {
  signal?: AbortSignal | undefined;
  /** Labels in place of the next token, and weights in place of 1 / (L - 1). */
  labels?: Labels | undefined;
  /** Shows the logits of each vocabulary panel and batch, before the loss is formed. */
  onLogitsPanel?: ((panel: LogitsPanel, batch: BatchState) => Promise<void>) | undefined;
}

export interface ForwardOptions extends CommonOptions {
  onBlock?: ((layer: number) => void) | undefined;
  /** Shows the input of each linear layer inside the blocks. */
  onLinearInput?: BlockContext["onLinearInput"];
  /** Keep the hidden states for the caller. */
  keepHidden?: boolean | undefined;
  /** Positions whose logits are returned. */
  logitsOf?: ((sequence: number, position: number) => boolean) | undefined;
}

export interface PassOptions extends CommonOptions {
  visitor: GradientVisitor;
  /** Multiplies the loss, so that squared gradients stay clear of subnormals; a power of two is exact. 2^12. */
  lossScale?: number | undefined;
  onForwardBlock?: ((layer: number) => void) | undefined;
  onBackwardBlock?: ((layer: number) => void) | undefined;
}

export interface PassResult {
  /** Per sequence: mean cross entropy of its L - 1 predictions (against `labels.targets` where given), in nats. */
  losses: number[];
}

export interface ForwardResult extends PassResult {
  /** With keepHidden: per sequence, L + 1 arrays [length, C]: the embedding, then the output of each block. */
  hidden?: Float32Array[][];
  /** The logits that were asked for, [V] each, in the order of sequences and positions. */
  logits: { sequence: number; position: number; values: Float32Array }[];
}

/** A supported decoder over a checkpoint. Holds nothing on the GPU between calls. */
export interface Decoder {
  readonly config: ModelConfig;
  forward(sequences: number[][], options?: ForwardOptions): Promise<ForwardResult>;
  pass(sequences: number[][], options: PassOptions): Promise<PassResult>;
}

/**
 * Forward and backward of a decoder, layer by layer: the weights of one block (or one panel of the head) are on the GPU
 * at a time. `pass` keeps the input of each block, forms the loss over vocabulary panels, then walks the blocks
 * backwards, each recomputed from its input.
 *   loss = lossScale * sum over rows of weight[row] * CE[row],   weight = 1 / (L - 1), 0 for the last row of a sequence
 * No attention mask, no BOS is added, positions start at 0 in every sequence.
 * Throws as checkTensors does; forward and pass throw "bad-request" for unusable tokens, "cancelled", and what loading throws.
 */
export function createDecoder(gpu: Gpu, source: TensorSource, config: ModelConfig, options: DecoderOptions = {}): Decoder {
  checkTensors(source, config);
  return {
    config,
    async forward(sequences, opts = {}) {
      const run = new DecoderRun(gpu, source, config, options, sequences, opts);
      try {
        await run.open(opts.onLinearInput);
        const hidden = opts.keepHidden ? sequences.map((): Float32Array[] => []) : undefined;
        if (hidden) await run.readHidden(hidden);
        for (let layer = 0; layer < config.layers; layer++) {
          await run.forwardBlock(layer, false);
          if (hidden) await run.readHidden(hidden);
          opts.onBlock?.(layer);
        }
        await run.finalNorm();
        const logits: ForwardResult["logits"] = [];
        const losses = await run.loss(opts.logitsOf && ((at, batch) => run.readLogits(at, batch, opts.logitsOf!, logits)));
        logits.sort((a, b) => a.sequence - b.sequence || a.position - b.position);
        return { losses, logits, ...(hidden ? { hidden } : {}) };
      } finally {
        run.end();
      }
    },

    async pass(sequences, opts) {
      const run = new DecoderRun(gpu, source, config, options, sequences, opts);
      const scale = opts.lossScale ?? DEFAULT_LOSS_SCALE;
      try {
        await run.open();
        for (let layer = 0; layer < config.layers; layer++) {
          await run.forwardBlock(layer, true);
          opts.onForwardBlock?.(layer);
        }
        await run.finalNorm();
        const losses = await run.loss();
        await run.headBackward(scale, opts.visitor);
        for (let layer = config.layers - 1; layer >= 0; layer--) {
          await run.backwardBlock(layer, opts.visitor);
          await opts.visitor.blockDone?.(layer);
          opts.onBackwardBlock?.(layer);
        }
        await run.embeddingBackward(scale, opts.visitor);
        await run.pace.wait();
        return { losses };
      } finally {
        run.end();
      }
    },
  };
}

/** The state of one call: batches with their buffers, and the steps in the order in which they are taken. */
class DecoderRun extends BufferScope {
  readonly pace: Pace;
  private readonly batches: BatchState[];
  private readonly head: Head;
  private readonly lossSweep: LossSweep;
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
    this.batches = plan.map((batch, i) => new BatchState(this, batch, { first: i === 0, last: i === plan.length - 1 }));
    this.head = new Head(gpu, source, config, Math.max(...plan.map((b) => b.rows)), options.panelBytes);
    this.lossSweep = new LossSweep(this, this.head, this.pace, config.vocab);
  }

  /** Embedding rows and rotary tables. */
  async open(onLinearInput?: BlockContext["onLinearInput"]): Promise<void> {
    throwIfCancelled(this.pace.signal);
    const { cos, sin } = ropeTable(this.config, Math.max(...this.batches.map((b) => b.longest)));
    this.context = { gpu: this.gpu, config: this.config, cosine: this.upload(cos, "cos"), sine: this.upload(sin, "sin"), pace: this.pace, onLinearInput };
    for (const state of this.batches) state.x = this.upload(await gatherEmbeddingRows(this.source, EMBEDDING, state.batch.tokens), "embedding");
  }

  private loadBlock(layer: number) {
    return loadBlock(this.gpu, this.source, this.config, layer, this.pace.signal, this.options.panelBytes);
  }

  /** Replaces each batch's x by the block's output; the input is kept for the backward pass or given back. */
  async forwardBlock(layer: number, keepInput: boolean): Promise<void> {
    // Reading overlaps with the block before, which the GPU may still be computing; then the CPU waits for it.
    const block = await this.loadBlock(layer);
    try {
      await this.pace.wait();
      for (const state of this.batches) {
        const y = this.adopt(await blockForward(this.context, block, state, state.x));
        if (keepInput && this.options.inputsOnHost) state.inputs.push(await this.gpu.readFloats(state.x, state.rows * this.config.hidden));
        else if (keepInput) state.inputs.push(state.x);
        if (!keepInput || this.options.inputsOnHost) this.free(state.x);
        state.x = y;
      }
    } finally {
      releaseBlock(this.gpu, block);
    }
  }

  async finalNorm(): Promise<void> {
    const { hidden: C, rmsEps: eps } = this.config;
    this.finalGain = this.adopt(await loadVector(this.gpu, this.source, FINAL_NORM));
    for (const state of this.batches) {
      state.normed = this.alloc(4 * state.rows * C, "final norm");
      state.rstd = this.alloc(4 * state.rows, "final rstd");
      this.gpu.run(rmsnorm, { x: state.x, weight: this.finalGain, y: state.normed, rstd: state.rstd }, { N: state.rows, C, eps });
    }
  }

  loss(onLogits?: (at: LogitsPanel, batch: BatchState) => Promise<void>): Promise<number[]> {
    const { labels, onLogitsPanel } = this.common;
    return this.lossSweep.losses(this.batches, labels, async (at, batch) => {
      await onLogitsPanel?.(at, batch);
      await onLogits?.(at, batch);
    });
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
      gpu.run(rmsnormBackward, { x: state.x, weight: this.finalGain, rstd: state.rstd, dy, dx }, { N: state.rows, C, accumulate: 0 });
      this.free(dy, state.x, state.rstd);
      if (!tied) this.free(state.normed);
      state.dx = dx;
    }
  }

  async backwardBlock(layer: number, visitor: GradientVisitor): Promise<void> {
    const block = await this.loadBlock(layer);
    try {
      await this.pace.wait();
      for (const state of this.batches) {
        const kept = state.inputs.pop()!;
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
    for (const { batch, x } of this.batches) {
      const all = await this.gpu.readFloats(x, batch.rows * C);
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
    this.head.release();
    super.end();
  }
}
