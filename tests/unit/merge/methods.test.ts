import { describe, expect, expectTypeOf, test } from "vitest";
import type { ParamValue, Recipe } from "../../../src/core/recipe";
import type { FloatDtype } from "../../../src/core/tensors";
import type { MethodInfo } from "../../../src/engine/api";
import { fromFloat32, toFloat32 } from "../../../src/formats/dtypes";
import { applyOpCpu } from "../../../src/merge/cpu";
import { l1Factor } from "../../../src/kernels/stats/sparsify";
import { checkModels, keptShare, methodInfo, methodOf, METHODS, passKey, resolveParams, type TensorFacts } from "../../../src/merge/methods";
import { findCut, keepRule, maskOf } from "../../../src/merge/trim";
import { describeTensor } from "../../../src/model/roles";
import { goldenCases } from "../../reference/merge/golden";
import { expectClose } from "../../support/compare";
import { mergeOneTensor } from "../../support/oneTensor";

const facts = (elements: number, name = "model.layers.0.mlp.up_proj.weight"): TensorFacts => ({ ...describeTensor(name, "LlamaForCausalLM"), name, elements });

const deltas = async (id: string, given: Recipe["params"], moves: number[][], weights?: number[]) =>
  [...(await mergeOneTensor(id, given, moves[0]!.map(() => 0), moves, { weights }))].map((v) => +v.toFixed(6) + 0);

describe("golden tensors of the reference codes", () => {
  test("all of them are here", () => expect(goldenCases.length).toBe(38));
  test.each(goldenCases.map((c) => [c.output, c] as const))("%s", async (_, c) => {
    expectClose(await mergeOneTensor(c.method, c.params, c.base, c.experts, { shape: c.shape, weights: c.weights }), c.want, { atol: 1e-6 });
  });
});

