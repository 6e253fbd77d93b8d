import divide from "../../../shaders/lib/divide.wgsl?raw";
import merged from "../../../shaders/lib/merged.wgsl?raw";
import pack from "../../../shaders/lib/pack.wgsl?raw";
import quads from "../../../shaders/lib/quads.wgsl?raw";
import values from "../../../shaders/lib/values.wgsl?raw";
import meanWgsl from "../../../shaders/merge/weighted_mean.wgsl?raw";
import wgsl from "../../../shaders/merge/weighted.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";

export const weighted = defineKernel({
  name: "merge/weighted",
  wgsl,
  lib: [values, quads],
  inputs: ["base", "fisher"],
  outputs: ["sum", "weight", "low", "high", "plain"],
  params: { n: "u32", c: "f32", least: "f32", share: "f32", zero: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, FIRST: 0 },
  workgroups: ({ n }) => Math.ceil(n / 2048),
  cost: ({ n }) => 50 * n,
});

export const weightedMean = defineKernel({
  name: "merge/weighted_mean",
  wgsl: meanWgsl,
  lib: [values, pack, divide, quads, merged],
  inputs: ["base", "sum", "weight", "low", "high", "plain"],
  outputs: ["out"],
  params: { n: "u32", scale: "f32", zero: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, OUT_DTYPE: 0 },
  workgroups: ({ n }) => Math.ceil(n / 2048),
  cost: ({ n }) => 60 * n,
});
