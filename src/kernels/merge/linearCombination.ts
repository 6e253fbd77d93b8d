import expert from "../../../shaders/lib/expert.wgsl?raw";
import quads from "../../../shaders/lib/quads.wgsl?raw";
import tuned from "../../../shaders/lib/tuned.wgsl?raw";
import values from "../../../shaders/lib/values.wgsl?raw";
import wgsl from "../../../shaders/merge/linear_combination.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";

export const linearCombination = defineKernel({
  name: "merge/linear_combination",
  wgsl,
  lib: [values, quads, tuned, expert],
  inputs: ["base", "tuned", "mask"],
  outputs: ["sum"],
  params: { n: "u32", c: "f32", zero: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, TUNED_DTYPE: 0, HAS_MASK: 1, DELTA: 1, FIRST: 0 },
  workgroups: ({ n }) => Math.ceil(n / 2048),
  cost: ({ n }) => 30 * n,
});
