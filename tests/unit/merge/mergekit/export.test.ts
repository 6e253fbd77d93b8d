import { describe, expect, test } from "vitest";
import type { ModelRef, Recipe } from "../../../../src/core/recipe";
import type { Shape, TensorRow } from "../../../../src/core/shape";
import { valueAt } from "../../../../src/core/varying";
import { parseYaml, type YamlNode } from "../../../../src/formats/yaml";
import { exportMergekit } from "../../../../src/merge/mergekit/export";
import { importMergekit } from "../../../../src/merge/mergekit/import";
import { rulesPerLayer } from "../../../../src/merge/mergekit/layerWeights";
import { METHODS, resolveParams } from "../../../../src/merge/methods";

const recipe = (method: string, params: Recipe["params"] = {}, change: Partial<Recipe> = {}): Recipe => ({
  version: 1, method, params,
  base: { name: "base" }, models: [{ name: "tuned" }],
  reconciliation: { tied: "untie", context: "base", tokenizer: "base", chatTemplate: "base", generationConfig: "base", clashRows: "mix" },
  output: { dtype: "BF16", maxShardBytes: 5e9, name: "merged" },
  ...change,
});
const models = (...names: string[]): ModelRef[] => names.map((name, i) => ({ name, weight: 0.25 * (i + 1) }));

function plain(node: YamlNode): unknown {
  if (node.kind === "map") return Object.fromEntries(node.entries.map((e) => [e.key, plain(e.value)]));
  return node.kind === "list" ? node.items.map(plain) : node.value;
}
const written = (text: string) => plain(parseYaml(text)) as { merge_method: string; base_model?: string; models: { model: string; parameters?: Record<string, unknown> }[]; parameters?: Record<string, unknown>; dtype?: string; out_dtype?: string };

const row = (name: string, layer: number | undefined, alpha: number, kept?: number): TensorRow => ({ name, role: "other", layer, elements: 4, fisherMean: 1, delta2Mean: 1, threshold: kept === undefined ? undefined : 1, kept, delta2ShareKept: undefined, alpha, rho: undefined, calibrated: false });
const ALPHAS = [0.5, 0.589329, 0.7];
const OUTSIDE = 0.589329;
/** Three layers with a gate at 0.7 of their alpha, as FIM-TIES has it; norms and biases are not trimmed. */
const rows: TensorRow[] = [
  row("model.embed_tokens.weight", undefined, OUTSIDE),
  ...ALPHAS.flatMap((a, l) => [
    row(`model.layers.${l}.self_attn.q_proj.weight`, l, a, 0.2),
    row(`model.layers.${l}.self_attn.q_proj.bias`, l, a),
    row(`model.layers.${l}.mlp.gate_proj.weight`, l, 0.7 * a, 0.2),
    row(`model.layers.${l}.mlp.up_proj.weight`, l, a, 0.2),
    row(`model.layers.${l}.input_layernorm.weight`, l, a),
  ]),
  row("model.norm.weight", undefined, OUTSIDE),
  row("lm_head.weight", undefined, OUTSIDE),
];
const shape = (moved = 0): Shape => ({ experts: [{ name: "tuned", layers: [], tensors: rows, outsideAlpha: OUTSIDE, reachable: undefined, theta: undefined, median: undefined }], sentence: "", calibration: { mode: "frobenius", tested: 15, moved }, complete: true, needsPass: false, warnings: [] });
const untrimmed: Shape = { ...shape(), experts: [{ ...shape().experts[0]!, tensors: rows.map(({ kept: _, ...r }) => ({ ...r, kept: undefined })) }] };

