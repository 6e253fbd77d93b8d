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
