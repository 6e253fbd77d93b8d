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
 *            that sign; divide by their weights, their number, or not; theta0 + lambda * that, times scale
 *            A vote of 0: `plus`, or the sign of `majority` over the model with 0 as minus (METHODS 3a.3)
 */
export type TensorOp =
  | { kind: "copy"; source?: number }
  | { kind: "add"; coefficients: number[]; masks?: Mask[]; scale?: number }
  | { kind: "combine"; baseCoefficient: number; coefficients: number[] }
  | TiesOp;

export interface TiesOp {
  kind: "ties";
  weights: number[];
  masks?: Mask[];
  lambda: number;
  elect: "sum" | "count";
  zero: "plus" | "majority";
  divisor: "weights" | "count" | "none";
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

/** Which stored values an operation reads. */
export function readsOf(op: TensorOp, experts: number): { base: boolean; experts: boolean[] } {
  const all = Array.from({ length: experts }, () => true);
  if (op.kind === "copy") return { base: op.source === undefined, experts: all.map((_, i) => i === op.source) };
  if (op.kind === "combine") return { base: op.baseCoefficient !== 0, experts: all.map((_, i) => i < op.coefficients.length) };
  return { base: true, experts: all.map((_, i) => i < (op.kind === "add" ? op.coefficients : op.weights).length) };
}

/** Throws "internal" when a slice does not fit its operation: a fault of the caller, not of the models. */
export function checkSlice(op: TensorOp, slice: OpSlice): void {
  const fail = (what: string) => {
    throw new StudioError("internal", `Merging a slice: ${what}. This is a fault of the planner, not of the models.`);
  };
  if (slice.start % SLICE_ALIGN !== 0) fail(`it starts at element ${slice.start}, expected a multiple of ${SLICE_ALIGN}`);
  const reads = readsOf(op, slice.experts.length);
  const needed = op.kind === "add" || op.kind === "combine" ? op.coefficients.length : op.kind === "ties" ? op.weights.length : op.source === undefined ? 0 : op.source + 1;
  if (slice.experts.length < needed) fail(`${slice.experts.length} fine-tuned models were given, ${needed} expected`);
  const check = (part: StoredBytes | undefined, who: string) => {
    const want = slice.elements * (part ? bytesPerElement(part.dtype) : 0);
    if (!part || part.bytes.byteLength !== want) fail(`${who} has ${part?.bytes.byteLength ?? "no"} bytes, expected ${want} for ${slice.elements} elements`);
  };
  if (reads.base) check(slice.base, "the base");
  reads.experts.forEach((read, i) => read && check(slice.experts[i], `fine-tuned model ${i + 1}`));
}
