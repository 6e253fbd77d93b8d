import type { FloatDtype } from "../core/tensors";
import { fromFloat32, toFloat32 } from "../formats/dtypes";
import { maskBit } from "./trim";
import { elementwise } from "./elementwise";
import { project } from "./project";
import { weightedMean } from "./weighted";
import { checkSlice, dividesBy, floorOf, NEAR, sliceMask, zeroIsPositive, type Mask, type OpSlice, type StoredBytes, type TensorOp, type TiesOp } from "./ops";

const f = Math.fround;

/**
 * One slice of one output tensor, as stored bytes of `outDtype`: the CPU twin of shaders/merge, operation by operation in
 * the same f32 rounding order, so that both give the same bytes. Slicing does not change them.
 */
export function applyOpCpu(op: TensorOp, slice: OpSlice, outDtype: FloatDtype): Uint8Array {
  checkSlice(op, slice);
  if (op.kind === "copy") return convert(op.source === undefined ? slice.base! : slice.experts[op.source]!, outDtype);
  if (op.kind === "combine") return fromFloat32(combine(op, slice), outDtype);
  if (op.kind === "weighted") return fromFloat32(weightedMean(op, slice), outDtype);
  const scale = f(op.kind === "add" || op.kind === "ties" ? (op.scale ?? 1) : 1);
  const base = slice.base!;
  const theta0 = toFloat32(base.bytes, base.dtype);
  if (op.kind === "add" && op.coefficients.length === 1) return addOne(theta0, slice, f(op.coefficients[0]!), sliceMask(op.masks?.[0], slice), scale, outDtype);
  if (op.kind === "rows" && !op.change) return fromFloat32(elementwise(op, theta0, slice), outDtype);
  if (op.kind === "nearswap") return nearswap(op.t, theta0, slice, outDtype);
  const change = op.kind === "add" ? addMany(op, theta0, slice) : op.kind === "ties" ? ties(op, theta0, slice) : op.kind === "project" ? project(op, theta0, slice) : elementwise(op, theta0, slice);
  const out = new Float32Array(theta0.length);
  for (let i = 0; i < out.length; i++) out[i] = f(f(theta0[i]! + change[i]!) * scale);
  return store(out, base, outDtype, scale, change);
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
  const change = moves(theta0, out, a, mask);
  if (a !== 1) for (let i = 0; i < out.length; i++) out[i] = theta0[i]! + change[i]!;
  // At a = 1 the sum could miss theta by a rounding; the endpoint is theta itself.
  else if (mask) for (let i = 0; i < out.length; i++) if (!maskBit(mask, i)) out[i] = theta0[i]! + 0;
  if (scale !== 1) for (let i = 0; i < out.length; i++) out[i] = out[i]! * scale;
  return store(out, slice.base!, outDtype, scale, change);
}

/**
 * c m (theta - theta0), each step rounded to f32; 0 where m or c is 0. Storing into a Float32Array rounds, as Math.fround does.
 * The loops are kept plain and apart: one with the mask's test inside runs at a third of the speed.
 */
function moves(theta0: Float32Array, theta: Float32Array, c: number, mask: Mask): Float32Array {
  const out = new Float32Array(theta.length);
  if (c === 0) return out;
  if (!mask) {
    for (let i = 0; i < out.length; i++) out[i] = c * f(theta[i]! - theta0[i]!);
    return out;
  }
  for (let word = 0, i = 0; i < out.length; word++) {
    const end = Math.min(i + 32, out.length);
    for (let bits = mask[word]!; i < end; i++, bits >>>= 1) if (bits & 1) out[i] = c * f(theta[i]! - theta0[i]!);
  }
  return out;
}

