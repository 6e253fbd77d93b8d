import rowReduce from "../../../shaders/lib/row_reduce.wgsl?raw";
import scoresWgsl from "../../../shaders/nn/attention_scores.wgsl?raw";
import scoresBackwardWgsl from "../../../shaders/nn/attention_scores_backward.wgsl?raw";
import mixWgsl from "../../../shaders/nn/attention_mix.wgsl?raw";
import mixBackwardWgsl from "../../../shaders/nn/attention_mix_backward.wgsl?raw";
import { defineKernel } from "../../gpu/kernel";
import { packed, products, shape, type AttentionForm } from "./attentionForm";

export const attentionScores = defineKernel({
  name: "nn/attention_scores",
  wgsl: scoresWgsl,
  lib: [rowReduce],
  inputs: ["q", "k", "spans"],
  outputs: ["p"],
  params: { ...shape, scale: "f32", group0: "u32" },
  constants: { PACKED: 0 },
  workgroups: ({ rows, heads }) => rows * heads,
  cost: (sizes) => products(sizes),
});

export const attentionScoresBackward = defineKernel({
  name: "nn/attention_scores_backward",
  wgsl: scoresBackwardWgsl,
  lib: [rowReduce],
  inputs: ["y", "dy", "v", "spans"],
  outputs: ["p"],
  params: { ...shape, scale: "f32", group0: "u32" },
  constants: { PACKED: 0 },
  workgroups: ({ rows, heads }) => rows * heads,
  cost: (sizes) => products(sizes),
});

export const attentionMix = defineKernel({
  name: "nn/attention_mix",
  wgsl: mixWgsl,
  inputs: ["p", "v", "spans"],
  outputs: ["y"],
  params: { ...shape, group0: "u32" },
  constants: { PACKED: 0 },
  workgroups: ({ rows, heads, D }, c) => Math.ceil((rows * heads * D) / (c.PACKED ? 256 : 64)),
  cost: (sizes) => products(sizes),
});

export const attentionMixBackward = defineKernel({
  name: "nn/attention_mix_backward",
  wgsl: mixBackwardWgsl,
  inputs: ["p", "dy", "spans"],
  outputs: ["dv"],
  params: { ...shape, group0: "u32" },
  constants: { PACKED: 0 },
  workgroups: ({ rows, KV, D }, c) => Math.ceil((rows * KV * D) / (c.PACKED ? 256 : 64)),
  cost: (sizes) => products(sizes),
});

/** For hardware: a workgroup for each row of a head, an invocation for each key or for four columns; neighbours read neighbouring addresses. */
export const rowForm: AttentionForm = {
  stride: (longest) => longest,
  scores: (gpu, io, sizes, scale) => gpu.run(attentionScores, io, { ...sizes, scale }, packed(sizes)),
  scoresBackward: (gpu, io, sizes, scale) => gpu.run(attentionScoresBackward, io, { ...sizes, scale }, packed(sizes)),
  mix: (gpu, io, sizes) => gpu.run(attentionMix, io, sizes, packed(sizes)),
  mixBackward: (gpu, io, sizes) => gpu.run(attentionMixBackward, io, sizes, packed(sizes)),
};
