import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { selectCut, selectThreshold, trimPanels } from "../../../src/kernels/stats/select";
import { findCut, keepRule, maskBit, maskOf, popcount, type KeepRule } from "../../../src/kernels/stats/trim";
import { weighPanel } from "../../../src/kernels/stats/weigh";
import { randomFloats } from "../../support/compare";
import { testGpu } from "../../support/gpu";

const panelsOf = async (parts: Float32Array[]) => {
  const gpu = await testGpu();
  return parts.map((part) => ({ keys: gpu.upload(part), elements: part.length }));
};

async function expectSame(parts: Float32Array[], rule: KeepRule, dropZero = false) {
  const gpu = await testGpu();
  const panels = await panelsOf(parts);
  const cut = findCut(parts, rule);
  const state = { taken: 0 };
  const want = parts.map((part) => maskOf(part, cut, dropZero, state));
  for (const path of ["gpu", "cpu"] as const) {
    const got = await trimPanels(gpu, panels, { rule, dropZero, path });
    expect(got.masks.map((m) => m.words)).toEqual(want);
    expect(got.kept).toBe(want.reduce((sum, words) => sum + popcount(words), 0));
    expect(got.threshold).toBe(cut.threshold);
    expect(await selectCut(gpu, panels, rule, path)).toEqual(cut);
    gpu.release(...got.masks.map((m) => m.buffer));
  }
  gpu.release(...panels.map((p) => p.keys));
}

describe("golden trim vectors on both paths", () => {
  const { cases } = JSON.parse(readFileSync("tests/fixtures/trim-golden.json", "utf8")) as { cases: { name: string; w: number[]; r: number; linear: { keep: number[] }; topk_stable: { keep: number[] } }[] };
  test.each(cases.map((c) => [c.name, c] as const))("%s", async (_, c) => {
    const gpu = await testGpu();
    const panels = await panelsOf([Float32Array.from(c.w)]);
    for (const path of ["gpu", "cpu"] as const) {
      const linear = await trimPanels(gpu, panels, { rule: keepRule(c.w.length, "numpy", c.r), path });
      expect(c.w.map((_, i) => Number(maskBit(linear.masks[0]!.words, i)))).toEqual(c.linear.keep);
      const exact = await trimPanels(gpu, panels, { rule: keepRule(c.w.length, "exactK", c.r), path });
      expect(c.w.map((_, i) => Number(maskBit(exact.masks[0]!.words, i)))).toEqual(c.topk_stable.keep);
    }
  });
});

// Squares of squares spread over many exponents; every fifth key is 0, and a coarse grid makes ties.
const spread = (seed: number, n: number) => randomFloats(seed, n).map((v, i) => (i % 5 === 0 ? 0 : (v * v) ** 3));
const grid = (seed: number, n: number) => randomFloats(seed, n).map((v) => Math.round(Math.abs(v) * 7) / 8);

test.each([[1], [33], [2048], [9001]])("random keys, n=%i", async (n) => {
  for (const rule of ["numpy", "exactK"] as const) {
    await expectSame([spread(n, n)], keepRule(n, rule, 0.2));
    await expectSame([grid(n, n)], keepRule(n, rule, 0.4));
  }
});

test("two and three panels, cut at odd places", async () => {
  await expectSame([grid(1, 4099), grid(2, 2311)], keepRule(6410, "exactK", 0.3));
  await expectSame([spread(3, 64), spread(4, 1), spread(5, 2050)], keepRule(2115, "numpy", 0.4));
});

test("all equal, all zero, dropped zeros, all, none", async () => {
  await expectSame([new Float32Array(2500).fill(0.25)], { kind: "exact", count: 2200 });
  await expectSame([new Float32Array(100)], keepRule(100, "numpy", 0.2));
  await expectSame([new Float32Array(100)], keepRule(100, "numpy", 0.2), true);
  await expectSame([grid(6, 100)], { kind: "all" });
  await expectSame([grid(7, 100)], { kind: "exact", count: 0 });
});

test("keys that are not numbers rank above all others and are not kept", async () => {
  const keys = spread(12, 200);
  for (const at of [3, 40, 77]) keys[at] = NaN;
  keys[100] = Infinity;
  await expectSame([keys], keepRule(200, "numpy", 0.2));
  await expectSame([keys], keepRule(200, "exactK", 0.2));
  // The rank falls on them: the threshold is NaN, and nothing is kept.
  await expectSame([keys], { kind: "exact", count: 2 });
  await expectSame([keys, grid(13, 70)], { kind: "atLeast", index: 268 });
});

test("first digits counted while weighing give the same cut and masks", async () => {
  const gpu = await testGpu();
  const parts = [spread(14, 9001), new Float32Array(2500), grid(15, 33)];
  const zeros = gpu.upload(new Float32Array(9001));
  const panels = parts.map((part, i) => {
    const tuned = gpu.upload(part);
    const { keys, digits, partials } = weighPanel(gpu, { base: { buffer: zeros, dtype: "F32" }, tuned: { buffer: tuned, dtype: "F32" }, elements: part.length, key: "magnitude", count: i !== 2 });
    gpu.release(tuned, partials.buffer);
    return { keys, elements: part.length, ...(digits ? { digits } : {}) };
  });
  expect(panels.map((panel) => "digits" in panel)).toEqual([true, true, false]);
  const n = parts.reduce((sum, part) => sum + part.length, 0);
  for (const rule of [keepRule(n, "numpy", 0.3), keepRule(n, "exactK", 0.6), { kind: "exact", count: 1 } as const]) {
    expect(await selectCut(gpu, panels, rule, "gpu")).toEqual(findCut(parts, rule));
    const state = { taken: 0 };
    const got = await trimPanels(gpu, panels, { rule, path: "gpu" });
    expect(got.masks.map((m) => m.words)).toEqual(parts.map((part) => maskOf(part, findCut(parts, rule), false, state)));
    gpu.release(...got.masks.map((m) => m.buffer));
  }
  gpu.release(zeros, ...panels.flatMap((p) => [p.keys, ...(p.digits ? [p.digits] : [])]));
});

test("selectThreshold equals sorting, with subnormal and huge keys", async () => {
  const gpu = await testGpu();
  const keys = Float32Array.from([1e-45, 3e38, 0, 1e-39, 1, 1.0000001192092896, 2e-45]);
  const panels = await panelsOf([keys]);
  const sorted = [...keys].sort((a, b) => a - b);
  for (let rank = 0; rank < keys.length; rank++) {
    expect(await selectThreshold(gpu, panels, rank, "gpu")).toBe(sorted[rank]);
    expect(await selectThreshold(gpu, panels, rank, "cpu")).toBe(sorted[rank]);
  }
});

test("a cut over two tensors is applied to each, ties in order", async () => {
  const gpu = await testGpu();
  const [a, b] = await panelsOf([grid(8, 700), grid(9, 900)]);
  const rule = keepRule(1600, "exactK", 0.35);
  for (const path of ["gpu", "cpu"] as const) {
    const cut = await selectCut(gpu, [a!, b!], rule, path);
    const state = { taken: 0 };
    const first = await trimPanels(gpu, [a!], { cut, state, path });
    const second = await trimPanels(gpu, [b!], { cut, state, path });
    expect(first.kept + second.kept).toBe(560);
    const whole = await trimPanels(gpu, [a!, b!], { rule, path });
    expect([first.masks[0]!.words, second.masks[0]!.words]).toEqual(whole.masks.map((m) => m.words));
  }
});
