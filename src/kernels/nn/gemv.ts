import type { FloatDtype } from "../../core/tensors";
import type { Binding, Gpu } from "../../gpu/gpu";
import { defineKernel } from "../../gpu/kernel";
import { WEIGHT_DTYPE, type Weight, type WeightPanel } from "../../gpu/weight";
import fewRows from "../../../shaders/lib/few_rows.wgsl?raw";
import weights from "../../../shaders/lib/weights.wgsl?raw";
import gemvWgsl from "../../../shaders/nn/gemv.wgsl?raw";
import gemvRegisterWgsl from "../../../shaders/nn/gemv_register.wgsl?raw";

const shared = {
  lib: [weights, fewRows],
  inputs: ["x", "weight", "up", "bias"],
  outputs: ["y"],
  params: { M: "u32", N: "u32", K: "u32", stride: "u32", column0: "u32", has_bias: "u32", accumulate: "u32", group0: "u32" },
} as const;

/** Few rows times a matrix, a workgroup for four columns; see shaders/nn/gemv.wgsl. */
export const gemv = defineKernel({
  ...shared,
  name: "nn/gemv",
  wgsl: gemvWgsl,
  lib: [...shared.lib],
  constants: { WEIGHT_DTYPE: 0, PACKED: 0, ROWS: 1, GATED: 0 },
  workgroups: ({ M, N }, c) => Math.ceil(M / c.ROWS!) * Math.ceil(N / 4),
  cost: ({ M, N, K }) => 2 * M * N * K,
});

/** The same for software adapters, tiles in registers; see shaders/nn/gemv_register.wgsl. */
export const gemvRegister = defineKernel({
  ...shared,
  name: "nn/gemv_register",
  wgsl: gemvRegisterWgsl,
  lib: [...shared.lib],
  constants: { WEIGHT_DTYPE: 0, PACKED: 0, ROWS: 1, GATED: 0, GROUP: 4 },
  workgroups: ({ M, N }, c) => Math.ceil(M / c.ROWS!) * Math.ceil(N / (c.GROUP! * (c.GATED! ? 4 : 8))),
  cost: ({ M, N, K }) => 2 * M * N * K,
});

export type GemvForm = "register" | "lanes";

/** Rows of a tile: the next power of two, up to what a form keeps in registers. Which it is changes no sum. */
const tileRows = (M: number, most: number): number => Math.min(most, 2 ** Math.ceil(Math.log2(M)));

interface Call {
  x: Binding;
  M: number;
  y: Binding;
  /** The adapter's own form when absent; forms differ in the order of their sums. */
  form?: GemvForm | undefined;
}

function runPanel(gpu: Gpu, call: Call, panel: WeightPanel, dtype: FloatDtype, K: number, stride: number, column0: number, extra: { bias?: Binding | undefined; accumulate?: boolean | undefined; up?: WeightPanel }): void {
  const { x, M, y } = call;
  const form = call.form ?? (gpu.software ? "register" : "lanes");
  const constants = { WEIGHT_DTYPE: WEIGHT_DTYPE[dtype], PACKED: K % 4 === 0 ? 1 : 0, ROWS: tileRows(M, form === "register" ? 16 : 8), GATED: extra.up ? 1 : 0 };
  gpu.run(
    form === "register" ? gemvRegister : gemv,
    { x, weight: panel.buffer, up: (extra.up ?? panel).buffer, bias: extra.bias ?? x, y },
    { M, N: panel.rows, K, stride, column0, has_bias: extra.bias ? 1 : 0, accumulate: extra.accumulate ? 1 : 0 },
    constants,
  );
}

/**
 * y[M,N] = x[M,K] W[N,K]^T + b[N], or += with `accumulate`, for few rows (1 to 32 or so). x, b and y are f32, row-major; W as
 * stored. Every element is one sum in an order that depends on K alone: a row comes out the same whatever rows are beside it.
 */
export function gemvForward(gpu: Gpu, call: Call & { weight: Weight; bias?: Binding | undefined; accumulate?: boolean | undefined }): void {
  const { weight, bias, accumulate } = call;
  for (const panel of weight.panels) runPanel(gpu, call, panel, weight.dtype, weight.cols, weight.rows, panel.row0, { bias, accumulate });
}

/** y[M,F] = silu(x G^T) * (x U^T) for two matrices of one shape, dtype and panels: SwiGLU without its last matrix, in one call. */
export function gemvGated(gpu: Gpu, call: Call & { gate: Weight; up: Weight }): void {
  const { gate, up } = call;
  gate.panels.forEach((panel, i) => runPanel(gpu, call, panel, gate.dtype, gate.cols, gate.rows, panel.row0, { up: up.panels[i]! }));
}

/** Columns [row0, row0 + rows) of y[M, stride] for one row panel of a matrix of `cols` columns. */
export function gemvPanel(gpu: Gpu, call: Call & { panel: WeightPanel; cols: number; dtype: FloatDtype; stride: number }): void {
  runPanel(gpu, call, call.panel, call.dtype, call.cols, call.stride, call.panel.row0, {});
}
