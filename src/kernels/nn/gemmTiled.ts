import { defineKernel } from "../../gpu/kernel";
import type { Binding, Gpu } from "../../gpu/gpu";
import { WEIGHT_DTYPE } from "../../gpu/weight";
import type { FloatDtype } from "../../core/tensors";
import tileWgsl from "../../../shaders/lib/tile.wgsl?raw";
import tileProductWgsl from "../../../shaders/lib/tile_product.wgsl?raw";
import weightsWgsl from "../../../shaders/lib/weights.wgsl?raw";
import gemmNnTiledWgsl from "../../../shaders/nn/gemm_nn_tiled.wgsl?raw";
import gemmNtTiledWgsl from "../../../shaders/nn/gemm_nt_tiled.wgsl?raw";
import { tileGroups, TILES, type Tile } from "./forms";

/** Weights that one dispatch takes: inputs, outputs and weights of three fill the storage buffers that every adapter grants. */
const MOST_SEGMENTS = 3;

const lib = [weightsWgsl, tileWgsl, tileProductWgsl];
const sizes = {
  M: "u32", K: "u32", n_a: "u32", n_b: "u32", n_c: "u32", stride_a: "u32", stride_b: "u32", stride_c: "u32", column0_a: "u32", column0_b: "u32", column0_c: "u32",
} as const;

/** Y = X W^T + b for hardware, of up to three weights, see shaders/nn/gemm_nt_tiled.wgsl. */
export const gemmNtTiled = defineKernel({
  name: "nn/gemm_nt_tiled",
  wgsl: gemmNtTiledWgsl,
  lib,
  inputs: ["x", "weight_a", "weight_b", "weight_c", "bias"],
  outputs: ["y_a", "y_b", "y_c"],
  params: { ...sizes, bias0_b: "u32", bias0_c: "u32", has_bias: "u32", group0: "u32" },
  constants: { WEIGHT_DTYPE: 0, PACKED: 0, SEGMENTS: 1, ...TILES["64x64/16x16"] },
  workgroups: ({ M, n_a, n_b, n_c }, c) => tileGroups(M, n_a, c) + tileGroups(M, n_b, c) + tileGroups(M, n_c, c),
  cost: ({ M, K, n_a, n_b, n_c }) => 2 * M * K * (n_a + n_b + n_c),
});

/** dX (+)= dY W for hardware, summed over up to three weights, see shaders/nn/gemm_nn_tiled.wgsl. */
export const gemmNnTiled = defineKernel({
  name: "nn/gemm_nn_tiled",
  wgsl: gemmNnTiledWgsl,
  lib,
  inputs: ["dy_a", "dy_b", "dy_c", "weight_a", "weight_b", "weight_c"],
  outputs: ["dx"],
  params: { ...sizes, accumulate: "u32", group0: "u32" },
  constants: { WEIGHT_DTYPE: 0, PACKED: 0, PACKED_DY: 0, SEGMENTS: 1, ...TILES["64x64/16x16"] },
  workgroups: ({ M, K }, c) => tileGroups(M, K, c),
  cost: ({ M, K, n_a, n_b, n_c }) => 2 * M * K * (n_a + n_b + n_c),
});

/** A row panel of a weight [rows of the panel, K], with the columns [column0, column0 + rows) of its y or dy [M, stride]. */
interface Segment {
  weight: Binding;
  rows: number;
  dtype: FloatDtype;
  stride: number;
  column0: number;
}
export interface ForwardSegment extends Segment {
  y: Binding;
  /** f32 [stride], the bias of the whole weight. */
  bias?: Binding | undefined;
}
export interface BackwardSegment extends Segment {
  dy: Binding;
}

/** Neighbours of one dtype, at most three, in order. */
function runsOf<S extends Segment>(segments: readonly S[]): [S, ...S[]][] {
  const runs: [S, ...S[]][] = [];
  for (const segment of segments) {
    const run = runs.at(-1);
    if (run && run.length < MOST_SEGMENTS && run[0].dtype === segment.dtype) run.push(segment);
    else runs.push([segment]);
  }
  return runs;
}

