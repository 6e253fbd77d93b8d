import type { FloatDtype } from "../core/tensors";
import { fromFloat32, toFloat32 } from "../formats/dtypes";
import { maskBit } from "./trim";
import { checkSlice, sliceMask, zeroIsPositive, type Mask, type OpSlice, type StoredBytes, type TensorOp, type TiesOp } from "./ops";

const f = Math.fround;

/**
 * One slice of one output tensor, as stored bytes of `outDtype`: the CPU twin of shaders/merge, operation by operation in
 * the same f32 rounding order, so that both give the same bytes. Slicing does not change them.
 */
export function applyOpCpu(op: TensorOp, slice: OpSlice, outDtype: FloatDtype): Uint8Array {
  checkSlice(op, slice);
  if (op.kind === "copy") return convert(op.source === undefined ? slice.base! : slice.experts[op.source]!, outDtype);
  if (op.kind === "combine") return fromFloat32(combine(op, slice), outDtype);
  const scale = f(op.scale ?? 1);
  const base = slice.base!;
  const theta0 = toFloat32(base.bytes, base.dtype);
  if (op.kind === "add" && op.coefficients.length === 1) return addOne(theta0, slice, f(op.coefficients[0]!), sliceMask(op.masks?.[0], slice), scale, outDtype);
  const change = op.kind === "add" ? addMany(op, theta0, slice) : ties(op, theta0, slice);
  const out = new Float32Array(theta0.length);
  for (let i = 0; i < out.length; i++) out[i] = f(f(theta0[i]! + change[i]!) * scale);
  return store(out, base, outDtype, scale, (i) => change[i] === 0);
}

/** A tensor in another dtype, each value rounded once; the bytes themselves when the dtype stays. */
export function convert(stored: StoredBytes, outDtype: FloatDtype): Uint8Array {
  return stored.dtype === outDtype ? stored.bytes.slice() : fromFloat32(toFloat32(stored.bytes, stored.dtype), outDtype);
}

/** |theta - theta0| in f32: the key of magnitude trimming. */
export function magnitudeKeys(base: StoredBytes, tuned: StoredBytes): Float32Array {
  const keys = toFloat32(tuned.bytes, tuned.dtype);
  const theta0 = toFloat32(base.bytes, base.dtype);
  for (let i = 0; i < keys.length; i++) keys[i] = Math.abs(f(keys[i]! - theta0[i]!));
  return keys;
}

/** Positive minus negative votes of a slice: summed over the model, its sign is the majority of METHODS 3a.3. */
export function voteBalance(op: TiesOp, slice: OpSlice): number {
  const votes = tally(op, toFloat32(slice.base!.bytes, slice.base!.dtype), slice);
  let balance = 0;
  for (let i = 0; i < votes.length; i++) balance += Math.sign(votes[i]!);
  return balance;
}

function addOne(theta0: Float32Array, slice: OpSlice, a: number, mask: Mask, scale: number, outDtype: FloatDtype): Uint8Array {
  const expert = slice.experts[0]!;
  const out = toFloat32(expert.bytes, expert.dtype);
  const unchanged = new Uint8Array(out.length);
  for (let i = 0; i < out.length; i++) {
    const keep = a !== 0 && (!mask || maskBit(mask, i));
    const change = keep ? f(a * f(out[i]! - theta0[i]!)) : 0;
    if (change === 0) unchanged[i] = 1;
    // At a = 1 the sum could miss theta by a rounding; the endpoint is theta itself.
    if (!(keep && a === 1)) out[i] = f(theta0[i]! + change);
    out[i] = f(out[i]! * scale);
  }
  return store(out, slice.base!, outDtype, scale, (i) => unchanged[i] === 1);
}

