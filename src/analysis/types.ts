import type { ExpertStats, TensorStats as PassStats } from "../fisher/types";
import type { Settings, TensorFacts } from "../merge/methods";

/** A tensor of the output, in file order, with what the pass has found of it so far; all but what it is may be unknown. */
export type TensorStats = Omit<PassStats, "shape" | "experts"> & TensorFacts & { experts: Partial<ExpertStats>[] };

export type { ExpertShape, LayerRow, Shape, StageShape, TensorRow } from "../core/shape";

export interface ShapeInfo {
  /** Whether a measuring pass for these options has finished, or one is still needed. */
  complete: boolean;
  needsPass: boolean;
  warnings?: readonly string[];
  /** Parameters and weights by tensor; from the recipe and the layers of the tensors when absent. */
  settings?: Settings;
}
