import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { FloatDtype } from "../../../src/core/tensors";
import { fromFloat32, toFloat32 } from "../../../src/formats/dtypes";
import type { Gpu } from "../../../src/gpu/gpu";
import { rowPanels, panelBytes, type Weight } from "../../../src/gpu/weight";
import { everywhere, FORMS, useForms, type Form } from "../../../src/kernels/nn/forms";
import { linearBackward, linearBackwards, linearForward, linearForwards, panelBackward, panelForward } from "../../../src/kernels/nn/gemm";
import { linear, linearBackward as linearBackwardReference } from "../../reference/nn/linear";
import { expectClose, randomFloats } from "../../support/compare";
import { inWhole } from "../../support/forms";
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

// Sums of K products of numbers in [-1, 1): the rounding of each step is bounded by K * 2^-24.
const tolerance = (K: number) => ({ rtol: 2e-6, atol: 2e-7 * Math.sqrt(K) * 4 });

const SIZES: [M: number, N: number, K: number, dtype: FloatDtype, panelRows: number][] = [
  [1, 1, 1, "F32", 1],
  [1, 1, 1, "BF16", 1],
  [3, 5, 7, "F32", 5],
  [3, 5, 7, "BF16", 2],
  [7, 13, 31, "F16", 4],
  [65, 33, 8, "F32", 33],
  [17, 65, 12, "BF16", 64],
  [2, 131, 65, "BF16", 64],
  [1, 64, 128, "F16", 64],
  [67, 9, 5, "F16", 2],
  [16, 12, 4, "BF16", 4],
  [129, 1, 64, "F32", 1],
];

/** Where not all variants are taken, BF16 but for one F32 and one F16. */
const sizesOf = (form: Form): typeof SIZES => (inWhole(form) ? SIZES : SIZES.map(([M, N, K, dtype, rows]) => [M, N, K, K === 8 || K === 128 ? dtype : "BF16", rows]));

