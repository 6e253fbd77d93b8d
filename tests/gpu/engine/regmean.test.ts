import { beforeAll, describe, expect, test } from "vitest";
import type { Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { parseModelConfig } from "../../../src/model/config";
import { gramOf, regmean } from "../../reference/merge/regmean";
import * as decoder from "../../reference/model/decoder";
import { expectClose } from "../../support/compare";
import { bench, recipeFor, tensorBytesOf, valuesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { fixtureCheckpoint, float64Parameters } from "../../support/nodeCheckpoint";
import { perturbed } from "../../support/perturbed";
import { randomTokens } from "../../support/tinyModel";

const LINEAR = /layers\.\d+\.(self_attn\.[qkvo]|mlp\.(gate|up|down))_proj\.weight$/;

/** Gram matrices of the inputs of every weight, from a forward in float64 with plain loops. */
async function gramsOf(model: Checkpoint, tokens: readonly number[][]): Promise<Map<string, Float64Array>> {
  const config = parseModelConfig(model.config);
  const parameters = await float64Parameters(model);
  const rows = new Map<string, number[]>();
  for (const sequence of tokens) for (const [name, x] of decoder.forward(config, parameters, sequence).inputs) rows.set(name, [...(rows.get(name) ?? []), ...x]);
  return new Map([...rows].map(([name, x]) => [name, gramOf(x, (model.tensors.get(name)?.shape[1] ?? config.hidden))]));
}

/** sum_k tr(W G_k W^T): the squared outputs of a layer on the text, over all models. */
function power(w: ArrayLike<number>, grams: readonly Float64Array[], d: number): number {
  let sum = 0;
  for (const g of grams) for (let r = 0; r < w.length; r += d) for (let i = 0; i < d; i++) for (let j = 0; j < d; j++) sum += w[r + i]! * g[i * d + j]! * w[r + j]!;
  return sum;
}

describe("RegMean", () => {
  let b: Bench;
  const models: Record<string, Record<string, Checkpoint>> = {};
  const grams: Record<string, Record<string, Map<string, Float64Array>>> = {};
  const tokens: Record<string, number[][]> = {};
  const sets = { qwen: "qwen2-tiny-f32", llama: "llama-tiny-bf16" };

  beforeAll(async () => {
    for (const [set, folder] of Object.entries(sets)) {
      const base = await fixtureCheckpoint(folder, "base");
      models[set] = { base, one: await fixtureCheckpoint(folder, "finetuned"), ...(set === "qwen" ? { two: await perturbed(base, 5) } : {}) };
      // More tokens than inputs for some layers, fewer for others: their Gram matrices are singular.
      tokens[set] = randomTokens(3, parseModelConfig(base.config).vocab, [17, 23, 30]);
      grams[set] = {};
      for (const [id, model] of Object.entries(models[set]!)) grams[set]![id] = await gramsOf(model, tokens[set]!);
    }
    b = bench((await watchedGpu()).gpu, Object.fromEntries(Object.entries(models).flatMap(([set, all]) => Object.entries(all).map(([id, model]) => [`${set}/${id}`, model]))));
  });

  const recipe = (set: string, params: Recipe["params"], tuned: string[] = ["one"], weights: number[] = tuned.map(() => 1)): Recipe =>
    recipeFor("regmean", params, { base: { id: `${set}/base`, name: "base" }, models: tuned.map((id, k) => ({ id: `${set}/${id}`, name: id, weight: weights[k]! })), tokens: tokens[set]! });

  test.each<[string, Recipe["params"], string[], number[], number]>([
    ["qwen", {}, ["one"], [1], 1],
    ["qwen", { a: 0.1, eps: 0, baseWeight: 2 }, ["one"], [0.5], 2],
    ["qwen", { includeBase: "yes", a: 0.9, eps: 1e-3 }, ["one", "two"], [1, 0.5], 1],
    ["llama", { head: true }, ["one"], [1], 1],
  ])("%s %j of %j with weights %j: every tensor as the formula in float64", async (set, params, tuned, weights, baseWeight) => {
    const { checkpoint, report } = await b.merge(recipe(set, params, tuned, weights));
    expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
    const all = baseWeight > 0 ? ["base", ...tuned] : tuned;
    const c = baseWeight > 0 ? [baseWeight, ...weights] : weights;
    const total = c.reduce((x, y) => x + y, 0);
    const { a = 1, eps = 1e-4 } = params as { a?: number; eps?: number };
    // Activations are right to about 1e-6 of their size; along inputs that the text does not take, the ridge alone holds against that.
    const noise = a === 1 ? Math.max(2e-5, 2e-7 / eps) : 2e-5;
    let fitted = 0;
    for (const [name, info] of checkpoint.tensors) {
      const values = await Promise.all(all.map((id) => valuesOf(models[set]![id]!, name)));
      const mean = Float64Array.from(values[0]!, (_, i) => values.reduce((sum, v, k) => sum + (c[k]! * v[i]!) / total, 0));
      const d = info.shape.at(-1)!;
      const got = await valuesOf(checkpoint, name);
      const rtol = info.dtype === "F32" ? 2e-6 : 2 ** -8;
      if (!LINEAR.test(name) && !(name === "lm_head.weight" && params.head)) {
        expectClose(got, mean, { rtol, atol: 1e-7 }, name);
        continue;
      }
      const gram = all.map((id) => grams[set]![id]!.get(name)!);
      const want = regmean(gram, values, c, d, a, eps);
      const largest = values.reduce((most, v) => v.reduce((m, x) => Math.max(m, Math.abs(x)), most), 0);
      expectClose(got, want, { rtol, atol: noise * largest }, name);
      // What the layer gives on the text, which is what the method fits: off by rounding alone.
      expect(Math.sqrt(power(got.map((v, i) => v - want[i]!), gram, d) / power(want, gram, d)), `outputs of ${name}`).toBeLessThan(info.dtype === "F32" ? 2e-5 : 3e-3);
      if (mean.some((v, i) => Math.abs(v - got[i]!) > 1e-4)) fitted++;
    }
    expect(fitted, "layers that are not the mean").toBeGreaterThan(5);
  });

  test("a layer's share is the mean diagonal of its projection; all else is averaged", async () => {
    await b.measure(recipe("qwen", {}));
    const [tensor] = (await b.shape(recipe("qwen", {}))).experts.map((e) => e.tensors);
    const name = "model.layers.1.self_attn.k_proj.weight";
    const d = models.qwen!.base!.tensors.get(name)!.shape[1]!;
    const unit = Float64Array.from({ length: d * d }, (_, at) => (at % (d + 1) === 0 ? 1 : 0));
    // With the weights 0 and I the formula gives A itself, turned.
    const projection = regmean(["base", "one"].map((id) => grams.qwen![id]!.get(name)!), [new Float64Array(d * d), unit], [1, 1], d, 1, 1e-4);
    const want = unit.reduce((sum, one, at) => sum + (one ? projection[at]! : 0), 0) / d;
    const alpha = (of: string): number => tensor!.find((t) => t.name === of)!.alpha!;
    expect(alpha(name)).toBeCloseTo(want, 4);
    expect(Math.abs(want - 0.5)).toBeGreaterThan(1e-3);
    expect(alpha("model.norm.weight")).toBe(0.5);
  });

  test("a = 0 gives the bytes of the diagonal, and wide layers take it alone", async () => {
    const zero = await tensorBytesOf((await b.merge(recipe("qwen", { a: 0 }))).checkpoint);
    const wide = await b.measure(recipe("qwen", { diagAbove: 100 }));
    expect(wide.warnings.join()).toMatch(/inputs are too wide for a full matrix/);
    const some = await tensorBytesOf((await b.merge(recipe("qwen", { diagAbove: 100 }))).checkpoint);
    const none = await tensorBytesOf((await b.merge(recipe("qwen", { diagAbove: 0 }))).checkpoint);
    expect(none).toEqual(zero);
    const down = "model.layers.0.mlp.down_proj.weight";
    const query = "model.layers.0.self_attn.q_proj.weight";
    expect(some.get(down)).toBe(zero.get(down));
    expect(some.get(query)).not.toBe(zero.get(query));
  });

  test("equal models keep their weights; one model alone is itself", async () => {
    const same = await tensorBytesOf((await b.merge({ ...recipe("qwen", {}), models: [{ id: "qwen/base", name: "again" }] })).checkpoint);
    expect(same).toEqual(await tensorBytesOf(models.qwen!.base!));
    const alone = await tensorBytesOf((await b.merge(recipe("qwen", { includeBase: "no" }))).checkpoint);
    expect(alone).toEqual(await tensorBytesOf(models.qwen!.one!));
  });

  test("slices do not change a byte", async () => {
    const whole = await tensorBytesOf((await b.merge(recipe("qwen", {}))).checkpoint);
    const small = bench(b.env.gpu, Object.fromEntries(b.models), { sliceElements: 8192, passes: b.env.passes });
    expect(await tensorBytesOf((await small.merge(recipe("qwen", {}))).checkpoint)).toEqual(whole);
  });

  test("what cannot be done is said", async () => {
    const plain = recipe("qwen", {});
    await expect(b.measure({ ...plain, tokens: undefined } as unknown as Recipe)).rejects.toThrow(/RegMean needs calibration text/);
    await expect(b.measure(recipe("qwen", {}, ["one"], [-1]))).rejects.toThrow(/none may be negative/);
    await expect(b.measure({ ...recipe("qwen", {}, ["one", "two"]), models: [{ id: "qwen/one", name: "one", weight: [{ filter: "q_proj", value: 2 }, { value: 1 }] }, { id: "qwen/two", name: "two" }] })).rejects.toThrow(/read the same input, but their models have other weights/);
    const plan = await b.engine.plan(plain);
    const phase = plan.phases.find((p) => p.id === "measure")!;
    expect(phase.label).toBe("Forward of 2 models, Gram matrices");
    for (const key of ["gpuBytes", "hostBytes", "readBytes", "writeBytes", "flops", "dispatches"] as const) expect(phase[key], key).toBeGreaterThan(0);
  });
});
