import rowReduce from "../../../shaders/lib/row_reduce.wgsl?raw";
import forwardWgsl from "../../../shaders/nn/rmsnorm.wgsl?raw";
import backwardWgsl from "../../../shaders/nn/rmsnorm_backward.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";

export const rmsnorm = defineKernel({
  name: "nn/rmsnorm",
  wgsl: forwardWgsl,
  lib: [rowReduce],
  inputs: ["x", "weight"],
  outputs: ["y", "rstd"],
  params: { N: "u32", C: "u32", eps: "f32" },
  workgroups: ({ N }) => N,
  cost: ({ N, C }) => 4 * N * C,
});

export const rmsnormBackward = defineKernel({
  name: "nn/rmsnorm_backward",
  wgsl: backwardWgsl,
  lib: [rowReduce],
  inputs: ["x", "weight", "rstd", "dy"],
  outputs: ["dx"],
  params: { N: "u32", C: "u32", accumulate: "u32" },
  workgroups: ({ N }) => N,
  cost: ({ N, C }) => 8 * N * C,
});
