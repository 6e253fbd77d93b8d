import { describe, expect, test } from "vitest";
import { frontMatter } from "../../../src/analysis/facts";
import { modelCard, type CardInput } from "../../../src/export/modelCard";
import { tinyRecipe } from "../../support/recipes";

const input: CardInput = {
  recipe: tinyRecipe(), recipeHash: "7f3a000000000000", method: { label: "FIM-TIES", summary: "Layers that matter less take more.", source: "https://arxiv.org/abs/2603.21705" },
  base: { name: "math: 1|5B", licence: "Apache-2.0" }, tuned: [{ name: "r1", licence: "MIT" }],
  plan: { parameters: 1777088000, tensorBytes: 3554176000, tied: false, shards: [1] },
  shape: { experts: [{ name: "r1", layers: [{ layer: 0, alpha: 0.5, gateAlpha: 0.35, fisher: 0.004, delta2: 1e-4, kept: 0.2 }, { layer: 1, alpha: undefined, gateAlpha: undefined, fisher: undefined, delta2: undefined, kept: undefined }], outsideAlpha: 0.61, theta: 0.12 }], calibration: { mode: "frobenius", tested: 14, moved: 1 } },
  checks: [{ label: "Headers", found: "339 tensors", verdict: "pass" }],
};
const licences = (base: string | undefined, tuned: string | undefined) => modelCard({ ...input, base: { name: "b", licence: base }, tuned: [{ name: "t", licence: tuned }] });

test("front matter is what a hub reads", () => {
  expect(modelCard(input)).toMatch(/^---\nbase_model:\n- "math: 1\|5B"\n- "r1"\nlicense: other\nlicense_name: "apache-2\.0-and-mit"\nlibrary_name: transformers\ntags:\n- merge\n- fim-ties\n- tributary\n---\n\n# merged\n/);
});
test("table, settings, choices, calibration and checks", () => {
  const text = modelCard(input);
  expect(text).toContain("| 0 | 0.5000 | 0.3500 | 4.00e-3 | 1.00e-4 | 20.0 % |");
  expect(text).toContain("| 1 | – | – | – | – | – |");
  expect(text).toContain("| r | 0.2 |");
  expect(text).toContain("1 of 14 tensors");
  expect(text).toContain("both output heads are merged");
  expect(text).toContain("| Headers | 339 tensors | passed |");
  expect(text).toContain("1,777,088,000 parameters");
  expect(text).toContain("7f3a000000000000");
});
describe("licences", () => {
  test("one", () => expect(frontMatter(licences("MIT", "MIT"), "license")).toBe("mit"));
  test("two free ones", () => expect(licences("MIT", "Apache-2.0")).toContain("compatible; keep both notices"));
  test("a conflict", () => expect(licences("Apache-2.0", "CC-BY-NC-4.0")).toContain("The licences differ"));
  test("none", () => {
    expect(frontMatter(licences(undefined, undefined), "license")).toBeUndefined();
    expect(licences(undefined, undefined)).toContain("None of the source models states a licence");
  });
  test("one silent", () => expect(licences("MIT", undefined)).toContain("t states none"));
});
test("calibration text is named, with its draw", () => {
  const calibration = { source: "given" as const, name: "set.jsonl, field question", texts: ["1+1"], samples: 1000, maxTokens: 512, seed: 7 };
  expect(modelCard({ ...input, recipe: { ...tinyRecipe(), calibration } })).toContain("- Calibration text: set.jsonl, field question, which the recipe carries; 1,000 texts drawn with seed 7, at most 512 tokens of each.");
  expect(modelCard(input)).not.toContain("Calibration text");
});
test("a method without layers, before anything is checked", () => {
  const { shape: _, checks: __, ...rest } = input;
  const text = modelCard(rest);
  expect(text).not.toContain("How much each layer takes");
  expect(text).toContain("Nothing has been verified.");
});
test("what else was chosen, and tensors that were copied or left out, are listed", () => {
  const recipe = tinyRecipe({ reconciliation: { vocabulary: "base", rows: { 5: "finetuned", 9: "mix" }, stopIds: "base" } });
  const tower = [0, 1].map((i) => ({ name: `vision_tower.layers.${i}.up.weight`, action: "copy" as const, reason: "a fine-tuned model has no tensor of this name" }));
  const text = modelCard({ ...input, recipe, plan: { ...input.plan, vocab: 24, tensors: [...tower, { name: "a", action: "merge", reason: "" }], dropped: ["v_head.weight"] } });
  expect(text).toContain("- The vocabularies differ in size: the result has 24 token rows, the base's; rows that not all models have are copied from it.");
  expect(text).toContain("- Embedding rows of single ids: 5 the fine-tuned model's, 9 merged.");
  expect(text).toContain("- Stop ids: the base's.");
  expect(text).toContain("- Copied, not merged (a fine-tuned model has no tensor of this name): vision_tower.layers.\\* (2 tensors).");
  expect(text).toContain("- Only in a fine-tuned model, and left out: v_head.weight.");
  expect(modelCard(input)).not.toContain("Copied, not merged");
});
test("stages after the merge are told in their order, each with its settings and source", () => {
  const text = modelCard({ ...input, recipe: { ...tinyRecipe(), then: [{ method: "aim", params: { omega: 0.3 } }, { method: "acm", params: {} }] } });
  expect(text).toContain("with FIM-TIES, then AIM, then ACM, made with Tributary.");
  expect(text).toMatch(/- Stage 1 after the merge, AIM \(omega 0\.3\): Takes the merged model back .*Source: https:\/\/arxiv\.org\/abs\/2502\.02421\n- Stage 2 after the merge, ACM: /);
  expect(modelCard(input)).not.toContain("Stage 1");
});
