import { toFloat32 } from "../formats/dtypes";
import type { OpSlice, ProjectOp } from "./ops";

const f = Math.fround;

/**
 * sum_k A_k (theta_k - theta0) of the rows of a slice, in the f32 steps of its kernels on a software adapter: products of four
 * neighbours are added first, then to the sum over those before them; without fours, one after another.
 */
export function project(op: ProjectOp, theta0: Float32Array, slice: OpSlice): Float32Array {
  const d = op.cols;
  const sum = new Float32Array(theta0.length);
  op.matrices.forEach((a, k) => {
    const change = toFloat32(slice.experts[k]!.bytes, slice.experts[k]!.dtype);
    for (let i = 0; i < change.length; i++) change[i] = change[i]! - theta0[i]!;
    for (let row = 0; row < sum.length; row += d)
      for (let i = 0; i < d; i++) {
        const term = d % 4 === 0 ? dotInFours(a, i * d, change, row, d) : dot(a, i * d, change, row, d);
        sum[row + i] = k === 0 ? term : sum[row + i]! + term;
      }
  });
  return sum;
}

/**
 * How far two computations of the same rows in f32 may lie apart, whatever the order of their sums and with or without fused
 * multiply-adds: 2 gamma sum_k sum_j |A_k[i, j]| |theta_k - theta0|[j], gamma = (d + 2 K) 2^-24.
 * Source: Higham, Accuracy and Stability of Numerical Algorithms, 3.1.
 */
export function projectSlack(op: ProjectOp, slice: OpSlice): Float64Array {
  const d = op.cols;
  const theta0 = toFloat32(slice.base!.bytes, slice.base!.dtype);
  const slack = new Float64Array(theta0.length);
  const factor = 2 * (d + 2 * op.matrices.length) * 2 ** -24;
  op.matrices.forEach((a, k) => {
    const theta = toFloat32(slice.experts[k]!.bytes, slice.experts[k]!.dtype);
    for (let row = 0; row < slack.length; row += d)
      for (let i = 0; i < d; i++) {
        let sum = 0;
        for (let j = 0; j < d; j++) sum += Math.abs(a[i * d + j]! * (theta[row + j]! - theta0[row + j]!));
        slack[row + i]! += factor * sum;
      }
  });
  return slack;
}

function dotInFours(a: Float32Array, at: number, x: Float32Array, row: number, d: number): number {
  let sum = 0;
  for (let j = 0; j < d; j += 4) {
    const two = f(f(a[at + j]! * x[row + j]!) + f(a[at + j + 1]! * x[row + j + 1]!));
    sum = f(sum + f(f(two + f(a[at + j + 2]! * x[row + j + 2]!)) + f(a[at + j + 3]! * x[row + j + 3]!)));
  }
  return sum;
}

function dot(a: Float32Array, at: number, x: Float32Array, row: number, d: number): number {
  let sum = 0;
  for (let j = 0; j < d; j++) sum = f(sum + f(a[at + j]! * x[row + j]!));
  return sum;
}
