import { beforeAll, describe, expect, test } from "vitest";
import type { ModelRef, Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { maskBit } from "../../../src/kernels/stats/trim";
import { expectClose } from "../../support/compare";
import { bench, recipeFor, valuesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { fixtureCheckpoint } from "../../support/nodeCheckpoint";
import { perturbed } from "../../support/perturbed";

/** Several fine-tuned models, against plain loops written from METHODS 1 to 3. */
describe("two and three fine-tuned models", () => {
  let b: Bench;
  const names: string[] = [];
  let theta0: Map<string, Float32Array>;
  const deltas: Map<string, Float64Array>[] = [];
  const models: ModelRef[] = [{ id: "one", name: "one", weight: 1 }, { id: "two", name: "two", weight: 0.25 }, { id: "three", name: "three", weight: 0.5 }];

  beforeAll(async () => {
    const base = await fixtureCheckpoint("qwen2-tiny-f32", "base");
    const tuned: Record<string, Checkpoint> = { one: await fixtureCheckpoint("qwen2-tiny-f32", "finetuned"), two: await perturbed(base, 5), three: await perturbed(base, 6, { steps: 2 }) };
    names.push(...base.tensors.keys());
    theta0 = new Map(await Promise.all(names.map(async (n) => [n, await valuesOf(base, n)] as const)));
    for (const { id } of models) deltas.push(new Map(await Promise.all(names.map(async (n) => [n, Float64Array.from(await valuesOf(tuned[id!]!, n), (v, i) => Math.fround(v - theta0.get(n)![i]!))] as const))));
    b = bench((await watchedGpu()).gpu, { base, ...tuned });
  });

  const check = async (method: string, params: Recipe["params"], used: ModelRef[], change: (name: string, i: number) => number): Promise<void> => {
    const { checkpoint, report } = await b.merge(recipeFor(method, params, { models: used, tokens: [[3, 1, 4, 1, 5], [9, 2, 6, 5]] }));
    expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
    for (const name of names) {
      const before = theta0.get(name)!;
      expectClose(await valuesOf(checkpoint, name), Float64Array.from(before, (v, i) => v + change(name, i)), { atol: 1e-6 }, name);
    }
  };
  const sum = (values: number[]): number => values.reduce((a, v) => a + v, 0);

  test("task arithmetic: weighted sum, and normalised", async () => {
    await check("task-arithmetic", { lambda: 0.7 }, models, (n, i) => 0.7 * sum(models.map((m, k) => (m.weight as number) * deltas[k]!.get(n)![i]!)));
    await check("task-arithmetic", { lambda: 0.7, normalize: true }, models, (n, i) => (0.7 / 1.75) * sum(models.map((m, k) => (m.weight as number) * deltas[k]!.get(n)![i]!)));
  });

  test("linear: weighted mean, with and without the base", async () => {
    await check("linear", {}, models.slice(0, 2), (n, i) => (deltas[0]!.get(n)![i]! + 0.25 * deltas[1]!.get(n)![i]!) / 1.25);
    await check("linear", { includeBase: true, baseWeight: 0.75 }, models.slice(0, 2), (n, i) => (deltas[0]!.get(n)![i]! + 0.25 * deltas[1]!.get(n)![i]!) / 2);
  });

  /** Trimmed changes: threshold by `cut` over the sorted sizes of a tensor or of the whole model. */
  const trimmed = (k: number, scope: "tensor" | "model", keep: (sorted: Float64Array) => (size: number) => boolean): Map<string, Float64Array> => {
    const d = deltas[k]!;
    const sizes = (n: string[]) => Float64Array.from(n.flatMap((x) => Array.from(d.get(x)!, Math.abs))).sort();
    const whole = scope === "model" ? keep(sizes(names)) : undefined;
    return new Map(names.map((n) => {
      const test = whole ?? keep(sizes([n]));
      return [n, d.get(n)!.map((v) => (test(Math.abs(v)) ? v : 0))];
    }));
  };

  test("TIES official: one threshold per model, the model's majority where votes cancel", async () => {
    const x = models.map((_, k) => trimmed(k, "model", (s) => (size) => size >= s[s.length - Math.trunc(s.length * 0.2) - 1]!));
    const votes = (n: string, i: number) => Math.sign(sum(x.map((m) => m.get(n)![i]!)));
    let majority = 0;
    for (const n of names) for (let i = 0; i < theta0.get(n)!.length; i++) majority += votes(n, i);
    expect(majority).not.toBe(0);
    await check("ties", { density: 0.2, lambda: 1.3, scope: "model", keepRule: "official", elect: "sum", zero: "majority", divisor: "count", weights: "ignore" }, models, (n, i) => {
      const s = votes(n, i) || Math.sign(majority);
      const agreeing = x.map((m) => m.get(n)![i]!).filter((v) => v !== 0 && Math.sign(v) === s);
      return agreeing.length > 0 ? (1.3 * sum(agreeing)) / agreeing.length : 0;
    });
  });

  test("TIES Long-to-Short: per tensor, plus where votes cancel, mean over those that agree", async () => {
    const x = models.map((_, k) => trimmed(k, "tensor", (s) => (size) => size >= (s[Math.floor(s.length * 0.8 + 1e-9) - 1] ?? 0)));
    await check("ties", { density: 0.2, scope: "tensor", keepRule: "l2s", elect: "sum", zero: "plus", divisor: "count", weights: "ignore" }, models, (n, i) => {
      const values = x.map((m) => m.get(n)![i]!);
      const positive = sum(values) >= 0;
      const agreeing = values.filter((v) => (positive ? v > 0 : v < 0));
      return agreeing.length > 0 ? sum(agreeing) / agreeing.length : 0;
    });
  });

  test.each([["sum", "weights"], ["count", "none"]] as const)("TIES mergekit: exact counts, weights in the vote, elect %s, divisor %s", async (elect, divisor) => {
    // Equal sizes are taken in index order, as the exact rule here says.
    const x = models.map((m, k) => {
      const d = deltas[k]!;
      return new Map(names.map((n) => {
        const values = d.get(n)!;
        const keep = new Set([...values.keys()].sort((p, q) => Math.abs(values[q]!) - Math.abs(values[p]!) || p - q).slice(0, Math.max(1, Math.trunc(0.2 * values.length))));
        return [n, values.map((v, i) => (keep.has(i) ? (m.weight as number) * v : 0))];
      }));
    });
    await check("ties", { density: 0.2, keepRule: "mergekit", elect, zero: "plus", divisor, weights: "use" }, models, (n, i) => {
      const values = x.map((m) => m.get(n)![i]!);
      const positive = sum(elect === "count" ? values.map(Math.sign) : values) >= 0;
      const agree = values.map((v) => (positive ? v > 0 : v < 0));
      const total = sum(values.filter((_, k) => agree[k]));
      const by = divisor === "weights" ? sum(models.map((m, k) => (agree[k] ? (m.weight as number) : 0))) : 1;
      return by === 0 ? 0 : total / by;
    });
  });

  test.each(["base", "finetuned"])("FIM-TIES of two models, Fisher at the %s: alpha and mask of each, one sign, mean of those that agree", async (fisherAt) => {
    const used = models.slice(0, 2);
    const params = { r: 0.3, fisherAt, outsideT: "mean" };
    const recipe = recipeFor("fim-ties", params, { models: used, tokens: [[3, 1, 4, 1, 5], [9, 2, 6, 5]] });
    const { key, warnings } = await b.measure(recipe);
    const shape = await b.shape(recipe);
    expect(shape.warnings.join(" ")).toContain("extension");
    expect(warnings.length).toBe(fisherAt === "finetuned" ? 1 : 0);
    const rows = shape.experts.map((e) => new Map(e.tensors.map((t) => [t.name, t])));
    expect(shape.experts[0]!.layers.map((l) => l.alpha)).not.toEqual(shape.experts[1]!.layers.map((l) => l.alpha));
    if (fisherAt === "finetuned") expect(rows[0]!.get(names[3]!)!.fisherMean).not.toBe(rows[1]!.get(names[3]!)!.fisherMean);
    const masks = used.map((_, k) => new Map(names.map((n) => [n, b.passes.get(`mask/${key}/${k}/${n}`) as Uint32Array | undefined])));
    await check("fim-ties", params, used, (n, i) => {
      const x = used.map((_, k) => {
        const mask = masks[k]!.get(n);
        return !mask || maskBit(mask, i) ? rows[k]!.get(n)!.alpha! * deltas[k]!.get(n)![i]! : 0;
      });
      const positive = sum(x) >= 0;
      const agreeing = x.filter((v) => (positive ? v > 0 : v < 0));
      return agreeing.length > 0 ? sum(agreeing) / agreeing.length : 0;
    });
  });

  test("FIM-TA of two models adds their changes", async () => {
    const used = models.slice(0, 2);
    const recipe = recipeFor("fim-ta", { outsideT: "mean" }, { models: used, tokens: [[3, 1, 4, 1, 5], [9, 2, 6, 5]] });
    await b.measure(recipe);
    const rows = (await b.shape(recipe)).experts.map((e) => new Map(e.tensors.map((t) => [t.name, t])));
    await check("fim-ta", { outsideT: "mean" }, used, (n, i) => sum(used.map((_, k) => rows[k]!.get(n)!.alpha! * deltas[k]!.get(n)![i]!)));
  });
});
