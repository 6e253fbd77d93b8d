import { StudioError, throwIfCancelled } from "../core/errors";
import { hashName, randomBits } from "../core/random";
import { fromFloat32 } from "../formats/dtypes";
import type { Gpu } from "../gpu/gpu";
import { MAX_BINDING_BYTES } from "../gpu/gpu";
import { panelForward } from "../kernels/nn/gemm";
import { EMBEDDING, HEAD } from "../model/architectures";
import type { ModelConfig } from "../model/config";
import { DecoderRun } from "../model/decoderRun";
import type { ForwardVisitor } from "../model/forwardVisitor";
import type { GradientBatch } from "../model/gradients";
import { describeTensor } from "../model/roles";
import { gatherEmbeddingRows } from "../model/weights";
import { configOf, type Model } from "./capture";
import { mutualInformation } from "./mutualInformation";
import { walksOf, type WalkOptions } from "./walks";

/** Layers of ACM beside the blocks, which go by their number. */
export const EMBEDDING_LAYER = -1;
export const NORM_LAYER = -2;
export const HEAD_LAYER = -3;

/** Channels of the head that are compared: all of them would be tokens x vocabulary values for each text. */
export const HEAD_CHANNELS = 2048;

export interface AcmOptions extends WalkOptions {
  /** Quantile bins in place of single values; 0 or absent: none. */
  bins?: number | undefined;
  headChannels?: number | undefined;
  /** Chooses the channels of the head. */
  seed?: number | undefined;
}

/**
 * What ACM measures: for each layer, the mutual information of the outputs of base and merged model, one number for each text.
 * Outputs are those of every down_proj (its bias included, the residual not), of the embedding (layer -1), of the final norm (-2)
 * and of the head (-3), computed in f32 and rounded to bf16; pairs are the same token and channel. The head is compared on
 * `headChannels` rows of the vocabulary that both models have, chosen by `seed` once for all texts.
 * The models walk side by side; of what is compared, the base's outputs of one block wait in host memory.
 * Throws as `capture` does, "shape-mismatch" for models of different shapes, and "bad-file" when an output is NaN.
 * Source: arXiv 2505.14009 as in METHODS 7.
 */
export async function acmInformation(gpu: Gpu, base: Model, merged: Model, sequences: number[][], options: AcmOptions = {}): Promise<Map<number, Float64Array>> {
  const { bins, headChannels = HEAD_CHANNELS, seed = 42, ...walk } = options;
  const configs = [configOf(base), configOf(merged)] as const;
  const [{ layers, hidden }] = configs;
  if (configs[1].layers !== layers || configs[1].hidden !== hidden)
    throw new StudioError("shape-mismatch", `Comparing activations: the base has ${layers} blocks of width ${hidden}, the merged model ${configs[1].layers} of width ${configs[1].hidden}. ACM needs models of one shape.`, { title: "Models of different shapes", found: `${configs[1].layers} blocks of width ${configs[1].hidden}`, expected: `${layers} of width ${hidden}` });
  const channels = headRows(Math.min(configs[0].vocab, configs[1].vocab), Math.min(headChannels, Math.floor(MAX_BINDING_BYTES / (4 * hidden))), seed);
  const comparison = new Comparison(sequences.length, bins || undefined, walk.signal);
  // Both models' hidden states, and the outputs that wait, which are half as large in bf16.
  const { runs, decoder, onBlock, signal } = walksOf(walk, sequences, { layers, bytesPerToken: 2 * 4 * hidden });
  for (const run of runs) {
    const sides = [base, merged].map((model, i) => new Side(gpu, model, configs[i]!, channels, new DecoderRun(gpu, model, configs[i]!, decoder, run.sequences, { signal }), comparison.side(i === 0 ? "base" : "merged", run.first)));
    try {
      for (const side of sides) await side.open();
      for (let layer = 0; layer < layers; layer++) {
        for (const side of sides) await side.run.forwardBlock(layer, false);
        onBlock();
      }
      for (const side of sides) await side.finish();
    } finally {
      for (const side of sides) side.run.end();
    }
  }
  return comparison.information;
}

/** `count` numbers of [0, vocab), ascending: those with the smallest random keys. */
function headRows(vocab: number, count: number, seed: number): Uint32Array {
  const key = hashName(`acm/head/${seed}`);
  const ids = Uint32Array.from({ length: vocab }, (_, id) => id);
  if (count >= vocab) return ids;
  const keys = ids.map((id) => randomBits(key, id));
  return ids.sort((a, b) => keys[a]! - keys[b]! || a - b).slice(0, count).sort();
}

/** Takes the output of a layer for the rows of a batch. */
type Show = (layer: number, rows: { values: Float32Array; width: number }, batch: GradientBatch) => void;

