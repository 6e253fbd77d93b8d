import type { Binding, Gpu } from "../../gpu/gpu";
import { rowPanels } from "../../gpu/weight";
import { fisherLinear, fisherNorm } from "./fisher";

/** Rows of one batch: sequence s owns rows [starts[s], starts[s + 1]) of x [rows, K], f32. */
interface Rows {
  x: Binding;
  K: number;
  rows: number;
  starts: Binding;
  sequences: number;
}

/** X^T X [K, K] in f32, in row panels within the binding limit. */
export type GramPanels = { row0: number; rows: number; buffer: GPUBuffer }[];

export const allocGram = (gpu: Gpu, K: number, maxBytes?: number): GramPanels => rowPanels(K, K, maxBytes).map((range) => ({ ...range, buffer: gpu.alloc(4 * range.rows * K, "Gram matrix") }));

/**
 * gram (+)= X^T X: the gradient kernel of a linear layer with dY = X, without its square. Sums in f32, tokens of a sequence
 * first, then sequences in order.
 */
export function addGram(gpu: Gpu, { x, K, starts, sequences }: Rows, gram: GramPanels, accumulate: boolean): void {
  for (const { row0, rows, buffer } of gram) fisherLinear(gpu, { x, dy: x, N: K, K, row0, rows, dyStride: K, dyColumn0: row0, starts, sequences, out: buffer, accumulate, square: false });
}

/** squares [K] (+)= the diagonal of X^T X: the gradient kernel of a norm's gains with dy = x and rstd = 1. Sums in f32, in the same order. */
export function addSquares(gpu: Gpu, { x, K, rows, starts, sequences }: Rows, squares: Binding, accumulate: boolean): void {
  const ones = gpu.upload(new Float32Array(rows).fill(1), "ones");
  fisherNorm(gpu, { x, dy: x, rstd: ones, C: K, rowsPerToken: 1, starts, sequences, out: squares, accumulate, square: false });
  gpu.release(ones);
}
