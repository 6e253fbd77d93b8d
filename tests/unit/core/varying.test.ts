import { describe, expect, test } from "vitest";
import type { Varying } from "../../../src/core/recipe";
import { depthOf, gradientAt, numbersIn, valueAt, varyingText } from "../../../src/core/varying";
import { randomUniform } from "../../../src/core/random";

const at = (varying: Varying, layer: number | undefined, layers: number, name = "x") => valueAt(varying, { name, layer, layers });

describe("depth", () => {
  test("runs from 0 to 1 over the layers; 0 outside them; 1 in a model of one layer", () => {
    expect([0, 1, 2, 3, 4].map((layer) => depthOf({ layer, layers: 5 }))).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(depthOf({ layer: undefined, layers: 5 })).toBe(0);
    expect(depthOf({ layer: 0, layers: 1 })).toBe(1);
    expect(depthOf({ layer: undefined, layers: 1 })).toBe(0);
  });

  test("a layer of another tower, beyond the last, stays at 1", () => expect(depthOf({ layer: 30, layers: 24 })).toBe(1));
});

describe("a list", () => {
  test("is a gradient: worked examples", () => {
    // 0 → 0.5 → 0.3 → 0.7 → 1 over 9 layers: every second layer is a corner, between two is the mean.
    const list = [0, 0.5, 0.3, 0.7, 1];
    const expected = [0, 0.25, 0.5, 0.4, 0.3, 0.5, 0.7, 0.85, 1];
    expected.forEach((value, layer) => expect(at(list, layer, 9)).toBeCloseTo(value, 14));
    // 0 → 1 over 4 layers: thirds.
    [0, 1 / 3, 2 / 3, 1].forEach((value, layer) => expect(at([0, 1], layer, 4)).toBeCloseTo(value, 15));
    // Layer 1 of 3 of a list of 4: position 1.5.
    expect(at([10, 20, 40, 80], 1, 3)).toBe(30);
  });

  test("outside the layers has its first value, also behind them; a model of one layer the last", () => {
    expect(at([0.2, 0.8], undefined, 12, "lm_head.weight")).toBe(0.2);
    expect(at([0.2, 0.8], 0, 1)).toBe(0.8);
  });

  test("of one value is that value everywhere", () => expect([0, 3, 7].map((layer) => at([0.4], layer, 8))).toEqual([0.4, 0.4, 0.4]));

  test("with as many values as layers is a table, to the bit", () => {
    for (let layers = 2; layers <= 130; layers++) {
      const table = Array.from({ length: layers }, (_, i) => randomUniform(layers, i));
      expect(table.map((_, layer) => at(table, layer, layers))).toEqual(table);
    }
  });

  test("lies between its neighbours, begins with the first and ends with the last", () => {
    for (let i = 0; i < 200; i++) {
      const list = Array.from({ length: 2 + (i % 7) }, (_, k) => randomUniform(i, k) * 4 - 2);
      const layers = 2 + (i % 41);
      for (let layer = 0; layer < layers; layer++) {
        const position = (layer / (layers - 1)) * (list.length - 1);
        const near = [list[Math.max(0, Math.floor(position + 1e-9))]!, list[Math.min(list.length - 1, Math.ceil(position - 1e-9))]!];
        const value = at(list, layer, layers)!;
        expect(value).toBeGreaterThanOrEqual(Math.min(...near) - 1e-12);
        expect(value).toBeLessThanOrEqual(Math.max(...near) + 1e-12);
      }
      expect(at(list, 0, layers)).toBe(list[0]);
      expect(at(list, layers - 1, layers)).toBe(list.at(-1));
    }
  });

  test("equals the definition in plain steps", () => {
    const byDefinition = (list: number[], layer: number, layers: number): number => {
      const index = (layer / (layers - 1)) * (list.length - 1);
      const low = Math.min(Math.floor(index), list.length - 2);
      return list[low]! * (1 - (index - low)) + list[low + 1]! * (index - low);
    };
    for (const layers of [2, 3, 7, 28, 32, 80]) for (let layer = 0; layer < layers; layer++) expect(at([0.1, 0.9, 0.3, 0.4], layer, layers)).toBeCloseTo(byDefinition([0.1, 0.9, 0.3, 0.4], layer, layers), 13);
  });
});

describe("rules", () => {
  // The example that every introduction to SLERP shows.
  const t: Varying = [{ filter: "self_attn", value: [0, 0.5, 0.3, 0.7, 1] }, { filter: "mlp", value: [1, 0.5, 0.7, 0.3, 0] }, { value: 0.5 }];

  test("the first that fits holds", () => {
    expect(at(t, 0, 9, "model.layers.0.self_attn.q_proj.weight")).toBe(0);
    expect(at(t, 0, 9, "model.layers.0.mlp.up_proj.weight")).toBe(1);
    expect(at(t, 8, 9, "model.layers.8.input_layernorm.weight")).toBe(0.5);
    expect(at([{ filter: "q_proj", value: 1 }, { filter: "self_attn", value: 2 }, { filter: "*", value: 3 }], 0, 2, "model.layers.0.self_attn.q_proj.weight")).toBe(1);
    expect(at([{ filter: "*", value: 3 }, { filter: "self_attn", value: 2 }], 0, 2, "model.layers.0.self_attn.q_proj.weight")).toBe(3);
  });

  test("a filter is a part of the name, not a pattern", () => {
    expect(at([{ filter: "layers.1.", value: 1 }, { value: 0 }], 1, 20, "model.layers.1.mlp.up_proj.weight")).toBe(1);
    expect(at([{ filter: "layers.1.", value: 1 }, { value: 0 }], 11, 20, "model.layers.11.mlp.up_proj.weight")).toBe(0);
    expect(at([{ filter: "*mlp", value: 1 }], 0, 2, "model.layers.0.mlp.up_proj.weight")).toBeUndefined();
  });

  test("none that fits is no value", () => expect(at([{ filter: "mlp", value: 1 }], undefined, 4, "lm_head.weight")).toBeUndefined());
});

test("gradientAt takes a depth", () => expect([0, 0.25, 0.5, 1].map((d) => gradientAt([1, 3, 11], d))).toEqual([1, 2, 3, 11]));
test("numbersIn lists every number", () => expect(numbersIn([{ filter: "a", value: [1, 2] }, { value: 3 }])).toEqual([1, 2, 3]));
test("in words", () => {
  expect(varyingText(0.5)).toBe("0.5");
  expect(varyingText([0.1, 0.9])).toBe("0.1 → 0.9 over depth");
  expect(varyingText([{ filter: "self_attn", value: [0, 1] }, { value: 0.5 }])).toBe("self_attn: 0 → 1 over depth; others: 0.5");
});
