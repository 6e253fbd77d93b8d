import { defineKernel } from "../../gpu/kernel";
import type { Binding, Gpu } from "../../gpu/gpu";
import { WEIGHT_DTYPE, type Weight } from "../../gpu/weight";
import type { FloatDtype } from "../../core/tensors";
import weightsWgsl from "../../../shaders/lib/weights.wgsl?raw";
import gemmNtWgsl from "../../../shaders/nn/gemm_nt.wgsl?raw";
import gemmNnWgsl from "../../../shaders/nn/gemm_nn.wgsl?raw";
import { formOf, tileOf } from "./forms";
import { backwardTiled, forwardTiled, type BackwardSegment, type ForwardSegment } from "./gemmTiled";

/** Rows and columns that one invocation of the register-tile kernels owns. */
const TILE_ROWS = 16;
const TILE_COLUMNS = 16;

const tiles = (M: number, columns: number, groupM: number, groupColumns: number): number =>
  Math.ceil(M / (TILE_ROWS * groupM)) * Math.ceil(columns / (TILE_COLUMNS * groupColumns));

/** Y = X W^T + b, see shaders/nn/gemm_nt.wgsl. */
export const gemmNt = defineKernel({
  name: "nn/gemm_nt",
  wgsl: gemmNtWgsl,
  lib: [weightsWgsl],
  inputs: ["x", "weight", "bias"],
  outputs: ["y"],
  params: { M: "u32", N: "u32", K: "u32", stride: "u32", column0: "u32", has_bias: "u32", group0: "u32" },
  constants: { WEIGHT_DTYPE: 0, PACKED: 0, GROUP_M: 4, GROUP_N: 2 },
  workgroups: ({ M, N }, c) => tiles(M, N, c.GROUP_M!, c.GROUP_N!),
  cost: ({ M, N, K }) => 2 * M * N * K,
});

/** dX (+)= dY W, see shaders/nn/gemm_nn.wgsl. */
export const gemmNn = defineKernel({
  name: "nn/gemm_nn",
  wgsl: gemmNnWgsl,
  lib: [weightsWgsl],
  inputs: ["dy", "weight"],
  outputs: ["dx"],
  params: { M: "u32", N: "u32", K: "u32", stride: "u32", column0: "u32", accumulate: "u32", group0: "u32" },
  constants: { WEIGHT_DTYPE: 0, PACKED: 0, PACKED_DY: 0, GROUP_M: 4, GROUP_K: 2 },
  workgroups: ({ M, K }, c) => tiles(M, K, c.GROUP_M!, c.GROUP_K!),
  cost: ({ M, N, K }) => 2 * M * N * K,
});

/** Rows of a matrix as stored, on the GPU. Buffer sizes are multiples of 16 bytes, as the pool's are. */
interface Panel {
  rows: number;
  buffer: Binding;
}

/** Segments that share no result: the i-th panels of several weights. */
function forward(gpu: Gpu, x: Binding, M: number, K: number, segments: readonly ForwardSegment[]): void {
  const tile = tileOf(formOf(gpu, "gemm_nt", M));
  if (tile) return forwardTiled(gpu, tile, { x, segments, M, K });
  for (const { weight, rows, dtype, stride, column0, y, bias } of segments)
    gpu.run(
      gemmNt,
      { x, weight, bias: bias ?? x, y },
      { M, N: rows, K, stride, column0, has_bias: bias ? 1 : 0 },
      { WEIGHT_DTYPE: WEIGHT_DTYPE[dtype], PACKED: K % 4 === 0 ? 1 : 0 },
    );
}

