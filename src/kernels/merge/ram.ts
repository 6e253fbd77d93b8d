import divide from "../../../shaders/lib/divide.wgsl?raw";
import merged from "../../../shaders/lib/merged.wgsl?raw";
import pack from "../../../shaders/lib/pack.wgsl?raw";
import quads from "../../../shaders/lib/quads.wgsl?raw";
import tuned from "../../../shaders/lib/tuned.wgsl?raw";
import values from "../../../shaders/lib/values.wgsl?raw";
import ramWgsl from "../../../shaders/merge/ram.wgsl?raw";
import touchWgsl from "../../../shaders/merge/touch.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";

export const touch = defineKernel({
  name: "merge/touch",
  wgsl: touchWgsl,
  lib: [values, quads, tuned],
  inputs: ["base", "tuned"],
  outputs: ["sum", "alone", "count"],
  params: { n: "u32", lambda: "f32", least: "f32", zero: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, TUNED_DTYPE: 0, FIRST: 0 },
  workgroups: ({ n }) => Math.ceil(n / 2048),
  cost: ({ n }) => 40 * n,
});

export const ram = defineKernel({
  name: "merge/ram",
  wgsl: ramWgsl,
  lib: [values, pack, divide, quads, merged],
  inputs: ["base", "sum", "alone", "count"],
  outputs: ["out"],
  params: { n: "u32", scale: "f32", zero: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, OUT_DTYPE: 0 },
  workgroups: ({ n }) => Math.ceil(n / 2048),
  cost: ({ n }) => 60 * n,
});
