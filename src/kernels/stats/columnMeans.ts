import chunksWgsl from "../../../shaders/stats/column_chunks.wgsl?raw";
import meansWgsl from "../../../shaders/stats/column_means.wgsl?raw";
import type { Binding, Gpu } from "../../gpu/gpu";
import { defineKernel } from "../../gpu/kernel";

const CHUNK = 64;
const GROUP = 64;

export const columnChunks = defineKernel({
  name: "stats/column_chunks",
  wgsl: chunksWgsl,
  inputs: ["x", "starts"],
  outputs: ["partials"],
  params: { K: "u32", S: "u32", chunks: "u32", rows_per_token: "u32", group0: "u32" },
  constants: { CHUNK },
  workgroups: ({ K, S, chunks }) => Math.ceil((S * chunks * K) / GROUP),
  cost: ({ K, S, chunks }) => S * chunks * K * CHUNK,
});

export const columnMeans = defineKernel({
  name: "stats/column_means",
  wgsl: meansWgsl,
  inputs: ["partials", "starts"],
  outputs: ["sums"],
  params: { K: "u32", S: "u32", chunks: "u32", rows_per_token: "u32", accumulate: "u32", group0: "u32" },
  constants: { CHUNK },
  workgroups: ({ K }) => Math.ceil(K / GROUP),
  cost: ({ K, S, chunks }) => S * chunks * K,
});

export interface ColumnMeansCall {
  /** f32 [starts[S] * rowsPerToken, K] */
  x: Binding;
  K: number;
  rowsPerToken: number;
  /** Sequence s owns the rows of tokens [starts[s], starts[s+1]); the same numbers on the GPU and on the CPU. */
  starts: Binding;
  startsCpu: Uint32Array;
  /** f32 [K] */
  sums: Binding;
  accumulate: boolean;
}

/** sums[c] (+)= sum over sequences of the mean over the sequence's rows of |x[r,c]|, f32. */
export function addColumnMeans(gpu: Gpu, { x, K, rowsPerToken, starts, startsCpu, sums, accumulate }: ColumnMeansCall): void {
  const S = startsCpu.length - 1;
  const longest = startsCpu.reduce((most, start, s) => Math.max(most, s > 0 ? start - startsCpu[s - 1]! : 0), 0);
  const chunks = Math.ceil((longest * rowsPerToken) / CHUNK);
  const partials = gpu.alloc(4 * S * chunks * K, "column sums");
  const params = { K, S, chunks, rows_per_token: rowsPerToken };
  gpu.run(columnChunks, { x, starts, partials }, params);
  gpu.run(columnMeans, { partials, starts, sums }, { ...params, accumulate: accumulate ? 1 : 0 });
  gpu.release(partials);
}
