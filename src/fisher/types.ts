import type { Checkpoint } from "../core/tensors";
import type { MaskMaker } from "../kernels/stats/maskMaker";
import type { TrimRule } from "../kernels/stats/trim";
import type { ModelConfig } from "../model/config";
import type { TensorRole } from "../model/roles";
import type { PassJournal } from "./journal";
import type { TensorStudy } from "./study";

/** Sums for one fine-tuned model over one tensor; all in float64, over the stored values. delta = theta - theta0. */
export interface ExpertStats {
  /** sum delta^2. */
  delta2Sum: number;
  /** sum F of this model's own pass, when the Fisher is taken at the fine-tuned models. */
  fisherSum?: number | undefined;
  /** sum F delta^2. */
  jointSum?: number | undefined;
  /** Where the trim cuts, in units of F |delta| (or |delta|): numpy's percentile under that rule, else the smallest kept key. */
  threshold?: number | undefined;
  /** Entries kept by the trim. */
  kept?: number | undefined;
  /** sum m delta^2 and sum m theta0 delta, m = 1 where nothing is trimmed. */
  delta2KeptSum?: number | undefined;
  dotBaseKept?: number | undefined;
  /** Norm calibration by probes A: |W0 A|^2, <W0 A, (m delta) A>, |(m delta) A|^2. */
  probe?: { base2: number; dot: number; kept2: number } | undefined;
  /** The mask is made again while merging, instead of being kept. */
  maker?: MaskMaker | undefined;
  /** Multiplies what the mask keeps. */
  rescale?: number | undefined;
}

/** What a pass knows of one tensor of the output. */
export interface TensorStats extends TensorRole {
  name: string;
  elements: number;
  shape: number[];
  /** sum F over the elements, F = mean over sequences of squared gradients; absent without a Fisher pass. */
  fisherSum?: number | undefined;
  /** sum theta0^2; absent where it was not needed. */
  base2Sum?: number | undefined;
  /** What the method asked for beside these sums. */
  study?: TensorStudy | undefined;
  experts: ExpertStats[];
}

/** One-bit masks by output tensor and fine-tuned model; a 7B merge keeps 0.8 GB of them, so they may live on disk. */
export interface MaskStore {
  put(name: string, expert: number, words: Uint32Array): Promise<void>;
  get(name: string, expert: number): Promise<Uint32Array | undefined>;
}

/** Findings of a pass that are larger than a sum, by name: column means, projections. */
export interface ArrayStore {
  put(name: string, values: Float32Array): Promise<void>;
  get(name: string): Promise<Float32Array | undefined>;
}

export function memoryMasks(): MaskStore {
  const masks = new Map<string, Uint32Array>();
  return {
    put: async (name, expert, words) => void masks.set(`${expert}/${name}`, words),
    get: async (name, expert) => masks.get(`${expert}/${name}`),
  };
}

/** The trim of a pass: which entries of which tensors survive. */
export interface TrimOptions {
  /** Fraction kept, of an output and a fine-tuned model; alike wherever a threshold is shared. */
  shareOf(output: string, expert: number): number;
  rule: TrimRule;
  scope: "tensor" | "block" | "model";
  key: "fisher" | "magnitude";
  vectors: boolean;
  dropZero: boolean;
}

/** A tensor of the output that is merged: where its two sides are, and what it is. */
export interface PassOutput {
  name: string;
  role: TensorRole;
  shape: number[];
  elements: number;
  baseName: string;
  tunedNames: string[];
}

/** How a pass keeps within its budgets; none of it changes a byte but `panelBytes`, whose panels are sums of their own. */
export interface PassMemory {
  /** No panel of weights, of F or of keys is larger; the binding limit when absent. */
  panelBytes?: number | undefined;
  /** Block inputs wait in host memory for the backward pass. */
  inputsOnHost?: boolean | undefined;
  /** Values of one slice where changes are walked on the CPU. */
  sliceElements?: number | undefined;
}

export interface FisherPass {
  base: Checkpoint;
  experts: Checkpoint[];
  /** Where gradients are taken: the base, or the first fine-tuned model (METHODS A36). */
  at: "base" | "finetuned";
  config: ModelConfig;
  sequences: number[][];
  outputs: PassOutput[];
  trim: TrimOptions | undefined;
  trimEmbed: boolean;
  probes: "none" | "gaussian" | "activations";
  square: "sequence" | "token";
  labels: "self" | "sampled";
  seed: number;
  masks: MaskStore;
  signal: AbortSignal;
  memory?: PassMemory | undefined;
  onTensor(stats: TensorStats): void;
  /** Called for each block of each of the passes, in order. */
  onForwardBlock?(layer: number): void;
  onBackwardBlock?(layer: number): void;
  /** Makes the pass one that can be interrupted: it goes on after the last finished step, to the same bits. */
  journal?: PassJournal | undefined;
  /** Element-wise F of a tensor, f32 values in row-major order, for who wants to keep it. */
  onFisher?(name: string, firstElement: number, values: Float32Array): Promise<void>;
}
