import expert from "../../../shaders/lib/expert.wgsl?raw";
import merged from "../../../shaders/lib/merged.wgsl?raw";
import pack from "../../../shaders/lib/pack.wgsl?raw";
import quads from "../../../shaders/lib/quads.wgsl?raw";
import tuned from "../../../shaders/lib/tuned.wgsl?raw";
import values from "../../../shaders/lib/values.wgsl?raw";
import wgsl from "../../../shaders/merge/add_delta.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";

export const addDelta = defineKernel({
  name: "merge/add_delta",
  wgsl,
  lib: [values, pack, quads, tuned, expert, merged],
  inputs: ["base", "tuned", "mask"],
  outputs: ["out"],
  params: { n: "u32", a: "f32", scale: "f32", zero: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, TUNED_DTYPE: 0, OUT_DTYPE: 0, HAS_MASK: 1 },
  workgroups: ({ n }) => Math.ceil(n / 2048),
  cost: ({ n }) => 40 * n,
});
