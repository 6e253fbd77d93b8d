import rowReduce from "../../../shaders/lib/row_reduce.wgsl?raw";
import forwardWgsl from "../../../shaders/nn/rmsnorm.wgsl?raw";
import backwardWgsl from "../../../shaders/nn/rmsnorm_backward.wgsl?raw";
import forwardRegisterWgsl from "../../../shaders/nn/rmsnorm_register.wgsl?raw";
import backwardRegisterWgsl from "../../../shaders/nn/rmsnorm_backward_register.wgsl?raw";
import type { Gpu } from "../../gpu/gpu";
import { defineKernel } from "../../gpu/kernel";

/** Rows of a workgroup of the register forms. */
const GROUP = 8;

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

/** rmsnorm to the same bits for software adapters; C a multiple of 4. */
export const rmsnormRegister = defineKernel({
  name: "nn/rmsnorm_register",
  wgsl: forwardRegisterWgsl,
  inputs: ["x", "weight"],
  outputs: ["y", "rstd"],
  params: { N: "u32", C: "u32", eps: "f32" },
  constants: { GROUP },
  workgroups: ({ N }, c) => Math.ceil(N / c.GROUP!),
  cost: ({ N, C }) => 4 * N * C,
});

/** rmsnorm_backward to the same bits for software adapters; C a multiple of 4. */
export const rmsnormBackwardRegister = defineKernel({
  name: "nn/rmsnorm_backward_register",
  wgsl: backwardRegisterWgsl,
  inputs: ["x", "weight", "rstd", "dy"],
  outputs: ["dx"],
  params: { N: "u32", C: "u32", accumulate: "u32" },
  constants: { GROUP },
  workgroups: ({ N }, c) => Math.ceil(N / c.GROUP!),
  cost: ({ N, C }) => 8 * N * C,
});

/** The adapter's forms for rows of C elements; both take the same buffers and params. */
export const normKernels = (gpu: Gpu, C: number) =>
  gpu.software && C % 4 === 0 ? { forward: rmsnormRegister, backward: rmsnormBackwardRegister } : { forward: rmsnorm, backward: rmsnormBackward };
