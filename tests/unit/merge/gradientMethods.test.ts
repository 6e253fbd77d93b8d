import { describe, expect, test } from "vitest";
import type { Params } from "../../../src/core/params";
import type { TensorStudy } from "../../../src/fisher/study";
import { methodOf, resolveParams, type TensorFacts } from "../../../src/merge/methods";
import { averagesBase } from "../../../src/merge/methods/fisherAverage";
import { layerAlphas, layerShares, modelTaus } from "../../../src/merge/sensitivity";
import { describeTensor } from "../../../src/model/roles";
import { weightedOne } from "../../reference/merge/ops";
import { expectClose } from "../../support/compare";

const tensor: TensorFacts = { ...describeTensor("model.layers.0.mlp.up_proj.weight", "LlamaForCausalLM"), name: "model.layers.0.mlp.up_proj.weight", elements: 2 };
const plan = (id: string, given: Params, weights: number[], study: TensorStudy | undefined) =>
  methodOf(id).planTensor({ params: resolveParams(methodOf(id), given), weights, alphas: weights.map(() => 0), masks: weights.map(() => undefined), rescale: weights.map(() => 1), tensor, cols: 2, ...(study ? { study } : {}) });

describe("Sens-Merging, METHODS 6", () => {
  const alphas = [[3, 4], [4, 3]].map(layerAlphas);
  const taus = modelTaus([[0, 2], [6, 0]]);

  test("the worked example: alpha, tau, sigma and K sigma of two models and two layers, T = 2", () => {
    expectClose(alphas.flat(), [0.6, 0.8, 0.8, 0.6], { atol: 1e-12 });
    expect(taus).toEqual([0.25, 0.75]);
    const first = layerShares([alphas[0]![0]!, alphas[1]![0]!], taus, 2);
    const second = layerShares([alphas[0]![1]!, alphas[1]![1]!], taus, 2);
    expectClose([first[0]! / 2, second[0]! / 2, first[1]! / 2, second[1]! / 2], [0.443986, 0.468791, 0.556014, 0.531209], { atol: 5e-7 });
    expectClose([first[0]!, second[0]!], [0.887972, 0.937581], { atol: 5e-6 });
  });

  test("nothing measured is shared alike; a small T picks one model", () => {
    expect(layerAlphas([0, 0, 0, 0])).toEqual([0.25, 0.25, 0.25, 0.25]);
    expect(modelTaus([[0, 0], [0, 0]])).toEqual([0.5, 0.5]);
    expect(layerShares([0.3, 0.3, 0.3], [1 / 3, 1 / 3, 1 / 3], 2)).toEqual([1, 1, 1]);
    expectClose(layerShares([0.5, 0.1], [0.5, 0.5], 1e-3), [2, 0], { atol: 1e-12 });
  });

  test("the operation: lambda K sigma; with one model task arithmetic, whatever was found", () => {
    const sensitivity = { alphas: [0.6, 0.8], taus };
    const op = plan("sens-merging", { lambda: 0.5, T: 2 }, [1, 1], { sensitivity });
    expect(op.kind).toBe("add");
    expectClose((op as { coefficients: number[] }).coefficients, [0.5 * 0.887972, 0.5 * 1.112028], { atol: 5e-6 });
    expect(plan("sens-merging", { lambda: 0.4 }, [1], undefined)).toEqual({ kind: "add", coefficients: [0.4] });
    expect(plan("sens-merging", { lambda: 0 }, [1, 1], { sensitivity })).toEqual({ kind: "copy" });
    expect(() => plan("sens-merging", {}, [1, 1], {})).toThrow("Run the pass again");
    const advice = (weights: number[], given: Params) => methodOf("sens-merging").advise!(resolveParams(methodOf("sens-merging"), given), weights).join(" ");
    expect(advice([1], { lambda: 0.4 })).toContain("this is task arithmetic with λ 0.4");
    expect(advice([1, 2], {})).toMatch(/weights are not used.*close to task arithmetic.*one half each/);
    expect(advice([1, 1, 1], { temperature: 0.05 })).toBe("");
  });
});

