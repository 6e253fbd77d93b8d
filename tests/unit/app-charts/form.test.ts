import { describe, expect, test } from "vitest";
import { layerForKey } from "../../../src/app/charts/cursor";
import { hasSlider, numberText, parseNumber, sliderPercent, sliderStep } from "../../../src/app/panels/shape/paramText";
import { passFacts, passSentence, quantitiesOf, shapeState, emptyRows } from "../../../src/app/panels/shape/shapeModel";
import { hashGroups, nameProblem, reportText, shardChoices, verdictOf } from "../../../src/app/panels/save/saveModel";
import type { NumberSpec } from "../../../src/core/params";
import type { Recipe } from "../../../src/core/recipe";
import type { ExportReport, MethodInfo, Shape } from "../../../src/engine/api";

const spec = (extra: Partial<NumberSpec> = {}): NumberSpec => ({ kind: "number", label: "r", help: "", effect: "pass", default: 0.2, min: 0, max: 1, step: 0.01, ...extra });
const integer = spec({ integer: true, default: 8, min: 1, max: 64, step: 1 });

describe("number boxes", () => {
  test("take what people type", () => {
    expect(parseNumber("0.35", spec())).toEqual({ ok: true, value: 0.35 });
    expect(parseNumber(" ,5 ", spec())).toEqual({ ok: true, value: 0.5 });
    expect(parseNumber("−0.5", spec({ min: -1 }))).toEqual({ ok: true, value: -0.5 });
    expect(parseNumber("1e-3", spec())).toEqual({ ok: true, value: 0.001 });
  });
  test.each([["1.7", "Between 0 and 1."], ["", "A number. Between 0 and 1."], ["abc", "A number. Between 0 and 1."], ["NaN", "A number. Between 0 and 1."], ["Infinity", "A number. Between 0 and 1."]])("refuse %j with a sentence", (text, sentence) => {
    expect(parseNumber(text, spec())).toEqual({ ok: false, sentence });
  });
  test("refuse a fraction where a whole number is meant", () => {
    expect(parseNumber("2.5", integer)).toEqual({ ok: false, sentence: "A whole number. Between 1 and 64." });
  });
  test("show two decimals, or as many as there are", () => {
    expect(numberText(0.7, spec())).toBe("0.70");
    expect(numberText(0.125, spec())).toBe("0.125");
    expect(numberText(8, integer)).toBe("8");
    expect(numberText(1e-8, spec())).toBe("1e-8");
    expect(numberText(0.000001, spec())).toBe("1e-6");
  });
  test("what is shown reads back as the value", () => {
    for (const v of [0, 0.2, 0.05, 0.333, 1, 1e-7]) expect(parseNumber(numberText(v, spec()), spec())).toEqual({ ok: true, value: v });
  });
  test("sliders", () => {
    expect(hasSlider(spec())).toBe(true);
    expect(hasSlider(integer)).toBe(false);
    expect(sliderPercent(0.2, spec())).toBe(20);
    expect(sliderPercent(5, spec())).toBe(100);
    expect(sliderStep(spec({ step: undefined as never }))).toBe(0.01);
  });
});

const method: MethodInfo = { id: "fim-ties", label: "FIM-TIES", kind: "Fisher-weighted", summary: "", formula: "", source: "", needs: { base: true, fisher: true, minModels: 1, maxModels: 4 }, presets: [], params: { r: spec(), N: integer, len: spec({ integer: true, default: 64, max: 512 }), seed: spec({ integer: true, default: 42, max: 2 ** 32 - 1 }), gateFactor: spec({ default: 0.7 }) } };
const dataFree: MethodInfo = { ...method, id: "linear", label: "Linear", needs: { ...method.needs, fisher: false }, params: {} };
const recipe: Recipe = { version: 1, method: "fim-ties", base: { id: "b", name: "base" }, models: [{ id: "t", name: "tuned" }], params: { r: 0.4, N: 8 }, reconciliation: { tied: "untie", context: "max", tokenizer: "base", chatTemplate: "base", generationConfig: "base", clashRows: "mix" }, output: { dtype: "base", maxShardBytes: 5e9, name: "merged" } };
const stored = [{ id: "b", bytes: 3e9 }, { id: "t", bytes: 4e9 }] as never;

