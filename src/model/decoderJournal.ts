import { lossStateBytes } from "../kernels/nn/crossEntropy";
import type { BatchState } from "./batchState";
import type { ModelConfig } from "./config";
import type { DecoderRun } from "./decoderRun";
import type { Labels } from "./loss";
import { gradientName, inputName, labelsName, lossName, neededArrays, walkSteps, type WalkJournal, type WalkSteps } from "./walk";

/** What a pass writes down after each step, and reads back when it goes on; one array at a time is in host memory. */
export class DecoderJournal {
  private readonly steps: WalkSteps;

  constructor(
    private readonly journal: WalkJournal,
    private readonly run: DecoderRun,
    private readonly config: ModelConfig,
  ) {
    this.steps = walkSteps(config.layers);
  }

  /** Throws journalDamaged unless everything that will be read is there. */
  check(): Promise<void> {
    return this.journal.require(neededArrays(this.config, this.run.batches.length, this.journal.done));
  }

  /** The hidden states that the next step reads, if it reads any. */
  async restoreHidden(): Promise<void> {
    const { done } = this.journal;
    if (done > this.steps.head && !this.config.tied) return;
    const layer = Math.min(done, this.config.layers);
    for (const [b, state] of this.run.batches.entries()) state.x = layer === 0 ? await this.run.embed(state) : this.run.upload(await this.read(inputName(layer, b), state), "hidden");
  }

  /** The input of a block that an earlier run went through. */
  async input(layer: number, state: BatchState): Promise<GPUBuffer | Float32Array> {
    return layer === 0 ? this.run.embed(state) : this.read(inputName(layer, this.run.batches.indexOf(state)), state);
  }

  async restoreLoss(labels: Labels | undefined): Promise<void> {
    for (const [b, state] of this.run.batches.entries()) {
      const kept = { labels: await this.journal.read(labelsName(b), state.rows), loss: await this.journal.read(lossName(b), lossStateBytes(state.rows) / 4) };
      this.run.lossSweep.restore(state, kept, labels?.weights);
    }
  }

  /** The gradient that arrives at the next block, in place of headBackward. */
  async restoreGradient(layer: number): Promise<void> {
    for (const [b, state] of this.run.batches.entries()) {
      state.dx = this.run.upload(await this.read(gradientName(layer, b), state), "gradient");
      if (this.config.tied) this.run.free(state.x, state.rstd);
    }
  }

  async forwardDone(layer: number): Promise<void> {
    await this.put((b) => inputName(layer + 1, b), (state) => state.x);
    await this.journal.commit(layer + 1, { drop: [] });
  }

  async lossDone(losses: number[]): Promise<void> {
    for (const [b, state] of this.run.batches.entries()) {
      const { labels, loss } = await this.run.lossSweep.save(state);
      await this.journal.put(labelsName(b), labels);
      await this.journal.put(lossName(b), loss);
    }
    await this.journal.commit(this.steps.loss + 1, { losses, drop: [] });
  }

  async headDone(): Promise<void> {
    const { layers: L, tied } = this.config;
    await this.put((b) => gradientName(L, b), (state) => state.dx);
    await this.journal.commit(this.steps.head + 1, { drop: tied ? [] : this.ofHead() });
  }

  async backwardDone(layer: number): Promise<void> {
    await this.put((b) => gradientName(layer, b), (state) => state.dx);
    const drop = this.each((b) => [gradientName(layer + 1, b), ...(layer > 0 ? [inputName(layer, b)] : [])]);
    await this.journal.commit(this.steps.firstBackward + this.config.layers - layer, { drop });
  }

  async embeddingDone(): Promise<void> {
    await this.journal.commit(this.steps.all, { drop: [...this.each((b) => [gradientName(0, b)]), ...(this.config.tied ? this.ofHead() : [])] });
  }

  /** What only the head reads. */
  private ofHead(): string[] {
    return this.each((b) => [inputName(this.config.layers, b), labelsName(b), lossName(b)]);
  }

  private each(names: (batch: number) => string[]): string[] {
    return this.run.batches.flatMap((_, b) => names(b));
  }

  private read(name: string, state: BatchState): Promise<Float32Array> {
    return this.journal.read(name, state.rows * this.config.hidden);
  }

  private async put(name: (batch: number) => string, buffer: (state: BatchState) => GPUBuffer): Promise<void> {
    await this.run.pace.wait(); // a cancel is answered here, not after the readback
    for (const [b, state] of this.run.batches.entries()) await this.journal.put(name(b), await this.run.gpu.readFloats(buffer(state), state.rows * this.config.hidden));
  }
}
