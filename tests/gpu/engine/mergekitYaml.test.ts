import { beforeAll, describe, expect, test } from "vitest";
import type { Recipe } from "../../../src/core/recipe";
import { importMergekit } from "../../../src/merge/mergekit/import";
import { readFixture } from "../../reference/merge/fixture";
import { expectClose } from "../../support/compare";
import { bench, recipeFor, valuesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { fixtureCheckpoint } from "../../support/nodeCheckpoint";
import { modelsOf } from "../../support/oneTensor";

const tensors = readFixture("mergekit-golden/golden.safetensors");
const models = (list: string) => list.split("; ").map((m) => { const [model, parameters] = m.split(" ", 2).length > 1 ? [m.slice(0, m.indexOf(" ")), m.slice(m.indexOf(" ") + 1)] : [m, ""]; return `  - model: lab/${model}${parameters ? `\n    parameters: {${parameters}}` : ""}`; }).join("\n");
const file = (method: string, list: string, parameters = "", base = "base_model: lab/base\n") => `merge_method: ${method}\n${base}models:\n${models(list)}\nparameters: {${parameters}}\ndtype: float32\n`;

/** Files as a person writes them for the calls that made the golden tensors. */
const cases: [output: string, yaml: string][] = [
  ["task_arithmetic_2", file("task_arithmetic", "m0 weight: 0.6; m1 weight: 0.3")],
  ["task_arithmetic_2_norm", file("task_arithmetic", "m0 weight: 0.6; m1 weight: 0.3", "normalize: true")],
  ["task_arithmetic_2_lambda", file("task_arithmetic", "m0 weight: 0.6; m1 weight: 0.3", "lambda: 0.7")],
  ["ties_2_d02", file("ties", "base; m0; m1", "weight: 1, density: 0.2")],
  ["ties_2_d05_w", file("ties", "m0 weight: 0.7; m1 weight: 0.4", "density: 0.5, int8_mask: true")],
  ["ties_2_d04_raw_lambda", file("ties", "m0 weight: [0.7, 0.9]; m1 weight: 0.4", "density: [0.4], normalize: false, lambda: 0.5")],
  ["linear_norm", file("linear", "base weight: 0; m0 weight: 0.6; m1 weight: 0.3", "", "")],
  ["linear_raw", file("linear", "base weight: 0; m0 weight: 0.6; m1 weight: 0.3", "normalize: false", "")],
  ["slerp_t0.3", file("slerp", "m0", "t: [{filter: nowhere, value: 0.9}, {value: 0.3}]")],
  ["sparsify_magnitude_d02_l1", file("ties", "m0 weight: 1, density: 0.2", "rescale: true")],
];

const here = (recipe: Recipe): Recipe => ({ ...recipe, base: { ...recipe.base, id: recipe.base.name.replace("lab/", "") }, models: recipe.models.map((m) => ({ ...m, id: m.name.replace("lab/", "") })) });

describe("the numbers of mergekit from its own files, and again from the files written here", () => {
  let b: Bench;
  beforeAll(async () => {
    const all = Object.fromEntries(["s0", "s1"].map((s) => [s, { shape: tensors.get(`${s}/base`)!.shape, base: tensors.get(`${s}/base`)!.values, models: [tensors.get(`${s}/model0`)!.values, tensors.get(`${s}/model1`)!.values] }]));
    b = bench((await watchedGpu()).gpu, await modelsOf(all));
  });

  test.each(cases)("%s", async (output, yaml) => {
    const { recipe } = importMergekit(yaml);
    const written = await b.engine.mergekitYaml(here(recipe));
    for (const one of [recipe, importMergekit(written.text).recipe]) {
      const { checkpoint } = await b.merge(here(one));
      for (const s of ["s0", "s1"]) {
        const change = output.startsWith("sparsify") ? tensors.get(`${s}/base`)!.values : undefined;
        const want = Float64Array.from(tensors.get(`${s}/out/${output}`)!.values, (v, i) => v + (change?.[i] ?? 0));
        expectClose(await valuesOf(checkpoint, s), want, { atol: 1e-6 }, `${output} of ${s}`);
      }
    }
  });
  test("without a base the first model stands for it, and takes part all the same", async () => {
    const { recipe } = importMergekit(file("multislerp", "m0 weight: 0.25; m1 weight: 0.75", "", ""));
    expect(recipe.base.name).toBe(recipe.models[0]!.name);
    const [got, want] = [(await b.merge(here(recipe))).checkpoint, (await b.merge(recipeFor("multislerp", { changes: false }, { models: [{ id: "m0", name: "m0", weight: 0.25 }, { id: "m1", name: "m1", weight: 0.75 }] }))).checkpoint];
    for (const s of ["s0", "s1"]) expect(await valuesOf(got, s)).toEqual(await valuesOf(want, s));
  });
});

test("a merge by Fisher is the same merge from the file written for mergekit: weights per layer, kind and tensor outside", async () => {
  const b = bench((await watchedGpu()).gpu, { base: await fixtureCheckpoint("llama-tiny-bf16", "base"), finetuned: await fixtureCheckpoint("llama-tiny-bf16", "finetuned") });
  const recipe = recipeFor("fim-ties", { r: 1, calib: "off", N: 2, len: 8, outsideT: 0.3 }, { output: { dtype: "F32" } });
  await b.measure(recipe);
  const { text, exact } = await b.engine.mergekitYaml(recipe);
  expect(exact, text).toBe(true);
  const again = importMergekit(text).recipe;
  expect(again.method).toBe("task-arithmetic");
  const [want, got] = [(await b.merge(recipe)).checkpoint, (await b.merge({ ...again, base: { id: "base", name: "base" }, models: [{ ...again.models[0]!, id: "finetuned" }] })).checkpoint];
  const weights = new Set<number>();
  for (const [k, row] of (await b.shape(recipe)).experts[0]!.tensors.entries()) {
    weights.add(row.alpha!);
    if (k % 3 === 0 || row.layer === undefined) expectClose(await valuesOf(got, row.name), await valuesOf(want, row.name), { atol: 1e-7 }, row.name);
  }
  expect(weights.size, "a weight per layer, per gate, and one outside").toBe(2 * 3 + 1);
});
