import elected from "../../../shaders/lib/elected.wgsl?raw";
import expert from "../../../shaders/lib/expert.wgsl?raw";
import quads from "../../../shaders/lib/quads.wgsl?raw";
import tuned from "../../../shaders/lib/tuned.wgsl?raw";
import values from "../../../shaders/lib/values.wgsl?raw";
import agreeWgsl from "../../../shaders/merge/agree.wgsl?raw";
import voteWgsl from "../../../shaders/merge/vote.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";

export const vote = defineKernel({
  name: "merge/vote",
  wgsl: voteWgsl,
  lib: [values, quads, tuned, expert],
  inputs: ["base", "tuned", "mask"],
  outputs: ["votes"],
  params: { n: "u32", w: "f32", zero: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, TUNED_DTYPE: 0, HAS_MASK: 1, COUNT: 0, FIRST: 0 },
  workgroups: ({ n }) => Math.ceil(n / 2048),
  cost: ({ n }) => 30 * n,
});

export const agree = defineKernel({
  name: "merge/agree",
  wgsl: agreeWgsl,
  lib: [values, quads, tuned, expert, elected],
  inputs: ["base", "tuned", "mask", "votes"],
  outputs: ["sum", "weight"],
  params: { n: "u32", w: "f32", part: "f32", share: "f32", positive: "u32", zero: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, TUNED_DTYPE: 0, HAS_MASK: 1, COUNT: 0, FIRST: 0, LARGEST: 0 },
  workgroups: ({ n }) => Math.ceil(n / 2048),
  cost: ({ n }) => 40 * n,
});
