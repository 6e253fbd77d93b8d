import { StudioError } from "../core/errors";
import { lossBackwardPanel, lossFinish, lossForward, lossStateBytes } from "../kernels/nn/crossEntropy";
import type { Batch } from "./batches";
import type { BatchState } from "./batchState";
import type { Head, LogitsPanel } from "./head";
import type { Pace } from "./pace";
import type { BufferScope } from "./scope";

/** Labels and row weights in place of the usual ones. Lists are per sequence, one entry per token; a missing last one is 0. */
export interface Labels {
  /** Label of each row. A function is asked once all logits have been shown to `onLogitsPanel`. */
  targets?: number[][] | (() => Promise<number[][]>) | undefined;
  /** Weight of each row's cross entropy, before the loss scale. */
  weights?: number[][] | undefined;
}

export type OnLogits = (at: LogitsPanel, batch: BatchState) => Promise<void>;

const hidden = (state: BatchState): GPUBuffer => state.normed;

/**
 * Cross entropy over the vocabulary in panels. The first sweep collects maximum, sum and target logit of each row; later
 * sweeps compute the logits again and turn them into gradients, so that no [rows, V] buffer ever exists.
 *   CE[t] = log sum_v exp(logits[t,v]) - logits[t, target[t]],   loss = scale * sum_t weight[t] * CE[t]
 */
export class LossSweep {
  /** Per batch: u32 labels, and the running state of crossEntropy. */
  private readonly rows = new Map<BatchState, { targets: GPUBuffer; state: GPUBuffer }>();
  private weights: number[][] | undefined;

  constructor(
    private readonly scope: BufferScope,
    private readonly head: Head,
    private readonly pace: Pace,
    private readonly vocab: number,
  ) {}

  /** Mean cross entropy of each sequence's L - 1 predictions, whatever the weights. Throws "bad-request" for unusable labels. */
  async losses(batches: readonly BatchState[], labels: Labels | undefined, onLogits: OnLogits): Promise<number[]> {
    const { gpu } = this.scope;
    const sequences = batches.flatMap((state) => state.batch.sequences);
    let show: OnLogits | undefined = onLogits;
    let targets = labels?.targets;
    if (typeof targets === "function") {
      await this.head.sweep(batches, hidden, this.pace, (state, at) => onLogits(at, state));
      targets = await targets();
      show = undefined;
    }
    if (targets) checkRows(sequences, targets, "labels", (id) => Number.isInteger(id) && id >= 0 && id < this.vocab);
    if (labels?.weights) checkRows(sequences, labels.weights, "row weights", Number.isFinite);
    this.weights = labels?.weights;
    for (const state of batches)
      this.rows.set(state, { targets: this.scope.upload(rowTargets(state.batch, targets), "targets"), state: this.scope.alloc(lossStateBytes(state.rows), "loss state") });

    await this.head.sweep(batches, hidden, this.pace, async (state, at, index) => {
      await show?.(at, state);
      lossForward(gpu, { logits: at.logits, ...this.rows.get(state)!, R: state.rows, row0: at.panel.row0, rows: at.panel.rows, first: index === 0 });
    });

    const losses: number[] = [];
    for (const state of batches) {
      // Every prediction counts in the reported loss, also one whose weight in the gradient is 0.
      const counted = this.scope.upload(new Float32Array(state.rows).fill(1), "counted");
      const nll = this.scope.alloc(4 * state.rows, "nll");
      lossFinish(gpu, { state: this.rows.get(state)!.state, weights: counted, nll, R: state.rows });
      losses.push(...sequenceMeans(state.batch, await gpu.readFloats(nll, state.rows)));
      this.scope.free(counted, nll);
    }
    return losses;
  }

  /** Labels as u32 and the state of a batch as bits, for `restore` in a later run. */
  async save(state: BatchState): Promise<{ labels: Float32Array; loss: Float32Array }> {
    const { gpu } = this.scope;
    const { targets, state: loss } = this.rows.get(state)!;
    return { labels: await gpu.readFloats(targets, state.rows), loss: await gpu.readFloats(loss, lossStateBytes(state.rows) / 4) };
  }

  /** In place of `losses`: what `save` gave, of every batch. */
  restore(state: BatchState, { labels, loss }: { labels: Float32Array; loss: Float32Array }, weights: number[][] | undefined): void {
    this.weights = weights;
    this.rows.set(state, { targets: this.scope.upload(labels, "targets"), state: this.scope.upload(loss, "loss state") });
  }

  /** One more sweep: `visit` finds d loss / d logits in place of the logits. */
  async gradients(batches: readonly BatchState[], scale: number, visit: (state: BatchState, at: LogitsPanel, index: number) => Promise<void>): Promise<void> {
    const weights = new Map(batches.map((state) => [state, this.scope.upload(rowWeights(state.batch, this.weights, scale), "row weights")]));
    await this.head.sweep(batches, hidden, this.pace, async (state, at, index) => {
      lossBackwardPanel(this.scope.gpu, { logits: at.logits, ...this.rows.get(state)!, weights: weights.get(state)!, R: state.rows, row0: at.panel.row0, rows: at.panel.rows });
      await visit(state, at, index);
    });
    this.scope.free(...weights.values());
  }
}

function checkRows(sequences: number[][], lists: number[][], what: string, good: (value: number) => boolean): void {
  sequences.forEach((tokens, s) => {
    const list = lists[s];
    const where = `sequence ${s + 1}`;
    if (!list || (list.length !== tokens.length && list.length !== tokens.length - 1))
      throw new StudioError("bad-request", `Forming the loss: ${where} has ${tokens.length} tokens and ${list?.length ?? 0} ${what}; one per token is needed, the last may be absent.`, { where });
    const bad = list.findIndex((value) => !good(value));
    if (bad >= 0) throw new StudioError("bad-request", `Forming the loss: ${where} has ${String(list[bad])} among its ${what}, at position ${bad + 1}, which cannot be used.`, { where: `${where}, position ${bad + 1}` });
  });
}

/** Label of each row: the given one, else the next token; the last row of a sequence then gets 0, with weight 0. */
function rowTargets(batch: Batch, targets: number[][] | undefined): Uint32Array {
  return Uint32Array.from(batch.sequences.flatMap((tokens, s) => (targets ? tokens.map((_, t) => targets[batch.firstSequence + s]![t] ?? 0) : [...tokens.slice(1), 0])));
}

/** scale * weight of each row; 1 / (L - 1) for all rows but the last when none are given. */
function rowWeights(batch: Batch, weights: number[][] | undefined, scale: number): Float32Array {
  return Float32Array.from(batch.sequences.flatMap((tokens, s) => tokens.map((_, t) => scale * (weights ? (weights[batch.firstSequence + s]![t] ?? 0) : t + 1 < tokens.length ? 1 / (tokens.length - 1) : 0))));
}

/** Mean of the rows 0 .. L - 2 of each sequence. */
function sequenceMeans(batch: Batch, rows: ArrayLike<number>): number[] {
  return batch.sequences.map((tokens, s) => {
    let sum = 0;
    for (let t = 0; t + 1 < tokens.length; t++) sum += rows[batch.starts[s]! + t]!;
    return sum / (tokens.length - 1);
  });
}
