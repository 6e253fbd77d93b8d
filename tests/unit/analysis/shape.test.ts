import { describe, expect, expectTypeOf, test } from "vitest";
import { computeShape, MAX_ADAPTIVE_ALPHA } from "../../../src/analysis/shape";
import { mergedNorm2 } from "../../../src/analysis/shapeCalibration";
import type { Shape, TensorStats } from "../../../src/analysis/types";
import type { ParamValue } from "../../../src/core/recipe";
import type { Shape as ApiShape } from "../../../src/engine/api";
import { methodOf, resolveParams } from "../../../src/merge/methods";
import { describeTensor } from "../../../src/model/roles";

const A = "LlamaForCausalLM";
type ExpertTensorStats = TensorStats["experts"][number];

function tensor(name: string, elements: number, fisherMean: number | undefined, base2Sum: number, ...experts: ExpertTensorStats[]): TensorStats {
  return { ...describeTensor(name, A), name, elements, base2Sum, experts, ...(fisherMean === undefined ? {} : { fisherSum: fisherMean * elements }) };
}
const delta = (mean: number, elements: number, more: ExpertTensorStats = {}): ExpertTensorStats => ({ delta2Sum: mean * elements, ...more });

function shape(methodId: string, stats: TensorStats[], given: Record<string, ParamValue> = {}, models: { name: string; weight?: number }[] = [{ name: "tuned" }]): Shape {
  const method = methodOf(methodId);
  return computeShape({ models }, resolveParams(method, given), method, stats, { complete: true, needsPass: false });
}
const rowOf = (s: Shape, name: string, k = 0) => s.experts[k]!.tensors.find((t) => t.name === name)!;

/** The five layers of METHODS 8.5, a matrix, a gate, a bias and a norm each, and the three tensors outside. */
const F = [4e-3, 1e-4, 2e-5, 1e-6, 4e-6];
const D = [1e-4, 2e-4, 1e-4, 1e-4, 5e-4];
const ALPHA = [0.5, 0.589329, 0.654484, 0.731059, 0.654484];
const five = (): TensorStats[] => [
  tensor("model.embed_tokens.weight", 100, 1e-9, 1, delta(1e-4, 100)),
  ...F.flatMap((f, l) => [
    tensor(`model.layers.${l}.self_attn.q_proj.weight`, 16, f, 1, delta(D[l]!, 16, { kept: 4, threshold: 1, delta2KeptSum: D[l]! * 8 })),
    tensor(`model.layers.${l}.mlp.gate_proj.weight`, 48, f, 1, delta(D[l]!, 48, { kept: 12, threshold: 1, delta2KeptSum: D[l]! * 8 })),
    tensor(`model.layers.${l}.self_attn.q_proj.bias`, 4, 100 * f, 1, delta(D[l]!, 4)),
    tensor(`model.layers.${l}.input_layernorm.weight`, 4, 10, 1, delta(1, 4)),
  ]),
  tensor("model.norm.weight", 4, 10, 1, delta(1, 4)),
  tensor("lm_head.weight", 100, 1e-5, 1, delta(1e-4, 100)),
];

test("the rows are those of the engine's interface", () => {
  expectTypeOf<Shape>().toEqualTypeOf<ApiShape>();
});