describe("layer weights", () => {
  test("rules give every tensor its own number, at mergekit's depth", () => {
    const rules = rulesPerLayer(rows, (r) => r.alpha)!;
    for (const r of rows) expect(valueAt(rules, { name: r.name, layer: r.layer, layers: 3 }), r.name).toBeCloseTo(r.alpha!, 9);
    expect(rules).toEqual([
      { filter: "mlp.gate_proj.weight", value: ALPHAS.map((a) => Number((0.7 * a).toPrecision(9))) },
      { filter: "model.layers.", value: ALPHAS },
      { value: OUTSIDE },
    ]);
  });
  test("one number where all are alike, none where one is unknown", () => {
    expect(rulesPerLayer(rows, () => 0.3)).toBe(0.3);
    expect(rulesPerLayer(rows, (r) => (r.layer === 1 ? undefined : 1))).toBeUndefined();
    expect(rulesPerLayer([], () => 1)).toBeUndefined();
  });
  test("a tensor outside with a number of its own stands by name", () => {
    const rules = rulesPerLayer(rows, (r) => (r.name === "lm_head.weight" ? 0 : r.layer === undefined ? 1 : 0.5));
    expect(rules).toEqual([{ filter: "lm_head.weight", value: 0 }, { filter: "model.layers.", value: 0.5 }, { value: 1 }]);
  });
});

