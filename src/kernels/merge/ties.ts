import divide from "../../../shaders/lib/divide.wgsl?raw";
import elected from "../../../shaders/lib/elected.wgsl?raw";
import merged from "../../../shaders/lib/merged.wgsl?raw";
import pack from "../../../shaders/lib/pack.wgsl?raw";
import quads from "../../../shaders/lib/quads.wgsl?raw";
import values from "../../../shaders/lib/values.wgsl?raw";
import wgsl from "../../../shaders/merge/ties.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";

/** Experts that one call of the kernel takes: with base, masks and result they fill the storage buffers that every adapter grants. */
export const TIES_EXPERTS = 4;

export const ties = defineKernel({
  name: "merge/ties",
  wgsl,
  lib: [values, pack, divide, quads, merged, elected],
  inputs: ["base", "tuned0", "tuned1", "tuned2", "tuned3", "masks"],
  outputs: ["out"],
  params: { n: "u32", words: "u32", w0: "f32", w1: "f32", w2: "f32", w3: "f32", p0: "f32", p1: "f32", p2: "f32", p3: "f32", s0: "f32", s1: "f32", s2: "f32", s3: "f32", lambda: "f32", scale: "f32", least: "f32", positive: "u32", zero: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, OUT_DTYPE: 0, EXPERTS: TIES_EXPERTS, DTYPE_0: 0, DTYPE_1: 0, DTYPE_2: 0, DTYPE_3: 0, MASKED: 0, COUNT_VOTES: 0, DIVISOR: 0 },
  workgroups: ({ n }) => Math.ceil(n / 2048),
  cost: ({ n }) => 100 * n,
});
