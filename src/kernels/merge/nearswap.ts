import divide from "../../../shaders/lib/divide.wgsl?raw";
import merged from "../../../shaders/lib/merged.wgsl?raw";
import pack from "../../../shaders/lib/pack.wgsl?raw";
import quads from "../../../shaders/lib/quads.wgsl?raw";
import tuned from "../../../shaders/lib/tuned.wgsl?raw";
import values from "../../../shaders/lib/values.wgsl?raw";
import wgsl from "../../../shaders/merge/nearswap.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";

export const nearswap = defineKernel({
  name: "merge/nearswap",
  wgsl,
  lib: [values, pack, divide, quads, tuned, merged],
  inputs: ["base", "tuned"],
  outputs: ["out"],
  params: { n: "u32", t: "f32", near: "f32", scale: "f32", zero: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, TUNED_DTYPE: 0, OUT_DTYPE: 0 },
  workgroups: ({ n }) => Math.ceil(n / 2048),
  cost: ({ n }) => 60 * n,
});
