import wgsl from "../../../shaders/nn/add.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";

/** y += x: the residual connection. */
export const add = defineKernel({
  name: "nn/add",
  wgsl,
  inputs: ["x"],
  outputs: ["y"],
  params: { count: "u32" },
  workgroups: ({ count }) => Math.ceil(count / 512),
  cost: ({ count }) => count,
});