describe("shape step", () => {
  const shape = (needsPass: boolean) => ({ needsPass }) as Shape;
  test("states", () => {
    expect(shapeState({ recipe: undefined, shape: undefined, measuring: undefined, everMeasured: false })).toBe("empty");
    expect(shapeState({ recipe, shape: undefined, measuring: undefined, everMeasured: false })).toBe("loading");
    expect(shapeState({ recipe, shape: shape(true), measuring: "job", everMeasured: true })).toBe("running");
    expect(shapeState({ recipe, shape: shape(true), measuring: undefined, everMeasured: false })).toBe("ready");
    expect(shapeState({ recipe, shape: shape(true), measuring: undefined, everMeasured: true })).toBe("stale");
    expect(shapeState({ recipe, shape: shape(false), measuring: undefined, everMeasured: true })).toBe("done");
  });
  test("what the pass will do", () => {
    expect(passFacts(recipe, method, stored)).toEqual({ inputs: "8 × 64", sequences: 8, tokens: 512, seed: 42, readBytes: 7e9 });
    expect(passFacts({ ...recipe, tokens: [[1, 2, 3], [4, 5]] }, method, stored)).toMatchObject({ inputs: "2 × 2–3", tokens: 5, seed: undefined });
    expect(passFacts(recipe, dataFree, stored)).toMatchObject({ inputs: undefined, readBytes: 7e9 });
    expect(passSentence(method, passFacts(recipe, method, stored), false)).toMatch(/^Eight random sequences go forward and backward/);
    expect(passSentence(method, { ...passFacts(recipe, method, stored), sequences: 1 }, true)).toMatch(/^One given sequence goes/);
    expect(passSentence(dataFree, passFacts(recipe, dataFree, stored), false)).toContain("No gradients");
  });
  test("numbers a method has", () => {
    expect(quantitiesOf(method, emptyRows(2))).toEqual(["alpha", "gateAlpha", "fisher", "delta2", "s", "kept", "delta2ShareKept"]);
    expect(quantitiesOf(dataFree, emptyRows(2))).toEqual(["alpha", "delta2"]);
    expect(quantitiesOf(dataFree, [{ ...emptyRows(1)[0]!, kept: 0.2 }])).toEqual(["alpha", "delta2", "kept"]);
  });
});

describe("layer keys", () => {
  test("move the cursor", () => {
    const at = { layer: 14, layers: 28 };
    expect(["ArrowLeft", "ArrowRight", "Home", "End", "a"].map((key) => layerForKey(key, at))).toEqual([13, 15, 0, 27, undefined]);
  });
});

describe("save step", () => {
  const report: ExportReport = { name: "m", files: [{ path: "a.safetensors", bytes: 5, from: "", sha256: "ab".repeat(32) }], totalBytes: 5, elapsedMs: 12400, recipeHash: "7f3a", tiles: { compared: 64, equal: 64 }, checks: [{ id: "parse", label: "Files parse", found: "ok", verdict: "pass" }] };
  test("calls verified only what was verified", () => {
    expect(verdictOf(report)).toMatchObject({ tone: "ok", title: "Written and verified", lead: "64 of 64 tiles equal, byte for byte." });
    expect(verdictOf({ ...report, tiles: { compared: 64, equal: 63 } })).toMatchObject({ tone: "block", failed: 1, title: "Written, but not right" });
    const rounded: ExportReport = { ...report, tiles: { compared: 64, equal: 63 }, checks: [{ id: "tiles", label: "Tiles", found: "", verdict: "pass" }] };
    expect(verdictOf(rounded), "a hardware GPU rounds its own way").toMatchObject({ tone: "ok", lead: "63 of 64 tiles equal, byte for byte.", sentence: "The others differ from a second computation on the CPU by no more than rounding." });
    expect(verdictOf({ ...report, checks: [{ ...report.checks[0]!, verdict: "fail" }] })).toMatchObject({ tone: "block", lead: "1 check failed." });
    expect(verdictOf({ ...report, checks: [...report.checks, { id: "x", label: "x", found: "", verdict: "skipped" }] })).toMatchObject({ tone: "warn", skipped: 1 });
    expect(verdictOf({ ...report, tiles: { compared: 0, equal: 0 } }).tone).toBe("warn");
  });
  test("the copied report has every check and every whole hash", () => {
    const text = reportText(report);
    expect(text).toContain("PASS    Files parse  ok");
    expect(text).toContain(`${"ab".repeat(32)}  5  a.safetensors`);
    expect(hashGroups("ab".repeat(32))).toBe("abab abab abab … abab");
  });
  test("names that are no folder", () => {
    expect(nameProblem("qwen2.5-1.5b-fim-ties")).toBeUndefined();
    for (const bad of ["", "  ", "a/b", "a\\b", "..", "a.", "a:b"]) expect(nameProblem(bad)).toBeTypeOf("string");
  });
  test("the shard limit of the recipe can always be chosen", () => {
    expect(shardChoices(3_500_000_000).map((c) => c.label)).toEqual(["1 GB", "2 GB", "3.50 GB", "5 GB", "10 GB"]);
    expect(shardChoices(5e9)).toHaveLength(4);
  });
});