describe("Fisher-weighted averaging, METHODS 10", () => {
  const fisher = (norms: number[], known = true): TensorStudy => ({ fisher: { norms, means: norms, own: norms, known } });
  const value = (given: Params, weights: number[], study: TensorStudy, theta: number[], F: number[]): number => {
    const op = plan("fisher-average", given, weights, study);
    if (op.kind !== "weighted") throw new Error(op.kind);
    return weightedOne(op, theta, F);
  };
  const plain = { normalize: false, floor: 0, includeBase: "no" };

  test("the worked example: (1, 1), (3, 5) with F (3, 1), (1, 1) is (1.5, 3)", () => {
    expectClose([value(plain, [1, 1], fisher([1, 1]), [1, 3], [3, 1]), value(plain, [1, 1], fisher([1, 1]), [1, 5], [1, 1])], [1.5, 3], { atol: 1e-12 });
  });

  test("norms divide the weights, the floor holds for the first model or for all, weights count", () => {
    expectClose([value({ ...plain, normalize: true }, [1, 1], fisher([2, 8]), [0, 1], [2, 8])], [0.5], { atol: 1e-12 });
    expectClose([value({ ...plain, normalize: true }, [1, 1], fisher([0, 8]), [0, 1], [0, 8])], [1], { atol: 1e-12 });
    expectClose([value({ ...plain, floor: 1e-3 }, [1, 1], fisher([1, 1]), [4, 1], [0, 0])], [4], { atol: 1e-12 });
    expectClose([value({ ...plain, floor: 1e-3, floorOn: "all" }, [1, 3], fisher([1, 1]), [4, 0], [0, 0])], [1], { atol: 1e-12 });
    expectClose([value(plain, [1, 3], fisher([1, 1]), [4, 0], [1, 1])], [1], { atol: 1e-12 });
    // In units of the mean, here 8 and 2: 0.5 of it is 4 against 2.
    expectClose([value({ ...plain, floor: 0.5, floorUnit: "mean" }, [1, 1], fisher([8, 2]), [3, 0], [0, 2])], [2], { atol: 1e-12 });
    expectClose([value(plain, [3, 1], fisher([1, 1]), [4, 0], [0, 0])], [3], { atol: 1e-12 });
  });

  test("without a Fisher a tensor takes the weighted mean; the base takes part where the recipe says so", () => {
    expect(plan("fisher-average", { includeBase: "yes", baseWeight: 2 }, [1, 1], fisher([1, 1, 1], false))).toEqual({ kind: "combine", baseCoefficient: 0.5, coefficients: [0.25, 0.25] });
    const op = plan("fisher-average", {}, [1], fisher([1, 4]));
    expect(op.kind === "weighted" && op.parts.map((p) => [p.source, p.least, p.share])).toEqual([[0, 1e-6, 0.5], [undefined, 0, 0.5]]);
    expect(op.kind === "weighted" && op.parts[0]!.coefficient / op.parts[1]!.coefficient).toBe(4);
    expect([averagesBase({ includeBase: "auto" }, 1), averagesBase({ includeBase: "auto" }, 2), averagesBase({ includeBase: "yes" }, 2), averagesBase({ includeBase: "no" }, 1)]).toEqual([true, false, true, false]);
    const shares = (given: Params, weights: number[], study: TensorStudy): number[] => methodOf("fisher-average").tensorShares!(resolveParams(methodOf("fisher-average"), given), weights, study);
    expect(shares({ normalize: false }, [1, 1], fisher([3, 1]))).toEqual([0.75, 0.25]);
    expect(shares({}, [1], fisher([3, 1]))).toEqual([0.5]);
    expect(shares({}, [1, 3], fisher([3, 1], false))).toEqual([0.25, 0.75]);
    expect(() => plan("fisher-average", {}, [-1, 2], fisher([1, 1]))).toThrow("none may be below 0");
    expect(() => plan("fisher-average", {}, [0, 0], fisher([1, 1]))).toThrow("one must be above");
  });

  test("a floor above the mean Fisher is told, once that is known", () => {
    const method = methodOf("fisher-average");
    const advice = (given: Params, study?: TensorStudy) => method.advise!(resolveParams(method, given), [1, 1], study).join(" ");
    expect(advice({}, fisher([1e-8, 1]))).toContain("The floor 0.000001 is above the mean Fisher of the first model, 1.0e-8, so most entries stay those of that model.");
    expect(advice({ floorOn: "all" }, fisher([1e-8, 1]))).toContain("averaged alike");
    for (const quiet of [advice({}), advice({}, fisher([1e-5, 1])), advice({ floorUnit: "mean" }, fisher([1e-8, 1]))]) expect(quiet).not.toContain("above");
  });

  test("what its pass depends on", () => {
    const method = methodOf("fisher-average");
    const values = (given: Params) => JSON.stringify(method.passValues(resolveParams(method, given)));
    for (const same of [{ floor: 0 }, { floorUnit: "mean" }, { floorOn: "all" }, { normalize: false }, { baseWeight: 3 }] as Params[]) expect(values(same)).toBe(values({}));
    for (const other of [{ seed: 1 }, { N: 2 }, { tokens: "calibration" }, { labels: "sampled" }, { includeBase: "yes" }] as Params[]) expect(values(other)).not.toBe(values({}));
    expect(values({ tokens: "calibration", seed: 1 })).toBe(values({ tokens: "calibration" }));
  });
});