/** One of the two models on its way through the blocks. */
class Side {
  private head: GPUBuffer | undefined;

  constructor(
    private readonly gpu: Gpu,
    private readonly model: Model,
    private readonly config: ModelConfig,
    private readonly channels: Uint32Array,
    readonly run: DecoderRun,
    private readonly show: Show,
  ) {}

  async open(): Promise<void> {
    await this.run.open(undefined, this.visitor);
  }

  /** The final norm and the chosen rows of the head. */
  async finish(): Promise<void> {
    const rows = await gatherEmbeddingRows(this.model, this.config.tied ? EMBEDDING : HEAD, this.channels);
    this.head = this.run.upload(rows, "rows of the head");
    await this.run.output(false, this.visitor);
    this.run.free(this.head);
  }

  private readonly visitor: ForwardVisitor = {
    output: async ({ name, y, N }, batch) => {
      const { role, layer } = describeTensor(name, this.config.architecture);
      const key = role === "down_proj" ? layer : role === "embed_tokens" ? EMBEDDING_LAYER : role === "norm" ? NORM_LAYER : undefined;
      if (key !== undefined) await this.compare(key, y, N, batch);
    },
    input: async ({ names, x, K }, batch) => {
      if (names[0] !== HEAD) return;
      const rows = this.channels.length;
      const y = this.run.alloc(4 * batch.rows * rows, "logits");
      panelForward(this.gpu, { x, panel: { rows, buffer: this.head! }, cols: K, dtype: "F32", y, M: batch.rows });
      await this.run.pace.after(2 * batch.rows * rows * K);
      await this.compare(HEAD_LAYER, y, rows, batch);
      this.run.free(y);
    },
  };

  private async compare(layer: number, y: GPUBuffer, width: number, batch: GradientBatch): Promise<void> {
    this.show(layer, { values: await this.gpu.readFloats(y, batch.rows * width), width }, batch);
  }
}

/** Brings the outputs of both models together, text by text. */
class Comparison {
  readonly information = new Map<number, Float64Array>();
  private readonly waiting = new Map<string, Uint16Array>();

  constructor(
    private readonly texts: number,
    private readonly bins: number | undefined,
    private readonly signal: AbortSignal | undefined,
  ) {}

  side(which: "base" | "merged", firstText: number): Show {
    return (layer, { values, width }, { startsCpu, firstSequence, sequences }) => {
      for (let s = 0; s < sequences; s++) {
        throwIfCancelled(this.signal);
        const text = firstText + firstSequence + s;
        const output = new Uint16Array(fromFloat32(values.subarray(startsCpu[s]! * width, startsCpu[s + 1]! * width), "BF16").buffer);
        const key = `${layer} ${text}`;
        if (which === "base") this.waiting.set(key, output);
        else this.measure(layer, text, this.waiting.get(key)!, output);
      }
    };
  }

  private measure(layer: number, text: number, base: Uint16Array, merged: Uint16Array): void {
    this.waiting.delete(`${layer} ${text}`);
    let list = this.information.get(layer);
    if (!list) this.information.set(layer, (list = new Float64Array(this.texts)));
    try {
      list[text] = mutualInformation(base, merged, { bins: this.bins });
    } catch (error) {
      if (!(error instanceof StudioError)) throw error;
      const where = layer >= 0 ? `block ${layer}` : layer === EMBEDDING_LAYER ? "the embedding" : layer === NORM_LAYER ? "the final norm" : "the head";
      throw new StudioError("bad-file", `Comparing the outputs of ${where} on text ${text + 1}: base or merged model gives NaN. The weights overflow or hold NaN; check them.`, { title: "Activations that are no numbers", where, found: "NaN", expected: "numbers" }, { cause: error });
    }
  }
}

export type AcmShift = "max-over-samples" | "literal";
export const ACM_SHARPNESS = 0.7;

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/**
 * Share of a layer's change that ACM keeps, from the mutual information m[j] of its texts:
 *   max-over-samples: lambda = 1 - mean_j sigma(t (m[j] - max m)),  in [0.5, 1)
 *   literal:          lambda = 1 - sigma(t mean_j m[j]),  at most 0.5, as the formula is printed in arXiv 2603.21705, eq. 2
 * Source: METHODS 7, from a copy of the script of arXiv 2505.14009.
 */
export function acmLambda(m: readonly number[], t = ACM_SHARPNESS, shift: AcmShift = "max-over-samples"): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  if (shift === "literal") return 1 - sigmoid(t * mean(m));
  const top = m.reduce((most, value) => Math.max(most, value), -Infinity);
  return 1 - mean(m.map((value) => sigmoid(t * (value - top))));
}
