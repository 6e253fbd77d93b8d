import { describe, expect, test } from "vitest";
import type { ParamValue } from "../../../src/core/recipe";
import { methodOf, METHODS, resolveParams } from "../../../src/merge/methods";
import { FORMULAS, type NamedTensor } from "../../reference/merge/methods";
import { randomFloats } from "../../support/compare";
import { mergeTensors, type Given } from "../../support/oneTensor";

type Given2 = Record<string, ParamValue>;

/** Settings under which each method is held against its formula; the first are those of a reference where they are not the defaults. */
const SETTINGS: Readonly<Record<string, Given2[]>> = {
  linear: [{}, { normalize: false }, { includeBase: true, baseWeight: 0.5 }],
  "task-arithmetic": [{}, { lambda: -0.7, normalize: true }],
  ties: [{}, ...["density", "mergekit", "exactK", "official", "l2s"].flatMap((keepRule) => [0, 0.35, 1].map((density) => ({ keepRule, density, lambda: 0.8 }))), { divisor: "count", weights: "ignore" }, { divisor: "none", elect: "count" }, { divisor: "largest", keepRule: "official" }, { keepRule: "mergekit", density: 0.4, rescale: true }],
  dare_linear: [{}, { density: 0 }, { density: 1, rescale: "l1-match" }, { density: 0.3, rescale: "l1-match", seed: 7 }, { rescale: "none", normalize: true, lambda: 0.5 }],
  dare_ties: [{}, { density: 0 }, { density: 1 }, { density: 0.3, rescale: "l1-match", normalize: true }],
  della: [{}, { density: 0 }, { density: 1 }, { density: 0.7, epsilon: 0.29, rescale: false, seed: 3 }],
  della_linear: [{}, { density: 0 }, { density: 1 }, { density: 0.2, epsilon: 0.1, normalize: true }],
  breadcrumbs: [{}, { density: 0 }, { density: 1, gamma: 1 }, { density: 0.5, gamma: 0 }, { density: 0.9, gamma: 0.5, normalize: true }, { density: 0.3, gamma: 0.2, rescale: true }],
  breadcrumbs_ties: [{}, { density: 0 }, { density: 1 }, { density: 0.6, gamma: 0.2, normalize: true, lambda: -1 }],
  slerp: [{}, { t: 0 }, { t: 1 }, { t: 0.3 }],
  nuslerp: [{}, { changes: true }, { flatten: false }, { flatten: false, rowWise: true }, { flatten: false, changes: true }, { flatten: false, rowWise: true, changes: true }],
  multislerp: [{}, { changes: false }],
  karcher: [{ maxIter: 60, tol: 1e-9 }, { maxIter: 60, tol: 1e-9, includeBase: false }],
  model_stock: [{}, { filterWise: true }],
  sce: [{}, { selectTopk: 0 }, { selectTopk: 0.4 }],
  nearswap: [{}, { t: 0 }, { t: 0.03 }, { t: 1 }],
  ram: [{}],
  ramplus_tl: [{}, { r: 0.7, alpha: 5 }],
  arcee_fusion: [{}],
  passthrough: [{}, { scale: 0 }, { scale: -0.5 }],
};

const WEIGHTS = [[0.7, 0.4, 0.9, 0.6], [1, -0.5, 0, 0.25]];