function addMany(op: TensorOp & { kind: "add" }, theta0: Float32Array, slice: OpSlice): Float32Array {
  let sum: Float32Array | undefined;
  op.coefficients.forEach((coefficient, k) => {
    const term = moves(theta0, toFloat32(slice.experts[k]!.bytes, slice.experts[k]!.dtype), f(coefficient), sliceMask(op.masks?.[k], slice));
    if (sum) for (let i = 0; i < term.length; i++) sum[i] = sum[i]! + term[i]!;
    else sum = term;
  });
  return sum ?? new Float32Array(theta0.length);
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

/** x_k = w_k m_k (theta_k - theta0) of one expert. */
const movesOf = (op: TiesOp, k: number, theta0: Float32Array, slice: OpSlice): Float32Array =>
  moves(theta0, toFloat32(slice.experts[k]!.bytes, slice.experts[k]!.dtype), f(op.weights[k]!), sliceMask(op.masks?.[k], slice));

function tally(op: TiesOp, theta0: Float32Array, slice: OpSlice): Float32Array {
  const votes = new Float32Array(theta0.length);
  op.weights.forEach((_, k) => {
    const x = movesOf(op, k, theta0, slice);
    if (op.elect === "count") for (let i = 0; i < x.length; i++) votes[i] = votes[i]! + Math.sign(x[i]!);
    else for (let i = 0; i < x.length; i++) votes[i] = votes[i]! + x[i]!;
  });
  return votes;
}

function ties(op: TiesOp, theta0: Float32Array, slice: OpSlice): Float32Array {
  const votes = tally(op, theta0, slice);
  const positive = zeroIsPositive(op);
  const sum = new Float32Array(theta0.length);
  const weight = new Float32Array(theta0.length);
  const largest = op.divisor === "largest";
  op.weights.forEach((w, k) => {
    const x = movesOf(op, k, theta0, slice);
    const part = f(op.parts?.[k] ?? 1);
    const share = op.divisor === "count" ? 1 : f(op.shares?.[k] ?? w);
    for (let i = 0; i < x.length; i++) {
      const vote = votes[i]!;
      const value = x[i]!;
      if (vote > 0 || (vote === 0 && positive) ? value > 0 : value < 0) {
        const term = f(part * value);
        sum[i] = !largest ? sum[i]! + term : Math.abs(term) > Math.abs(sum[i]!) ? term : sum[i]!;
        weight[i] = weight[i]! + share;
      }
    }
  });
  const lambda = f(op.lambda);
  const divide = dividesBy(op);
  const floor = f(floorOf(op));
  for (let i = 0; i < sum.length; i++) {
    const by = Math.max(weight[i]!, floor);
    sum[i] = lambda * (divide && by !== 0 ? f(sum[i]! / by) : sum[i]!);
  }
  return sum;
}

/** The other model's own bits where the whole change is taken. */
function nearswap(t: number, theta0: Float32Array, slice: OpSlice, outDtype: FloatDtype): Uint8Array {
  const out = toFloat32(slice.experts[0]!.bytes, slice.experts[0]!.dtype);
  const change = new Float32Array(out.length);
  const step = f(t);
  const near = f(NEAR);
  for (let i = 0; i < out.length; i++) {
    const d = f(out[i]! - theta0[i]!);
    const share = f(step / Math.max(Math.abs(d), near));
    change[i] = share >= 1 ? d : share * d;
    if (!(share >= 1)) out[i] = theta0[i]! + change[i]!;
  }
  return store(out, slice.base!, outDtype, 1, change);
}

/** Rounds to the output dtype; entries whose change is 0 keep the base's bits when dtype and scale allow it. */
function store(out: Float32Array, base: StoredBytes, outDtype: FloatDtype, scale: number, change: Float32Array): Uint8Array {
  const bytes = fromFloat32(out, outDtype);
  if (scale !== 1 || base.dtype !== outDtype) return bytes;
  const aligned = base.bytes.byteOffset % 4 === 0 ? base.bytes : base.bytes.slice();
  const words = (b: Uint8Array) => (outDtype === "F32" ? new Uint32Array(b.buffer, b.byteOffset, out.length) : new Uint16Array(b.buffer, b.byteOffset, out.length));
  const target = words(bytes);
  const source = words(aligned);
  for (let i = 0; i < out.length; i++) if (change[i] === 0) target[i] = source[i]!;
  return bytes;
}
