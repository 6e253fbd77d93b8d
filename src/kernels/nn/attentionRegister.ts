import addFour from "../../../shaders/lib/add_four.wgsl?raw";
import deltaWgsl from "../../../shaders/nn/attention_delta_register.wgsl?raw";
import mixWgsl from "../../../shaders/nn/attention_mix_register.wgsl?raw";
import mixBackwardWgsl from "../../../shaders/nn/attention_mix_backward_register.wgsl?raw";
import scoresWgsl from "../../../shaders/nn/attention_scores_register.wgsl?raw";
import softmaxWgsl from "../../../shaders/nn/attention_softmax_register.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";
import { packed, products, shape, type AttentionForm } from "./attentionForm";

/** Rows, keys and columns of one invocation's tile. */
const TILE = 8;
/** Invocations of a workgroup: few, so that short sequences keep several cores busy. */
const GROUP = 16;
const tiles = (length: number): number => Math.ceil(length / TILE);

/** The products of rows with keys, see shaders/nn/attention_scores_register.wgsl. */
export const attentionScoresRegister = defineKernel({
  name: "nn/attention_scores_register",
  wgsl: scoresWgsl,
  lib: [addFour],
  inputs: ["left", "right", "delta", "spans"],
  outputs: ["p"],
  params: { ...shape, scale: "f32", group0: "u32" },
  constants: { PACKED: 0, BACKWARD: 0, GROUP },
  workgroups: ({ rows, heads, stride }, c) => Math.ceil((tiles(rows) * tiles(stride) * heads) / c.GROUP!),
  cost: (sizes) => products(sizes),
});

/** Scores to probabilities, see shaders/nn/attention_softmax_register.wgsl. */
export const attentionSoftmaxRegister = defineKernel({
  name: "nn/attention_softmax_register",
  wgsl: softmaxWgsl,
  inputs: ["spans"],
  outputs: ["p"],
  params: { rows: "u32", heads: "u32", stride: "u32", window: "u32", group0: "u32" },
  constants: { GROUP },
  workgroups: ({ rows, heads }, c) => Math.ceil((rows * heads) / c.GROUP!),
  cost: ({ rows, heads, stride }) => rows * heads * stride,
});

/** Row sums of dy * y, see shaders/nn/attention_delta_register.wgsl. */
export const attentionDeltaRegister = defineKernel({
  name: "nn/attention_delta_register",
  wgsl: deltaWgsl,
  inputs: ["y", "dy"],
  outputs: ["delta"],
  params: { rows: "u32", H: "u32", D: "u32", head0: "u32", heads: "u32", group0: "u32" },
  constants: { GROUP },
  workgroups: ({ rows, heads }, c) => Math.ceil((rows * heads) / c.GROUP!),
  cost: ({ rows, heads, D }) => 2 * rows * heads * D,
});

/** See shaders/nn/attention_mix_register.wgsl. */
export const attentionMixRegister = defineKernel({
  name: "nn/attention_mix_register",
  wgsl: mixWgsl,
  lib: [addFour],
  inputs: ["p", "v", "spans"],
  outputs: ["y"],
  params: { ...shape, group0: "u32" },
  constants: { PACKED: 0, GROUP },
  workgroups: ({ rows, heads, D }, c) => Math.ceil((tiles(rows) * tiles(D) * heads) / c.GROUP!),
  cost: (sizes) => products(sizes),
});

/** See shaders/nn/attention_mix_backward_register.wgsl. */
export const attentionMixBackwardRegister = defineKernel({
  name: "nn/attention_mix_backward_register",
  wgsl: mixBackwardWgsl,
  inputs: ["p", "dy", "spans"],
  outputs: ["dv"],
  params: { ...shape, group0: "u32" },
  constants: { PACKED: 0, GROUP },
  workgroups: ({ rows, KV, D }, c) => Math.ceil((tiles(rows) * tiles(D) * KV) / c.GROUP!),
  cost: (sizes) => products(sizes),
});

/**
 * For software adapters: tiles of 8 by 8 results in registers, a softmax row in one invocation. A scalar load costs them
 * as much as many multiply-adds, and a barrier more.
 */
export const registerForm: AttentionForm = {
  stride: (longest) => TILE * tiles(longest),
  scores: (gpu, { q, k, spans, p }, sizes, scale) => {
    const { rows, heads, stride, window } = sizes;
    gpu.run(attentionScoresRegister, { left: q, right: k, delta: q, spans, p }, { ...sizes, scale }, packed(sizes));
    gpu.run(attentionSoftmaxRegister, { spans, p }, { rows, heads, stride, window });
  },
  scoresBackward: (gpu, { y, dy, v, spans, p }, sizes, scale) => {
    const { rows, H, D, head0, heads } = sizes;
    const delta = gpu.alloc(4 * heads * rows, "attention delta");
    gpu.run(attentionDeltaRegister, { y, dy, delta }, { rows, H, D, head0, heads });
    gpu.run(attentionScoresRegister, { left: dy, right: v, delta, spans, p }, { ...sizes, scale }, { ...packed(sizes), BACKWARD: 1 });
    gpu.release(delta);
  },
  mix: (gpu, io, sizes) => gpu.run(attentionMixRegister, io, sizes, packed(sizes)),
  mixBackward: (gpu, io, sizes) => gpu.run(attentionMixBackwardRegister, io, sizes, packed(sizes)),
};
