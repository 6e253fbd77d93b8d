import rowReduce from "../../../shaders/lib/row_reduce.wgsl?raw";
import wgsl from "../../../shaders/stats/row_distance.wgsl?raw";
import type { Binding, Gpu } from "../../gpu/gpu";
import { defineKernel } from "../../gpu/kernel";

export const rowDistance = defineKernel({
  name: "stats/row_distance",
  wgsl,
  lib: [rowReduce],
  inputs: ["a", "b"],
  outputs: ["out"],
  params: { rows: "u32", columns: "u32", a_stride: "u32", b_stride: "u32", group0: "u32" },
  constants: { FIRST: 0 },
  workgroups: ({ rows }) => rows,
  cost: ({ rows, columns }) => 3 * rows * columns,
});

/** Columns of a matrix in rows of `stride`. */
export interface RowPanel {
  buffer: Binding;
  stride: number;
}

/** out[row] (+)= sum of squared differences over the first `columns` columns; out is f32 [rows]. */
export function addRowDistance(gpu: Gpu, call: { a: RowPanel; b: RowPanel; rows: number; columns: number; out: Binding; first: boolean }): void {
  const { a, b, rows, columns } = call;
  gpu.run(rowDistance, { a: a.buffer, b: b.buffer, out: call.out }, { rows, columns, a_stride: a.stride, b_stride: b.stride }, { FIRST: call.first ? 1 : 0 });
}
