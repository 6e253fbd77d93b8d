import type { Cut, TrimRule } from "../kernels/stats/trim";
import type { TensorRole } from "../model/roles";

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
  /** The mask is made again from |delta| while merging, instead of being kept. */
  cut?: Cut | undefined;
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
  experts: ExpertStats[];
}

/** One-bit masks by output tensor and fine-tuned model; a 7B merge keeps 0.8 GB of them, so they may live on disk. */
export interface MaskStore {
  put(name: string, expert: number, words: Uint32Array): Promise<void>;
  get(name: string, expert: number): Promise<Uint32Array | undefined>;
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
  share: number;
  rule: TrimRule;
  scope: "tensor" | "block" | "model";
  key: "fisher" | "magnitude";
  vectors: boolean;
  dropZero: boolean;
}