function addMany(op: TensorOp & { kind: "add" }, theta0: Float32Array, slice: OpSlice): Float32Array {
  const sum = new Float32Array(theta0.length);
  op.coefficients.forEach((coefficient, k) => {
    const c = f(coefficient);
    const theta = toFloat32(slice.experts[k]!.bytes, slice.experts[k]!.dtype);
    const mask = sliceMask(op.masks?.[k], slice);
    for (let i = 0; i < sum.length; i++) {
      const x = c !== 0 && (!mask || maskBit(mask, i)) ? f(theta[i]! - theta0[i]!) : 0;
      sum[i] = k === 0 ? f(c * x) : f(sum[i]! + f(c * x));
    }
  });
  return sum;
}

function combine(op: TensorOp & { kind: "combine" }, slice: OpSlice): Float32Array {
  const parts = [...(op.baseCoefficient !== 0 ? [{ stored: slice.base!, c: f(op.baseCoefficient) }] : []), ...op.coefficients.map((c, k) => ({ stored: slice.experts[k]!, c: f(c) }))];
  const sum = new Float32Array(slice.elements);
  parts.forEach(({ stored, c }, k) => {
    const theta = toFloat32(stored.bytes, stored.dtype);
    for (let i = 0; i < sum.length; i++) sum[i] = k === 0 ? f(c * theta[i]!) : f(sum[i]! + f(c * theta[i]!));
  });
  return sum;
}

/** Calls `visit` with x_k = w_k m_k (theta_k - theta0) of each expert in turn. */
function eachExpert(op: TiesOp, theta0: Float32Array, slice: OpSlice, visit: (k: number, w: number, x: (i: number) => number) => void): void {
  op.weights.forEach((weight, k) => {
    const w = f(weight);
    const theta = toFloat32(slice.experts[k]!.bytes, slice.experts[k]!.dtype);
    const mask = sliceMask(op.masks?.[k], slice);
    visit(k, w, (i) => (!mask || maskBit(mask, i) ? f(w * f(theta[i]! - theta0[i]!)) : 0));
  });
}

function tally(op: TiesOp, theta0: Float32Array, slice: OpSlice): Float32Array {
  const votes = new Float32Array(theta0.length);
  eachExpert(op, theta0, slice, (k, _, x) => {
    for (let i = 0; i < votes.length; i++) {
      const vote = op.elect === "count" ? Math.sign(x(i)) : x(i);
      votes[i] = k === 0 ? vote : f(votes[i]! + vote);
    }
  });
  return votes;
}

function ties(op: TiesOp, theta0: Float32Array, slice: OpSlice): Float32Array {
  const votes = tally(op, theta0, slice);
  const positive = zeroIsPositive(op);
  const sum = new Float32Array(theta0.length);
  const weight = new Float32Array(theta0.length);
  eachExpert(op, theta0, slice, (_, w, x) => {
    const share = op.divisor === "count" ? 1 : w;
    for (let i = 0; i < sum.length; i++) {
      const value = x(i);
      const up = votes[i]! > 0 || (votes[i] === 0 && positive);
      if (up ? value > 0 : value < 0) {
        sum[i] = f(sum[i]! + value);
        weight[i] = f(weight[i]! + share);
      }
    }
  });
  const lambda = f(op.lambda);
  for (let i = 0; i < sum.length; i++) sum[i] = f(lambda * (op.divisor !== "none" && weight[i] !== 0 ? f(sum[i]! / weight[i]!) : sum[i]!));
  return sum;
}

/** Rounds to the output dtype; entries that did not change keep the base's bits when dtype and scale allow it. */
function store(out: Float32Array, base: StoredBytes, outDtype: FloatDtype, scale: number, unchanged: (i: number) => boolean): Uint8Array {
  const bytes = fromFloat32(out, outDtype);
  if (scale !== 1 || base.dtype !== outDtype) return bytes;
  const width = outDtype === "F32" ? 4 : 2;
  for (let i = 0; i < out.length; i++) if (unchanged(i)) for (let b = i * width; b < (i + 1) * width; b++) bytes[b] = base.bytes[b]!;
  return bytes;
}
