import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { computeShape } from "../../../src/analysis/shape";
import type { Shape, TensorStats } from "../../../src/analysis/types";
import type { ParamValue } from "../../../src/core/recipe";
import { toFloat32 } from "../../../src/formats/dtypes";
import type { FloatDtype } from "../../../src/core/tensors";
import { applyOpCpu } from "../../../src/merge/cpu";
import { methodOf, resolveParams, type TensorFacts } from "../../../src/merge/methods";
import { findCut, keepRule, maskBit, maskOf, popcount } from "../../../src/merge/trim";
import { describeTensor } from "../../../src/model/roles";
import { readFixture, type FixtureTensor } from "../../reference/merge/fixture";
import { expectClose } from "../../support/compare";

/** The models, and for each tensor the sums a pass would find, from the golden Fisher and plain loops. */
function load(set: string) {
  const base = readFixture(`${set}/base/model.safetensors`);
  const tuned = readFixture(`${set}/finetuned/model.safetensors`);
  const fisher = readFixture(`${set}/fisher.safetensors`);
  const reference = JSON.parse(readFileSync(`tests/fixtures/${set}/reference.json`, "utf8"));
  return { base, tuned, fisher, reference, merged: readFixture(`${set}/merged_fim_ties_r02.safetensors`), masks: readFixture(`${set}/masks.safetensors`), more: readFixture(`${set}/tensors.safetensors`), architecture: set.startsWith("qwen") ? "Qwen2ForCausalLM" : "LlamaForCausalLM" };
}
type Loaded = ReturnType<typeof load>;

function measure(models: Loaded, methodId: string, given: Record<string, ParamValue>, probes = false) {
  const method = methodOf(methodId);
  const params = resolveParams(method, given);
  const masks = new Map<string, Uint32Array>();
  const stats = [...models.base].map(([name, { values: theta0, shape }]): TensorStats => {
    const facts: TensorFacts = { ...describeTensor(name, models.architecture), name, elements: theta0.length };
    const theta = models.tuned.get(name)!.values;
    const f = models.fisher.get(name)?.values;
    const delta = Float32Array.from(theta, (v, i) => v - theta0[i]!);
    const plan = method.trimPlan(params, facts, 1e6);
    const keys = plan && delta.map((d, i) => (plan.key === "fisher" ? f![i]! : 1) * Math.abs(d));
    const cut = plan && findCut(keys!, keepRule(facts.elements, plan.rule, plan.share));
    const mask = cut && maskOf(keys!, cut, plan.dropZero);
    if (mask) masks.set(name, mask);
    const sum = (value: (i: number) => number) => theta0.reduce((s, _, i) => s + value(i), 0);
    const kept = (i: number) => (!mask || maskBit(mask, i) ? delta[i]! : 0);
    return {
      ...facts,
      ...(f ? { fisherSum: sum((i) => f[i]!) } : {}),
      base2Sum: sum((i) => theta0[i]! ** 2),
      experts: [{
        delta2Sum: sum((i) => delta[i]! ** 2),
        ...(f ? { jointSum: sum((i) => f[i]! * delta[i]! ** 2) } : {}),
        delta2KeptSum: sum((i) => kept(i) ** 2),
        dotBaseKept: sum((i) => theta0[i]! * kept(i)),
        ...(mask && cut ? { threshold: cut.threshold, kept: popcount(mask) } : {}),
        ...(probes && facts.inBlock2d ? { probe: probe(theta0, Float32Array.from(theta0, (_, i) => kept(i)), shape as [number, number], models.more) } : {}),
      }],
    };
  });
  const shape = computeShape({ models: [{ name: "tuned" }] }, params, method, stats, { complete: true, needsPass: false });
  return { method, params, masks, stats, shape };
}

/** |W A|^2, <W A, D A>, |D A|^2 for the stored probe A of this input width. */
function probe(w: Float32Array, d: Float32Array, [rows, cols]: [number, number], more: Map<string, FixtureTensor>) {
  const a = more.get(`probe/${cols}`)!.values;
  const width = a.length / cols;
  const sums = { base2: 0, dot: 0, kept2: 0 };
  for (let r = 0; r < rows; r++)
    for (let p = 0; p < width; p++) {
      let wa = 0;
      let da = 0;
      for (let c = 0; c < cols; c++) {
        wa += w[r * cols + c]! * a[c * width + p]!;
        da += d[r * cols + c]! * a[c * width + p]!;
      }
      sums.base2 += wa * wa;
      sums.dot += wa * da;
      sums.kept2 += da * da;
    }
  return sums;
}

const alphas = (shape: Shape) => shape.experts[0]!.layers.map((l) => l.alpha!);
const row = (shape: Shape, name: string) => shape.experts[0]!.tensors.find((t) => t.name === name)!;

function merge(models: Loaded, run: ReturnType<typeof measure>, name: string): Float32Array {
  const base = models.base.get(name)!;
  const tuned = models.tuned.get(name)!;
  const tensor = run.stats.find((t) => t.name === name)!;
  const found = row(run.shape, name);
  const op = run.method.planTensor({ params: run.params, weights: [1], tensor, cols: tensor.elements, rescale: [1], alphas: [found.alpha!], masks: [run.masks.get(name)], ...(found.calibrated ? { rho: found.rho! } : {}) });
  const slice = { base: { bytes: base.bytes, dtype: base.dtype as FloatDtype }, experts: [{ bytes: tuned.bytes, dtype: tuned.dtype as FloatDtype }], start: 0, elements: tensor.elements };
  return toFloat32(applyOpCpu(op, slice, "F32"), "F32");
}