describe("worked examples of METHODS 3", () => {
  const three = [[3, -2, 1, 2, -1, 0], [-2, -1, 1, -2, 4, 1], [1, 4, -1, 0, -2, -1]];
  const all = { density: 1 };

  test("T1 and T2: three cuts, and equal magnitudes", async () => {
    const cut = (move: number[], keepRule: string, density: number) => deltas("ties", { keepRule, density }, [move]);
    expect(await cut([1, -5, 3, -2, 4], "official", 0.4)).toEqual([0, -5, 3, 0, 4]);
    expect(await cut([1, -5, 3, -2, 4], "mergekit", 0.4)).toEqual([0, -5, 0, 0, 4]);
    expect(await cut([1, -5, 3, -2, 4], "l2s", 1 - 0.6)).toEqual([0, -5, 3, 0, 4]);
    for (const density of [0.25, 0.5]) expect(await cut([2, -2, 2, 1], "official", density)).toEqual([2, -2, 2, 0]);
    expect(await cut([2, -2, 2, 1], "mergekit", 0.25)).toEqual([2, 0, 0, 0]);
    expect(await cut([2, -2, 2, 1], "mergekit", 0.5)).toEqual([2, -2, 0, 0]);
  });

  test("T3: election without trimming", async () => {
    const official = { elect: "sum", zero: "majority", divisor: "count", weights: "ignore", ...all };
    expect(await deltas("ties", official, three)).toEqual([2, 4, 1, 2, 4, 1]);
    expect(await deltas("ties", { ...official, divisor: "none" }, three)).toEqual([4, 4, 2, 2, 4, 1]);
    expect(await deltas("ties", { ...official, divisor: "largest" }, three)).toEqual([3, 4, 1, 2, 4, 1]);
    expect(await deltas("ties", all, three)).toEqual([2, 4, 1, 2, 4, 1]);
    expect(await deltas("ties", { ...all, elect: "count" }, three)).toEqual([2, -1.5, 1, 2, -1.5, 1]);
    expect(await deltas("ties", { ...all, elect: "count", normalize: false }, three)).toEqual([4, -3, 2, 2, -3, 1]);
    expect(await deltas("ties", all, three, [1, 0.25, 0.25])).toEqual([2.6, -1.8, 1, 2, -1.2, 1]);
    expect(await deltas("ties", { ...all, normalize: "false" }, three, [1, 0.25, 0.25])).toEqual([3.25, -2.25, 1.25, 2, -1.5, 0.25]);
  });

  test("T4: votes that cancel", async () => {
    const two = [[2, 1, -3], [-2, 1, 1]];
    expect(await deltas("ties", { ...all, zero: "majority", divisor: "count", weights: "ignore" }, two)).toEqual([-2, 1, -3]);
    expect(await deltas("ties", all, two)).toEqual([2, 1, -3]);
  });

  test("T5: one model, its weight cancels unless divided by nothing", async () => {
    expect(await deltas("ties", { density: 0.4 }, [[1, -5, 3, -2, 4]], [0.5])).toEqual([0, -5, 0, 0, 4]);
    expect(await deltas("ties", { density: 0.4, normalize: false }, [[1, -5, 3, -2, 4]], [0.5])).toEqual([0, -2.5, 0, 0, 2]);
  });

  test("linear: (1, -2) and (3, 6) with weights 1 and 3", async () => {
    expect(await deltas("linear", {}, [[1, -2], [3, 6]], [1, 3])).toEqual([2.5, 4]);
    expect(await deltas("linear", { normalize: false }, [[1, -2], [3, 6]], [1, 3])).toEqual([10, 16]);
    expect([...(await mergeOneTensor("linear", { includeBase: true, baseWeight: 1 }, [2, 2], [[4, 0]]))]).toEqual([3, 1]);
    await expect(deltas("linear", {}, [[1], [2]], [1, -1])).rejects.toThrow("add up to 0");
  });

  test("two blocks end to end, FIM-TIES", () => {
    const method = methodOf("fim-ties");
    const params = resolveParams(method, { r: 0.5, calib: "off" });
    const run = (f: number[], d: number[], alpha: number) => {
      const plan = method.trimPlan(params, facts(4), 1e6)!;
      const keys = Float32Array.from(d, (v, i) => f[i]! * Math.abs(v));
      const mask = maskOf(keys, findCut(keys, keepRule(4, plan.rule, plan.share)), plan.dropZero);
      const op = method.planTensor({ params, weights: [1], tensor: facts(4), cols: 4, rescale: [1], alphas: [alpha], masks: [mask] });
      const stored = (v: number[]) => ({ bytes: fromFloat32(Float32Array.from(v), "F32"), dtype: "F32" as FloatDtype });
      return [...toFloat32(applyOpCpu(op, { base: stored([0, 0, 0, 0]), experts: [stored(d)], start: 0, elements: 4 }, "F32"), "F32")];
    };
    expect(run([4, 1, 1, 2], [1, -2, 0.5, -1], 0.5)).toEqual([0.5, -1, 0, -0.5]);
    expectClose(run([0.04, 0.01, 0.03, 0.02], [2, -1, 1, 0.5], 0.7310585786), [1.462117, 0, 0.731059, 0], { atol: 1e-6 });
    expectClose(run([0.04, 0.01, 0.03, 0.02], [2, -1, 1, 0.5], 0.7 * 0.7310585786), [1.023482, 0, 0.511741, 0], { atol: 1e-6 });
  });
});

describe("worked examples of METHODS 4 and 9", () => {
  test("DARE: what is kept grows by 1 / density, or back to the L1 norm", () => {
    const move = [1, -2, 3, -4];
    const dare = (rescale: string, density: number, kept: number[]): number[] => {
      const method = methodOf("dare_linear");
      const params = resolveParams(method, { density, rescale });
      const sum = (values: number[]) => values.reduce((a, v) => a + Math.abs(v), 0);
      const mask = Uint32Array.of(kept.reduce((bits, k, i) => bits | (k << i), 0));
      const factor = rescale === "l1-match" ? l1Factor(sum(move), sum(move.filter((_, i) => kept[i] === 1))) : 1;
      const op = method.planTensor({ params, weights: [1], alphas: method.coefficients!(params, [1]), tensor: facts(4), cols: 4, rescale: [factor], masks: [mask] });
      const stored = (v: number[]) => ({ bytes: fromFloat32(Float32Array.from(v), "F32"), dtype: "F32" as FloatDtype });
      return [...toFloat32(applyOpCpu(op, { base: stored([0, 0, 0, 0]), experts: [stored(move)], start: 0, elements: 4 }, "F32"), "F32")];
    };
    expect(dare("inverse-keep", 0.5, [1, 0, 1, 0])).toEqual([2, 0, 6, 0]);
    expect(dare("l1-match", 0.5, [1, 0, 1, 0])).toEqual([2.5, 0, 7.5, 0]);
    expect(dare("inverse-keep", 0.25, [1, 0, 0, 0])).toEqual([4, 0, 0, 0]);
    expect(dare("l1-match", 0.25, [1, 0, 0, 0])).toEqual([10, 0, 0, 0]);
    for (const rescale of ["inverse-keep", "l1-match", "none"]) expect(dare(rescale, 0.25, [0, 0, 0, 0])).toEqual([0, 0, 0, 0]);
  });

  test("SLERP, Model Stock, NearSwap, RAM and RAM+", async () => {
    expectClose(await mergeOneTensor("slerp", { t: 0.5 }, [1, 0], [[0, 2]]), [0.707107, 1.414214], { atol: 1e-6 });
    // t = 0.828427 times the mean change (1, 0.5).
    expectClose(await mergeOneTensor("model_stock", {}, [0, 0], [[1, 0], [1, 1]]), [0.828427, 0.4142135], { atol: 1e-6 });
    expectClose(await mergeOneTensor("nearswap", { t: 0.1 }, [0, 0, 0], [[0.05, 0.2, -0.4]]), [1 * 0.05, 0.5 * 0.2, 0.25 * -0.4], { atol: 1e-7 });
    expect(await deltas("ram", {}, [[2, 0, 1, -3], [0, 4, 3, 1]])).toEqual([2, 4, 2, -1]);
    expect(await deltas("ramplus_tl", {}, [[2, 0, 1, -3], [0, 4, 3, 1]])).toEqual([2.04, 4.08, 2, -1]);
  });
});

