import type { FloatDtype } from "../core/tensors";
import type { Gpu } from "../gpu/gpu";
import { rowPanels, WEIGHT_DTYPE, type Weight } from "../gpu/weight";
import { finish } from "../kernels/merge/finish";
import { linearCombination } from "../kernels/merge/linearCombination";
import { add } from "../kernels/nn/add";
import { gemmNt, linearForward } from "../kernels/nn/gemm";
import type { OnGpu } from "./gpu";
import type { OpSlice, ProjectOp } from "./ops";

/** Matrices that stay on the GPU from slice to slice. */
const held = new WeakMap<ProjectOp, Weight[]>();

/** Keeps the matrices of an operation on the GPU until the function that is returned is called. */
export function holdMatrices(gpu: Gpu, op: ProjectOp): () => void {
  const weights = op.matrices.map((matrix) => upload(gpu, matrix, op.cols));
  held.set(op, weights);
  return () => {
    held.delete(op);
    release(gpu, weights);
  };
}

function upload(gpu: Gpu, matrix: Float32Array, d: number): Weight {
  const panels = rowPanels(d, d).map(({ row0, rows }) => {
    const buffer = gpu.alloc(4 * rows * d, "projection");
    gpu.write(buffer, 0, matrix.subarray(row0 * d, (row0 + rows) * d));
    return { row0, rows, buffer };
  });
  return { name: "projection", dtype: "F32", rows: d, cols: d, panels };
}

const release = (gpu: Gpu, weights: readonly Weight[]): void => gpu.release(...weights.flatMap((w) => w.panels.map((p) => p.buffer)));

/** theta0 + sum_k A_k (theta_k - theta0): changes as f32 rows, a product for each model, one rounding to the output. */
export function encodeProject(gpu: Gpu, op: ProjectOp, slice: OpSlice, base: OnGpu, hold: (b: GPUBuffer) => GPUBuffer, out: GPUBuffer, outDtype: FloatDtype): void {
  const n = slice.elements;
  const M = n / op.cols;
  const [change, term, sum] = [hold(gpu.alloc(4 * n, "changes")), hold(gpu.alloc(4 * n, "term")), hold(gpu.alloc(4 * n, "sum"))];
  const kept = held.get(op);
  op.matrices.forEach((matrix, k) => {
    const { bytes, dtype } = slice.experts[k]!;
    const tuned = gpu.upload(bytes, "stored values");
    gpu.run(
      linearCombination,
      { base: base.buffer, tuned, mask: tuned, sum: change },
      { n, c: 1, zero: 0 },
      { BASE_DTYPE: WEIGHT_DTYPE[base.dtype], TUNED_DTYPE: WEIGHT_DTYPE[dtype], HAS_MASK: 0, DELTA: 1, FIRST: 1 },
    );
    gpu.release(tuned);
    const weight = kept?.[k] ?? upload(gpu, matrix, op.cols);
    multiply(gpu, change, weight, k === 0 ? sum : term, M);
    if (!kept) release(gpu, [weight]);
    if (k > 0) gpu.run(add, { x: term, y: sum }, { count: n });
  });
  if (op.matrices.length === 0) gpu.clear(sum, 4 * n);
  gpu.run(
    finish,
    { base: base.buffer, sum, weight: sum, out },
    { n, lambda: 1, scale: 1, least: 0, zero: 0 },
    { BASE_DTYPE: WEIGHT_DTYPE[base.dtype], OUT_DTYPE: WEIGHT_DTYPE[outDtype], ADD: 1, DIVIDE: 0 },
  );
}

/** y = x A^T. A software adapter always takes the form whose order of sums the CPU repeats, whatever form a pass was tuned to. */
function multiply(gpu: Gpu, x: GPUBuffer, weight: Weight, y: GPUBuffer, M: number): void {
  if (!gpu.software) return linearForward(gpu, { x, weight, y, M });
  const K = weight.cols;
  for (const { row0, rows, buffer } of weight.panels)
    gpu.run(gemmNt, { x, weight: buffer, bias: x, y }, { M, N: rows, K, stride: weight.rows, column0: row0, has_bias: 0 }, { WEIGHT_DTYPE: WEIGHT_DTYPE.F32, PACKED: K % 4 === 0 ? 1 : 0 });
}
