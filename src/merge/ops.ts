import { StudioError } from "../core/errors";
import type { FloatDtype } from "../core/tensors";
import { bytesPerElement } from "../core/tensors";

/** One bit per element of the whole tensor, least significant first; undefined keeps every entry. */
export type Mask = Uint32Array | undefined;

/**
 * What is done to one output tensor. Coefficients are rounded to f32 once; masks cover the whole tensor.
 *   copy     the base's tensor, or that of expert `source`, rounded once when the dtype changes
 *   add      (theta0 + sum_k c_k m_k (theta_k - theta0)) * scale
 *   combine  c_0 theta0 + sum_k c_k theta_k; the base is not read when its coefficient is 0
 *   ties     x_k = w_k m_k (theta_k - theta0); elect one sign per entry by the sum of x_k or of sign(x_k); sum the x_k of
 *            that sign, or take the largest of them; divide by their weights, their number, or not; theta0 + lambda * that, times scale
 *            A vote of 0: `plus`, or the sign of `majority` over the model with 0 as minus (METHODS 3a.3)
 *   rows     combine or add with coefficients of their own for every row, or every column
 *   nearswap theta0 + min(1, t / max(|d|, 1e-6)) d, d = theta - theta0: the other model where it is near, a step t towards it elsewhere
 *   ram      d_k counts where |d_k| > 1e-5: theta0 + lambda_k d_k where one model counts, theta0 + their mean where several do
 *   project  row by row theta0 + sum_k A_k (theta_k - theta0), A_k [cols, cols]: every entry takes from the whole row of the changes
 *   weighted the mean of models with a weight for every entry, c_k max(F_k, least_k); sum share_k theta_k where all weights are 0
 */
export type TensorOp =
  | { kind: "copy"; source?: number }
  | { kind: "add"; coefficients: number[]; masks?: Mask[]; scale?: number }
  | { kind: "combine"; baseCoefficient: number; coefficients: number[] }
  | TiesOp
  | RowsOp
  | { kind: "nearswap"; t: number }
  | { kind: "ram"; lambdas: number[] }
  | ProjectOp
  | WeightedOp;

/** Models of a mean in their order: the base, or fine-tuned model `source`. No weight may be negative. */
export interface WeightedOp {
  kind: "weighted";
  parts: { source?: number; coefficient: number; least: number; share: number }[];
}

/** Coefficients by row or column of the whole tensor; `change` says what they multiply: changes added to the base, or values. */
export interface RowsOp {
  kind: "rows";
  by: "row" | "column";
  cols: number;
  change: boolean;
  /** Of the base; not used where `change` is true. */
  base: Float32Array;
  coefficients: Float32Array[];
}

/** Slices are whole rows of `cols` entries. */
export interface ProjectOp {
  kind: "project";
  cols: number;
  /** A_k, row-major [cols, cols], one for each fine-tuned model; empty where only the kind of the operation is asked for. */
  matrices: Float32Array[];
}

export interface TiesOp {
  kind: "ties";
  weights: number[];
  masks?: Mask[];
  lambda: number;
  elect: "sum" | "count";
  zero: "plus" | "majority";
  /** `largest`: not their sum, but the one of the largest size. */
  divisor: "weights" | "count" | "none" | "largest";
  /** Multiplies x_k in the sum, after the vote; 1 where absent. */
  parts?: number[];
  /** What x_k counts in the division by weights; w_k where absent. */
  shares?: number[];
  /** The division by weights never divides by less. */
  floor?: number;
  majority?: number;
  scale?: number;
}

/** Values of one model for elements [start, start + elements) of a tensor, as stored. */
export interface StoredBytes {
  bytes: Uint8Array;
  dtype: FloatDtype;
}

/** One slice of one tensor. `base` may be missing where the operation does not read it. */
export interface OpSlice {
  base?: StoredBytes;
  experts: StoredBytes[];
  /** F of each part of a weighted mean, as F32. */
  fishers?: StoredBytes[];
  /** First element; a multiple of 64, so that masks are cut at words and stored values at words. */
  start: number;
  elements: number;
}

