import { describe, expect, test } from "vitest";
import { curveColumns, curveReading, curvesOf, curveSummary, curveText, outsideText, type CurveTensor } from "../../../src/app/charts/curves";
import { canVary, converted, modeOf, numberAt, parseList, placeText, ruleCounts, variedPlaces, varyingAt, WEIGHT } from "../../../src/app/panels/shape/varying";
import { toCsv } from "../../../src/app/charts/csv";
import { methodInfo, methodOf, resolveParams, settingsOf } from "../../../src/merge/methods";
import { describeTensor } from "../../../src/model/roles";
import type { Recipe, Varying } from "../../../src/core/recipe";
import { tinyRecipe } from "../../support/recipes";

const LAYERS = 4;
const names = ["model.embed_tokens.weight", ...Array.from({ length: LAYERS }, (_, l) => ["input_layernorm", "self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj"].map((p) => `model.layers.${l}.${p}.weight`)).flat(), "model.layers.0.self_attn.q_proj.bias", "model.norm.weight", "lm_head.weight"];
const tensors: CurveTensor[] = names.map((name) => ({ name, role: describeTensor(name).role, layer: describeTensor(name).layer, elements: name.includes("q_proj.weight") ? 30 : 10 }));
const recipe = (change: Partial<Recipe>): Recipe => ({ ...tinyRecipe({ method: "della", params: {} }), models: [{ name: "A" }, { name: "B" }], ...change });
const della = methodInfo(methodOf("della"));
const curves = (r: Recipe, place: Parameters<typeof numberAt>[2]) => curvesOf(tensors, LAYERS, (t) => numberAt(r, della.params, place, { name: t.name, layer: t.layer, layers: LAYERS }));

describe("curves", () => {
  test("kinds with the same numbers are one line", () => {
    const all = curves(recipe({ vary: { density: [0.2, 0.8] } }), { param: "density" });
    expect(all.series).toEqual([{ key: "s0", label: "every tensor" }]);
    expect(all.rows.map((r) => r.s0)).toEqual([0.2, 0.4, 0.6, 0.8].map((v) => expect.closeTo(v, 12) as number));
    expect(all.mixed).toBe(false);
    expect(outsideText(all.outside)).toBe("embed_tokens, norm and lm_head 0.2");
    const kinds = curves(recipe({ vary: { density: [{ filter: "mlp", value: [1, 0.7] }, { filter: "lm_head", value: 0.9 }, { value: 0.5 }] } }), { param: "density" });
    expect(kinds.series.map((s) => s.label)).toEqual(["attention, norms", "MLP"]);
    expect(kinds.rows[3]).toEqual({ layer: 3, s0: 0.5, s1: 0.7 });
    expect(outsideText(kinds.outside)).toBe("embed_tokens and norm 0.5, lm_head 0.9");
    expect(curveSummary("Density", kinds)).toBe("Density per layer: attention, norms 0.5; MLP from 0.7 to 1.");
    expect(curveReading(kinds).text(kinds.rows[3]!)).toBe("attention, norms 0.5, MLP 0.7");
    expect(toCsv(curveColumns(kinds), kinds.rows.slice(3))).toBe("layer,attention_norms,MLP\r\n3,0.5,0.7\r\n");
  });

  test("tensors of a kind that differ are drawn as their mean over the entries", () => {
    const mixed = curves(recipe({ vary: { density: [{ filter: "o_proj", value: 0.9 }, { value: 0.5 }] } }), { param: "density" });
    expect(mixed.mixed).toBe(true);
    expect(mixed.rows[1]!.s0).toBeCloseTo((30 * 0.5 + 10 * 0.9) / 40, 14);
  });

  test("a word has no number, so there is no line", () => expect(curvesOf(tensors, LAYERS, () => undefined)).toMatchObject({ series: [], rows: [{ layer: 0 }, { layer: 1 }, { layer: 2 }, { layer: 3 }] }));
  test("numbers are written as they are typed", () => expect([0.5, 1, 0.12345, -2, 10, undefined].map(curveText)).toEqual(["0.5", "1", "0.1235", "−2", "10", "–"]));
});

