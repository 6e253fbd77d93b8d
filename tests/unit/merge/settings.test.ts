import { describe, expect, test } from "vitest";
import type { ModelRef, Recipe } from "../../../src/core/recipe";
import { methodOf, METHODS, passKey, resolveParams, settingsOf } from "../../../src/merge/methods";

const settings = (id: string, recipe: { models?: Partial<ModelRef>[]; vary?: Recipe["vary"] }, layers = 5) => {
  const method = methodOf(id);
  const models = (recipe.models ?? [{}]).map((m, k) => ({ name: `m${k}`, ...m }));
  return settingsOf(method, { models, ...(recipe.vary ? { vary: recipe.vary } : {}) }, resolveParams(method, {}), layers);
};
const layer = (n: number, part = "mlp.up_proj") => ({ name: `model.layers.${n}.${part}.weight`, layer: n });
const head = { name: "lm_head.weight", layer: undefined };

describe("settings of a tensor", () => {
  test("a recipe without them tells every tensor the same, the resolved parameters themselves", () => {
    const method = methodOf("ties");
    const params = resolveParams(method, {});
    const plain = settingsOf(method, { models: [{ name: "a", weight: 0.3 }, { name: "b" }] }, params, 4);
    expect(plain.varied).toBe(false);
    expect(plain.at(layer(0))).toBe(plain.at(head));
    expect(plain.at(head).params).toBe(params);
    expect(plain.at(head)).toEqual({ params, weights: [0.3, 1], models: [params, params] });
  });

  test("a model's own come before the recipe's, and these before params", () => {
    const s = settings("della", { vary: { density: [0.4, 0.6], lambda: [{ filter: "mlp", value: 2 }] }, models: [{}, { params: { density: [{ filter: "mlp", value: 0.7 }], epsilon: 0.1 } }] });
    expect(s.varied).toBe(true);
    const mlp = s.at(layer(2));
    expect(mlp.params).toMatchObject({ density: 0.5, lambda: 2, epsilon: 0.15 });
    expect(mlp.models[0]).toBe(mlp.params);
    expect(mlp.models[1]).toMatchObject({ density: 0.7, lambda: 2, epsilon: 0.1 });
    const attention = s.at(layer(4, "self_attn.q_proj"));
    expect(attention.models.map((m) => m.density)).toEqual([0.6, 0.6]);
    expect(attention.params.lambda).toBe(1);
    expect(s.at(head).models.map((m) => m.density)).toEqual([0.4, 0.4]);
  });

  test("weights are lists and rules as well; without a rule that fits there is none, and the tensor is named", () => {
    const s = settings("linear", { models: [{ weight: [0, 1] }, { weight: [{ filter: "mlp", value: 3 }, { value: [4, 8] }] }, {}] });
    expect(s.at(layer(1)).weights).toEqual([0.25, 3, 1]);
    expect(s.at(layer(1, "self_attn.q_proj")).weights).toEqual([0.25, 5, 1]);
    expect(() => settings("linear", { models: [{ weight: [{ filter: "mlp", value: 3 }] }] }).at(head)).toThrow(/weight of "m0" fits the tensor "lm_head.weight"\. Add a rule without a filter/);
  });

  test("other spellings count, with their meaning", () => {
    expect(settings("sce", { models: [{}, {}], vary: { select_topk: [0.1, 0.5] } }).at(layer(4)).params.selectTopk).toBe(0.5);
    expect(settings("dare_linear", { vary: { p: [0.9, 0.5] } }).at(layer(0)).params.density).toBeCloseTo(0.1, 15);
  });
});

