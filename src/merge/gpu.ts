import { bytesPerElement, type FloatDtype } from "../core/tensors";
import type { Gpu } from "../gpu/gpu";
import { WEIGHT_DTYPE } from "../gpu/weight";
import { addDelta } from "../kernels/merge/addDelta";
import { agree, vote } from "../kernels/merge/elect";
import { finish } from "../kernels/merge/finish";
import { linearCombination } from "../kernels/merge/linearCombination";
import { nearswap } from "../kernels/merge/nearswap";
import { ram, touch } from "../kernels/merge/ram";
import { rows } from "../kernels/merge/rows";
import { ties, TIES_EXPERTS } from "../kernels/merge/ties";
import { weighted, weightedMean } from "../kernels/merge/weighted";
import { maskWords } from "../kernels/stats/trim";
import { convert } from "./cpu";
import { partOf } from "./weighted";
import { encodeProject } from "./projectGpu";
import { checkSlice, dividesBy, floorOf, NEAR, sliceMask, TOUCHED, zeroIsPositive, type Mask, type OpSlice, type RowsOp, type StoredBytes, type TensorOp, type TiesOp, type WeightedOp } from "./ops";

/** Stored values of a slice in a buffer. */
export interface OnGpu {
  buffer: GPUBuffer;
  dtype: FloatDtype;
}

/**
 * One slice of one output tensor on the GPU, as stored bytes of `outDtype`; the same bytes as applyOpCpu. One expert is on
 * the GPU at a time, but for TIES of at most four, which would upload each of them twice. A slice of n elements takes up
 * to 4 n bytes in one buffer: at most 32 Mi elements.
 */
export async function applyOpGpu(gpu: Gpu, op: TensorOp, slice: OpSlice, outDtype: FloatDtype): Promise<Uint8Array> {
  checkSlice(op, slice);
  if (op.kind === "copy") return convert(op.source === undefined ? slice.base! : slice.experts[op.source]!, outDtype);
  const n = slice.elements;
  if (n === 0) return new Uint8Array(0);
  const held: GPUBuffer[] = [];
  const hold = (buffer: GPUBuffer) => (held.push(buffer), buffer);
  const out = hold(gpu.alloc(4 * n, "merged"));
  try {
    if (op.kind === "weighted") {
      encodeWeighted(gpu, op, slice, hold, out, outDtype);
      return await gpu.read(out, n * bytesPerElement(outDtype));
    }
    const base = slice.base && !(op.kind === "combine" && op.baseCoefficient === 0) ? upload(gpu, slice.base, hold) : undefined;
    if (op.kind === "add" && op.coefficients.length === 1) encodeAddOne(gpu, op, slice, base!, out, outDtype);
    else if (op.kind === "ties" && op.weights.length <= TIES_EXPERTS && op.weights.length > 0) encodeFewTies(gpu, op, slice, base!, hold, out, outDtype);
    else if (op.kind === "ties") encodeTies(gpu, op, slice, base!, hold, out, outDtype);
    else if (op.kind === "rows") encodeRows(gpu, op, slice, base!, hold, out, outDtype);
    else if (op.kind === "nearswap") encodeNearswap(gpu, op.t, slice, base!, out, outDtype);
    else if (op.kind === "project") encodeProject(gpu, op, slice, base!, hold, out, outDtype);
    else if (op.kind === "ram") encodeRam(gpu, op.lambdas, slice, base!, hold, out, outDtype);
    else encodeSum(gpu, op, slice, base, hold, out, outDtype);
    return await gpu.read(out, n * bytesPerElement(outDtype));
  } finally {
    gpu.release(...held);
  }
}

function upload(gpu: Gpu, stored: StoredBytes, hold: (buffer: GPUBuffer) => GPUBuffer): OnGpu {
  return { buffer: hold(gpu.upload(stored.bytes, "stored values")), dtype: stored.dtype };
}

/** Uploads one expert and its part of the mask for the length of one call. */
function withExpert(gpu: Gpu, stored: StoredBytes, mask: Mask, call: (tuned: OnGpu, mask: GPUBuffer, hasMask: number) => void): void {
  const tuned = gpu.upload(stored.bytes, "stored values");
  const bits = mask && gpu.upload(mask, "mask");
  call({ buffer: tuned, dtype: stored.dtype }, bits ?? tuned, bits ? 1 : 0);
  gpu.release(tuned, bits);
}