/** Tensors of every awkward kind: what base and model k (from 0) hold at element i. */
const KINDS: [name: string, shape: number[], base: (i: number) => number, model: (base: number, k: number, i: number) => number][] = [
  ...[[24, 7], [37], [1], [1, 1], [1, 13], [13, 1], [3, 4, 5], [2, 3, 1], [11, 1, 2]].map((shape, s): (typeof KINDS)[number] => {
    const [b, ...m] = [0, 1, 2, 3, 4].map((k) => randomFloats(50 * s + k + 1, shape.reduce((x, y) => x * y, 1)));
    return [`random.${shape.join("x")}`, shape, (i) => b![i]!, (v, k, i) => v + 0.3 * (k + 1) * m[k]![i]!];
  }),
  ["zeros", [6, 5], () => 0, () => 0],
  ["zero.base", [7], () => 0, (_, k, i) => ((i * (k + 3)) % 5) - 2],
  ["equal", [4, 4], () => 0.5, (_, k) => 0.5 + 0.125 * (k + 1)],
  ["unchanged", [5, 3], (i) => i - 7, (v) => v],
  ["cancelling", [4, 6], (i) => i / 8, (v, k, i) => v + (k % 2 === 0 ? 1 : -1) * ((i % 5) / 4)],
  ["steps", [9, 11], (i) => (i % 7) / 4, (v, k, i) => v + (((i * (k + 2)) % 9) - 4) / 4],
];

function tensorsOf(count: number, weights: number[]): Record<string, NamedTensor & { shape: number[] }> {
  return Object.fromEntries(KINDS.map(([name, shape, base, model]) => {
    const theta0 = Array.from({ length: shape.reduce((x, y) => x * y, 1) }, (_, i) => Math.fround(base(i)));
    return [name, { name, shape, base: theta0, models: Array.from({ length: count }, (_, k) => theta0.map((v, i) => Math.fround(model(v, k, i)))), weights, cols: shape.at(-1)!, columns: shape.slice(1).reduce((x, y) => x * y, 1) }];
  }));
}

/** Where a formula has no value: opposite changes under Model Stock, whose share divides by zero there. */
const hasValue = (values: readonly number[]): boolean => values.every((v) => Math.abs(v) < 1e6);

describe("every method against its formula in float64, on tensors of every awkward kind", () => {
  const free = METHODS.filter((m) => !m.needs.fisher && m.gpuPass === undefined);
  test("all of them have a formula and settings", () => {
    expect(Object.keys(FORMULAS).sort()).toEqual(free.map((m) => m.id).sort());
    expect(Object.keys(SETTINGS).sort()).toEqual(Object.keys(FORMULAS).sort());
  });

  test.each(free.map((m) => [m.id, m] as const))("%s", async (id, { needs }) => {
    let worst = 0;
    let compared = 0;
    for (const given of SETTINGS[id]!)
      for (const count of [1, 2, 3, 4].filter((n) => n >= needs.minModels && n <= needs.maxModels))
        for (const all of WEIGHTS) {
          const weights = all.slice(0, count);
          if (id === "linear" && given.normalize !== false && Math.abs(weights.reduce((a, b) => a + b, 0)) < 1e-9) continue;
          const params = resolveParams(methodOf(id), given);
          const wanted = Object.entries(tensorsOf(count, weights)).map(([name, t]) => ({ name, t, want: FORMULAS[id]!(t, params) })).filter(({ want }) => hasValue(want));
          const merged = await mergeTensors(id, given, { ...Object.fromEntries(wanted.map(({ name, t }) => [name, t])), empty: { shape: [0, 5], base: [], models: weights.map(() => []) } } as Given, { weights });
          expect(merged.get("empty")).toHaveLength(0);
          for (const { name, want } of wanted) {
            const got = merged.get(name)!;
            const size = Math.max(1, ...want.map(Math.abs));
            const off = Math.max(...want.map((v, i) => (Number.isFinite(got[i]) ? Math.abs(got[i]! - v) / size : Infinity)));
            if (off > 2e-6) expect.fail(`${name}, ${count} models of weights ${weights.join(", ")}, ${JSON.stringify(given)}: ${off.toExponential(2)} off; got ${[...got].slice(0, 6).join(", ")}, want ${want.slice(0, 6).join(", ")}`);
            worst = Math.max(worst, off);
            compared += want.length;
          }
        }
    expect(compared).toBeGreaterThan(1000);
    if (process.env.DEVIATIONS) console.log(`| ${id} | ${compared.toLocaleString("en-US")} | ${worst.toExponential(1)} |`);
  });
});
