import type { TensorSource } from "../core/tensors";
import type { Gpu } from "../gpu/gpu";
import type { BatchLimits } from "./batches";
import type { BatchState } from "./batchState";
import type { ModelConfig } from "./config";
import { DecoderJournal } from "./decoderJournal";
import { DecoderRun } from "./decoderRun";
import type { ForwardVisitor } from "./forwardVisitor";
import type { GradientVisitor } from "./gradients";
import type { LogitsPanel } from "./head";
import type { Labels } from "./loss";
import { nextBackward, walkSteps, type WalkJournal } from "./walk";
import { checkTensors } from "./weights";

export const DEFAULT_LOSS_SCALE = 2 ** 12;

export interface DecoderOptions extends Partial<BatchLimits> {
  /** No weight panel, and no panel of logits, is larger; the binding limit when absent. */
  panelBytes?: number | undefined;
  /** Block inputs that wait for the backward pass, or hidden states for the next block, wait in host memory, not on the GPU. */
  inputsOnHost?: boolean | undefined;
}

/** What `forward` and `pass` have in common. */
export interface CommonOptions {
  signal?: AbortSignal | undefined;
  /** Labels in place of the next token, and weights in place of 1 / (L - 1). */
  labels?: Labels | undefined;
  /** Shows the logits of each vocabulary panel and batch, before the loss is formed. */
  onLogitsPanel?: ((panel: LogitsPanel, batch: BatchState) => Promise<void>) | undefined;
}

export interface ForwardOptions extends CommonOptions {
  onBlock?: ((layer: number) => void) | undefined;
  /** Sees what goes into and comes out of the modules. */
  visitor?: ForwardVisitor | undefined;
  /** False: no loss is formed (`losses` is empty), and the head is computed only for `onLogitsPanel` and `logitsOf`. */
  loss?: boolean | undefined;
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
  /** Makes the pass one that can be interrupted: it goes on after the last finished step, to the same bits. */
  journal?: WalkJournal | undefined;
}

export interface PassResult {
  /** Per sequence: mean cross entropy of its L - 1 predictions (against `labels.targets` where given), in nats. */
  losses: number[];
  /** Blocks that stayed on the GPU from the forward to the backward walk, and so were read once. */
  pinnedBlocks: number;
}

export interface ForwardResult extends Pick<PassResult, "losses"> {
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
 * Forward and backward of a decoder, layer by layer: only the weights of one block (or one panel of the head) need to be
 * on the GPU at a time. `pass` keeps the input of each block, forms the loss over vocabulary panels, then walks the blocks
 * backwards, each recomputed from its input. Weights that it will want again stay while the GPU's budget has room.
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
        await run.open(undefined, opts.visitor);
        const hidden = opts.keepHidden ? sequences.map((): Float32Array[] => []) : undefined;
        if (hidden) await run.readHidden(hidden);
        for (let layer = 0; layer < config.layers; layer++) {
          await run.forwardBlock(layer, false);
          if (hidden) await run.readHidden(hidden);
          await opts.visitor?.blockDone?.(layer);
          opts.onBlock?.(layer);
        }
        const { logitsOf, onLogitsPanel, loss = true } = opts;
        const wantsLogits = loss || logitsOf !== undefined || onLogitsPanel !== undefined;
        await run.output(wantsLogits, opts.visitor);
        const logits: ForwardResult["logits"] = [];
        const onLogits = logitsOf && ((at: LogitsPanel, batch: BatchState) => run.readLogits(at, batch, logitsOf, logits));
        const losses = loss ? await run.loss(onLogits) : [];
        if (!loss && wantsLogits) await run.logits(onLogits);
        logits.sort((a, b) => a.sequence - b.sequence || a.position - b.position);
        return { losses, logits, ...(hidden ? { hidden } : {}) };
      } finally {
        run.end();
      }
    },

    async pass(sequences, opts) {
      const { layers, tied } = config;
      const { visitor, journal, lossScale: scale = DEFAULT_LOSS_SCALE } = opts;
      const steps = walkSteps(layers);
      const from = journal?.done ?? 0;
      if (journal && from === steps.all) return { losses: journal.losses!, pinnedBlocks: 0 };
      const run = new DecoderRun(gpu, source, config, options, sequences, opts);
      const log = journal && new DecoderJournal(journal, run, config);
      try {
        await log?.check();
        await run.open(log);
        for (let layer = from; layer < layers; layer++) {
          await run.forwardBlock(layer, true);
          await log?.forwardDone(layer);
          opts.onForwardBlock?.(layer);
        }
        if (from <= steps.head || tied) await run.finalNorm();
        let losses = journal?.losses ?? [];
        if (from <= steps.loss) {
          losses = await run.loss();
          await log?.lossDone(losses);
        } else if (from === steps.head || tied) await log!.restoreLoss(opts.labels);
        if (from <= steps.head) {
          await run.headBackward(scale, visitor);
          await log?.headDone();
        } else await log!.restoreGradient(nextBackward(layers, from) + 1);
        for (let layer = nextBackward(layers, from); layer >= 0; layer--) {
          await run.backwardBlock(layer, visitor, log);
          await visitor.blockDone?.(layer);
          await log?.backwardDone(layer);
          opts.onBackwardBlock?.(layer);
        }
        await run.embeddingBackward(scale, visitor);
        await run.pace.wait();
        await log?.embeddingDone();
        return { losses, pinnedBlocks: run.pinned.reused };
      } finally {
        run.end();
      }
    },
  };
}
