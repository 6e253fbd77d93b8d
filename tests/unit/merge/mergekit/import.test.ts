import { describe, expect, test } from "vitest";
import { StudioError } from "../../../../src/core/errors";
import { exportMergekit } from "../../../../src/merge/mergekit/export";
import { importMergekit } from "../../../../src/merge/mergekit/import";
import { methodOf, resolveParams } from "../../../../src/merge/methods";
import { mergekitCorpus } from "../../../support/mergekitCorpus";

describe("mergekit files", () => {
  test.each(mergekitCorpus.map((c) => [c.name, c] as const))("%s", (_, want) => {
    const { recipe, findings } = importMergekit(want.yaml);
    expect(recipe.method).toBe(want.method);
    expect(recipe.base).toEqual({ name: want.base });
    expect(recipe.models).toEqual(want.models);
    expect(recipe.params).toEqual({ ...resolveParams(methodOf(want.method), {}), ...want.params });
    expect(recipe.vary).toEqual(want.vary);
    expect(recipe.output.dtype).toBe(want.dtype);
    expect(recipe.reconciliation).toMatchObject({ context: "base", tokenizer: want.tokenizer ?? "base", generationConfig: "base", clashRows: "mix" });
    expect(findings.map((f) => f.code)).toEqual(want.findings);
    for (const { line, column } of findings) expect([typeof line, typeof column]).toEqual(["number", "number"]);
  });

  test.each(mergekitCorpus.map((c) => [c.name, c] as const))("%s: written and read again, it is the same recipe", (_, { yaml }) => {
    const { recipe } = importMergekit(yaml);
    expect(importMergekit(exportMergekit(recipe).text).recipe).toEqual(recipe);
  });

  test("tell unknown and ignored keys with where they stand", () => {
    const { findings } = importMergekit(`merge_method: slerp
base_model: a
models: [{model: a, nickname: x}, {model: b, parameters: {t: 0.5}}]
paramters: {t: 0.3}
parameters:
  t:
    - pattern: mlp
      value: 0.2
    - value: 0.5
  density: 0.5
  wieght: 1
seed: 3
`);
    expect(findings.map(({ severity, code, path, line, column }) => [severity, code, path, line, column])).toEqual([
      ["warn", "unknown-key", "models[0].nickname", 3, 21],
      ["warn", "ignored-key", "models[1].parameters.t", 3, 59],
      ["warn", "unknown-key", "paramters", 4, 1],
      ["warn", "unknown-key", "parameters.t[0].pattern", 7, 7],
      ["info", "idle-rule", "parameters.t[1]", 9, 7],
      ["info", "ignored-key", "parameters.density", 10, 3],
      ["warn", "unknown-key", "parameters.wieght", 11, 3],
      ["warn", "unknown-key", "seed", 12, 1],
    ]);
    expect(findings[2]!.sentence).toContain('did you mean "parameters"?');
  });

  test("check a slice against the layers that are known", () => {
    const yaml = mergekitCorpus[0]!.yaml;
    expect(importMergekit(yaml, () => 40).findings.map((f) => f.code)).toEqual(["arithmetic"]);
    expect(refusal(() => importMergekit(yaml, () => 48)).message).toContain("slices[0].sources[0].layer_range takes 40 of the 48 layers of lab/writer-13b, at line 5 column 22");
  });
});

const refusal = (run: () => unknown): StudioError => {
  try {
    run();
  } catch (error) {
    if (error instanceof StudioError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
};

const head = "merge_method: ties\nbase_model: a\nmodels:\n";
test.each([
  ["a tab in the indentation", "models:\n\t- a\n", "", 2, /is no YAML that can be used/],
  ["nothing", "# only a comment\n", "", 1, /there is nothing in it/],
  ["two documents", "merge_method: ties\n---\nmerge_method: slerp\n", "", 3, /2 documents, expected one/],
  ["a key given twice", "merge_method: ties\nmerge_method: slerp\n", "", 2, /unique/],
  ["a list", "- model: a\n", "", 1, /is a list, expected a map/],
  ["no method", "models: []\n", "", 1, /has no merge_method/],
  ["a method nobody has", "merge_method: tise\n", "merge_method", 1, /did you mean "ties"/],
  ["no base", "merge_method: ties\nmodels: [{model: a, parameters: {weight: 1}}]\n", "", 1, /has no base_model/],
  ["no models", "merge_method: ties\nbase_model: a\n", "", 1, /neither models nor slices/],
  ["a model twice", `${head}  - {model: b, parameters: {weight: 1}}\n  - {model: b, parameters: {weight: 1}}\n`, "models[1].model", 5, /listed twice/],
  ["too few models", "merge_method: model_stock\nbase_model: a\nmodels:\n  - {model: b}\n", "models", 4, /names 1 models beside the base; Model Stock takes 2 to 8/],
  ["a LoRA", `${head}  - {model: b+lora, parameters: {weight: 1}}\n`, "models[0].model", 4, /LoRA/],
  ["no weight", `${head}  - {model: b, parameters: {density: 0.5}}\n`, "models[0].model", 4, /has no weight/],
  ["a weight for some tensors only", `${head}  - {model: b, parameters: {weight: [{filter: mlp, value: 1}]}}\n`, "models[0].parameters.weight", 4, /only rules with a filter/],
  ["a weight in quotes", `${head}  - {model: b, parameters: {weight: "0.5"}}\n`, "models[0].parameters.weight", 4, /without quotes/],
  ["a list of words", `${head}  - {model: b, parameters: {weight: [a, b]}}\n`, "models[0].parameters.weight[0]", 4, /is "a", expected a number/],
  ["a rule without a value", `${head}  - {model: b, parameters: {weight: [{filter: mlp}]}}\n`, "models[0].parameters.weight[0]", 4, /has no value/],
  ["a density above 1", `${head}  - {model: b, parameters: {weight: 1, density: 1.5}}\n`, "models[0].parameters.density", 4, /holds 1.5, expected a number from 0 to 1/],
  ["another epsilon of ram", "merge_method: ram\nbase_model: a\nmodels: [{model: b}]\nparameters: {epsilon: 0.1}\n", "parameters.epsilon", 4, /takes 0.00001 here/],
  ["normalize by tensor", `${head}  - {model: b, parameters: {weight: 1}}\nparameters: {normalize: [1, 0]}\n`, "parameters.normalize", 5, /true or false for all tensors/],
  ["no t", "merge_method: slerp\nbase_model: a\nmodels: [{model: b}]\n", "", 1, /has no "t"/],
  ["layers of several models", "merge_method: passthrough\nslices:\n  - sources: [{model: a, layer_range: [0, 16]}]\n  - sources: [{model: b, layer_range: [8, 24]}]\n", "slices[1]", 4, /put together from layers/],
  ["some layers only", "merge_method: passthrough\nslices:\n  - sources: [{model: a, layer_range: [4, 16]}]\n", "slices[0].sources[0].layer_range", 3, /begins at layer 4/],
  ["modules", "merge_method: linear\nmodules: {text: {}}\n", "modules", 2, /multimodal/],
  ["a dtype nobody has", `${head}  - {model: b, parameters: {weight: 1}}\ndtype: int4\n`, "dtype", 5, /expected float32, bfloat16 or float16/],
  ["an alias that holds itself", "merge_method: linear\nmodels: &m\n  - *m\n", "", 3, /aliases/],
])("refuse %s", (_, yaml, path, line, sentence) => {
  const error = refusal(() => importMergekit(yaml));
  expect(error.message).toMatch(sentence);
  expect(error.code).toBe("bad-recipe");
  expect(error.details).toMatchObject({ path, line });
});