test("what is drawn is what the engine tells the method, for every tensor and model", () => {
  const change: Partial<Recipe> = {
    vary: { density: [{ filter: "mlp", value: [0.3, 0.6, 0.4] }], lambda: [0, 1] },
    models: [{ name: "A", weight: [0.1, 0.7, 0.2] }, { name: "B", weight: 0.5, params: { density: [0.2, 0.8], epsilon: [{ filter: "q_proj", value: 0.1 }, { value: 0.05 }] } }],
  };
  const r = recipe(change);
  const settings = settingsOf(methodOf("della"), r, resolveParams(methodOf("della"), {}), LAYERS);
  for (const t of tensors) {
    const told = settings.at(t);
    const place = { name: t.name, layer: t.layer, layers: LAYERS };
    const number = (p: Parameters<typeof numberAt>[2]) => numberAt(r, della.params, p, place);
    expect(number({ param: "lambda" })).toBe(told.params.lambda);
    for (const model of [0, 1]) {
      expect(number({ model })).toBe(told.weights[model]);
      for (const param of ["density", "epsilon"]) expect(number({ param, model })).toBe(told.models[model]![param]);
    }
  }
});

describe("the editor", () => {
  test("lists every place that differs", () => {
    const r = recipe({ vary: { lambda: [0, 1] }, models: [{ name: "A", weight: [0, 1] }, { name: "B", weight: 0.5, params: { density: 0.7 } }] });
    expect(variedPlaces(r, della)).toEqual([
      { id: "lambda", name: "Scale λ", place: { param: "lambda" } },
      { id: "0", name: "Weight of A", place: { model: 0 } },
      { id: "1 density", name: "Kept, density, B", place: { param: "density", model: 1 } },
    ]);
    expect(placeText(r, "density")).toBe("B: 0.7");
    expect([varyingAt(r, { model: 0 }), varyingAt(r, { model: 1 }), varyingAt(r, { param: "density", model: 1 }), varyingAt(r, { param: "epsilon" })]).toEqual([[0, 1], undefined, 0.7, undefined]);
  });

  test("knows the form of a setting, and turns one into another", () => {
    const rules: Varying = [{ filter: "mlp", value: 1 }, { value: [0.2, 0.4] }];
    expect([undefined, 0.5, [0.5], [0, 1], [0, 1, 2, 3], rules].map((v) => modeOf(v, 4))).toEqual(["number", "number", "list", "list", "table", "rules"]);
    expect(converted([0, 3], "table", 4, 9)).toEqual([0, 1, 2, 3]);
    expect(converted(undefined, "list", 4, 9)).toEqual([9, 9]);
    expect(converted([1, 3], "number", 4, 9)).toBe(1);
    expect(converted(rules, "list", 4, 9)).toEqual([0.2, 0.4]);
    expect(converted(0.3, "rules", 4, 9)).toEqual([{ filter: "self_attn", value: 0.3 }, { filter: "mlp", value: 0.3 }, { value: 0.3 }]);
  });

  test("reads numbers as they are typed", () => {
    expect(parseList("0.1, 0.5; 0.9  −1", WEIGHT)).toEqual({ ok: true, value: [0.1, 0.5, 0.9, -1] });
    expect(parseList(" ", WEIGHT)).toEqual({ ok: false, sentence: "Numbers, such as 0.1, 0.5, 0.9." });
    expect(parseList("0.1, 7", WEIGHT)).toEqual({ ok: false, sentence: "7: Between −4 and 4." });
    expect(parseList("0.1, x", WEIGHT)).toEqual({ ok: false, sentence: "x: A number. Between −4 and 4." });
  });

  test("counts the tensors that each rule decides", () => expect(ruleCounts([{ filter: "q_proj", value: 1 }, { filter: "self_attn", value: 1 }, { value: 1 }], names)).toEqual([5, 4, 11]));
  test("offers it for numbers that may differ", () => expect(Object.entries(della.params).filter(([, s]) => canVary(s)).map(([n]) => n)).toEqual(["density", "epsilon", "lambda"]));
});
