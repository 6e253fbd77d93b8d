import { beforeAll, describe, expect, test } from "vitest";
import type { ModelRef, Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { bernoulliMask, drawKey } from "../../../src/kernels/stats/sparsify";
import { maskBit } from "../../../src/kernels/stats/trim";
import * as reference from "../../reference/merge/dataFree";
import { expectClose } from "../../support/compare";
import { bench, recipeFor, tensorBytesOf, valuesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { fixtureCheckpoint } from "../../support/nodeCheckpoint";
import { perturbed } from "../../support/perturbed";

/** Every data-free method through the engine, from stored models to verified files, against plain loops over whole tensors. */
describe("data-free methods", () => {
  let b: Bench;
  let base: Checkpoint;
  const names: string[] = [];
  const values = new Map<string, reference.WholeTensor>();
  const models: ModelRef[] = [{ id: "one", name: "one", weight: 1 }, { id: "two", name: "two", weight: 0.25 }, { id: "three", name: "three", weight: 0.5 }];

  beforeAll(async () => {
    base = await fixtureCheckpoint("qwen2-tiny-f32", "base");
    const tuned = { one: await fixtureCheckpoint("qwen2-tiny-f32", "finetuned"), two: await perturbed(base, 5), three: await perturbed(base, 6, { steps: 2 }) };
    names.push(...base.tensors.keys());
    for (const name of names) {
      const shape = base.tensors.get(name)!.shape;
      values.set(name, {
        base: [...(await valuesOf(base, name))],
        models: await Promise.all(models.map(async ({ id }) => [...(await valuesOf(tuned[id as keyof typeof tuned], name))])),
        weights: models.map((m) => m.weight as number),
        cols: shape.at(-1)!,
        columns: shape.slice(1).reduce((a, c) => a * c, 1),
      });
    }
    b = bench((await watchedGpu()).gpu, { base, ...tuned });
  });

  const recipe = (method: string, params: Recipe["params"], count: number): Recipe => recipeFor(method, params, { models: models.slice(0, count) });
  const whole = (name: string, count: number): reference.WholeTensor => {
    const tensor = values.get(name)!;
    return { ...tensor, models: tensor.models.slice(0, count), weights: tensor.weights.slice(0, count) };
  };

  test.each<[string, Recipe["params"], number, (t: reference.WholeTensor) => number[]]>([
    ["slerp", { t: 0.3 }, 1, (t) => reference.slerp(t, 0.3)],
    ["nuslerp", {}, 2, (t) => reference.nuslerp(t, "tensor", false)],
    ["nuslerp", { flatten: false }, 2, (t) => reference.nuslerp(t, "row", false)],
    ["nuslerp", { flatten: false, rowWise: true, changes: true }, 2, (t) => reference.nuslerp(t, "column", true)],
    ["multislerp", {}, 3, (t) => reference.multislerp(t, true)],
    ["multislerp", { changes: false }, 3, (t) => reference.multislerp(t, false)],
    ["karcher", { maxIter: 12, tol: 1e-9 }, 2, (t) => reference.karcher(t, true)],
    ["karcher", { maxIter: 12, tol: 1e-9, includeBase: false }, 3, (t) => reference.karcher(t, false)],
    ["model_stock", {}, 3, (t) => reference.modelStock(t, false)],
    ["model_stock", { filterWise: true }, 2, (t) => reference.modelStock(t, true)],
    ["breadcrumbs", { density: 0.4, gamma: 0.1, lambda: 0.8 }, 3, (t) => reference.breadcrumbs(t, 0.4, 0.1, 0.8, false)],
    ["breadcrumbs_ties", { density: 0.9, gamma: 0.2 }, 3, (t) => reference.breadcrumbs(t, 0.9, 0.2, 1, true)],
    ["sce", {}, 3, (t) => reference.sce(t, 1)],
    ["sce", { selectTopk: 0.35 }, 2, (t) => reference.sce(t, 0.35)],
    ["nearswap", { t: 0.004 }, 1, (t) => reference.nearswap(t, 0.004)],
    ["ram", {}, 3, (t) => reference.ram(t, undefined)],
    ["ramplus_tl", { r: 0.5, alpha: 3 }, 3, (t) => reference.ram(t, { r: 0.5, alpha: 3 })],
    ["arcee_fusion", {}, 1, (t) => reference.fusion(t)],
    ["passthrough", { scale: 0.5 }, 1, (t) => t.models[0]!.map((v) => 0.5 * v)],
  ])("%s %j", async (method, params, count, formula) => {
    const { checkpoint, report } = await b.merge(recipe(method, params, count));
    expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
    let moved = 0;
    for (const name of names) {
      const t = whole(name, count);
      const got = await valuesOf(checkpoint, name);
      expectClose(got, Float64Array.from(formula(t)), { atol: 2e-6, rtol: 2e-6 }, name);
      moved += got.filter((v, i) => v !== t.base[i]).length;
    }
    expect(moved, "the merge is not the base").toBeGreaterThan(1000);
  });

  test.each(["dare_linear", "dare_ties"])("%s: the drawn masks, each rescale, one and three models", async (method) => {
    const density = 0.4;
    for (const rescale of ["inverse-keep", "l1-match", "none"]) {
      const { checkpoint } = await b.merge(recipe(method, { density, rescale, seed: 7, lambda: 0.9 }, 3));
      for (const name of names) {
        const t = whole(name, 3);
        const x = t.models.map((m, k) => {
          const mask = bernoulliMask(drawKey(7, k, name), density, 0, m.length);
          const d = m.map((v, i) => Math.fround(v - t.base[i]!));
          const kept = d.map((v, i) => (maskBit(mask, i) ? v : 0));
          const l1 = (v: number[]): number => v.reduce((a, c) => a + Math.abs(c), 0);
          const factor = rescale === "none" ? 1 : rescale === "inverse-keep" ? 1 / density : l1(d) < 1e-7 || l1(kept) < 1e-7 ? 1 : l1(d) / l1(kept);
          return kept.map((v) => t.weights[k]! * factor * v);
        });
        const want = t.base.map((v, i) => {
          const votes = x.map((m) => m[i]!);
          const total = votes.reduce((a, c) => a + c, 0);
          return v + 0.9 * (method === "dare_linear" ? total : votes.filter((c) => (total >= 0 ? c > 0 : c < 0)).reduce((a, c) => a + c, 0));
        });
        expectClose(await valuesOf(checkpoint, name), Float64Array.from(want), { atol: 3e-6, rtol: 2e-6 }, `${name}, ${rescale}`);
      }
    }
    const shape = await b.shape(recipe(method, { density, seed: 7 }, 3));
    for (const tensor of shape.experts[0]!.tensors.filter((t) => t.elements > 5000)) expect(Math.abs(tensor.kept! - density), tensor.name).toBeLessThan(5 * Math.sqrt((density * (1 - density)) / tensor.elements));
  });

  test.each(["della", "della_linear"])("%s keeps entries of the base or a scaled change, the larger likelier", async (method) => {
    const { checkpoint, report } = await b.merge(recipe(method, { density: 0.5, epsilon: 0.3, seed: 3 }, 1));
    expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
    const name = "model.layers.0.mlp.up_proj.weight";
    const t = whole(name, 1);
    const got = await valuesOf(checkpoint, name);
    const moved = t.models[0]!.map((v, i) => ({ size: Math.abs(v - t.base[i]!), kept: got[i] !== t.base[i], ratio: (got[i]! - t.base[i]!) / (v - t.base[i]!) })).filter((e) => e.size > 1e-3);
    const ratios = moved.filter((e) => e.kept).map((e) => e.ratio);
    expect(Math.max(...ratios) / Math.min(...ratios), "one factor for the tensor").toBeLessThan(1.001);
    expect(Math.abs(got.reduce((a, v, i) => a + Math.abs(v - t.base[i]!), 0) / t.models[0]!.reduce((a, v, i) => a + Math.abs(v - t.base[i]!), 0) - 1), "the L1 norm is kept").toBeLessThan(1e-4);
    moved.sort((p, q) => p.size - q.size);
    const half = Math.floor(moved.length / 2);
    const share = (part: typeof moved): number => part.filter((e) => e.kept).length / part.length;
    expect(share(moved.slice(half)) - share(moved.slice(0, half))).toBeGreaterThan(0.2);
  });

  test("endpoints: t = 0 is the base byte for byte, t = 1 and passthrough the other model", async () => {
    const bytes = await tensorBytesOf(base);
    expect(await tensorBytesOf((await b.merge(recipe("slerp", { t: 0 }, 1))).checkpoint)).toEqual(bytes);
    expect(await tensorBytesOf((await b.merge(recipe("nearswap", { t: 0 }, 1))).checkpoint)).toEqual(bytes);
    const other = await tensorBytesOf(b.models.get("one")!);
    expect(await tensorBytesOf((await b.merge(recipe("slerp", { t: 1 }, 1))).checkpoint)).toEqual(other);
    expect(await tensorBytesOf((await b.merge(recipe("passthrough", {}, 1))).checkpoint)).toEqual(other);
  });

  test("symmetric methods do not depend on the order of the models, beyond rounding", async () => {
    for (const method of ["karcher", "model_stock", "ram", "sce"]) {
      const there = (await b.merge(recipe(method, {}, 3))).checkpoint;
      const back = (await b.merge({ ...recipe(method, {}, 3), models: [...models].reverse() })).checkpoint;
      for (const name of names) expectClose(await valuesOf(back, name), Float64Array.from(await valuesOf(there, name)), { atol: 1e-6 }, `${method} ${name}`);
    }
  });
});