describe("five layers", () => {
  const s = shape("fim-ties", five());
  const first = s.experts[0]!;

  test("alpha, gate alpha, kept and the sentence", () => {
    first.layers.forEach((row, l) => {
      expect(row.layer).toBe(l);
      expect(row.alpha).toBeCloseTo(ALPHA[l]!, 6);
      expect(row.gateAlpha).toBeCloseTo([0.35, 0.41253, 0.458139, 0.511741, 0.458139][l]!, 6);
      expect(row.kept).toBe(0.25);
      expect(row.delta2ShareKept).toBeCloseTo(0.25, 12);
    });
    expect(first.median).toBeCloseTo(-20.030119, 6);
    expect(first.theta).toBeCloseTo(0.120568, 6);
    expect(first.reachable).toEqual([0.5, MAX_ADAPTIVE_ALPHA]);
    expect(s.sentence).toBe("Layer 0 matters most to the base and takes half; layer 3 matters least and takes 73%.");
  });

  test("tensors take their block's alpha, the gate its factor, outside the median", () => {
    expect(rowOf(s, "model.layers.1.self_attn.q_proj.bias").alpha).toBe(first.layers[1]!.alpha);
    expect(rowOf(s, "model.layers.1.input_layernorm.weight").alpha).toBe(first.layers[1]!.alpha);
    expect(rowOf(s, "model.layers.1.mlp.gate_proj.weight").alpha).toBe(first.layers[1]!.gateAlpha);
    for (const name of ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]) expect(rowOf(s, name).alpha).toBeCloseTo(0.654484, 6);
    expect(first.outsideAlpha).toBeCloseTo(0.654484, 6);
    expect(rowOf(s, "model.norm.weight").kept).toBeUndefined();
    expect(rowOf(s, "model.layers.0.mlp.gate_proj.weight")).toMatchObject({ kept: 0.25, threshold: 1, role: "gate_proj", layer: 0 });
  });

  const outside = (policy: ParamValue, name: string) => rowOf(shape("fim-ties", five(), { outsideT: policy }), name).alpha!;
  test("policies outside the blocks", () => {
    expect(outside("mean", "lm_head.weight")).toBeCloseTo(ALPHA.reduce((a, b) => a + b) / 5, 6);
    for (const name of ["model.embed_tokens.weight", "model.layers.2.self_attn.q_proj.bias", "model.layers.2.input_layernorm.weight"]) {
      expect(outside("base", name)).toBe(0);
      expect(outside("finetuned", name)).toBe(1);
      expect(outside("fixed(0.3)", name)).toBe(0.3);
      expect(outside(0.4, name)).toBe(0.4);
    }
    expect(outside("base", "model.layers.2.self_attn.q_proj.weight")).toBeCloseTo(ALPHA[2]!, 6);
    // Own scores use the statistics of T: below the smallest score more than 0.731, above the largest less than 0.5.
    expect(outside("own", "model.embed_tokens.weight")).toBeCloseTo(1 / (1 + Math.exp(0.120568 * (Math.log(1e-13) + 14.731801))), 5);
    expect(outside("own", "model.layers.0.input_layernorm.weight")).toBeLessThan(0.5);
    expect(shape("fim-ties", five(), { outsideT: "own" }).experts[0]!.outsideAlpha).toBeUndefined();
  });

  test("theta, scale, gate factor, biases", () => {
    const layers = (given: Record<string, ParamValue>) => shape("fim-ties", five(), given).experts[0]!.layers;
    expect(layers({ theta: 0.2 })[3]!.alpha).toBeCloseTo(0.840078, 6);
    expect(shape("fim-ties", five(), { theta: 0.2 }).experts[0]!.reachable).toBeUndefined();
    expect(layers({ scale: 0.5 })[0]!.alpha).toBe(0.25);
    expect(layers({ gateFactor: 1 })[1]!.gateAlpha).toBe(layers({})[1]!.alpha);
    expect(layers({ includeBiasInScore: true })[0]!.fisher).toBeCloseTo((64 * F[0]! + 4 * 100 * F[0]!) / 68, 12);
    expect(layers({ includeBiasInScore: true, blockMean: "tensors" })[0]!.fisher).toBeCloseTo((F[0]! * 102) / 3, 12);
  });

  test("one alpha per tensor", () => {
    const stats = five();
    stats.find((t) => t.name === "model.layers.0.self_attn.q_proj.weight")!.fisherSum! *= 10;
    const per = shape("fim-ties", stats, { alphaScope: "tensor", gateFactor: 1 });
    expect(rowOf(per, "model.layers.0.self_attn.q_proj.weight").alpha).toBe(0.5);
    expect(rowOf(per, "model.layers.0.mlp.gate_proj.weight").alpha).toBeGreaterThan(0.5);
    expect(rowOf(per, "model.layers.0.self_attn.q_proj.bias").alpha).toBe(0.5);
    const block = (16 * 0.5 + 48 * rowOf(per, "model.layers.0.mlp.gate_proj.weight").alpha!) / 64;
    expect(rowOf(per, "model.layers.0.input_layernorm.weight").alpha).toBeCloseTo(block, 12);
    expect(per.experts[0]!.layers[0]!.alpha).toBeCloseTo(block, 12);
    // A bias that is a member of T has a score of its own: its F is a hundred times that of the matrices.
    const withBias = shape("fim-ties", stats, { alphaScope: "tensor", gateFactor: 1, includeBiasInScore: true });
    expect(rowOf(withBias, "model.layers.0.self_attn.q_proj.bias").alpha).toBe(0.5);
    expect(rowOf(withBias, "model.layers.0.self_attn.q_proj.weight").alpha).toBeGreaterThan(0.5);
  });
});

