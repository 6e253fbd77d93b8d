import wgsl from "../../../shaders/nn/rope.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";

/** Rotary positions in place; `sign` is 1 forward and -1 backward, the transpose of a rotation being its inverse. */
export const rope = defineKernel({
  name: "nn/rope",
  wgsl,
  inputs: ["cosine", "sine", "spans"],
  outputs: ["x"],
  params: { rows: "u32", H: "u32", D: "u32", sign: "f32" },
  workgroups: ({ rows, H, D }) => Math.ceil((rows * H * (D / 2)) / 64),
  cost: ({ rows, H, D }) => 4 * rows * H * D,
});