function encodeAddOne(gpu: Gpu, op: TensorOp & { kind: "add" }, slice: OpSlice, base: OnGpu, out: GPUBuffer, outDtype: FloatDtype): void {
  withExpert(gpu, slice.experts[0]!, sliceMask(op.masks?.[0], slice), (tuned, mask, HAS_MASK) =>
    gpu.run(
      addDelta,
      { base: base.buffer, tuned: tuned.buffer, mask, out },
      { n: slice.elements, a: op.coefficients[0]!, scale: op.scale ?? 1, zero: 0 },
      { BASE_DTYPE: WEIGHT_DTYPE[base.dtype], TUNED_DTYPE: WEIGHT_DTYPE[tuned.dtype], OUT_DTYPE: WEIGHT_DTYPE[outDtype], HAS_MASK },
    ),
  );
}

function encodeSum(gpu: Gpu, op: TensorOp & { kind: "add" | "combine" }, slice: OpSlice, base: OnGpu | undefined, hold: (b: GPUBuffer) => GPUBuffer, out: GPUBuffer, outDtype: FloatDtype): void {
  const n = slice.elements;
  const DELTA = op.kind === "add" ? 1 : 0;
  const sum = hold(gpu.alloc(4 * n, "sum"));
  let FIRST = 1;
  const add = (tuned: OnGpu, mask: GPUBuffer, HAS_MASK: number, c: number) => {
    gpu.run(
      linearCombination,
      { base: base?.buffer ?? tuned.buffer, tuned: tuned.buffer, mask, sum },
      { n, c, zero: 0 },
      { BASE_DTYPE: base ? WEIGHT_DTYPE[base.dtype] : 0, TUNED_DTYPE: WEIGHT_DTYPE[tuned.dtype], HAS_MASK, DELTA, FIRST },
    );
    FIRST = 0;
  };
  if (op.kind === "combine" && base) add(base, base.buffer, 0, op.baseCoefficient);
  op.coefficients.forEach((c, k) => withExpert(gpu, slice.experts[k]!, op.kind === "add" ? sliceMask(op.masks?.[k], slice) : undefined, (tuned, mask, hasMask) => add(tuned, mask, hasMask, c)));
  if (FIRST === 1) gpu.clear(sum, 4 * n);
  gpu.run(
    finish,
    { base: base?.buffer ?? sum, sum, weight: sum, out },
    { n, lambda: 1, scale: op.kind === "add" ? (op.scale ?? 1) : 1, least: 0, zero: 0 },
    { BASE_DTYPE: base ? WEIGHT_DTYPE[base.dtype] : 0, OUT_DTYPE: WEIGHT_DTYPE[outDtype], ADD: DELTA, DIVIDE: 0 },
  );
}

