import quads from "../../../shaders/lib/quads.wgsl?raw";
import tuned from "../../../shaders/lib/tuned.wgsl?raw";
import values from "../../../shaders/lib/values.wgsl?raw";
import wgsl from "../../../shaders/merge/rows.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";

export const rows = defineKernel({
  name: "merge/rows",
  wgsl,
  lib: [values, quads, tuned],
  inputs: ["base", "tuned", "c"],
  outputs: ["sum"],
  params: { n: "u32", cols: "u32", start: "u32", zero: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, TUNED_DTYPE: 0, DELTA: 0, FIRST: 0, COLUMNS: 0 },
  workgroups: ({ n }) => Math.ceil(n / 2048),
  cost: ({ n }) => 40 * n,
});
