import type { TensorStudy } from "../fisher/study";
import type { TensorFacts } from "../merge/methods";

/** What is known of one tensor, for one fine-tuned model. Sums in float64; unknown is undefined. */
export interface ExpertTensorStats {
  /** sum (theta - theta0)^2 over all entries. */
  delta2Sum?: number;
  /** sum F (theta - theta0)^2. */
  jointSum?: number;
  /** sum F of this model's own pass, when the Fisher is taken at the fine-tuned models. */
  fisherSum?: number;
  /** Trimmed tensors: the smallest key kept, and how many entries are kept. Both absent when the tensor is not trimmed. */
  threshold?: number;
  kept?: number;
  /** sum m delta^2 and sum m theta0 delta; over all entries when the tensor is not trimmed. */
  delta2KeptSum?: number;
  dotBaseKept?: number;
  /** The same three quadratic terms of W A for a probe matrix A: |W0 A|^2, <W0 A, (m delta) A>, |(m delta) A|^2. */
  probe?: { base2: number; dot: number; kept2: number };
}

/** A tensor of the output, in file order, with what the pass has found so far. */
export interface TensorStats extends TensorFacts {
  /** sum F over all entries, of the base's pass. */
  fisherSum?: number;
  /** sum theta0^2. */
  base2Sum?: number;
  /** What the method read of the tensor beside these sums. */
  study?: TensorStudy;
  /** One per fine-tuned model. */
  experts: ExpertTensorStats[];
}

export type { ExpertShape, LayerRow, Shape, TensorRow } from "../core/shape";

export interface ShapeInfo {
  /** Whether a measuring pass for these options has finished, or one is still needed. */
  complete: boolean;
  needsPass: boolean;
  warnings?: readonly string[];
}
