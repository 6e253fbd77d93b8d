import values from "../../../shaders/lib/values.wgsl?raw";
import wgsl from "../../../shaders/nn/embed_rows.wgsl?raw";
import type { Gpu } from "../../gpu/gpu";
import { defineKernel } from "../../gpu/kernel";
import { WEIGHT_DTYPE, type Weight } from "../../gpu/weight";

/** Rows of an embedding by token, see shaders/nn/embed_rows.wgsl. */
export const embedRows = defineKernel({
  name: "nn/embed_rows",
  wgsl,
  lib: [values],
  inputs: ["rows", "table"],
  outputs: ["x"],
  params: { M: "u32", C: "u32", row0: "u32", count: "u32", group0: "u32" },
  constants: { WEIGHT_DTYPE: 0 },
  workgroups: ({ M, C }) => Math.ceil((M * C) / 512),
  cost: ({ M, C }) => 4 * M * C,
});

/** x[M, C] = E[token of each row], whatever panel a token is in. `rows` as of cachedAttention. */
export function embed(gpu: Gpu, io: { rows: GPUBuffer; table: Weight; x: GPUBuffer; M: number }): void {
  const { rows, table, x, M } = io;
  for (const { row0, rows: count, buffer } of table.panels) gpu.run(embedRows, { rows, table: buffer, x }, { M, C: table.cols, row0, count }, { WEIGHT_DTYPE: WEIGHT_DTYPE[table.dtype] });
}
