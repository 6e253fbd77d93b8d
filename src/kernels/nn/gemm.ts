import { defineKernel } from "../../gpu/kernel";
import type { Binding, Gpu } from "../../gpu/gpu";
import { WEIGHT_DTYPE, type Weight } from "../../gpu/weight";
import type { FloatDtype } from "../../core/tensors";
import weightsWgsl from "../../../shaders/lib/weights.wgsl?raw";
import gemmNtWgsl from "../../../shaders/nn/gemm_nt.wgsl?raw";
import gemmNtTiledWgsl from "../../../shaders/nn/gemm_nt_tiled.wgsl?raw";
import gemmNnWgsl from "../../../shaders/nn/gemm_nn.wgsl?raw";
import gemmNnTiledWgsl from "../../../shaders/nn/gemm_nn_tiled.wgsl?raw";
import { formOf, tileGroups, tileOf, TILES } from "./forms";

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

/** Y = X W^T + b for hardware, see shaders/nn/gemm_nt_tiled.wgsl. */
export const gemmNtTiled = defineKernel({
  ...gemmNt,
  name: "nn/gemm_nt_tiled",
  wgsl: gemmNtTiledWgsl,
  lib: [weightsWgsl],
  constants: { WEIGHT_DTYPE: 0, PACKED: 0, ...TILES["64x64/16x16"] },
  workgroups: ({ M, N }, c) => tileGroups(M, N, c),
});

/** dX (+)= dY W for hardware, see shaders/nn/gemm_nn_tiled.wgsl. */
export const gemmNnTiled = defineKernel({
  ...gemmNn,
  name: "nn/gemm_nn_tiled",
  wgsl: gemmNnTiledWgsl,
  lib: [weightsWgsl],
  constants: { WEIGHT_DTYPE: 0, PACKED: 0, PACKED_DY: 0, ...TILES["64x64/16x16"] },
  workgroups: ({ M, K }, c) => tileGroups(M, K, c),
});

/** Rows of a matrix as stored, on the GPU. Buffer sizes are multiples of 16 bytes, as the pool's are. */
interface Panel {
  rows: number;
  buffer: Binding;
}

interface ForwardCall { x: Binding; panel: Panel; bias?: Binding; dtype: FloatDtype; y: Binding; M: number; K: number; stride: number; column0: number }

function forward(gpu: Gpu, { x, panel, bias, dtype, y, M, K, stride, column0 }: ForwardCall): void {
  const tile = tileOf(formOf(gpu, "gemm_nt", M));
  gpu.run(
    tile ? gemmNtTiled : gemmNt,
    { x, weight: panel.buffer, bias: bias ?? x, y },
    { M, N: panel.rows, K, stride, column0, has_bias: bias ? 1 : 0 },
    { WEIGHT_DTYPE: WEIGHT_DTYPE[dtype], PACKED: K % 4 === 0 ? 1 : 0, ...tile },
  );
}

interface BackwardCall { dy: Binding; panel: Panel; dtype: FloatDtype; dx: Binding; M: number; K: number; stride: number; column0: number; accumulate: boolean }

function backward(gpu: Gpu, { dy, panel, dtype, dx, M, K, stride, column0, accumulate }: BackwardCall): void {
  const packedDy = stride % 4 === 0 && column0 % 4 === 0 && panel.rows % 4 === 0;
  const tile = tileOf(formOf(gpu, "gemm_nn", M));
  gpu.run(
    tile ? gemmNnTiled : gemmNn,
    { dy, weight: panel.buffer, dx },
    { M, N: panel.rows, K, stride, column0, accumulate: accumulate ? 1 : 0 },
    { WEIGHT_DTYPE: WEIGHT_DTYPE[dtype], PACKED: K % 4 === 0 ? 1 : 0, PACKED_DY: packedDy ? 1 : 0, ...tile },
  );
}

/**
 * y[M,N] = x[M,K] W[N,K]^T + b[N], panel by panel; every element is one sum over ascending k, whatever the panels are.
 * x, bias and y are f32, row-major; W as stored.
 */
export function linearForward(gpu: Gpu, call: { x: Binding; weight: Weight; bias?: Binding | undefined; y: Binding; M: number }): void {
  const { weight, bias, ...rest } = call;
  for (const panel of weight.panels)
    forward(gpu, { ...rest, panel, ...(bias ? { bias } : {}), dtype: weight.dtype, K: weight.cols, stride: weight.rows, column0: panel.row0 });
}

/** dx[M,K] = dy[M,N] W[N,K], or += with `accumulate`. Panels add up in their order. */
export function linearBackward(gpu: Gpu, call: { dy: Binding; weight: Weight; dx: Binding; M: number; accumulate: boolean }): void {
  const { weight, accumulate, ...rest } = call;
  weight.panels.forEach((panel, i) =>
    backward(gpu, { ...rest, panel, dtype: weight.dtype, K: weight.cols, stride: weight.rows, column0: panel.row0, accumulate: accumulate || i > 0 }),
  );
}

/** y[M, panel.rows] = x[M, cols] P^T for one row panel P [panel.rows, cols] of a matrix. */
export function panelForward(gpu: Gpu, call: { x: Binding; panel: Panel; cols: number; dtype: FloatDtype; y: Binding; M: number }): void {
  const { cols, ...rest } = call;
  forward(gpu, { ...rest, K: cols, stride: call.panel.rows, column0: 0 });
}

/** dx[M, cols] (+)= dy[M, panel.rows] P for one row panel P of a matrix. */
export function panelBackward(gpu: Gpu, call: { dy: Binding; panel: Panel; cols: number; dtype: FloatDtype; dx: Binding; M: number; accumulate: boolean }): void {
  const { cols, ...rest } = call;
  backward(gpu, { ...rest, K: cols, stride: call.panel.rows, column0: 0 });
}