describe.each(["qwen2-tiny-f32", "llama-tiny-bf16"])("%s", (set) => {
  const models = load(set);
  const { layers_N4_L16: layers, trim, merge: merges } = models.reference;
  const ties = measure(models, "fim-ties", { r: 0.2, outsideT: "base", calib: "off" });

  test("s, median and alpha of the blocks", () => {
    const { shape } = ties;
    expectClose(shape.experts[0]!.layers.map((l) => l.fisher!), layers.block_2d.fisher_mean, { rtol: 1e-6 }, "F");
    expectClose(shape.experts[0]!.layers.map((l) => l.delta2!), layers.block_2d.delta2_mean, { rtol: 1e-6 }, "delta2");
    expectClose(shape.experts[0]!.layers.map((l) => l.s!), layers.block_2d.s, { atol: 1e-6 }, "s");
    expectClose(alphas(shape), layers.block_2d.alpha, { atol: 1e-7 }, "alpha");
    expectClose([shape.experts[0]!.median!, shape.experts[0]!.theta!], [layers.block_2d.median, layers.block_2d.theta_adapt], { atol: 1e-6 });
  });

  test("other readings of a layer, and other signals", () => {
    const all = (given: Record<string, ParamValue>) => measure(models, "fim-ta", given).shape;
    expectClose(alphas(all({ blockMean: "tensors" })), layers.block_2d_mean_of_tensor_means.alpha, { atol: 1e-7 });
    expectClose(alphas(all({ scoreMode: "fimOnly" })), layers.ablation_fisher_only_block_2d.alpha, { atol: 1e-7 });
    expectClose(alphas(all({ scoreMode: "normOnly" })), layers.ablation_delta_only_block_2d.alpha, { atol: 1e-7 });
    const perTensor = all({ alphaScope: "tensor" });
    expectClose((layers.tensor_2d.names as string[]).map((name) => row(perTensor, name).alpha!), layers.tensor_2d.alpha, { atol: 1e-7 });
  });

  test.each(["r02", "r04"])("thresholds, counts and masks, %s", (r) => {
    const run = measure(models, "fim-ties", { r: r === "r02" ? 0.2 : 0.4 });
    for (const [name, want] of Object.entries(trim[r].per_tensor) as [string, { threshold_linear: number; kept_linear: number; topk_threshold: number }][]) {
      const found = row(run.shape, name);
      expect(found.kept! * found.elements, name).toBeCloseTo(want.kept_linear, 6);
      // Ours is the smallest kept key, theirs the interpolated quantile just below it.
      expect(found.threshold!).toBeGreaterThanOrEqual(want.threshold_linear * (1 - 1e-6));
      const golden = models.masks.get(`${r}/${name}`)!.bytes;
      expect(Buffer.compare(Buffer.from(run.masks.get(name)!.buffer).subarray(0, golden.length), golden), name).toBe(0);
    }
  });

  test("merged weights of fim_ties_r02, everything else as the base", () => {
    for (const [name, { values }] of models.merged) expectClose(merge(models, ties, name), values, { atol: 1e-6 }, name);
    for (const name of models.base.keys()) if (!models.merged.has(name)) expect(merge(models, ties, name)).toEqual(models.base.get(name)!.values);
  });

  test.each([
    ["fim_ta", "fim-ta", { outsideT: "base" }],
    ["fim_ta_gate", "fim-ta", { outsideT: "base", gateFactor: 0.7 }],
    ["fim_ties_r04", "fim-ties", { outsideT: "base", r: 0.4, calib: "off" }],
    ["fim_ties_r02_all", "fim-ties", { outsideT: "mean", r: 0.2, calib: "off" }],
    ["fim_ta_all", "fim-ta", { outsideT: "mean", gateFactor: 1 }],
    ["fim_ties_r02_tensoralpha", "fim-ties", { outsideT: "base", r: 0.2, calib: "off", alphaScope: "tensor" }],
    ["fim_ties_r02_nc_gaussian", "fim-ties", { outsideT: "base", r: 0.2, calib: "gaussian" }],
    ["fim_ta_nc_gaussian", "fim-ta", { outsideT: "base", calib: "gaussian" }],
  ] as [string, string, Record<string, ParamValue>][])("sums and norms of %s", (variant, method, given) => {
    const run = measure(models, method, given, given.calib === "gaussian");
    const want = merges.variants[variant].tensors as Record<string, { sum: number; l2: number }>;
    for (const [name, { sum, l2 }] of Object.entries(want)) {
      const got = merge(models, run, name);
      expectClose([got.reduce((a, v) => a + v, 0), Math.sqrt(got.reduce((a, v) => a + v * v, 0))], [sum, l2], { rtol: 1e-6, atol: 2e-4 }, name);
    }
    const calibration = merges.calibration[variant] as Record<string, { ratio: number; rescaled: boolean }> | undefined;
    for (const [name, { ratio, rescaled }] of Object.entries(calibration ?? {})) {
      expect(row(run.shape, name).rho!).toBeCloseTo(ratio, 6);
      expect(row(run.shape, name).calibrated).toBe(rescaled);
    }
    if (calibration) expect(run.shape.calibration.moved).toBe(Object.values(calibration).filter((c) => c.rescaled).length);
  });
});
