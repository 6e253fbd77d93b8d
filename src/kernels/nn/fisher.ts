import { defineKernel } from "../../gpu/kernel";
import type { Binding, Gpu } from "../../gpu/gpu";
import fisherTnWgsl from "../../../shaders/nn/fisher_tn.wgsl?raw";
import tileWgsl from "../../../shaders/lib/tile.wgsl?raw";
import fisherTnTiledWgsl from "../../../shaders/nn/fisher_tn_tiled.wgsl?raw";
import { formOf, tileGroups, tileOf, TILES } from "./forms";
import biasFisherWgsl from "../../../shaders/nn/bias_fisher.wgsl?raw";
import normFisherWgsl from "../../../shaders/nn/norm_fisher.wgsl?raw";

/** Sum over sequences of the squared gradient of a linear weight, see shaders/nn/fisher_tn.wgsl. */
export const fisherTn = defineKernel({
  name: "nn/fisher_tn",
  wgsl: fisherTnWgsl,
  inputs: ["x", "dy", "starts", "tokens", "dx"],
  outputs: ["out"],
  params: { T: "u32", N: "u32", K: "u32", sequences: "u32", stride: "u32", column0: "u32", row0: "u32", accumulate: "u32", scale: "f32", group0: "u32" },
  constants: { PACKED: 0, PACKED_DY: 0, TIED: 0, SQUARE: 1, GROUP_K: 4, GROUP_N: 2 },
  workgroups: ({ N, K }, c) => Math.ceil(K / (16 * c.GROUP_K!)) * Math.ceil(N / (16 * c.GROUP_N!)),
  cost: ({ T, N, K, sequences }) => 2 * N * K * (T + sequences),
});

/** The same for hardware, see shaders/nn/fisher_tn_tiled.wgsl. */
export const fisherTnTiled = defineKernel({
  ...fisherTn,
  name: "nn/fisher_tn_tiled",
  wgsl: fisherTnTiledWgsl,
  lib: [tileWgsl],
  constants: { PACKED: 0, PACKED_DY: 0, TIED: 0, SQUARE: 1, ...TILES["64x64/16x16"] },
  workgroups: ({ N, K }, c) => tileGroups(N, K, c),
});

/** Sum over sequences of the squared gradient of a bias, see shaders/nn/bias_fisher.wgsl. */
export const biasFisher = defineKernel({
  name: "nn/bias_fisher",
  wgsl: biasFisherWgsl,
  inputs: ["dy", "starts"],
  outputs: ["out"],
  params: { T: "u32", N: "u32", sequences: "u32", accumulate: "u32", scale: "f32", group0: "u32" },
  constants: { SQUARE: 1, GROUP: 64 },
  workgroups: ({ N }, c) => Math.ceil(N / c.GROUP!),
  cost: ({ T, N }) => T * N,
});

/** Sum over sequences of the squared gradient of RMSNorm gains, see shaders/nn/norm_fisher.wgsl. */
export const normFisher = defineKernel({
  name: "nn/norm_fisher",
  wgsl: normFisherWgsl,
  inputs: ["x", "rstd", "dy", "starts"],
  outputs: ["out"],
  params: { T: "u32", C: "u32", sequences: "u32", rows_per_token: "u32", accumulate: "u32", scale: "f32", group0: "u32" },
  constants: { SQUARE: 1, GROUP: 64 },
  workgroups: ({ C }, c) => Math.ceil(C / c.GROUP!),
  cost: ({ T, C, rows_per_token }) => 3 * T * rows_per_token * C,
});

/** What every Fisher call has. Sequence s owns token rows [starts[s], starts[s+1]); starts is u32 [sequences + 1] on the GPU. */
interface Sequences {
  starts: Binding;
  sequences: number;
  /** f32, valid as the kernel's head says. */
  out: Binding;
  /** out += instead of out =. */
  accumulate: boolean;
  /** Factor on the sum, 1 when absent: 1 / sequences for a mean, loss scale^-2. */
  scale?: number;
  /** False: the sum of the plain gradients (with one sequence, the gradient). True when absent. */
  square?: boolean;
}

/** Rows that a buffer of f32 rows has room for: the pool rounds up by an eighth at most, near enough to estimate work. */
const rowsIn = (buffer: Binding, columns: number): number => Math.floor(buffer.size / (4 * columns));
const shared = ({ sequences, accumulate, scale = 1 }: Sequences) => ({ sequences, accumulate: accumulate ? 1 : 0, scale });
const squared = (call: Sequences) => ({ SQUARE: call.square === false ? 0 : 1 });