/** All experts of the slice on the GPU at once, read once each; nothing is kept between passes because there is one. */
function encodeFewTies(gpu: Gpu, op: TiesOp, slice: OpSlice, base: OnGpu, hold: (b: GPUBuffer) => GPUBuffer, out: GPUBuffer, outDtype: FloatDtype): void {
  const n = slice.elements;
  const EXPERTS = op.weights.length;
  const tuned = Array.from({ length: EXPERTS }, (_, k) => upload(gpu, slice.experts[k]!, hold));
  const [t0, t1 = t0, t2 = t0, t3 = t0] = tuned as [OnGpu, ...OnGpu[]];
  const parts = tuned.map((_, k) => sliceMask(op.masks?.[k], slice));
  const words = maskWords(n);
  const masks = parts.some(Boolean) ? hold(gpu.alloc(4 * words * EXPERTS, "masks")) : t0.buffer;
  parts.forEach((part, k) => part && gpu.write(masks, 4 * words * k, part));
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = op.weights;
  const [p0 = 1, p1 = 1, p2 = 1, p3 = 1] = op.parts ?? [];
  const [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = op.shares ?? op.weights;
  const dtypeOf = (expert: OnGpu): number => WEIGHT_DTYPE[expert.dtype];
  gpu.run(
    ties,
    { base: base.buffer, tuned0: t0.buffer, tuned1: t1.buffer, tuned2: t2.buffer, tuned3: t3.buffer, masks, out },
    { n, words, w0, w1, w2, w3, p0, p1, p2, p3, s0, s1, s2, s3, lambda: op.lambda, scale: op.scale ?? 1, least: floorOf(op), positive: zeroIsPositive(op) ? 1 : 0, zero: 0 },
    {
      BASE_DTYPE: dtypeOf(base), OUT_DTYPE: WEIGHT_DTYPE[outDtype], EXPERTS,
      DTYPE_0: dtypeOf(t0), DTYPE_1: dtypeOf(t1), DTYPE_2: dtypeOf(t2), DTYPE_3: dtypeOf(t3),
      MASKED: parts.reduce((bits, part, k) => bits | (part ? 1 << k : 0), 0),
      COUNT_VOTES: op.elect === "count" ? 1 : 0, DIVISOR: { none: 0, weights: 1, count: 2, largest: 3 }[op.divisor],
    },
  );
}

function encodeTies(gpu: Gpu, op: TiesOp, slice: OpSlice, base: OnGpu, hold: (b: GPUBuffer) => GPUBuffer, out: GPUBuffer, outDtype: FloatDtype): void {
  const n = slice.elements;
  const votes = hold(gpu.alloc(4 * n, "votes"));
  const sum = hold(gpu.alloc(4 * n, "sum"));
  const weight = hold(gpu.alloc(4 * n, "weights"));
  const constants = (tuned: OnGpu, HAS_MASK: number, k: number) => ({ BASE_DTYPE: WEIGHT_DTYPE[base.dtype], TUNED_DTYPE: WEIGHT_DTYPE[tuned.dtype], HAS_MASK, FIRST: k === 0 ? 1 : 0 });
  const each = (call: (k: number, w: number, tuned: OnGpu, mask: GPUBuffer, hasMask: number) => void) =>
    op.weights.forEach((w, k) => withExpert(gpu, slice.experts[k]!, sliceMask(op.masks?.[k], slice), (tuned, mask, hasMask) => call(k, w, tuned, mask, hasMask)));
  each((k, w, tuned, mask, hasMask) =>
    gpu.run(vote, { base: base.buffer, tuned: tuned.buffer, mask, votes }, { n, w, zero: 0 }, { ...constants(tuned, hasMask, k), COUNT: op.elect === "count" ? 1 : 0 }),
  );
  each((k, w, tuned, mask, hasMask) =>
    gpu.run(
      agree,
      { base: base.buffer, tuned: tuned.buffer, mask, votes, sum, weight },
      { n, w, part: op.parts?.[k] ?? 1, share: op.shares?.[k] ?? w, positive: zeroIsPositive(op) ? 1 : 0, zero: 0 },
      { ...constants(tuned, hasMask, k), COUNT: op.divisor === "count" ? 1 : 0, LARGEST: op.divisor === "largest" ? 1 : 0 },
    ),
  );
  gpu.run(
    finish,
    { base: base.buffer, sum, weight, out },
    { n, lambda: op.lambda, scale: op.scale ?? 1, least: floorOf(op), zero: 0 },
    { BASE_DTYPE: WEIGHT_DTYPE[base.dtype], OUT_DTYPE: WEIGHT_DTYPE[outDtype], ADD: 1, DIVIDE: dividesBy(op) ? 1 : 0 },
  );
}

function encodeRows(gpu: Gpu, op: RowsOp, slice: OpSlice, base: OnGpu, hold: (b: GPUBuffer) => GPUBuffer, out: GPUBuffer, outDtype: FloatDtype): void {
  const n = slice.elements;
  const row0 = Math.floor(slice.start / op.cols);
  const sum = hold(gpu.alloc(4 * n, "sum"));
  // Only the coefficients of the rows in this slice go along.
  const part = (c: Float32Array): Float32Array => (op.by === "column" ? c : c.subarray(row0, Math.ceil((slice.start + n) / op.cols)));
  const add = (tuned: OnGpu, c: Float32Array, FIRST: number): void => {
    const coefficients = gpu.upload(part(c), "coefficients");
    gpu.run(
      rows,
      { base: base.buffer, tuned: tuned.buffer, c: coefficients, sum },
      { n, cols: op.cols, start: slice.start - row0 * op.cols, zero: 0 },
      { BASE_DTYPE: WEIGHT_DTYPE[base.dtype], TUNED_DTYPE: WEIGHT_DTYPE[tuned.dtype], DELTA: op.change ? 1 : 0, FIRST, COLUMNS: op.by === "column" ? 1 : 0 },
    );
    gpu.release(coefficients);
  };
  if (!op.change) add(base, op.base, 1);
  op.coefficients.forEach((c, k) => withExpert(gpu, slice.experts[k]!, undefined, (tuned) => add(tuned, c, op.change && k === 0 ? 1 : 0)));
  gpu.run(
    finish,
    { base: base.buffer, sum, weight: sum, out },
    { n, lambda: 1, scale: 1, least: 0, zero: 0 },
    { BASE_DTYPE: WEIGHT_DTYPE[base.dtype], OUT_DTYPE: WEIGHT_DTYPE[outDtype], ADD: op.change ? 1 : 0, DIVIDE: 0 },
  );
}

function encodeNearswap(gpu: Gpu, t: number, slice: OpSlice, base: OnGpu, out: GPUBuffer, outDtype: FloatDtype): void {
  withExpert(gpu, slice.experts[0]!, undefined, (tuned) =>
    gpu.run(
      nearswap,
      { base: base.buffer, tuned: tuned.buffer, out },
      { n: slice.elements, t, near: NEAR, scale: 1, zero: 0 },
      { BASE_DTYPE: WEIGHT_DTYPE[base.dtype], TUNED_DTYPE: WEIGHT_DTYPE[tuned.dtype], OUT_DTYPE: WEIGHT_DTYPE[outDtype] },
    ),
  );
}

function encodeRam(gpu: Gpu, lambdas: readonly number[], slice: OpSlice, base: OnGpu, hold: (b: GPUBuffer) => GPUBuffer, out: GPUBuffer, outDtype: FloatDtype): void {
  const n = slice.elements;
  const [sum, alone, count] = [hold(gpu.alloc(4 * n, "sum")), hold(gpu.alloc(4 * n, "own changes")), hold(gpu.alloc(4 * n, "models"))];
  lambdas.forEach((lambda, k) =>
    withExpert(gpu, slice.experts[k]!, undefined, (tuned) =>
      gpu.run(
        touch,
        { base: base.buffer, tuned: tuned.buffer, sum, alone, count },
        { n, lambda, least: TOUCHED, zero: 0 },
        { BASE_DTYPE: WEIGHT_DTYPE[base.dtype], TUNED_DTYPE: WEIGHT_DTYPE[tuned.dtype], FIRST: k === 0 ? 1 : 0 },
      ),
    ),
  );
  gpu.run(ram, { base: base.buffer, sum, alone, count, out }, { n, scale: 1, zero: 0 }, { BASE_DTYPE: WEIGHT_DTYPE[base.dtype], OUT_DTYPE: WEIGHT_DTYPE[outDtype] });
}

function encodeWeighted(gpu: Gpu, op: WeightedOp, slice: OpSlice, hold: (b: GPUBuffer) => GPUBuffer, out: GPUBuffer, outDtype: FloatDtype): void {
  const n = slice.elements;
  const [sum, weight, low, high, plain] = ["sum", "weights", "lowest", "highest", "plain mean"].map((label) => hold(gpu.alloc(4 * n, label))) as [GPUBuffer, GPUBuffer, GPUBuffer, GPUBuffer, GPUBuffer];
  const state = { sum, weight, low, high, plain };
  op.parts.forEach(({ source, coefficient, least, share }, k) =>
    withExpert(gpu, partOf(slice, source), undefined, (model) => {
      const fisher = gpu.upload(slice.fishers![k]!.bytes, "Fisher");
      gpu.run(weighted, { base: model.buffer, fisher, ...state }, { n, c: coefficient, least, share, zero: 0 }, { BASE_DTYPE: WEIGHT_DTYPE[model.dtype], FIRST: k === 0 ? 1 : 0 });
      gpu.release(fisher);
    }),
  );
  gpu.run(weightedMean, { base: sum, ...state, out }, { n, scale: 1, zero: 0 }, { OUT_DTYPE: WEIGHT_DTYPE[outDtype] });
}
