import { expect, test } from "vitest";
import type { StudioError } from "../../../src/core/errors";
import { sameModel } from "../../../src/core/modelNames";
import type { Recipe } from "../../../src/core/recipe";
import { readRecipe } from "../../../src/engine/recipes";
import { serialiseRecipe } from "../../../src/export/recipeFile";
import { fakeFacts, fakeModel } from "../../support/fakeData";
import { mergekitCorpus } from "../../support/mergekitCorpus";
import { tinyRecipe } from "../../support/recipes";

const text = (change: Partial<Recipe> = {}) => serialiseRecipe({ ...tinyRecipe({ params: { r: 0.2 } }), ...change });
const refusal = (source: string): StudioError => {
  try {
    readRecipe(source, "json", []);
  } catch (error) {
    return error as StudioError;
  }
  throw new Error("nothing was refused");
};

test("recipe.json comes back as it was written, also out of a report", () => {
  const recipe = tinyRecipe({ params: { r: 0.2 } });
  expect(readRecipe(text(), "json", [])).toEqual({ recipe, findings: [] });
  expect(readRecipe(JSON.stringify({ alphas: [1], recipe }), "json", []).recipe).toEqual(recipe);
});

test.each<[string, Partial<Recipe>, string, RegExp]>([
  ["a method that there is none of", { method: "tise" }, "method", /no method "tise"/],
  ["too many models for the method", { method: "slerp", params: {}, models: [{ name: "a" }, { name: "b" }] }, "models", /takes 1 to 1/],
  ["a setting that the method does not have", { params: { r: 0.2, outsidet: "base" } }, "params.outsidet", /Did you mean "outsideT"/],
  ["a value out of range", { params: { r: 2 } }, "params.r", /from 0 to 1/],
  ["a density that is none, for one model", { method: "ties", params: {}, models: [{ name: "a", params: { density: [0.5, 7] } }] }, "models[0].params.density", /holds 7/],
  ["a stage that there is none of", { then: [{ method: "iam", params: {} }] }, "then[0].method", /no post-process "iam"/],
  ["a setting that the stage does not have", { then: [{ method: "aim", params: { omga: 0.4 } }] }, "then[0].params.omga", /no setting "omga"/],
])("%s is refused with where it stands", (_, change, path, sentence) => {
  const source = text(change);
  const error = refusal(source);
  expect(error.message).toMatch(sentence);
  expect(error.code).toBe("bad-recipe");
  expect(error.details.path).toBe(path);
  const key = /(\w+)(?:\[\d+\])?$/.exec(path)![1]!;
  expect(source.split("\n")[(error.details.line as number) - 1]).toContain(`"${key}"`);
  expect(error.message).toContain(`line ${String(error.details.line)} column ${String(error.details.column)}`);
});

test("a file that has nothing of a recipe is told to be none", () => {
  for (const source of ['{"a": 1}', "[1]", "{"]) expect(refusal(source).details.title).toBe("This file is not a recipe");
  expect(refusal('{"method": "ties"').message).toMatch(/is no valid JSON.*line 1 column 18/);
});

test("a fault in a report is told at its place in the report", () => {
  const source = JSON.stringify({ alphas: [1], recipe: tinyRecipe({ params: { r: 3 } }) }, null, 2);
  const { line } = refusal(source).details;
  expect(source.split("\n")[(line as number) - 1]).toContain('"r": 3');
});

test("a slice of a mergekit file is held against the stored models, by the name of their folder", () => {
  const models = ["Writer-13B", "coder-13b"].map((name) => fakeModel({ id: name, name, facts: { ...fakeFacts(), layers: 48 } }));
  expect(() => readRecipe(mergekitCorpus[0]!.yaml, "yaml", models)).toThrow(/takes 40 of the 48 layers/);
});

test("names mean one model when their folders are called alike", () => {
  expect(sameModel("Qwen/Qwen2.5-Math-1.5B@main", "qwen2.5-math-1.5b")).toBe(true);
  expect(sameModel("C:\\models\\a\\", "/data/a")).toBe(true);
  expect(sameModel("lab/a-7b", "lab/a-13b")).toBe(false);
});