describe("resolveParams", () => {
  const ties = methodOf("fim-ties");
  test("defaults are those of METHODS 8.3", () => {
    expect(resolveParams(ties, {})).toEqual({
      gateFactor: 0.7, theta: "adaptive", scoreMode: "product", alphaScope: "block", outsideT: "median", r: "auto", N: 8, len: 64, seed: 42,
      trimScope: "tensor", trimScore: "fim", percentile: "numpy", dropZeroW: false, trim1D: false, trimEmbed: "none", calib: "frobenius", eps: 0.05,
      calibScope: "matrix", fisherAt: "base", fisher: "sequence", labels: "self", vocab: "config", prependBos: false, keepFisher: false,
      includeBiasInScore: false, blockMean: "elements", scale: 1,
    });
    expect(resolveParams(methodOf("fim-ta"), {})).toMatchObject({ gateFactor: 1, calib: "off", theta: "adaptive" });
    expect([keptShare({ r: "auto" }, 1.5e9), keptShare({ r: "auto" }, 7e9), keptShare({ r: 0.3 }, 7e9)]).toEqual([0.2, 0.4, 0.3]);
  });

  test("reads the words of a command line", () => {
    expect(resolveParams(ties, { r: "0.4", outsideT: "fixed(0.3)", theta: "0.2", keepFisher: "true", seed: "7", "calib.eps": "0.1", "calib.scope": "block" })).toMatchObject({ r: 0.4, outsideT: 0.3, theta: 0.2, keepFisher: true, seed: 7, eps: 0.1, calibScope: "block" });
    expect(resolveParams(ties, { outsideT: "0.25", theta: "adaptive" })).toMatchObject({ outsideT: 0.25, theta: "adaptive" });
  });

  test.each([
    [{ gateFaktor: 1 }, 'there is no setting "gateFaktor". Did you mean "gateFactor"?'],
    [{ outside: "base" }, 'Did you mean "outsideT"?'],
    [{ constructor: 1 }, "there is no setting"],
    [{ r: 1.5 }, '"r" is 1.5, expected "auto", or a number from 0 to 1'],
    [{ r: "x" }, '"r" is "x"'],
    [{ r: "" }, '"r" is ""'],
    [{ N: 2.5 }, '"N" is 2.5, expected a whole number from 1 to 64'],
    [{ calib: "maybe" }, 'expected one of "frobenius", "gaussian", "activations", "off"'],
    [{ trim1D: 1 }, "expected true or false"],
    [{ theta: NaN }, '"theta" is null'],
    [{ outsideT: "fixed(2)" }, '"outsideT" is "fixed(2)"'],
  ])("refuses %j", (given, sentence) => {
    expect(() => resolveParams(ties, given as Record<string, unknown>)).toThrow(sentence);
  });
});

