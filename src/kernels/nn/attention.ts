import rowReduce from "../../../shaders/lib/row_reduce.wgsl?raw";
import scoresWgsl from "../../../shaders/nn/attention_scores.wgsl?raw";
import scoresBackwardWgsl from "../../../shaders/nn/attention_scores_backward.wgsl?raw";
import mixWgsl from "../../../shaders/nn/attention_mix.wgsl?raw";
import mixBackwardWgsl from "../../../shaders/nn/attention_mix_backward.wgsl?raw";
import { MAX_BINDING_BYTES, type Gpu } from "../../gpu/gpu";
import { defineKernel } from "../../gpu/kernel";

const shape = { rows: "u32", H: "u32", KV: "u32", D: "u32", head0: "u32", heads: "u32", stride: "u32", window: "u32" } as const;
type Sizes = { rows: number; heads: number; stride: number; D: number };
const products = ({ rows, heads, stride, D }: Sizes): number => 2 * rows * heads * stride * D;

export const attentionScores = defineKernel({
  name: "nn/attention_scores",
  wgsl: scoresWgsl,
  lib: [rowReduce],
  inputs: ["q", "k", "spans"],
  outputs: ["p"],
  params: { ...shape, scale: "f32", group0: "u32" },
  constants: { PACKED: 0 },
  workgroups: ({ rows, heads }) => rows * heads,
  cost: (params) => products(params),
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
  cost: (params) => products(params),
});

export const attentionMix = defineKernel({
  name: "nn/attention_mix",
  wgsl: mixWgsl,
  inputs: ["p", "v", "spans"],
  outputs: ["y"],
  params: { ...shape, group0: "u32" },
  constants: { PACKED: 0 },
  workgroups: ({ rows, heads, D }, c) => Math.ceil((rows * heads * D) / (c.PACKED ? 256 : 64)),
  cost: (params) => products(params),
});

export const attentionMixBackward = defineKernel({
  name: "nn/attention_mix_backward",
  wgsl: mixBackwardWgsl,
  inputs: ["p", "dy", "spans"],
  outputs: ["dv"],
  params: { ...shape, group0: "u32" },
  constants: { PACKED: 0 },
  workgroups: ({ rows, KV, D }, c) => Math.ceil((rows * KV * D) / (c.PACKED ? 256 : 64)),
  cost: (params) => products(params),
});

/** Sizes of one attention call over the rows of a batch. */
export interface AttentionShape {
  rows: number;
  H: number;
  KV: number;
  D: number;
  /** Length of the longest sequence: the row stride of the probabilities. */
  longest: number;
  /** Keys a row sees, itself included; 0 for all that come before. */
  window: number;
  /** u32 [rows, 2]: first row and one past the last row of each row's sequence. */
  spans: GPUBuffer;
}

/** How many heads' probabilities [rows, longest] fit in one binding; 0 when not even one does. */
export function headsPerCall(rows: number, longest: number, H: number, maxBytes = MAX_BINDING_BYTES): number {
  return Math.min(H, Math.floor(maxBytes / (4 * rows * longest)));
}

/** Head ranges of the calls: whole groups of query heads where one fits, so that dk and dv are written in one go. */
function headRanges({ rows, longest, H, KV }: AttentionShape, maxBytes?: number): { head0: number; heads: number }[] {
  const fit = headsPerCall(rows, longest, H, maxBytes);
  const group = H / KV;
  const step = fit >= group ? Math.floor(fit / group) * group : fit;
  const ranges: { head0: number; heads: number }[] = [];
  for (let head0 = 0; head0 < H; head0 += step) ranges.push({ head0, heads: Math.min(step, H - head0) });
  return ranges;
}

const packed = ({ D }: AttentionShape) => ({ PACKED: D % 4 === 0 ? 1 : 0 });
const values = (s: AttentionShape, range: { head0: number; heads: number }) => ({
  rows: s.rows, H: s.H, KV: s.KV, D: s.D, ...range, stride: s.longest, window: s.window >= s.longest ? 0 : s.window,
});

/**
 * y = softmax(q k^T / sqrt(D)) v per sequence and head, causal, grouped queries, optional window.
 * q, y [rows, H, D]; k, v [rows, KV, D]. The probabilities live in a buffer of the pool while the call is encoded.
 */
export function attentionForward(gpu: Gpu, io: { q: GPUBuffer; k: GPUBuffer; v: GPUBuffer; y: GPUBuffer }, s: AttentionShape, maxBytes?: number): void {
  const { q, k, v, y } = io;
  const ranges = headRanges(s, maxBytes);
  const p = gpu.alloc(4 * ranges[0]!.heads * s.rows * s.longest, "attention probabilities");
  for (const range of ranges) {
    const params = values(s, range);
    gpu.run(attentionScores, { q, k, spans: s.spans, p }, { ...params, scale: 1 / Math.sqrt(s.D) }, packed(s));
    gpu.run(attentionMix, { p, v, spans: s.spans, y }, params, packed(s));
  }
  gpu.release(p);
}

/**
 * dq, dk, dv (overwritten) from dy. With P the probabilities and S the scaled products:
 *   dv = P^T dy,  dS = P * (dy v^T - rowsum(dy * y)),  dq = dS k / sqrt(D),  dk = dS^T q / sqrt(D)
 * P is computed again rather than kept: it is the largest activation of a block and costs one product of the six.
 */
export function attentionBackward(
  gpu: Gpu,
  io: { q: GPUBuffer; k: GPUBuffer; v: GPUBuffer; y: GPUBuffer; dy: GPUBuffer; dq: GPUBuffer; dk: GPUBuffer; dv: GPUBuffer },
  s: AttentionShape,
  maxBytes?: number,
): void {
  const { q, k, v, y, dy, dq, dk, dv } = io;
  const spans = s.spans;
  const scale = 1 / Math.sqrt(s.D);
  const ranges = headRanges(s, maxBytes);
  const p = gpu.alloc(4 * ranges[0]!.heads * s.rows * s.longest, "attention probabilities");
  for (const range of ranges) {
    const params = values(s, range);
    gpu.run(attentionScores, { q, k, spans, p }, { ...params, scale }, packed(s));
    gpu.run(attentionMixBackward, { p, dy, spans, dv }, params, packed(s));
    gpu.run(attentionScoresBackward, { y, dy, v, spans, p }, { ...params, scale }, packed(s));
    gpu.run(attentionMix, { p, v: k, spans, y: dq }, params, packed(s));
    gpu.run(attentionMixBackward, { p, dy: q, spans, dv: dk }, params, packed(s));
  }
  gpu.release(p);
}