export const SLICE_ALIGN = 64;

/** The part of a mask that belongs to a slice. */
export function sliceMask(mask: Mask, slice: { start: number; elements: number }): Mask {
  return mask?.subarray(slice.start >>> 5, (slice.start + slice.elements + 31) >>> 5);
}

/** Whether the vote of an entry whose votes cancel is positive. */
export const zeroIsPositive = (op: TiesOp): boolean => op.zero === "plus" || (op.majority ?? 0) > 0;

/** Whether what agrees is divided by its weights or its number. */
export const dividesBy = ({ divisor }: TiesOp): boolean => divisor === "weights" || divisor === "count";

/** The smallest divisor of a TIES operation: what f32 holds where none is given. */
export const floorOf = (op: TiesOp): number => op.floor ?? -3.4028234663852886e38;

/** |change| above which RAM counts an entry as touched, and nearswap's smallest distance (METHODS 9). */
export const TOUCHED = 1e-5;
export const NEAR = 1e-6;

/** Fine-tuned models that an operation reads, from the first. */
function expertsOf(op: Exclude<TensorOp, { kind: "copy" }>): number {
  switch (op.kind) {
    case "nearswap":
      return 1;
    case "ram":
      return op.lambdas.length;
    case "weighted":
      return Math.max(0, ...op.parts.map((p) => (p.source ?? -1) + 1));
    case "ties":
      return op.weights.length;
    case "project":
      return op.matrices.length;
    default:
      return op.coefficients.length;
  }
}

/** Whether a slice has to hold whole rows. */
export const takesWholeRows = (op: TensorOp): boolean => op.kind === "project";

/** Which stored values an operation reads. */
export function readsOf(op: TensorOp, experts: number): { base: boolean; experts: boolean[] } {
  const all = Array.from({ length: experts }, () => true);
  if (op.kind === "copy") return { base: op.source === undefined, experts: all.map((_, i) => i === op.source) };
  if (op.kind === "weighted") return { base: op.parts.some((p) => p.source === undefined), experts: all.map((_, i) => op.parts.some((p) => p.source === i)) };
  return { base: op.kind !== "combine" || op.baseCoefficient !== 0, experts: all.map((_, i) => i < expertsOf(op)) };
}

/** Throws "internal" when a slice does not fit its operation: a fault of the caller, not of the models. */
export function checkSlice(op: TensorOp, slice: OpSlice): void {
  const fail = (what: string) => {
    throw new StudioError("internal", `Merging a slice: ${what}. This is a fault of the planner, not of the models.`);
  };
  if (slice.start % SLICE_ALIGN !== 0) fail(`it starts at element ${slice.start}, expected a multiple of ${SLICE_ALIGN}`);
  if (op.kind === "project" && (slice.start % op.cols !== 0 || slice.elements % op.cols !== 0)) fail(`it is elements ${slice.start} to ${slice.start + slice.elements}, expected whole rows of ${op.cols}`);
  const reads = readsOf(op, slice.experts.length);
  const needed = op.kind !== "copy" ? expertsOf(op) : op.source === undefined ? 0 : op.source + 1;
  if (slice.experts.length < needed) fail(`${slice.experts.length} fine-tuned models were given, ${needed} expected`);
  const check = (part: StoredBytes | undefined, who: string) => {
    const want = slice.elements * (part ? bytesPerElement(part.dtype) : 0);
    if (!part || part.bytes.byteLength !== want) fail(`${who} has ${part?.bytes.byteLength ?? "no"} bytes, expected ${want} for ${slice.elements} elements`);
  };
  if (reads.base) check(slice.base, "the base");
  reads.experts.forEach((read, i) => read && check(slice.experts[i], `fine-tuned model ${i + 1}`));
  if (op.kind === "weighted") op.parts.forEach((_, i) => check(slice.fishers?.[i], `the Fisher of model ${i + 1}`));
}