function backward(gpu: Gpu, dx: Binding, M: number, K: number, segments: readonly BackwardSegment[], accumulate: boolean): void {
  const tile = tileOf(formOf(gpu, "gemm_nn", M));
  if (tile) return backwardTiled(gpu, tile, { dx, segments, M, K, accumulate });
  segments.forEach(({ weight, rows, dtype, stride, column0, dy }, i) => {
    const packedDy = stride % 4 === 0 && column0 % 4 === 0 && rows % 4 === 0;
    gpu.run(
      gemmNn,
      { dy, weight, dx },
      { M, N: rows, K, stride, column0, accumulate: accumulate || i > 0 ? 1 : 0 },
      { WEIGHT_DTYPE: WEIGHT_DTYPE[dtype], PACKED: K % 4 === 0 ? 1 : 0, PACKED_DY: packedDy ? 1 : 0 },
    );
  });
}

const segmentsOf = ({ panels, dtype, rows: stride }: Weight) => panels.map(({ buffer, rows, row0 }) => ({ weight: buffer, rows, dtype, stride, column0: row0 }));

/** One of several linear layers with one input. */
export interface LinearForward {
  weight: Weight;
  bias?: Binding | undefined;
  y: Binding;
}

/**
 * y[M,N] = x[M,K] W[N,K]^T + b[N], panel by panel; every element is one sum over ascending k, whatever the panels are.
 * x, bias and y are f32, row-major; W as stored.
 */
export function linearForward(gpu: Gpu, { x, M, ...layer }: LinearForward & { x: Binding; M: number }): void {
  linearForwards(gpu, { x, M, layers: [layer] });
}

/** linearForward of layers with one input x and one K, to the same bits: on hardware up to three of them in one dispatch. */
export function linearForwards(gpu: Gpu, { x, M, layers }: { x: Binding; M: number; layers: readonly LinearForward[] }): void {
  const all = layers.map(({ weight, bias, y }) => segmentsOf(weight).map((segment) => ({ ...segment, bias, y })));
  const panels = Math.max(...all.map((segments) => segments.length));
  for (let i = 0; i < panels; i++) forward(gpu, x, M, layers[0]!.weight.cols, all.flatMap((segments) => segments[i] ?? []));
}

/** One of several linear layers with one input. */
export interface LinearBackward {
  dy: Binding;
  weight: Weight;
}

/** dx[M,K] = dy[M,N] W[N,K], or += with `accumulate`. Panels add up in their order. */
export function linearBackward(gpu: Gpu, { dx, M, accumulate, ...layer }: LinearBackward & { dx: Binding; M: number; accumulate: boolean }): void {
  linearBackwards(gpu, { dx, M, accumulate, layers: [layer] });
}

/** dx (+)= the sum of dy W over layers with one input, in their order, to the same bits: on hardware up to three panels in one dispatch. */
export function linearBackwards(gpu: Gpu, { dx, M, accumulate, layers }: { dx: Binding; M: number; accumulate: boolean; layers: readonly LinearBackward[] }): void {
  backward(gpu, dx, M, layers[0]!.weight.cols, layers.flatMap(({ weight, dy }) => segmentsOf(weight).map((segment) => ({ ...segment, dy }))), accumulate);
}

const whole = (panel: Panel, dtype: FloatDtype) => ({ weight: panel.buffer, rows: panel.rows, dtype, stride: panel.rows, column0: 0 });

/** y[M, panel.rows] = x[M, cols] P^T for one row panel P [panel.rows, cols] of a matrix. */
export function panelForward(gpu: Gpu, call: { x: Binding; panel: Panel; cols: number; dtype: FloatDtype; y: Binding; M: number }): void {
  forward(gpu, call.x, call.M, call.cols, [{ ...whole(call.panel, call.dtype), y: call.y }]);
}

/** dx[M, cols] (+)= dy[M, panel.rows] P for one row panel P of a matrix. */
export function panelBackward(gpu: Gpu, call: { dy: Binding; panel: Panel; cols: number; dtype: FloatDtype; dx: Binding; M: number; accumulate: boolean }): void {
  backward(gpu, call.dx, call.M, call.cols, [{ ...whole(call.panel, call.dtype), dy: call.dy }], call.accumulate);
}