describe("what cannot be", () => {
  const cases: [string, string, Parameters<typeof settings>[1], RegExp][] = [
    ["a name the method lacks, with the nearest", "ties", { vary: { densty: [0.1] } }, /TIES: there is no setting "densty"\. Did you mean "density"\?/],
    ["the same for a model", "ties", { models: [{ params: { gamma: 0.1 } }] }, /there is no setting "gamma"/],
    ["a word", "ties", { vary: { keepRule: [1] } }, /vary\.keepRule is one value for all tensors\. Those that may differ are density, lambda/],
    ["a number that is one for the merge", "dare_ties", { vary: { seed: [1, 2] } }, /vary\.seed is one value for all tensors/],
    ["between models, what only tensors may differ in", "ties", { models: [{ params: { lambda: 0.5 } }] }, /models\[0\]\.params\.lambda is one value for all models\. Those that may differ are density/],
    ["a method that has none", "arcee_fusion", { vary: { t: 1 } }, /there is no setting "t"/],
    ["a number out of range", "ties", { vary: { density: [0.1, 1.5, 0.9] } }, /vary\.density holds 1\.5, expected a number from 0 to 1/],
    ["one in a rule", "ties", { models: [{ params: { density: [{ filter: "mlp", value: [0.1, -1] }] } }] }, /models\[0\]\.params\.density holds -1, expected a number from 0 to 1/],
    ["an empty list", "ties", { vary: { density: [] } }, /vary\.density is an empty list/],
    ["an empty list in a rule", "linear", { models: [{ weight: [{ value: [] }] }] }, /the weight of "m0" is an empty list/],
    ["a weight that is no number", "linear", { models: [{ weight: [Number.NaN] }] }, /the weight of "m0" is \[null\], expected numbers/],
    ["a weight that is a word", "linear", { models: [{ weight: "half" as unknown as number }] }, /the weight of "m0" is "half", expected a number/],
  ];
  test.each(cases)("%s", (_, id, recipe, sentence) => expect(() => settings(id, recipe)).toThrow(sentence));

  test("every number that is declared to vary can be given as a list", () => {
    for (const method of METHODS)
      for (const [name, spec] of Object.entries(method.params)) {
        if (!("varies" in spec) || !spec.varies) continue;
        const s = settings(method.id, { vary: { [name]: [spec.min, spec.max] } });
        expect([s.at(layer(0)).params[name], s.at(layer(4)).params[name]], `${method.id} ${name}`).toEqual([spec.min, spec.max]);
      }
  });
});

describe("the key of a pass", () => {
  const outputs = [0, 1, 2].map((n) => ({ name: layer(n).name, role: { layer: n } }));
  const key = (id: string, change: { models?: Partial<ModelRef>[]; vary?: Recipe["vary"] }, leftOut: string[] = []) => {
    const recipe = { base: { name: "base" }, models: (change.models ?? [{}]).map((m) => ({ name: "m", ...m })), reconciliation: { tied: "untie" } as Recipe["reconciliation"] };
    return passKey(methodOf(id), resolveParams(methodOf(id), {}), recipe, { settings: settings(id, change, 3), outputs, leftOut });
  };

  test("does not change without settings of tensors, nor by those that no pass depends on", () => {
    const recipe = { base: { name: "base" }, models: [{ name: "m" }], reconciliation: { tied: "untie" } as Recipe["reconciliation"] };
    expect(key("ties", {})).toBe(passKey(methodOf("ties"), resolveParams(methodOf("ties"), {}), recipe));
    expect(key("ties", { vary: { lambda: [0, 1] } })).toBe(key("ties", {}));
    expect(key("ties", { models: [{ weight: [0, 1] }] })).toBe(key("ties", {}));
    expect(key("fim-ties", { vary: { scale: [0, 1], gateFactor: [1, 0.5] } })).toBe(key("fim-ties", {}));
    expect(key("ties", { vary: { density: 0.2 } })).toBe(key("ties", {}));
  });

  test("changes by those that it depends on, however they are written", () => {
    expect(key("ties", { vary: { density: [0.1, 0.3] } })).not.toBe(key("ties", {}));
    expect(key("ties", { vary: { density: [0.1, 0.3] } })).toBe(key("ties", { vary: { density: [{ value: [0.1, 0.3] }] } }));
    expect(key("ties", { vary: { density: [0.125, 0.375] } })).toBe(key("ties", { vary: { density: [0.125, 0.25, 0.375] } }));
    expect(key("ties", { models: [{ params: { density: 0.5 } }, {}] })).not.toBe(key("ties", { models: [{}, { params: { density: 0.5 } }] }));
    expect(key("fim-ties", { vary: { r: [0.1, 0.3] } })).not.toBe(key("fim-ties", {}));
    expect(key("ties", {}, ["lm_head.weight"])).not.toBe(key("ties", {}));
  });
});