describe("mergekit YAML of", () => {
  test("FIM-TA is task arithmetic with a value per layer", () => {
    const { text, exact } = exportMergekit(recipe("fim-ta"), { shape: untrimmed });
    const { merge_method, base_model, models, parameters, dtype, out_dtype } = written(text);
    expect({ merge_method, base_model, parameters, dtype, out_dtype }).toEqual({ merge_method: "task_arithmetic", base_model: "base", parameters: { normalize: false }, dtype: "float32", out_dtype: "bfloat16" });
    expect(models).toEqual([{ model: "tuned", parameters: { weight: rulesPerLayer(rows, (r) => r.alpha) } }]);
    expect(exact).toBe(true);
  });
  test("FIM-TIES is TIES without normalize, with what it cannot say at the head", () => {
    const { text, exact, findings } = exportMergekit(recipe("fim-ties", { r: 0.2 }), { shape: shape(3) });
    const file = written(text);
    expect(file.merge_method).toBe("ties");
    expect(file.parameters).toEqual({ normalize: false });
    expect(file.models[0]!.parameters!.density).toEqual(rulesPerLayer(rows, (r) => (r.kept === undefined ? 1 : 0.2)));
    expect(exact).toBe(false);
    expect(findings.filter((f) => f.severity === "warn").map((f) => f.code)).toEqual(["calibration", "trim"]);
    for (const { sentence } of findings) expect(text.replace(/\n# +/g, " ")).toContain(sentence);
    expect(importMergekit(text).findings.map((f) => f.code)).not.toContain("weight-cancels");
  });
  test("a share that depends on the size takes the size", () => {
    const density = (parameters: number) => JSON.stringify(written(exportMergekit(recipe("fim-ties", { r: "auto" }), { shape: shape(), parameters }).text).models[0]!.parameters!.density);
    expect(density(1.5e9)).toContain("0.2");
    expect(density(7e9)).toContain("0.4");
  });

  test.each(METHODS.map((m) => m.id))("%s can be read again, and says so when it is another merge", (id) => {
    const method = METHODS.find((m) => m.id === id)!;
    const names = ["tuned", "other", "third"].slice(0, Math.max(method.needs.minModels, Math.min(2, method.needs.maxModels)));
    const given = recipe(id, {}, { models: models(...names) });
    const many = { ...shape(1), experts: names.map((name) => ({ ...shape().experts[0]!, name })) };
    const { text, exact } = exportMergekit(given, { shape: many });
    const again = importMergekit(text);
    // Its own cut of TIES, and its own rescaling of DARE.
    const its = { ties: { keepRule: "mergekit" }, dare_linear: { rescale: "l1-match" }, dare_ties: { rescale: "l1-match" } }[id] ?? {};
    if (again.recipe.method === id) expect(again.recipe.params, text).toEqual({ ...resolveParams(method, {}), ...its });
    else expect(exact, text).toBe(false);
    if (again.recipe.method === id) expect(again.recipe.models, text).toEqual("weight" in again.recipe.models[0]! ? given.models : names.map((name) => ({ name })));
    expect(again.findings.filter((f) => f.severity === "warn").map((f) => f.code)).toEqual([]);
  });

  test.each([
    ["ties", { density: 0.3, keepRule: "mergekit" }, true, []],
    ["ties", { density: 0.3, divisor: "count", weights: "ignore", keepRule: "mergekit" }, true, []],
    ["ties", { density: 0.3, scope: "model", keepRule: "official", zero: "majority", elect: "count", divisor: "count" }, false, ["scope", "keep-rule", "elect", "zero", "divisor"]],
    ["dare_linear", { rescale: "inverse-keep" }, false, ["rescale"]],
    ["dare_linear", { rescale: "l1-match" }, true, []],
  ] as const)("%s %j: exact %j", (method, params, exact, codes) => {
    const result = exportMergekit(recipe(method, params, { models: models("tuned", "other") }));
    expect(result.exact).toBe(exact);
    expect(result.findings.filter((f) => f.severity === "warn").map((f) => f.code)).toEqual(codes);
  });

  test("one TIES model divided by its number keeps its weight: normalize is off", () => {
    expect(written(exportMergekit(recipe("ties", { divisor: "count" }, { models: [{ name: "tuned", weight: 0.7 }] })).text).parameters).toMatchObject({ normalize: false });
    expect(written(exportMergekit(recipe("ties", { divisor: "weights" }, { models: [{ name: "tuned", weight: 0.7 }] })).text).parameters).toMatchObject({ normalize: true });
  });
  test("a base outside the mean has the weight 0 and still gives the config", () => {
    const file = written(exportMergekit(recipe("linear", { includeBase: false })).text);
    expect(file.models).toEqual([{ model: "base", parameters: { weight: 0 } }, { model: "tuned", parameters: { weight: 1 } }]);
    expect(file.base_model).toBeUndefined();
  });
  test("tensors left to the base have weight 0 where the pattern is part of a name", () => {
    const given = recipe("task-arithmetic", {}, { tensors: { exclude: ["*norm*", "lm_*"] }, models: [{ name: "tuned", weight: [0, 1] }] });
    const { text, findings } = exportMergekit(given);
    expect(written(text).models[0]!.parameters!.weight).toEqual([{ filter: "norm", value: 0 }, { value: [0, 1] }]);
    expect(findings.map(({ severity, code }) => [severity, code])).toEqual([["warn", "tensors"], ["info", "tensors"]]);
    expect(findings[0]!.sentence).toContain("lm_*");
  });
  test("stages, rows and vocabularies that mergekit cannot do are told", () => {
    const given = recipe("task-arithmetic", {}, { then: [{ method: "aim", params: {} }] });
    given.reconciliation = { ...given.reconciliation, rows: { "3": "base" }, vocabulary: "common", context: "max", tied: "tie-as-base" };
    const { findings } = exportMergekit(given);
    expect(findings.map(({ severity, code }) => [severity, code])).toEqual([["warn", "stage"], ["info", "files"], ["warn", "head"], ["warn", "rows"], ["warn", "vocabulary"]]);
  });
  test("names and numbers that YAML reads as something else are written so that it does not", () => {
    const given = recipe("multislerp", { eps: 1e-8 }, { base: { name: "no" }, models: [{ name: "a b: c", weight: 1 }, { name: "1.0", weight: 1e-7 }] });
    const { text } = exportMergekit(given);
    expect(text).toContain("eps: 1.0e-8");
    const file = written(text);
    expect([file.base_model, ...file.models.map((m) => m.model)]).toEqual(["no", "a b: c", "1.0"]);
    expect(file.models[1]!.parameters!.weight).toBe(1e-7);
  });
  test("Sens-Merging is task arithmetic with what it measured", () => {
    const { text, exact } = exportMergekit(recipe("sens-merging"), { shape: untrimmed });
    expect([written(text).merge_method, exact]).toEqual(["task_arithmetic", true]);
  });
  test("recipes that are not measured yet are the plain mean, and say so", () => {
    const { text, findings } = exportMergekit(recipe("fim-ta"));
    expect(written(text).merge_method).toBe("linear");
    expect(findings[0]).toMatchObject({ severity: "warn", code: "nearest" });
  });
});
