import { beforeAll, describe, expect, test } from "vitest";
import type { Recipe } from "../../../src/core/recipe";
import type { Checkpoint, TensorSource } from "../../../src/core/tensors";
import type { MeasureReport, Shape, TensorRow } from "../../../src/engine/api";
import { maskBit } from "../../../src/kernels/stats/trim";
import { parseModelConfig } from "../../../src/model/config";
import { createDecoder } from "../../../src/model/decoder";
import { readFloatTensor } from "../../../src/model/weights";
import { expectClose } from "../../support/compare";
import { bench, recipeFor, valuesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { testGpu } from "../../support/gpu";
import { fixtureCheckpoint, fixtureJson, fixtureTensors } from "../../support/nodeCheckpoint";

interface LayerScores { s: number[]; alpha: number[]; median?: number; theta_adapt?: number; names?: string[] }
interface Trim {
  r: number;
  per_tensor: Record<string, { threshold_linear: number; kept_linear: number; kept_topk: number; kept_ge_topk_threshold: number }>;
  per_block_threshold: number[];
  per_block_kept: number[];
  global_threshold: number;
  global_kept: number;
  magnitude_trim_per_tensor: Record<string, { kept: number; threshold: number }>;
}
interface Reference {
  losses: Record<string, number[]>;
  tensors: Record<string, { fisher_mean: number; delta2_mean: number }>;
  layers_N4_L16: Record<string, LayerScores>;
  trim: { r02: Trim; r04: Trim };
  merge: {
    variants: Record<string, { loss_mean_per_sample: number[]; greedy_12: number[]; tensors?: Record<string, { sum: number; l2: number }>; unchanged_tensors?: string[] }>;
    calibration: Record<string, Record<string, { base_norm: number; merged_norm: number; ratio: number; rescaled: boolean }>>;
  };
}

// The reading of the fixtures: no calibration, everything outside the 2-D weights of the blocks stays the base.
const PLAIN = { calib: "off", outsideT: "base" } as const;
const R = { r02: 0.2, r04: 0.4 } as const;

// Tolerances are those of tests/fixtures/README.md, "Accuracy, and what to allow".
describe.each(["qwen2-tiny-f32", "llama-tiny-bf16"])("%s", (set) => {
  const reference = fixtureJson<Reference>(set, "reference.json");
  const tokens = fixtureJson<Record<string, number[][]>>(set, "tokens.json").fisher_N4_L16!;
  const prompt = fixtureJson<Record<string, number[]>>(set, "tokens.json").prompt!;
  const matrices = Object.keys(reference.trim.r02.per_tensor);
  let b: Bench;
  let base: Checkpoint;
  let finetuned: Checkpoint;
  let fisher: TensorSource;
  let maskFile: TensorSource;

  const recipe = (method: string, params: Recipe["params"], dtype: "base" | "F32" = "F32") => recipeFor(method, { ...PLAIN, ...params }, { tokens, output: { dtype } });
  const rowsOf = (shape: Shape): Map<string, TensorRow> => new Map(shape.experts[0]!.tensors.map((t) => [t.name, t]));
  const measured = async (method: string, params: Recipe["params"]): Promise<{ report: MeasureReport; shape: Shape; rows: Map<string, TensorRow> }> => {
    const report = await b.measure(recipe(method, params));
    const shape = await b.shape(recipe(method, params));
    return { report, shape, rows: rowsOf(shape) };
  };
  const storedMask = (key: string, name: string): Uint32Array => b.passes.get(`mask/${key}/0/${name}`) as Uint32Array;

  beforeAll(async () => {
    [base, finetuned, fisher, maskFile] = await Promise.all([fixtureCheckpoint(set, "base"), fixtureCheckpoint(set, "finetuned"), fixtureTensors(set, "fisher.safetensors"), fixtureTensors(set, "masks.safetensors")]);
    b = bench((await watchedGpu()).gpu, { base, finetuned });
  });

  test("losses, Fisher and change of every tensor, scores and layer weights", async () => {
    const { report, shape, rows } = await measured("fim-ties", { r: 0.2 });
    expectClose(report.losses, reference.losses.base_loss_mean_per_sample_N4_L16!, { atol: 1e-5 }, "losses");
    expect(report.tokens).toBe(64);
    expect([...rows.keys()].sort()).toEqual(Object.keys(reference.tensors).sort());
    for (const [name, want] of Object.entries(reference.tensors)) {
      expectClose([rows.get(name)!.fisherMean!], [want.fisher_mean], { rtol: 1e-4 }, `mean Fisher of ${name}`);
      expectClose([rows.get(name)!.delta2Mean!], [want.delta2_mean], { rtol: 1e-5 }, `mean squared change of ${name}`);
    }
    const layers = shape.experts[0]!.layers;
    const want = reference.layers_N4_L16.block_2d!;
    expectClose(layers.map((l) => l.s!), want.s, { atol: 1e-4 }, "s");
    expectClose(layers.map((l) => l.alpha!), want.alpha, { atol: 1e-5 }, "alpha");
    expectClose(layers.map((l) => l.gateAlpha!), want.alpha.map((a) => 0.7 * a), { atol: 1e-5 }, "alpha of the gate");
    expectClose([shape.experts[0]!.median!, shape.experts[0]!.theta!], [want.median!, want.theta_adapt!], { atol: 1e-4 }, "median and theta");
    expect(shape.experts[0]!.outsideAlpha).toBe(0);
  });

  test.each([
    ["block_2d_mean_of_tensor_means", { blockMean: "tensors" }],
    ["ablation_fisher_only_block_2d", { scoreMode: "fimOnly" }],
    ["ablation_delta_only_block_2d", { scoreMode: "normOnly" }],
  ])("%s without another pass", async (key, params) => {
    const passes = [...b.passes.keys()].length;
    const shape = await b.shape(recipe("fim-ties", { r: 0.2, ...params }));
    expectClose(shape.experts[0]!.layers.map((l) => l.alpha!), reference.layers_N4_L16[key]!.alpha, { atol: 1e-5 }, key);
    expect(shape.needsPass).toBe(false);
    expect([...b.passes.keys()].length).toBe(passes);
  });

  test("one alpha per tensor", async () => {
    const { names, alpha, s } = reference.layers_N4_L16.tensor_2d!;
    const rows = rowsOf(await b.shape(recipe("fim-ties", { r: 0.2, alphaScope: "tensor", gateFactor: 1 })));
    expectClose(names!.map((name) => rows.get(name)!.alpha!), alpha, { atol: 1e-5 }, "alpha");
    expect(s).toHaveLength(names!.length);
  });

  test.each(["r02", "r04"] as const)("thresholds, counts and bits of the masks, %s", async (key) => {
    const { report, rows } = await measured("fim-ties", { r: R[key] });
    let differing = 0;
    let total = 0;
    for (const name of matrices) {
      const want = reference.trim[key].per_tensor[name]!;
      const row = rows.get(name)!;
      expectClose([row.threshold!], [want.threshold_linear], { rtol: 1e-3 }, `threshold of ${name}`);
      const got = storedMask(report.key, name);
      const golden = await maskFile.read(`${key}/${name}`, 0, Math.ceil(row.elements / 8));
      const F = await readFloatTensor(fisher, name);
      const [theta0, theta1] = [await valuesOf(base, name), await valuesOf(finetuned, name)];
      let kept = 0;
      for (let i = 0; i < row.elements; i++) {
        const bit = maskBit(got, i);
        if (bit) kept++;
        if (bit === (((golden[i >> 3]! >> (i & 7)) & 1) === 1)) continue;
        differing++;
        expectClose([F[i]! * Math.abs(theta1[i]! - theta0[i]!)], [want.threshold_linear], { rtol: 0.01 }, `score of the entry ${name}[${i}] whose bit differs`);
      }
      total += row.elements;
      expect(row.kept! * row.elements, `kept of ${name}`).toBeCloseTo(kept, 6);
      expect(Math.abs(kept - want.kept_linear), `kept of ${name}`).toBeLessThanOrEqual(Math.ceil(2e-4 * row.elements));
    }
    expect(differing / total).toBeLessThanOrEqual(2e-4);
  });

  test.each(["r02", "r04"] as const)("magnitude trim, %s", async (key) => {
    const { rows } = await measured("fim-ties", { r: R[key], trimScore: "magnitude" });
    for (const [name, want] of Object.entries(reference.trim[key].magnitude_trim_per_tensor)) {
      expectClose([rows.get(name)!.threshold!], [want.threshold], { rtol: 1e-6, atol: 1e-9 }, `threshold of ${name}`);
      expect(Math.round(rows.get(name)!.kept! * rows.get(name)!.elements), `kept of ${name}`).toBe(want.kept);
    }
  });

  test("one threshold per block, and one for the model", async () => {
    const { r02 } = reference.trim;
    const perBlock = await measured("fim-ties", { r: 0.2, trimScope: "block" });
    r02.per_block_threshold.forEach((want, layer) => {
      const inBlock = matrices.filter((name) => name.includes(`.layers.${layer}.`)).map((name) => perBlock.rows.get(name)!);
      for (const row of inBlock) expectClose([row.threshold!], [want], { rtol: 1e-3 }, `threshold of ${row.name}`);
      const kept = inBlock.reduce((sum, row) => sum + Math.round(row.kept! * row.elements), 0);
      expect(Math.abs(kept - r02.per_block_kept[layer]!)).toBeLessThanOrEqual(9);
    });
    const model = await measured("fim-ties", { r: 0.2, trimScope: "model" });
    for (const name of matrices) expectClose([model.rows.get(name)!.threshold!], [r02.global_threshold], { rtol: 1e-3 }, `threshold of ${name}`);
    const kept = matrices.reduce((sum, name) => sum + Math.round(model.rows.get(name)!.kept! * model.rows.get(name)!.elements), 0);
    expect(Math.abs(kept - r02.global_kept)).toBeLessThanOrEqual(26);
    expectClose(model.report.losses, reference.losses.base_loss_mean_per_sample_N4_L16!, { atol: 1e-5 }, "losses of the last of three passes");
  });

  test.each([
    ["fim_ta", "fim-ta", { gateFactor: 1 }],
    ["fim_ta_gate", "fim-ta", { gateFactor: 0.7 }],
    ["fim_ta_all", "fim-ta", { gateFactor: 1, outsideT: "mean" }],
    ["fim_ties_r02", "fim-ties", { r: 0.2 }],
    ["fim_ties_r04", "fim-ties", { r: 0.4 }],
    ["fim_ties_r02_all", "fim-ties", { r: 0.2, outsideT: "mean" }],
    ["fim_ties_r02_tensoralpha", "fim-ties", { r: 0.2, alphaScope: "tensor" }],
    ["fim_ties_r02_nc_activation", "fim-ties", { r: 0.2, calib: "activations" }],
    ["fim_ties_r04_nc_activation", "fim-ties", { r: 0.4, calib: "activations" }],
  ])("merged tensors and losses of %s", async (variant, method, params) => {
    const want = reference.merge.variants[variant]!;
    const { checkpoint, report } = await b.merge(recipe(method, params));
    expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
    for (const [name, { sum, l2 }] of Object.entries(want.tensors!)) {
      const values = await valuesOf(checkpoint, name);
      const norm = Math.sqrt(values.reduce((a, v) => a + v * v, 0));
      // A mask entry that differs would show here; each element may be off by 1e-6.
      expectClose([norm], [l2], { atol: 2e-5, rtol: 1e-6 }, `norm of ${name}`);
      expectClose([values.reduce((a, v) => a + v, 0)], [sum], { atol: 1e-6 * values.length }, `sum of ${name}`);
    }
    for (const name of want.unchanged_tensors!) expect(await valuesOf(checkpoint, name), name).toEqual(await valuesOf(base, name));
    const gpu = await testGpu();
    const decoder = createDecoder(gpu, checkpoint, parseModelConfig(checkpoint.config));
    expectClose((await decoder.forward(tokens)).losses, want.loss_mean_per_sample, { atol: 1e-5 }, "losses of the merged model");
  });

  test("FIM-TIES and FIM-TA entry by entry", async () => {
    const golden = await fixtureTensors(set, "merged_fim_ties_r02.safetensors");
    const { checkpoint } = await b.merge(recipe("fim-ties", { r: 0.2 }));
    expect([...golden.tensors.keys()].sort()).toEqual([...matrices].sort());
    for (const name of matrices) expectClose(await valuesOf(checkpoint, name), await readFloatTensor(golden, name), { atol: 1e-6 }, name);

    const tensors = await fixtureTensors(set, "tensors.safetensors");
    const ta = await b.merge(recipe("fim-ta", { gateFactor: 1 }));
    const given = [...tensors.tensors.keys()].filter((n) => n.startsWith("merged/fim_ta/"));
    expect(given).toHaveLength(4);
    for (const name of given) expectClose(await valuesOf(ta.checkpoint, name.slice("merged/fim_ta/".length)), await readFloatTensor(tensors, name), { atol: 1e-6 }, name);
  });

  test("stored in the base's dtype, each entry is within half a step of the golden one", async () => {
    const golden = await fixtureTensors(set, "merged_fim_ties_r02.safetensors");
    const { checkpoint } = await b.merge(recipe("fim-ties", { r: 0.2 }, "base"));
    for (const name of matrices) {
      const bf16 = checkpoint.tensors.get(name)!.dtype === "BF16";
      expectClose(await valuesOf(checkpoint, name), await readFloatTensor(golden, name), { atol: 1e-6, rtol: bf16 ? 2 ** -8 : 0 }, name);
    }
  });

  test("12 greedy tokens of the merged model", async () => {
    const { checkpoint } = await b.merge(recipe("fim-ties", { r: 0.2 }));
    const gpu = await testGpu();
    const decoder = createDecoder(gpu, checkpoint, parseModelConfig(checkpoint.config));
    const sequence = [...prompt];
    for (let i = 0; i < 12; i++) {
      const { logits } = await decoder.forward([sequence], { logitsOf: (_, position) => position === sequence.length - 1 });
      const values = logits[0]!.values;
      sequence.push(values.indexOf(Math.max(...values)));
    }
    expect(sequence.slice(prompt.length)).toEqual(reference.merge.variants.fim_ties_r02!.greedy_12);
  });

  test.each(["fim_ties_r02_nc_activation", "fim_ties_r04_nc_activation"])("%s: norm ratios and which tensors are rescaled", async (variant) => {
    const want = reference.merge.calibration[variant]!;
    const { rows, shape } = await measured("fim-ties", { r: variant.includes("r02") ? 0.2 : 0.4, calib: "activations" });
    for (const [name, { ratio, rescaled }] of Object.entries(want)) {
      expectClose([rows.get(name)!.rho!], [ratio], { rtol: 1e-5 }, `ratio of ${name}`);
      expect(rows.get(name)!.calibrated, name).toBe(rescaled);
    }
    expect(shape.calibration).toEqual({ mode: "activations", tested: matrices.length, moved: Object.values(want).filter((w) => w.rescaled).length });
  });

  test.each(["fim_ties_r02_nc_gaussian", "fim_ta_nc_gaussian"])("%s: our own probes and the closed form come near its ratios", async (variant) => {
    // The golden probes are 32 other random columns, so only the expectation is shared.
    const want = reference.merge.calibration[variant]!;
    const method = variant.startsWith("fim_ta") ? "fim-ta" : "fim-ties";
    const params: Recipe["params"] = method === "fim-ta" ? { gateFactor: 1 } : { r: 0.2 };
    const gaussian = (await measured(method, { ...params, calib: "gaussian" })).rows;
    const closed = (await measured(method, { ...params, calib: "frobenius" })).rows;
    for (const name of matrices) {
      expectClose([gaussian.get(name)!.rho!], [closed.get(name)!.rho!], { atol: 0.03 }, `Gaussian against closed form, ${name}`);
      expectClose([closed.get(name)!.rho!], [want[name]!.ratio], { atol: 0.03 }, `closed form against the fixture's probes, ${name}`);
    }
    expect(matrices.some((name) => gaussian.get(name)!.rho !== closed.get(name)!.rho)).toBe(true);
  });
});
