import { beforeAll, describe, expect, test } from "vitest";
import type { Recipe } from "../../../src/core/recipe";
import { drawTokens } from "../../../src/core/random";
import type { Shape, TensorRow } from "../../../src/engine/api";
import { labelSampler } from "../../../src/fisher/labels";
import { maskBit } from "../../../src/kernels/stats/trim";
import { createDecoder } from "../../../src/model/decoder";
import { fisher as referenceFisher, gradients, type Parameters as Weights } from "../../reference/model/decoder";
import { percentileKeep, topKeep } from "../../reference/stats/trim";
import { expectClose } from "../../support/compare";
import { bench, fisherMemory, recipeFor, valuesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { testGpu } from "../../support/gpu";
import { float64Parameters } from "../../support/nodeCheckpoint";
import { randomModel, randomTokens, TINY, type RandomModel } from "../../support/tinyModel";

const RAW = { ...TINY.qwen2Tied, tie_word_embeddings: false, bos_token_id: 7 };
const SEQUENCES = randomTokens(5, RAW.vocab_size, [6, 9, 4]);
const LENGTHS = SEQUENCES.map((s) => s.length);

let b: Bench;
let base: RandomModel;
let tuned: RandomModel;
let theta0: Weights;
let theta1: Weights;
const kept = fisherMemory();

type Change = NonNullable<Parameters<typeof recipeFor>[2]>;
const recipe = (params: Recipe["params"] = {}, change: Change = {}) => recipeFor("fim-ties", { r: 0.3, calib: "off", ...params }, { tokens: SEQUENCES, ...change });

beforeAll(async () => {
  base = await randomModel(RAW, "F32", 1);
  tuned = await randomModel(RAW, "F32", 2);
  theta0 = await float64Parameters(base.checkpoint);
  theta1 = await float64Parameters(tuned.checkpoint);
  b = bench((await watchedGpu()).gpu, { base: base.checkpoint, finetuned: tuned.checkpoint }, { fisherFile: kept.fisherFile });
});

const rowsOf = (shape: Shape): Map<string, TensorRow> => new Map(shape.experts[0]!.tensors.map((t) => [t.name, t]));
const measured = async (params: Recipe["params"] = {}, change: Change = {}) => {
  const report = await b.measure(recipe(params, change));
  const shape = await b.shape(recipe(params, change));
  return { report, shape, rows: rowsOf(shape), layers: shape.experts[0]!.layers };
};
const mask = (key: string, name: string, elements: number): boolean[] => {
  const words = b.passes.get(`mask/${key}/0/${name}`) as Uint32Array | undefined;
  if (!words) throw new Error(`no mask of ${name}`);
  return Array.from({ length: elements }, (_, i) => maskBit(words, i));
};
/** The kept Fisher of a pass against a reference, entry by entry. */
const expectFisher = async (params: Recipe["params"], want: Weights): Promise<void> => {
  await measured({ ...params, keepFisher: true });
  expect(kept.state.closed).toBe(true);
  const file = await kept.tensors();
  expect([...file.tensors.keys()].sort()).toEqual([...want.keys()].sort());
  for (const [name, values] of want) {
    const largest = values.reduce((m, v) => Math.max(m, v), 0);
    expectClose(await valuesOf(file, name), values, { atol: 1e-4 * largest, rtol: 1e-3 }, name);
  }
};
/** Mean over (sequence, options) pairs of squared gradients, in float64. */
const meanSquares = (parameters: Weights, terms: { tokens: number[]; weights?: number[]; targets?: number[] }[]): Weights => {
  const sum: Weights = new Map([...parameters].map(([name, v]) => [name, new Float64Array(v.length)]));
  for (const { tokens, ...options } of terms) for (const [name, g] of gradients(base.config, parameters, tokens, options).gradients) g.forEach((v, i) => (sum.get(name)![i]! += (v * v) / terms.length));
  return sum;
};

describe("what is squared", () => {
  test("per sequence: mean over sequences of the squared gradient", async () => {
    await expectFisher({}, referenceFisher(base.config, theta0, SEQUENCES));
  });

  test("per token: mean over predictions of the squared gradient of each", async () => {
    // The reference weighs one prediction of the whole sequence; the pass cuts the sequence after it. Both are the same function.
    const terms = SEQUENCES.flatMap((tokens) => tokens.slice(1).map((_, t) => ({ tokens, weights: tokens.map((_, i) => (i === t ? 1 : 0)) })));
    await expectFisher({ fisher: "token" }, meanSquares(theta0, terms));
    const { report } = await measured({ fisher: "token", keepFisher: true });
    const whole = await measured();
    expectClose(report.losses, whole.report.losses, { atol: 1e-5 }, "losses of the whole sequences");
  });

  test("at the fine-tuned model", async () => {
    await expectFisher({ fisherAt: "finetuned" }, referenceFisher(base.config, theta1, SEQUENCES));
  });

  const labelsOf = async (seed: number, limits: { maxRows?: number; panelBytes?: number }): Promise<number[][]> => {
    const gpu = await testGpu();
    const sampler = labelSampler(gpu, SEQUENCES, seed);
    let labels: number[][] = [];
    const targets = async () => (labels = await sampler.targets());
    await createDecoder(gpu, base.checkpoint, base.config, limits).forward(SEQUENCES, { labels: { targets }, onLogitsPanel: sampler.onLogitsPanel });
    return labels;
  };

  test("sampled labels depend on the seed, not on batches or panels", async () => {
    const labels = await labelsOf(42, {});
    expect(labels.map((l) => l.length)).toEqual(LENGTHS);
    expect(await labelsOf(42, { maxRows: 6, panelBytes: 4 * 24 * 10 })).toEqual(labels);
    expect(await labelsOf(43, {})).not.toEqual(labels);
  });

  test("sampled labels: the squared gradient of their cross entropy", async () => {
    const labels = await labelsOf(42, {});
    await expectFisher({ labels: "sampled" }, meanSquares(theta0, SEQUENCES.map((tokens, s) => ({ tokens, targets: labels[s]! }))));
    // Given tokens leave the seed of the labels in the pass.
    const other = await measured({ labels: "sampled", seed: 43 });
    const first = await measured({ labels: "sampled" });
    expect(other.report.key).not.toBe(first.report.key);
    expect(other.layers[0]!.fisher).not.toBe(first.layers[0]!.fisher);
  });
});

describe("the random inputs", () => {
  const drawn = (params: Recipe["params"]) => measured({ N: 2, len: 5, ...params }, { tokens: undefined });

  test("N, len and seed are those of the draw", async () => {
    const { report } = await drawn({});
    expect(report.tokens).toBe(10);
    const same = await measured({}, { tokens: drawTokens(42, RAW.vocab_size, 2, 5) });
    expect(report.losses).toEqual(same.report.losses);
    expect((await drawn({ seed: 43 })).report.losses).not.toEqual(report.losses);
    expect((await drawn({ N: 3 })).report.losses.slice(0, 2)).toEqual(report.losses);
    expect((await drawn({ len: 6 })).report.losses).not.toEqual(report.losses);
  });

  test("prependBos puts one token before each sequence and so predicts all of it", async () => {
    const { report } = await drawn({ prependBos: true });
    expect(report.tokens).toBe(12);
    const same = await measured({}, { tokens: drawTokens(42, RAW.vocab_size, 2, 5).map((s) => [7, ...s]) });
    expect(report.losses).toEqual(same.report.losses);
  });

  test("a vocabulary that the folder does not have is named", async () => {
    await expect(drawn({ vocab: "tokenizer" })).rejects.toMatchObject({ code: "bad-recipe", message: expect.stringContaining("tokenizer.json") as string });
  });

  test("two batches give what one gives", async () => {
    // 512 rows are a batch: 70 sequences of 8 tokens are two.
    const many = randomTokens(9, RAW.vocab_size, Array.from({ length: 70 }, () => 8));
    const { layers, report } = await measured({ calib: "activations" }, { tokens: many });
    expect(report.losses).toHaveLength(70);
    const want = referenceFisher(base.config, theta0, many);
    const name = "model.layers.1.mlp.down_proj.weight";
    const { rows } = await measured({ calib: "activations" }, { tokens: many });
    const mean = want.get(name)!.reduce((a, v) => a + v, 0) / want.get(name)!.length;
    expectClose([rows.get(name)!.fisherMean!], [mean], { rtol: 1e-4 }, "mean Fisher");
    expect(layers).toHaveLength(2);
    // The ratio is over the inputs of both batches: reversing the sequences only reorders the sum.
    const reversed = await measured({ calib: "activations", trimScore: "magnitude" }, { tokens: [...many].reverse() });
    const forward = await measured({ calib: "activations", trimScore: "magnitude" }, { tokens: many });
    for (const [tensor, row] of forward.rows) if (row.rho !== undefined) expectClose([reversed.rows.get(tensor)!.rho!], [row.rho], { rtol: 1e-4 }, `ratio of ${tensor}`);
  });
});

describe("what is kept", () => {
  const NAME = "model.layers.0.self_attn.k_proj.weight";
  const scores = async (name: string): Promise<number[]> => {
    const F = referenceFisher(base.config, theta0, SEQUENCES).get(name)!;
    return Array.from(F, (f, i) => f * Math.abs(Math.fround(theta1.get(name)![i]! - theta0.get(name)![i]!)));
  };

  test.each([
    ["numpy", (w: number[]) => percentileKeep(w, 0.3)],
    ["exactK", (w: number[]) => topKeep(w, Math.floor(0.3 * w.length + 0.5))],
    ["official", (w: number[]) => topKeep(w, Math.trunc(0.3 * w.length) + 1)],
  ] as const)("percentile %s", async (percentile, keep) => {
    const { report, rows } = await measured({ percentile });
    const w = await scores(NAME);
    expect(mask(report.key, NAME, w.length)).toEqual(keep(w));
    expect(rows.get(NAME)!.kept! * w.length).toBeCloseTo(keep(w).filter(Boolean).length, 9);
  });

  test("biases and norms only with trim1D", async () => {
    const bias = "model.layers.0.self_attn.q_proj.bias";
    const norm = "model.layers.1.input_layernorm.weight";
    const without = await measured();
    expect([bias, norm].map((n) => without.rows.get(n)!.kept)).toEqual([undefined, undefined]);
    const { report, rows } = await measured({ trim1D: true });
    for (const name of [bias, norm]) {
      const w = await scores(name);
      expect(mask(report.key, name, w.length), name).toEqual(percentileKeep(w, 0.3));
      expect(rows.get(name)!.kept, name).toBeGreaterThan(0);
    }
    expect(rows.get("model.norm.weight")!.kept).toBeUndefined();
  });

  test("embedding and head by size with trimEmbed, also in the merged model", async () => {
    const { rows } = await measured({ trimEmbed: "magnitude" });
    const { checkpoint } = await b.merge(recipe({ trimEmbed: "magnitude" }));
    for (const name of ["model.embed_tokens.weight", "lm_head.weight"]) {
      const change = Array.from(theta1.get(name)!, (v, i) => Math.abs(Math.fround(v - theta0.get(name)![i]!)));
      const keep = percentileKeep(change, 0.3);
      expect(rows.get(name)!.kept! * change.length).toBeCloseTo(keep.filter(Boolean).length, 9);
      const merged = await valuesOf(checkpoint, name);
      expect([...merged].map((v, i) => v !== theta0.get(name)![i])).toEqual(keep);
    }
  });

  test("a score of 0 is kept by the rule alone, and dropped with dropZeroW", async () => {
    // Half of the matrix does not change, so a share of 0.6 has the threshold 0.
    const half = tuned.checkpoint.tensors.get(NAME)!.elements / 2;
    const partly = { ...tuned.checkpoint, read: async (...[name, offset, length, into]: Parameters<typeof tuned.checkpoint.read>) => {
      const bytes = (await tuned.checkpoint.read(name, offset, length, into)).slice();
      if (name === NAME && offset < 4 * half) bytes.set((await base.checkpoint.read(name, offset, Math.min(length, 4 * half - offset))));
      return bytes;
    } };
    b.models.set("partly", partly);
    const models = [{ id: "partly", name: "partly" }];
    const literal = await measured({ r: 0.6 }, { models });
    expect(literal.rows.get(NAME)).toMatchObject({ kept: 1, threshold: 0 });
    expect(literal.shape.warnings.join(" ")).toContain("threshold is 0");
    const dropped = await measured({ r: 0.6, dropZeroW: true }, { models });
    expect(dropped.rows.get(NAME)!.kept).toBe(0.5);
    expect(mask(dropped.report.key, NAME, 2 * half).slice(0, half)).not.toContain(true);
  });
});

describe("what needs no pass", () => {
  test("biases in the score", async () => {
    const { rows, layers } = await measured();
    const withBias = (await b.shape(recipe({ includeBiasInScore: true }))).experts[0]!.layers;
    const members = [...rows.values()].filter((r) => r.layer === 0 && (/proj\.(weight|bias)$/.test(r.name)));
    const mean = (value: (r: TensorRow) => number) => members.reduce((a, r) => a + value(r) * r.elements, 0) / members.reduce((a, r) => a + r.elements, 0);
    expect(members).toHaveLength(10);
    expectClose([withBias[0]!.s!], [Math.log(mean((r) => r.fisherMean!) * mean((r) => r.delta2Mean!))], { atol: 1e-9 }, "s");
    expect(withBias[0]!.s).not.toBe(layers[0]!.s);
  });

  test("fixed theta and scale", async () => {
    const { layers } = await measured();
    const top = Math.max(...layers.map((l) => l.s!));
    const fixed = (await b.shape(recipe({ theta: 0.2, scale: 0.5 }))).experts[0]!;
    expectClose(fixed.layers.map((l) => l.alpha!), layers.map((l) => 0.5 * (1 - 1 / (1 + Math.exp(-0.2 * (l.s! - top))))), { atol: 1e-12 }, "alpha");
    expect(fixed.theta).toBe(0.2);
    expect(fixed.reachable).toBeUndefined();
  });

  test.each([
    ["base", 0], ["finetuned", 1], [0.3, 0.3], ["fixed(0.3)", 0.3],
  ])("outsideT %s", async (outsideT, alpha) => {
    await measured();
    const rows = rowsOf(await b.shape(recipe({ outsideT })));
    for (const name of ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight", "model.layers.0.input_layernorm.weight", "model.layers.1.self_attn.v_proj.bias"]) expect(rows.get(name)!.alpha, name).toBe(alpha);
    expect(rows.get("model.layers.0.self_attn.q_proj.weight")!.alpha).toBeGreaterThan(0.4);
  });

  test("outsideT median, mean and own", async () => {
    const { layers, rows } = await measured();
    const alphas = layers.map((l) => l.alpha!);
    const [median, mean, own] = await Promise.all(["median", "mean", "own"].map(async (outsideT) => rowsOf(await b.shape(recipe({ outsideT })))));
    // Two blocks: the median is the mean of both.
    for (const r of [median!, mean!]) expectClose([r.get("lm_head.weight")!.alpha!], [(alphas[0]! + alphas[1]!) / 2], { atol: 1e-12 });
    for (const r of [median!, mean!]) expect(r.get("model.layers.1.post_attention_layernorm.weight")!.alpha).toBe(alphas[1]);
    const s = layers.map((l) => l.s!);
    const head = rows.get("lm_head.weight")!;
    const want = 1 - 1 / (1 + Math.exp(-(Math.log(head.fisherMean! * head.delta2Mean!) - Math.max(...s)) / (Math.max(...s) - Math.min(...s))));
    expectClose([own!.get("lm_head.weight")!.alpha!], [want], { atol: 1e-12 }, "own");
  });

  test("calibration: limit and scope", async () => {
    const params = { calib: "frobenius" };
    await measured(params);
    const strict = await b.shape(recipe({ ...params, eps: 0 }));
    const loose = await b.shape(recipe({ ...params, eps: 1 }));
    expect([strict.calibration.moved, loose.calibration.moved]).toEqual([14, 0]);
    const rho = rowsOf(strict).get("model.layers.0.mlp.up_proj.weight")!.rho!;
    const at = (await b.shape(recipe({ ...params, eps: Math.abs(rho - 1) }))).experts[0]!.tensors.find((t) => t.name === "model.layers.0.mlp.up_proj.weight")!;
    expect(at.calibrated, "the limit itself is not above the limit").toBe(false);
    const block = rowsOf(await b.shape(recipe({ ...params, calibScope: "block" })));
    const rhos = new Set([...block.values()].filter((r) => r.layer === 0 && r.rho !== undefined).map((r) => r.rho));
    expect(rhos.size).toBe(1);
  });

  test("a calibrated matrix has the base's norm", async () => {
    const { checkpoint } = await b.merge(recipe({ calib: "frobenius", eps: 0, outsideT: "base" }));
    const norm = (v: ArrayLike<number>) => Math.sqrt(Array.from(v).reduce((a, x) => a + x * x, 0));
    const name = "model.layers.1.mlp.gate_proj.weight";
    expectClose([norm(await valuesOf(checkpoint, name))], [norm(theta0.get(name)!)], { rtol: 1e-6 }, "norm");
  });

  test("Gaussian probes come near the closed form, and follow the seed", async () => {
    const closed = (await measured({ calib: "frobenius" })).rows;
    const probed = (await measured({ calib: "gaussian" })).rows;
    const other = (await measured({ calib: "gaussian", seed: 1 })).rows;
    for (const [name, { rho }] of closed) if (rho !== undefined) expectClose([probed.get(name)!.rho!], [rho], { rtol: 0.25 }, name);
    expect(other.get("model.layers.0.mlp.up_proj.weight")!.rho).not.toBe(probed.get("model.layers.0.mlp.up_proj.weight")!.rho);
  });

  test("activations and one threshold per block exclude each other, in a sentence", async () => {
    await expect(measured({ calib: "activations", trimScope: "block" })).rejects.toMatchObject({ code: "bad-recipe", message: expect.stringMatching(/trimScope.*tensor/) as string });
  });
});