describe("incomplete and degenerate passes", () => {
  test("alpha waits for every layer; other numbers do not", () => {
    const stats = five();
    for (const t of stats) if (t.layer === 0) delete t.fisherSum;
    const s = shape("fim-ties", stats);
    expect(s.experts[0]!.layers.map((l) => l.alpha)).toEqual(Array(5).fill(undefined));
    expect(s.experts[0]!.layers[0]!.s).toBeUndefined();
    expect(s.experts[0]!.layers[1]!.s).toBeCloseTo(-17.727534, 6);
    expect(s.sentence).toContain("so it appears when layer 0 is done");
    expect(rowOf(s, "lm_head.weight").alpha).toBeUndefined();
  });

  test("a layer that did not change, one without Fisher", () => {
    const stats = five();
    for (const t of stats) if (t.layer === 2) for (const e of t.experts) e.delta2Sum = 0;
    const s = shape("fim-ties", stats);
    expect(s.experts[0]!.layers[2]!.alpha).toBeCloseTo(MAX_ADAPTIVE_ALPHA, 12);
    expect(s.experts[0]!.layers[2]!.s).toBeUndefined();
    expect(s.warnings).toEqual(["Layer 2 did not change; it is left out of the comparison and takes the largest α."]);
    for (const t of stats) if (t.layer === 1) t.fisherSum = 0;
    expect(shape("fim-ties", stats).warnings[0]).toContain("Layers 1, 2 have no score");
  });

  test("all layers alike", () => {
    const alike = [0, 1, 2].map((l) => tensor(`model.layers.${l}.mlp.up_proj.weight`, 10, 1, 1, delta(2, 10)));
    const s = shape("fim-ta", alike);
    expect(s.experts[0]!.layers.map((l) => l.alpha)).toEqual([0.5, 0.5, 0.5]);
    expect(s.sentence).toBe("All layers matter alike; each takes half.");
  });

  test("a threshold of zero is reported", () => {
    const stats = [tensor("model.layers.0.mlp.up_proj.weight", 6, 1, 1, delta(1, 6, { threshold: 0, kept: 6, delta2KeptSum: 6 }))];
    expect(shape("fim-ties", stats).warnings[0]).toContain("keeps every entry");
  });
});

