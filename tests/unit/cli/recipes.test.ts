import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { recipeFromFile, writeMergekit } from "../../../src/cli/recipes";
import type { createEngine } from "../../../src/engine/engine";
import { fixtureCheckpoint, fixturePath } from "../../support/nodeCheckpoint";
import { bench } from "../../support/engineBench";

const SET = "qwen2-tiny-f32";
const work = mkdtempSync(join(tmpdir(), "recipes-test-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const BASE = fixturePath(SET, "base");
const TUNED = fixturePath(SET, "finetuned");
const FILE = join(work, "in.yaml");

async function engine(): Promise<ReturnType<typeof createEngine>> {
  return bench(undefined, { [BASE]: await fixtureCheckpoint(SET, "base"), [TUNED]: await fixtureCheckpoint(SET, "finetuned") }).engine;
}

test("a mergekit file goes in with its findings and comes out the same merge", async () => {
  writeFileSync(FILE, "merge_method: task_arithmetic\nbase_model: lab/base\nmodels:\n  - model: lab/tuned\n    nick: x\n    parameters: {weight: [0.2, 0.8]}\n");
  const lines: string[] = [];
  const e = await engine();
  const recipe = await recipeFromFile(e, FILE, BASE, [TUNED], (line) => lines.push(line));
  expect(recipe.models).toEqual([{ name: "lab/tuned", id: TUNED, weight: [0.2, 0.8] }]);
  expect(lines).toEqual([
    'Warning, line 5 column 5, models[0].nick: "nick" is no key of a model in mergekit\'s file; it is left out.',
    `"lab/base" is ${BASE}.`,
    `"lab/tuned" is ${TUNED}.`,
  ]);
  const out = join(work, "deep", "out.yaml");
  await writeMergekit(e, recipe, out, () => undefined);
  const again = await recipeFromFile(e, out, BASE, [TUNED], () => undefined);
  expect({ ...again, output: recipe.output }).toEqual(recipe);
  expect(readFileSync(out, "utf8")).toContain("dtype: float32");
});

test("the recipe of a pass that is not made cannot be told to mergekit", async () => {
  const e = await engine();
  const recipe = await e.defaultRecipe("fim-ties", BASE, [TUNED]);
  await expect(writeMergekit(e, recipe, join(work, "none.yaml"), () => undefined)).rejects.toThrow(/not measured yet/);
});

test("faults are told with their place, and missing models with what to give", async () => {
  const e = await engine();
  writeFileSync(FILE, "merge_method: multislerp\nmodels:\n  - {model: a, parameters: {weight: 1}}\n  - {model: b, parameters: {weight: 1}}\n");
  await expect(recipeFromFile(e, FILE, BASE, [TUNED], () => undefined)).rejects.toThrow('names 2 fine-tuned models, but --model was given 1 times. "a" is one of them and stands for the base too');
  writeFileSync(FILE, "merge_method: ties\nmodels: 3\nbase_model: a\n");
  await expect(recipeFromFile(e, FILE, BASE, [TUNED], () => undefined)).rejects.toThrow("models is 3, expected a list of models, at line 2 column 9");
  await expect(recipeFromFile(e, join(work, "no.yaml"), BASE, [TUNED], () => undefined)).rejects.toThrow(/does not exist/);
});