/** Rows [row0, row0 + rows) of a weight [N, K]. Rows of dy are dyStride values apart; column dyColumn0 belongs to row0. */
export interface FisherLinearCall extends Sequences {
  x: Binding;
  dy: Binding;
  N: number;
  K: number;
  row0: number;
  rows: number;
  dyStride: number;
  dyColumn0: number;
}

/**
 * out[n - row0, k] (+)= scale * sum_s (sum_{t in s} dy[t, dyColumn0 + n - row0] * x[t,k])^2; out is [rows, K].
 * The whole gradient of a sequence is squared, in f32 registers, sequences and tokens in order.
 */
export function fisherLinear(gpu: Gpu, call: FisherLinearCall): void {
  tn(gpu, call, { tokens: call.starts, dx: call.x, tied: false });
}

/** Rows [row0, row0 + rows) of the output head [V, K]; dy holds the dlogits of these rows alone, [T, rows]. */
export interface FisherHeadCall extends Sequences {
  x: Binding;
  dy: Binding;
  K: number;
  row0: number;
  rows: number;
  /** When the head is also the input embedding: token per row (CPU), gradient of the embedding's output [T, K]. */
  embedding?: { tokens: Uint32Array; dx: Binding } | undefined;
}

/**
 * out[v - row0, k] (+)= scale * sum_s g_s[v,k]^2, out [rows, K], where
 *   g_s[v,k] = sum_{t in s} dy[t, v - row0] * x[t,k]  +  (tied) sum_{t in s, tokens[t] = v} embedding.dx[t,k]
 */
export function fisherHead(gpu: Gpu, { embedding, ...call }: FisherHeadCall): void {
  const linear = { ...call, N: call.rows, dyStride: call.rows, dyColumn0: 0 };
  if (!embedding) return fisherLinear(gpu, linear);
  const tokens = gpu.upload(embedding.tokens, "tokens");
  tn(gpu, linear, { tokens, dx: embedding.dx, tied: true });
  gpu.release(tokens);
}

function tn(gpu: Gpu, call: FisherLinearCall, tie: { tokens: Binding; dx: Binding; tied: boolean }): void {
  const { x, dy, starts, out, K, row0, rows, dyStride, dyColumn0 } = call;
  const T = rowsIn(dy, dyStride);
  const tile = tileOf(formOf(gpu, "fisher_tn", T));
  gpu.run(
    tile ? fisherTnTiled : fisherTn,
    { x, dy, starts, tokens: tie.tokens, dx: tie.dx, out },
    { ...shared(call), T, N: rows, K, stride: dyStride, column0: dyColumn0, row0 },
    { ...squared(call), PACKED: K % 4 === 0 ? 1 : 0, PACKED_DY: dyStride % 4 === 0 && dyColumn0 % 4 === 0 ? 1 : 0, TIED: tie.tied ? 1 : 0, ...tile },
  );
}

/** out[n] (+)= scale * sum_s (sum_{t in s} dy[t,n])^2, dy [T, N], out [N]. */
export function fisherBias(gpu: Gpu, call: Sequences & { dy: Binding; N: number }): void {
  const { dy, starts, out, N } = call;
  gpu.run(biasFisher, { dy, starts, out }, { ...shared(call), T: rowsIn(dy, N), N }, squared(call));
}

/**
 * out[c] (+)= scale * sum_s (sum over rows r of s of dy[r,c] * x[r,c] * rstd[r])^2, out [C]. x and dy are
 * [T * rowsPerToken, C], rstd has one value per such row; a sequence owns rowsPerToken rows for each of its tokens.
 */
export function fisherNorm(gpu: Gpu, call: Sequences & { x: Binding; rstd: Binding; dy: Binding; C: number; rowsPerToken: number }): void {
  const { x, rstd, dy, starts, out, C, rowsPerToken } = call;
  gpu.run(normFisher, { x, rstd, dy, starts, out }, { ...shared(call), T: Math.ceil(rowsIn(dy, C) / rowsPerToken), C, rows_per_token: rowsPerToken }, squared(call));
}

export { fisherEmbedding } from "./embeddingFisher";
