/** Numbers of one layer for one fine-tuned model. Unknown is undefined and is shown as a dash. */
export interface LayerRow {
  layer: number;
  alpha: number | undefined;
  gateAlpha: number | undefined;
  fisher: number | undefined;
  delta2: number | undefined;
  s: number | undefined;
  /** Fraction of entries kept by the trim, 0..1, over the layer's trimmed tensors. */
  kept: number | undefined;
  /** Share of the layer's sum of delta^2 that the kept entries carry. */
  delta2ShareKept: number | undefined;
}

export interface TensorRow {
  name: string;
  /** q_proj, k_proj, ..., embed_tokens, norm, lm_head; "other" when the architecture is unknown. */
  role: string;
  layer: number | undefined;
  elements: number;
  fisherMean: number | undefined;
  delta2Mean: number | undefined;
  threshold: number | undefined;
  /** Fraction of entries kept, 0..1. */
  kept: number | undefined;
  delta2ShareKept: number | undefined;
  /** The coefficient applied: gate factor, scale and policy outside the blocks included. */
  alpha: number | undefined;
  /** Norm calibration: ratio rho, and whether it fired (the merged tensor is divided by rho). */
  rho: number | undefined;
  calibrated: boolean;
}

export interface ExpertShape {
  name: string;
  layers: LayerRow[];
  tensors: TensorRow[];
  /** alpha given to tensors outside the blocks (embedding, final norm, head). */
  outsideAlpha: number | undefined;
  /** Range that the mapping can reach: [0.5, 0.731] with adaptive theta; undefined for methods without one. */
  reachable: [number, number] | undefined;
  theta: number | undefined;
  median: number | undefined;
}

/** A stage after the merge: which share of its merged change each tensor keeps, on average over its entries. */
export interface StageShape {
  id: string;
  label: string;
  /** Over the tensors that it treats, each counted once; undefined until it is measured. */
  mean: number | undefined;
  tensors: { name: string; layer: number | undefined; share: number }[];
}

export interface Shape {
  experts: ExpertShape[];
  /** One sentence for the page head: which layer takes least and most. */
  sentence: string;
  calibration: { mode: string; tested: number; moved: number };
  /** Whether every number above rests on a finished pass for these options. */
  complete: boolean;
  /** Set while a pass is needed for the options chosen. */
  needsPass: boolean;
  warnings: string[];
  /** Tensors that the recipe's patterns leave to the base. */
  leftOut?: string[];
  /** Of a recipe with stages after the merge, in their order. */
  stages?: StageShape[];
}
