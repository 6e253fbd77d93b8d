import { afterEach, describe, expect, test } from "vitest";
import type { FloatDtype } from "../../../src/core/tensors";
import { fromFloat32, toFloat32 } from "../../../src/formats/dtypes";
import type { Gpu } from "../../../src/gpu/gpu";
import { panelBytes, rowPanels, type Weight } from "../../../src/gpu/weight";
import { gemvForward, gemvGated, gemvPanel, type GemvForm } from "../../../src/kernels/nn/gemv";
import { linear } from "../../reference/nn/linear";
import { siluMul } from "../../reference/nn/siluMul";
import { expectClose, randomFloats } from "../../support/compare";
import { testGpu } from "../../support/gpu";

const held: GPUBuffer[] = [];
afterEach(async () => (await testGpu()).release(...held.splice(0)));
const hold = (buffer: GPUBuffer): GPUBuffer => (held.push(buffer), buffer);

/** A stored matrix in panels of at most `panelRows` rows, and its values. */
function makeWeight(gpu: Gpu, seed: number, rows: number, cols: number, dtype: FloatDtype, panelRows = rows): { weight: Weight; values: Float32Array } {
  const bytes = fromFloat32(randomFloats(seed, rows * cols), dtype);
  const panels = rowPanels(rows, cols, panelRows * cols * 4).map(({ row0, rows: count }) => {
    const begin = panelBytes({ cols, dtype }, row0);
    return { row0, rows: count, buffer: hold(gpu.upload(bytes.slice(begin, begin + panelBytes({ cols, dtype }, count)))) };
  });
  return { weight: { name: "w", dtype, rows, cols, panels }, values: toFloat32(bytes, dtype) };
}

const tolerance = (K: number) => ({ rtol: 2e-6, atol: 8e-7 * Math.sqrt(K) });

const SIZES: [M: number, N: number, K: number, dtype: FloatDtype, panelRows: number][] = [
  [1, 1, 1, "BF16", 1],
  [1, 13, 31, "F16", 4],
  [2, 37, 8, "F32", 37],
  [3, 5, 7, "BF16", 2],
  [5, 65, 300, "BF16", 64],
  [16, 12, 260, "F32", 12],
  [19, 33, 12, "F16", 32],
];

// Pipelines of the lanes form are slow to make on a software adapter: two sizes show its edges.
const FEW = SIZES.filter(([M]) => M === 3 || M === 5);

describe.each<[GemvForm, typeof SIZES]>([["register", SIZES], ["lanes", FEW]])("form %s", (form, sizes) => {
  test.each(sizes)("M=%i N=%i K=%i %s, panels of %i rows", async (M, N, K, dtype, panelRows) => {
    const gpu = await testGpu();
    const { weight, values } = makeWeight(gpu, 1, N, K, dtype, panelRows);
    const up = makeWeight(gpu, 5, N, K, dtype, panelRows);
    const x = randomFloats(2, M * K);
    const bias = randomFloats(3, N);
    const start = randomFloats(4, M * N);
    const y = hold(gpu.upload(start));
    const call = { x: hold(gpu.upload(x)), M, y, form };
    const want = linear(x, values, undefined, M, N, K);
    gemvForward(gpu, { ...call, weight, accumulate: true });
    expectClose(await gpu.readFloats(y, M * N), want.map((v, i) => v + start[i]!), tolerance(K), "added");
    gemvForward(gpu, { ...call, weight, bias: hold(gpu.upload(bias)) });
    expectClose(await gpu.readFloats(y, M * N), linear(x, values, bias, M, N, K), tolerance(K), "with bias");
    for (const panel of weight.panels) gemvPanel(gpu, { ...call, panel, cols: K, dtype, stride: N });
    expectClose(await gpu.readFloats(y, M * N), want, tolerance(K), "panel by panel");
    gemvGated(gpu, { ...call, gate: weight, up: up.weight });
    const gated = siluMul(want, linear(x, up.values, undefined, M, N, K));
    expectClose(await gpu.readFloats(y, M * N), gated, { rtol: 4e-6, atol: 4e-6 * Math.sqrt(K) }, "gated");
  });

  test.each(form === "register" ? [64, 90] : [64])("a row is the same bits whatever rows are beside it, K=%i", async (K) => {
    const gpu = await testGpu();
    const N = 21;
    const { weight } = makeWeight(gpu, 1, N, K, "BF16");
    const x = randomFloats(2, 20 * K);
    const rows = async (first: number, M: number): Promise<Uint8Array> => {
      const y = hold(gpu.alloc(4 * M * N));
      gemvForward(gpu, { x: hold(gpu.upload(x.slice(first * K, (first + M) * K))), M, y, weight, form });
      return gpu.read(y, 4 * M * N);
    };
    const all = await rows(0, 20);
    for (const [first, M] of [[0, 1], [19, 1], [3, 2], [7, 5], [10, 9]] as const) expect(await rows(first, M)).toEqual(all.slice(4 * N * first, 4 * N * (first + M)));
  });
});