describe("norm calibration", () => {
  const diag = (base: [number, number], merged: [number, number], alpha = 0.5): TensorStats => {
    const d = [(merged[0] - base[0]) / alpha, (merged[1] - base[1]) / alpha] as const;
    return tensor("model.layers.0.mlp.up_proj.weight", 4, 1, base[0] ** 2 + base[1] ** 2, { delta2Sum: d[0] ** 2 + d[1] ** 2, delta2KeptSum: d[0] ** 2 + d[1] ** 2, dotBaseKept: base[0] * d[0] + base[1] * d[1] });
  };

  test("worked example: fires above 5 %, not below", () => {
    const high = shape("fim-ties", [diag([3, 4], [3, 5])]);
    expect(high.experts[0]!.tensors[0]).toMatchObject({ calibrated: true });
    expect(high.experts[0]!.tensors[0]!.rho).toBeCloseTo(1.16619, 5);
    expect(1 / high.experts[0]!.tensors[0]!.rho!).toBeCloseTo(0.857493, 6);
    expect(high.calibration).toEqual({ mode: "frobenius", tested: 1, moved: 1 });
    const low = shape("fim-ties", [diag([3, 4], [3, 4.2])]);
    expect(low.experts[0]!.tensors[0]!.rho).toBeCloseTo(1.032279, 6);
    expect(low.calibration).toEqual({ mode: "frobenius", tested: 1, moved: 0 });
  });

  test("the limit itself does not fire", () => {
    // |W0| = 1 and |merged| = 1.5 exactly, limit 0.5.
    expect(shape("fim-ties", [diag([0, 1], [0, 1.5])], { "calib.eps": 0.5 }).calibration.moved).toBe(0);
    expect(shape("fim-ties", [diag([0, 1], [0, 1.5])], { eps: 0.49 }).calibration.moved).toBe(1);
  });

  test("per block, off, without sums, with a zero base", () => {
    const other = { ...diag([30, 40], [30, 40]), name: "model.layers.0.mlp.down_proj.weight" };
    const block = shape("fim-ties", [diag([3, 4], [3, 5]), other], { "calib.scope": "block" });
    expect(block.calibration).toEqual({ mode: "frobenius", tested: 2, moved: 0 });
    expect(block.experts[0]!.tensors[0]!.rho).toBe(block.experts[0]!.tensors[1]!.rho);
    expect(shape("fim-ta", [diag([3, 4], [3, 5])]).calibration).toEqual({ mode: "off", tested: 0, moved: 0 });
    expect(shape("fim-ties", [diag([3, 4], [3, 5])], { calib: "gaussian" }).calibration.tested).toBe(0);
    expect(shape("fim-ties", [diag([0, 0], [3, 5])]).calibration.tested).toBe(0);
  });

  test("the quadratic form", () => expect(mergedNorm2({ base2: 25, dot: 4, kept2: 1 }, 1)).toBe(34));
});

describe("methods without a Fisher", () => {
  const stats = (experts: number) => [tensor("model.layers.0.mlp.up_proj.weight", 10, undefined, 1, ...Array.from({ length: experts }, () => ({}))), tensor("model.norm.weight", 4, undefined, 1, ...Array.from({ length: experts }, () => ({})))];

  test("one coefficient everywhere, nothing measured", () => {
    const s = shape("task-arithmetic", stats(1), { lambda: 0.7 });
    expect(s.experts[0]!.tensors.map((t) => t.alpha)).toEqual([0.7, 0.7]);
    expect(s.experts[0]!.layers[0]).toMatchObject({ alpha: 0.7, fisher: undefined, s: undefined, kept: undefined });
    expect(s.sentence).toBe("Every layer takes 70% of the change.");
    expect(shape("ties", stats(1)).sentence).toBe("Every layer takes all of the kept change.");
    expect(shape("ties", stats(1), {}, [{ name: "a", weight: 0.5 }]).warnings.join(" ")).toContain("its weight cancels");
  });

  test("several models", () => {
    const s = shape("task-arithmetic", stats(2), { normalize: true }, [{ name: "a", weight: 3 }, { name: "b", weight: 1 }]);
    expect(s.experts.map((e) => e.outsideAlpha)).toEqual([0.75, 0.25]);
    expect(s.sentence).toBe("Every layer takes 75% of the change to a, 25% of the change to b.");
    expect(shape("linear", stats(2), {}, [{ name: "a" }, { name: "b" }]).sentence).toBe("Every entry is a weighted mean: half of a, half of b.");
  });
});

test("several models, each with its own alpha; calibration is left out and said so", () => {
  const stats = five().map((t) => ({ ...t, experts: [t.experts[0]!, { ...t.experts[0]!, delta2Sum: (t.layer === 0 ? 1e4 : 1) * t.experts[0]!.delta2Sum! }] }));
  const s = shape("fim-ties", stats, {}, [{ name: "a" }, { name: "b" }]);
  expect(s.experts.map((e) => e.layers[1]!.alpha! > 0.5)).toEqual([true, true]);
  expect(s.experts[0]!.layers[1]!.alpha).not.toBe(s.experts[1]!.layers[1]!.alpha);
  expect(s.calibration.mode).toBe("off");
  expect(s.warnings[0]).toContain("extension");
  expect(s.sentence.startsWith("Of a: layer 0")).toBe(true);
});
