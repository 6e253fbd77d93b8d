import { describe, expect, test } from "vitest";
import type { Recipe } from "../../../src/core/recipe";
import { FLOAT_DTYPES, type FloatDtype } from "../../../src/core/tensors";
import { fromFloat32, toFloat32 } from "../../../src/formats/dtypes";
import { METHODS } from "../../../src/merge/methods";
import { expectClose, randomFloats } from "../../support/compare";
import { bench, tensorBytesOf } from "../../support/engineBench";
import { mergeTensors, modelsOf, recipeOf, type Given } from "../../support/oneTensor";

type Row = [method: string, params: Recipe["params"], count: number, weights?: number[]];

/** Values over many exponents with zeros of both signs and subnormals of bf16 and f16, and models near them. */
const given = (count: number): Given => Object.fromEntries([[24, 7], [37], [1], [3, 4, 5]].map((shape, s) => {
  const n = shape.reduce((a, b) => a * b, 1);
  const base = randomFloats(s + 1, n).map((v, i) => (i % 9 === 0 ? -0 : i % 9 === 1 ? 2 ** -130 : v * 2 ** ((i % 11) - 6)));
  return [`t${s}`, { shape, base, models: Array.from({ length: count }, (_, k) => base.map((v, i) => (i % 5 === k ? v : v + randomFloats(10 * s + k + 30, n)[i]! * 0.5))) }];
}));
const free = METHODS.filter((m) => !m.needs.fisher && m.gpuPass === undefined).map((m) => m.id);
const without = (rows: readonly Row[], others: readonly string[]): void => expect([...new Set([...rows.map(([id]) => id), ...others])].sort()).toEqual([...free].sort());

describe("alpha 0 is the base, byte for byte", () => {
  const ROWS: Row[] = [
    ["task-arithmetic", { lambda: 0 }, 2], ["task-arithmetic", {}, 2, [0, 0]], ["ties", { lambda: 0 }, 2], ["ties", { divisor: "none" }, 2, [0, 0]], ["ties", { lambda: 0 }, 1],
    ["dare_linear", { density: 0 }, 2], ["dare_linear", { lambda: 0 }, 2], ["dare_ties", { density: 0 }, 2], ["dare_ties", { lambda: 0 }, 2],
    ["della", { density: 0 }, 2], ["della", { lambda: 0 }, 2], ["della_linear", { density: 0 }, 2], ["breadcrumbs", { density: 0 }, 2], ["breadcrumbs", { lambda: 0 }, 2], ["breadcrumbs_ties", { density: 0 }, 2],
    ["slerp", { t: 0 }, 1], ["nearswap", { t: 0 }, 1], ["sce", { selectTopk: 0 }, 2],
  ];
  test("the others have no such setting", () => without(ROWS, ["linear", "nuslerp", "multislerp", "karcher", "model_stock", "ram", "ramplus_tl", "arcee_fusion", "passthrough"]));
  test.each(ROWS)("%s %j of %i", async (id, params, count, weights) => {
    for (const dtype of FLOAT_DTYPES) {
      const models = await modelsOf(given(count), dtype);
      const { checkpoint } = await bench(undefined, models).merge(recipeOf(id, params, count, { weights }));
      expect(await tensorBytesOf(checkpoint), dtype).toEqual(await tensorBytesOf(models.base!));
    }
  });
});

describe("alpha 1 without trimming is the fine-tuned model, rounded once", () => {
  const ROWS: Row[] = [
    ["task-arithmetic", {}, 1], ["ties", { density: 1 }, 1], ["dare_linear", { density: 1 }, 1], ["dare_ties", { density: 1 }, 1], ["della", { density: 1 }, 1], ["della_linear", { density: 1 }, 1],
    ["breadcrumbs", { density: 1 }, 1], ["breadcrumbs_ties", { density: 1 }, 1], ["linear", {}, 1], ["linear", { includeBase: true, baseWeight: 0 }, 1, [0.3]], ["slerp", { t: 1 }, 1], ["nearswap", { t: 1 }, 1],
    ["nuslerp", {}, 2, [1, 0]], ["multislerp", {}, 1], ["multislerp", { changes: false }, 1], ["karcher", { includeBase: false }, 1], ["passthrough", {}, 1],
  ];
  test("the others take a part of it, or more than one model", () => without(ROWS, ["model_stock", "sce", "ram", "ramplus_tl", "arcee_fusion"]));
  test.each(ROWS)("%s %j of %i", async (id, params, count, weights) => {
    const tensors = given(count);
    for (const dtype of FLOAT_DTYPES as FloatDtype[]) {
      const merged = await mergeTensors(id, params, tensors, { weights, change: { output: { dtype, maxShardBytes: 5e9, name: "merged" } } });
      for (const [name, t] of Object.entries(tensors)) {
        const want = toFloat32(fromFloat32(Float32Array.from(t.models[0]!), dtype), dtype);
        // Of two zeros either may stay.
        expect(merged.get(name)!.findIndex((v, i) => v !== want[i]!), `${name} in ${dtype}`).toBe(-1);
      }
    }
  });
});

describe("the order of the models does not matter", () => {
  const ROWS: Row[] = [
    ["task-arithmetic", {}, 3], ["ties", { density: 0.4 }, 3], ["dare_linear", { density: 1 }, 3], ["dare_ties", { density: 1 }, 3], ["della", { density: 1 }, 3], ["della_linear", { density: 1 }, 3],
    ["breadcrumbs", {}, 3], ["breadcrumbs_ties", { density: 0.5 }, 3], ["linear", {}, 3], ["nuslerp", {}, 2], ["nuslerp", { flatten: false, changes: true }, 2], ["multislerp", {}, 3], ["karcher", {}, 3],
    ["model_stock", {}, 3], ["sce", { selectTopk: 0.5 }, 3], ["ram", {}, 3], ["ramplus_tl", {}, 3],
  ];
  test("the others take one model", () => without(ROWS, METHODS.filter((m) => m.needs.maxModels === 1).map((m) => m.id)));
  test.each(ROWS)("%s %j of %i", async (id, params, count) => {
    const weights = [0.75, 0.5, 0.25].slice(0, count);
    const tensors = given(count);
    const there = await mergeTensors(id, params, tensors, { weights });
    const back = await mergeTensors(id, params, Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, { ...t, models: [...t.models].reverse() }])), { weights: [...weights].reverse() });
    for (const [name, values] of there) expectClose(back.get(name)!, values, { atol: 2e-6, rtol: 2e-6 }, name);
  });
});

test.each<Row>([["linear", {}, 3], ["task-arithmetic", { normalize: true }, 3], ["ties", {}, 3], ["della", { density: 1 }, 3], ["multislerp", {}, 3], ["nuslerp", {}, 2]])("%s %j of %i: normalised weights count by their ratios", async (id, params, count) => {
  const weights = [0.75, 0.5, 0.25].slice(0, count);
  const tensors = given(count);
  const once = await mergeTensors(id, params, tensors, { weights });
  const twice = await mergeTensors(id, params, tensors, { weights: weights.map((w) => 2 * w) });
  for (const [name, values] of once) expectClose(twice.get(name)!, values, { atol: 1e-7, rtol: 2e-7 }, name);
});
