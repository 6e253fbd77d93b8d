import forwardWgsl from "../../../shaders/nn/silu_mul.wgsl?raw";
import backwardWgsl from "../../../shaders/nn/silu_mul_backward.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";

export const siluMul = defineKernel({
  name: "nn/silu_mul",
  wgsl: forwardWgsl,
  inputs: ["g", "u"],
  outputs: ["y"],
  params: { count: "u32" },
  workgroups: ({ count }) => Math.ceil(count / 512),
  cost: ({ count }) => 8 * count,
});

export const siluMulBackward = defineKernel({
  name: "nn/silu_mul_backward",
  wgsl: backwardWgsl,
  inputs: ["g", "u", "dy"],
  outputs: ["dg", "du"],
  params: { count: "u32" },
  workgroups: ({ count }) => Math.ceil(count / 512),
  cost: ({ count }) => 12 * count,
});