describe.each(FORMS)("form %s", (form) => {
  beforeAll(async () => useForms(await testGpu(), everywhere(form)));
  afterAll(async () => useForms(await testGpu(), undefined));

  describe("linearForward", () => {
    test.each(sizesOf(form))("M=%i N=%i K=%i %s, panels of %i rows", async (M, N, K, dtype, panelRows) => {
      const gpu = await testGpu();
      const { weight, values } = makeWeight(gpu, 1, N, K, dtype, panelRows);
      const x = randomFloats(2, M * K);
      const bias = randomFloats(3, N);
      const y = hold(gpu.alloc(M * N * 4));
      const xBuffer = hold(gpu.upload(x));
      linearForward(gpu, { x: xBuffer, weight, bias: hold(gpu.upload(bias)), y, M });
      expectClose(await gpu.readFloats(y, M * N), linear(x, values, bias, M, N, K), tolerance(K), "with bias");
      linearForward(gpu, { x: xBuffer, weight, y, M });
      expectClose(await gpu.readFloats(y, M * N), linear(x, values, undefined, M, N, K), tolerance(K), "no bias");
    });

    test("panels and workgroup cuts change no bit", async () => {
      const gpu = await testGpu();
      const [M, N, K] = [35, 130, 20];
      const x = hold(gpu.upload(randomFloats(5, M * K)));
      const results: Float32Array[] = [];
      const submitCost = gpu.submitCost;
      for (const [panelRows, cost] of [[N, submitCost], [2, submitCost], [N, 20_000]] as const) {
        gpu.submitCost = cost;
        const y = hold(gpu.alloc(M * N * 4));
        linearForward(gpu, { x, weight: makeWeight(gpu, 4, N, K, "BF16", panelRows).weight, y, M });
        results.push(await gpu.readFloats(y, M * N));
      }
      gpu.submitCost = submitCost;
      expect(results[1]).toEqual(results[0]);
      expect(results[2]).toEqual(results[0]);
    });
  });

  describe("linearBackward", () => {
    test.each(sizesOf(form))("M=%i N=%i K=%i %s, panels of %i rows", async (M, N, K, dtype, panelRows) => {
      const gpu = await testGpu();
      const { weight, values } = makeWeight(gpu, 6, N, K, dtype, panelRows);
      const dy = randomFloats(7, M * N);
      const before = randomFloats(8, M * K);
      const want = linearBackwardReference(dy, new Float32Array(M * K), values, M, N, K).dx;
      const dyBuffer = hold(gpu.upload(dy));
      const dx = hold(gpu.upload(before));
      linearBackward(gpu, { dy: dyBuffer, weight, dx, M, accumulate: true });
      expectClose(await gpu.readFloats(dx, M * K), want.map((v, i) => v + before[i]!), tolerance(N), "accumulate");
      linearBackward(gpu, { dy: dyBuffer, weight, dx, M, accumulate: false });
      expectClose(await gpu.readFloats(dx, M * K), want, tolerance(N), "overwrite");
    });
  });

  // q, k and v; gate and up in panels; panels of unlike number; dtypes that cannot share a dispatch; five layers.
  test.each([
    ["biases", 33, 12, [[70, "BF16", 70], [5, "BF16", 5], [64, "BF16", 64]]],
    ["panels", 9, 20, [[131, "F16", 64], [131, "F16", 64]]],
    ["unlike panels", 3, 7, [[66, "F32", 64], [1, "F32", 1], [130, "BF16", 64]]],
    ["five", 17, 8, [[3, "BF16", 3], [64, "BF16", 64], [65, "BF16", 65], [8, "BF16", 8], [9, "F32", 9]]],
  ].slice(0, inWhole(form) ? 4 : 1) as [string, number, number, [number, FloatDtype, number][]][])("layers with one input at once: %s, the same bits as one by one", async (_, M, K, shapes) => {
    const gpu = await testGpu();
    const x = hold(gpu.upload(randomFloats(20, M * K)));
    const layers = shapes.map(([N, dtype, panelRows], i) => ({
      N,
      ...makeWeight(gpu, 21 + i, N, K, dtype, panelRows),
      // The second has none, so that some of a dispatch have a bias and some do not.
      bias: i === 1 ? undefined : hold(gpu.upload(randomFloats(31 + i, N))),
      dy: hold(gpu.upload(randomFloats(41 + i, M * N))),
    }));
    const results = () => layers.map(({ N }) => hold(gpu.alloc(M * N * 4)));
    const [apart, together] = [results(), results()];
    layers.forEach(({ weight, bias }, i) => linearForward(gpu, { x, weight, bias, y: apart[i]!, M }));
    linearForwards(gpu, { x, M, layers: layers.map(({ weight, bias }, i) => ({ weight, bias, y: together[i]! })) });
    for (const [i, { N, values }] of layers.entries()) {
      const got = await gpu.readFloats(together[i]!, M * N);
      expect(got).toEqual(await gpu.readFloats(apart[i]!, M * N));
      expectClose(got, linear(randomFloats(20, M * K), values, i === 1 ? undefined : randomFloats(31 + i, N), M, N, K), tolerance(K));
    }
    const before = randomFloats(51, M * K);
    for (const accumulate of [false, true]) {
      const [one, all] = [hold(gpu.upload(before)), hold(gpu.upload(before))];
      layers.forEach(({ weight, dy }, i) => linearBackward(gpu, { dy, weight, dx: one, M, accumulate: accumulate || i > 0 }));
      linearBackwards(gpu, { dx: all, M, accumulate, layers });
      const got = await gpu.readFloats(all, M * K);
      expect(got).toEqual(await gpu.readFloats(one, M * K));
      const want = new Float64Array(M * K).map((_, i) => (accumulate ? before[i]! : 0));
      layers.forEach(({ N, values }, l) => linearBackwardReference(randomFloats(41 + l, M * N), new Float32Array(M * K), values, M, N, K).dx.forEach((v, i) => (want[i]! += v)));
      expectClose(got, want, tolerance(300));
    }
  });

  test("three layers take one dispatch in tiled forms, three in the register form", async () => {
    const gpu = await testGpu();
    const [M, K] = [4, 8];
    const x = hold(gpu.upload(randomFloats(60, M * K)));
    const layers = [1, 2, 3].map((i) => ({ weight: makeWeight(gpu, 60 + i, 8, K, "BF16").weight, y: hold(gpu.alloc(M * 8 * 4)), dy: hold(gpu.upload(randomFloats(70, M * 8))) }));
    const start = gpu.dispatches;
    linearForwards(gpu, { x, M, layers });
    linearBackwards(gpu, { dx: hold(gpu.alloc(M * K * 4)), M, accumulate: false, layers });
    expect(gpu.dispatches - start).toBe(form === "register" ? 6 : 2);
    await gpu.sync();
  });

  describe("one panel of a tall vocabulary", () => {
    test.each([["BF16", 3], ["F32", 4]] as const)("%s, 70001 rows of %i", async (dtype, C) => {
      const gpu = await testGpu();
      const [M, V] = [3, 70_001];
      const { weight, values } = makeWeight(gpu, 9, V, C, dtype);
      const panel = weight.panels[0]!;
      const x = randomFloats(10, M * C);
      const y = hold(gpu.alloc(M * V * 4));
      panelForward(gpu, { x: hold(gpu.upload(x)), panel, cols: C, dtype, y, M });
      expectClose(await gpu.readFloats(y, M * V), linear(x, values, undefined, M, V, C), tolerance(C));

      const dy = randomFloats(11, M * V, 1 / 256);
      const dx = hold(gpu.alloc(M * C * 4));
      panelBackward(gpu, { dy: hold(gpu.upload(dy)), panel, cols: C, dtype, dx, M, accumulate: false });
      // 70001 terms in one f32 sum: the error grows with their number.
      expectClose(await gpu.readFloats(dx, M * C), linearBackwardReference(dy, new Float32Array(M * C), values, M, V, C).dx, { atol: 2e-5 });
    });
  });
});
