import { beforeAll, describe, expect, test } from "vitest";
import type { Recipe } from "../../../src/core/recipe";
import { bench, recipeFor, valuesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { perturbed, withValues } from "../../support/perturbed";
import { mergeOneTensor } from "../../support/oneTensor";
import { randomModel, TINY } from "../../support/tinyModel";

const BAD = "model.layers.1.mlp.up_proj.weight";
const PLACES: [number, number][] = [[40, NaN], [41, Infinity], [399, NaN]];

describe("NaN and infinity in an input", () => {
  let b: Bench;
  let alone: Bench;
  beforeAll(async () => {
    const base = (await randomModel(TINY.qwen3, "F32", 1)).checkpoint;
    const finetuned = await perturbed(base, 1);
    const models = { base, finetuned, two: await perturbed(base, 2), badBase: await withValues(base, BAD, PLACES), bad: await withValues(finetuned, BAD, PLACES), badNorm: await withValues(finetuned, "model.norm.weight", [[3, -Infinity]]) };
    b = bench((await watchedGpu()).gpu, models);
    alone = bench(undefined, models);
  });
  const refs = (...ids: string[]): Recipe["models"] => ids.map((id) => ({ id, name: id }));
  const found = (model: string) => ({
    code: "bad-file",
    message: expect.stringMatching(new RegExp(`"${BAD}" of the (base|fine-tuned model) "${model}": 3 of 560 values are NaN or infinite, the first NaN at element 40 \\(2, 0\\)`)),
    details: { model, tensor: BAD, element: 40, count: 3 },
  });

  test.each<[string, Recipe["params"], number]>([
    ["linear", {}, 1], ["task-arithmetic", { lambda: 0.5 }, 1], ["passthrough", { scale: 0.5 }, 1], ["slerp", { t: 0.5 }, 1], ["nearswap", {}, 1], ["ram", {}, 2],
    ["dare_ties", { density: 1 }, 2], ["dare_linear", {}, 2], ["ties", {}, 2], ["ties", { scope: "model" }, 2], ["arcee_fusion", {}, 1], ["sce", {}, 2], ["model_stock", {}, 2],
  ])("%s %j: refused by name, and nothing is left", async (method, params, count) => {
    for (const on of method === "linear" || method === "slerp" ? [alone, b] : [alone]) {
      const good = refs("two").slice(0, count - 1);
      await expect(on.merge(recipeFor(method, params, { models: [...refs("bad"), ...good] }))).rejects.toMatchObject(found("tiny-1 changed"));
      expect([...(on.output()?.files.keys() ?? [])]).toEqual([]);
      expect([...on.passes.keys()].filter((key) => key.startsWith("pass/"))).toEqual([]);
      // Passthrough and linear do not read the base.
      if (method === "passthrough" || method === "linear") continue;
      await expect(on.merge(recipeFor(method, params, { base: { id: "badBase", name: "badBase" }, models: [...refs("finetuned"), ...good] }))).rejects.toMatchObject(found("tiny changed"));
    }
  });

  test("a tensor that is copied keeps them, and the report lists it", async () => {
    const { report, checkpoint } = await alone.merge(recipeFor("passthrough", {}, { models: refs("bad") }));
    expect(Number.isNaN((await valuesOf(checkpoint, BAD))[40])).toBe(true);
    expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
    expect(report.checks.find((c) => c.id === "values")!.found).toContain(`copied with the NaN or infinite values of the input: ${BAD} (3, first at element 40 (2, 0))`);
    // Of the fine-tuned model nothing of a tensor that is left out is looked at.
    const { report: without } = await alone.merge(recipeFor("task-arithmetic", {}, { models: refs("badNorm"), tensors: { exclude: ["model.norm.weight"] } }));
    expect(without.checks.find((c) => c.id === "values")!.found).toMatch(/^no NaN, no infinity; largest/);
  });
});

describe("results that are not finite", () => {
  test.each([["GPU", true], ["CPU", false]])("too large for F16, on the %s: the element, its value and the dtype's limit", async (_, onGpu) => {
    const gpu = onGpu ? (await watchedGpu()).gpu : undefined;
    const how = { gpu, shape: [2, 3], change: { output: { dtype: "F16", maxShardBytes: 5e9, name: "merged" } } as Partial<Recipe> };
    const refused = { code: "bad-recipe", message: expect.stringContaining('"w": element 4 (1, 1) comes to 70000, and 1 more of the 6 values from 0 on; the largest value of F16 is 65504. Take BF16 or F32 as the output\'s dtype'), details: { tensor: "w", element: 4, count: 2 } };
    await expect(mergeOneTensor("task-arithmetic", { lambda: 2 }, [0, 1, 2, 3, 0, 0], [[0, 1, 2, 3, 35000, -1e6]], how)).rejects.toMatchObject(refused);
    await expect(mergeOneTensor("passthrough", {}, [0, 0, 0, 0, 0, 0], [[0, 1, 2, 3, 70000, -1e6]], how)).rejects.toMatchObject(refused);
    expect([...(await mergeOneTensor("task-arithmetic", { lambda: 2 }, [0, 1, 2, 3, 0, 0], [[0, 1, 2, 3, 32752, 0]], how))]).toEqual([0, 1, 2, 3, 65504, 0]);
  });

  test("weights that no F32 holds, and changes that oppose each other exactly", async () => {
    await expect(mergeOneTensor("task-arithmetic", {}, [0, 0], [[1, 3e38]], { weights: [3] })).rejects.toThrow('"w": element 1 comes to no finite number, although every input is finite: the coefficients are too large');
    await expect(mergeOneTensor("model_stock", {}, [0], [[1], [-2]])).rejects.toThrow('"w": a coefficient of this tensor comes to -Infinity');
  });
});