describe("passKey", () => {
  const recipe = { base: { name: "b", hash: "1" }, models: [{ name: "m", hash: "2" }], reconciliation: { tied: "untie" } } as unknown as Recipe;
  const key = (given: Record<string, ParamValue>, id = "fim-ties", more: Partial<Recipe> = {}) => passKey(methodOf(id), resolveParams(methodOf(id), given), { ...recipe, ...more });

  test("ignores what is shown at once, and the closed form of the calibration", () => {
    for (const given of [{ gateFactor: 0.5 }, { theta: 0.2 }, { scoreMode: "joint" }, { outsideT: "base" }, { alphaScope: "tensor" }, { calib: "off" }, { eps: 0.2 }, { scale: 0.5 }] as Record<string, ParamValue>[]) expect(key(given)).toBe(key({}));
  });

  test("changes with what the pass depends on", () => {
    const others = [{ r: 0.3 }, { seed: 1 }, { N: 4 }, { len: 32 }, { calib: "gaussian" }, { trimScope: "block" }, { percentile: "exactK" }, { fisherAt: "finetuned" }, { keepFisher: true }] as Record<string, ParamValue>[];
    expect(new Set([key({}), ...others.map((o) => key(o)), key({}, "fim-ta"), key({}, "fim-ties", { models: [{ name: "m", hash: "3" }] })]).size).toBe(others.length + 3);
  });

  test("given tokens replace the draw", () => {
    expect(key({ seed: 1 }, "fim-ties", { tokens: [[1, 2]] })).toBe(key({ N: 3 }, "fim-ties", { tokens: [[1, 2]] }));
    expect(key({}, "fim-ties", { tokens: [[1, 2]] })).not.toBe(key({}));
  });
});

describe("the registry", () => {
  test("lists plain data, and every preset is valid", () => {
    expectTypeOf<ReturnType<typeof methodInfo>>().toMatchTypeOf<MethodInfo>();
    for (const method of METHODS) {
      expect(structuredClone(methodInfo(method))).toEqual(methodInfo(method));
      for (const preset of method.presets) expect(resolveParams(method, preset.params)).toMatchObject(preset.params);
      expect(resolveParams(method, resolveParams(method, {}))).toEqual(resolveParams(method, {}));
    }
  });

  test("refuses unknown methods and wrong numbers of models", () => {
    expect(() => methodOf("slurp")).toThrow('there is no method "slurp"');
    expect(() => checkModels(methodOf("ties"), 0)).toThrow("it takes 1 to 8");
  });

  test("what is trimmed", () => {
    const plan = (given: Record<string, ParamValue>, name: string) => methodOf("fim-ties").trimPlan(resolveParams(methodOf("fim-ties"), given), facts(10, name), 1e9);
    expect(plan({}, "model.layers.0.self_attn.q_proj.weight")).toEqual({ key: "fisher", rule: "numpy", share: 0.2, scope: "tensor", dropZero: false });
    expect(plan({ trimScore: "magnitude", trimScope: "model", percentile: "exactK", dropZeroW: true, r: 0.4 }, "model.layers.0.mlp.gate_proj.weight")).toEqual({ key: "magnitude", rule: "exactK", share: 0.4, scope: "model", dropZero: true });
    for (const name of ["model.layers.0.input_layernorm.weight", "model.norm.weight", "lm_head.weight", "model.embed_tokens.weight"]) expect(plan({}, name)).toBeUndefined();
    expect(plan({ trim1D: true }, "model.layers.0.input_layernorm.weight")).toMatchObject({ key: "fisher", scope: "tensor" });
    expect(plan({ trimEmbed: "magnitude" }, "lm_head.weight")).toMatchObject({ key: "magnitude" });
    expect(methodOf("fim-ta").trimPlan({}, facts(10), 1e9)).toBeUndefined();
  });

  test("alpha 0 copies, several models vote", () => {
    const context = { params: {}, weights: [1], tensor: facts(4), cols: 4, rescale: [1], masks: [undefined] };
    for (const id of ["fim-ties", "fim-ta", "task-arithmetic"]) expect(methodOf(id).planTensor({ ...context, alphas: [0] })).toEqual({ kind: "copy" });
    expect(methodOf("fim-ties").planTensor({ ...context, alphas: [0.5, 0.6], masks: [undefined, undefined] })).toMatchObject({ kind: "ties", weights: [0.5, 0.6], divisor: "count" });
    expect(methodOf("fim-ta").planTensor({ ...context, alphas: [0.5], rho: 1.25 })).toEqual({ kind: "add", coefficients: [0.5], scale: 0.8 });
  });
});