const at = (values: readonly number[], i: number): number => values[i] ?? 0;
function sizesOf(run: readonly Segment[], M: number, K: number) {
  const [n, stride, column0] = [run.map((s) => s.rows), run.map((s) => s.stride), run.map((s) => s.column0)];
  return {
    M, K, n_a: at(n, 0), n_b: at(n, 1), n_c: at(n, 2), stride_a: at(stride, 0), stride_b: at(stride, 1), stride_c: at(stride, 2),
    column0_a: at(column0, 0), column0_b: at(column0, 1), column0_c: at(column0, 2),
  };
}
const constantsOf = (run: readonly [Segment, ...Segment[]], K: number, tile: Tile) => ({ WEIGHT_DTYPE: WEIGHT_DTYPE[run[0].dtype], PACKED: K % 4 === 0 ? 1 : 0, SEGMENTS: run.length, ...tile });

/** y_i = x W_i^T + b_i for segments whose y are different buffers; up to three go in one dispatch. */
export function forwardTiled(gpu: Gpu, tile: Tile, call: { x: Binding; segments: readonly ForwardSegment[]; M: number; K: number }): void {
  const { x, segments, M, K } = call;
  for (const run of runsOf(segments)) {
    const [a, b = a, c = a] = run;
    const unused = Array.from({ length: MOST_SEGMENTS - run.length }, () => gpu.alloc(4, "unused result"));
    const biases = joinBiases(gpu, run);
    gpu.run(
      gemmNtTiled,
      { x, weight_a: a.weight, weight_b: b.weight, weight_c: c.weight, bias: biases.buffer ?? x, y_a: a.y, y_b: run[1]?.y ?? unused[0]!, y_c: run[2]?.y ?? unused.at(-1)! },
      { ...sizesOf(run, M, K), bias0_b: at(biases.starts, 1), bias0_c: at(biases.starts, 2), has_bias: run.reduce((bits, s, i) => bits | (s.bias ? 1 << i : 0), 0) },
      constantsOf(run, K, tile),
    );
    gpu.release(...unused, biases.joined);
  }
}

/** The biases of a run one after the other, and where each begins; a single one stays where it is. */
function joinBiases(gpu: Gpu, run: readonly ForwardSegment[]): { buffer?: Binding; joined?: GPUBuffer; starts: number[] } {
  if (run.length === 1 || run.every((s) => !s.bias)) return { ...(run[0]!.bias ? { buffer: run[0]!.bias } : {}), starts: [0] };
  const starts: number[] = [];
  let end = 0;
  for (const { stride } of run) {
    starts.push(end);
    end += stride;
  }
  const joined = gpu.alloc(4 * end, "biases");
  run.forEach(({ bias, stride }, i) => {
    if (bias) gpu.copy("buffer" in bias ? bias.buffer : bias, "buffer" in bias ? bias.offset : 0, joined, 4 * starts[i]!, 4 * stride);
  });
  return { buffer: joined, joined, starts };
}

/** dx (+)= the sum of dy_i W_i, in the order of the segments; up to three go in one dispatch. */
export function backwardTiled(gpu: Gpu, tile: Tile, call: { dx: Binding; segments: readonly BackwardSegment[]; M: number; K: number; accumulate: boolean }): void {
  const { dx, segments, M, K, accumulate } = call;
  runsOf(segments).forEach((run, i) => {
    const [a, b = a, c = a] = run;
    const packedDy = run.every((s) => s.stride % 4 === 0 && s.column0 % 4 === 0 && s.rows % 4 === 0);
    gpu.run(
      gemmNnTiled,
      { dy_a: a.dy, dy_b: b.dy, dy_c: c.dy, weight_a: a.weight, weight_b: b.weight, weight_c: c.weight, dx },
      { ...sizesOf(run, M, K), accumulate: accumulate || i > 0 ? 1 : 0 },
      { ...constantsOf(run, K, tile), PACKED_DY: packedDy ? 1 : 0 },
    );
  });
}
