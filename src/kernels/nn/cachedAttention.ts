import cached from "../../../shaders/lib/cached.wgsl?raw";
import joinWgsl from "../../../shaders/nn/cached_join.wgsl?raw";
import mixWgsl from "../../../shaders/nn/cached_mix.wgsl?raw";
import ropeWgsl from "../../../shaders/nn/rope_cache.wgsl?raw";
import scoresWgsl from "../../../shaders/nn/cached_scores.wgsl?raw";
import type { Gpu } from "../../gpu/gpu";
import { defineKernel } from "../../gpu/kernel";

/** Keys of one chunk, and of one part: what one invocation of the scores, and one of the mix, walks at most. */
const CHUNK = 32;
const PART = 256;

/** Query heads that one invocation computes: of one key head, because they read the same keys and values. */
const headsTogether = (H: number, KV: number): number => Math.min(4, H / KV);
const headTiles = (H: number, KV: number, heads: number): number => KV * Math.ceil(H / KV / heads);

/** Rotation of q and k, and k and v into the cache; see shaders/nn/rope_cache.wgsl. */
export const ropeCache = defineKernel({
  name: "nn/rope_cache",
  wgsl: ropeWgsl,
  inputs: ["cosine", "sine", "rows", "k", "v"],
  outputs: ["q", "keys", "values"],
  params: { M: "u32", H: "u32", KV: "u32", D: "u32", capacity: "u32", group0: "u32" },
  workgroups: ({ M, H, KV, D }) => Math.ceil((M * (H + 2 * KV) * (D / 2)) / 64),
  cost: ({ M, H, KV, D }) => 4 * M * (H + 2 * KV) * D,
});

/** Exponentials of scores by chunks of keys, see shaders/nn/cached_scores.wgsl. */
export const cachedScores = defineKernel({
  name: "nn/cached_scores",
  wgsl: scoresWgsl,
  lib: [cached],
  inputs: ["q", "keys", "rows"],
  outputs: ["p", "tops"],
  params: { M: "u32", H: "u32", KV: "u32", D: "u32", capacity: "u32", stride: "u32", window: "u32", scale: "f32", group0: "u32" },
  constants: { PACKED: 0, GROUP: 4, HEADS: 1 },
  workgroups: ({ M, H, KV, stride }, c) => Math.ceil((M * headTiles(H, KV, c.HEADS!) * (stride / CHUNK)) / c.GROUP!),
  cost: ({ M, H, D, stride }) => 2 * M * H * D * stride,
});

/** Values mixed by those, see shaders/nn/cached_mix.wgsl. */
export const cachedMix = defineKernel({
  name: "nn/cached_mix",
  wgsl: mixWgsl,
  lib: [cached],
  inputs: ["p", "tops", "values", "rows"],
  outputs: ["y"],
  params: { M: "u32", H: "u32", KV: "u32", D: "u32", capacity: "u32", stride: "u32", window: "u32", parts: "u32", group0: "u32" },
  constants: { PACKED: 0, GROUP: 4, HEADS: 1 },
  workgroups: ({ M, H, KV, D, parts }, c) => Math.ceil((M * parts * headTiles(H, KV, c.HEADS!) * Math.ceil(D / 8)) / c.GROUP!),
  cost: ({ M, H, D, stride }) => 2 * M * H * D * stride,
});

/** The sum of the parts, see shaders/nn/cached_join.wgsl. */
export const cachedJoin = defineKernel({
  name: "nn/cached_join",
  wgsl: joinWgsl,
  inputs: ["mixed", "rows"],
  outputs: ["y"],
  params: { M: "u32", HD: "u32", window: "u32", parts: "u32", group0: "u32" },
  workgroups: ({ M, HD }) => Math.ceil((M * HD) / 512),
  cost: ({ M, HD, parts }) => M * HD * parts,
});

export interface CachedShape {
  M: number;
  H: number;
  KV: number;
  D: number;
  /** Positions that the cache holds of each sequence. */
  capacity: number;
  /** The largest position among the rows, plus one. */
  longest: number;
  /** Keys a row sees, itself included; 0 for all that come before. */
  window: number;
}

/** Row stride of the scores of one call. */
export const scoreStride = (longest: number): number => CHUNK * Math.ceil(longest / CHUNK);

/** Bytes that `cachedAttention` holds while it is encoded, for each row: scores, chunk sums, parts. */
export function attentionBytesPerRow({ H, D, longest }: Pick<CachedShape, "H" | "D" | "longest">): { scores: number; all: number } {
  const scores = 4 * H * scoreStride(longest);
  const parts = Math.ceil(longest / PART);
  return { scores, all: scores + (scores / CHUNK) * 2 + (parts > 1 ? 4 * parts * H * D : 0) };
}

/**
 * y[m] = softmax(q[m] keys^T / sqrt(D)) values over the keys that row m sees: those of its place in the cache, up to its
 * position, within the window. q, y [M, H, D] f32; keys, values [places, capacity, KV, D] f32; rows u32 [M, 4]: place,
 * position, token, unused. The keys of all rows are in the cache already. A row's result depends on no other row.
 */
export function cachedAttention(gpu: Gpu, io: { q: GPUBuffer; keys: GPUBuffer; values: GPUBuffer; rows: GPUBuffer; y: GPUBuffer }, shape: CachedShape): void {
  const { q, keys, values, rows, y } = io;
  const { M, H, KV, D, capacity, longest } = shape;
  const window = shape.window >= longest ? 0 : shape.window;
  const stride = scoreStride(longest);
  const parts = Math.ceil(longest / PART);
  // A software adapter computes four invocations as one, and schedules workgroups; hardware wants a warp of them.
  const constants = { PACKED: D % 4 === 0 ? 1 : 0, HEADS: headsTogether(H, KV), GROUP: gpu.software ? 4 : 32 };
  const p = gpu.alloc(4 * M * H * stride, "scores");
  const tops = gpu.alloc((8 * M * H * stride) / CHUNK, "sums of scores");
  const mixed = parts > 1 ? gpu.alloc(4 * M * parts * H * D, "parts of attention") : undefined;
  const common = { M, H, KV, D, capacity, stride, window };
  gpu.run(cachedScores, { q, keys, rows, p, tops }, { ...common, scale: 1 / Math.sqrt(D) }, constants);
  gpu.run(cachedMix, { p, tops, values, rows, y: mixed ?? y }, { ...common, parts }, constants);
  if (mixed) gpu.run(cachedJoin, { mixed, rows, y }, { M, HD: H * D, window, parts });
  gpu.release(p, tops, mixed);
}
