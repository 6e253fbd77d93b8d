import { beforeAll, describe, expect, test } from "vitest";
import type { ModelRef, Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { randomSequences } from "../../../src/fisher/tokens";
import type { ModelConfig } from "../../../src/model/config";
import { describeTensor } from "../../../src/model/roles";
import { fisher as referenceFisher, forward, gradients, type Parameters as Weights } from "../../reference/model/decoder";
import { expectClose } from "../../support/compare";
import { bench, recipeFor, tensorBytesOf, valuesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { float64Parameters } from "../../support/nodeCheckpoint";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";

/** Fisher-weighted averaging and Sens-Merging through the engine, against float64 over whole models. */
const HEAD = "lm_head.weight";
const EMBEDDING = "model.embed_tokens.weight";
const RAW = { ...TINY.qwen2Tied, tie_word_embeddings: false };
const TOKENS = randomTokens(5, RAW.vocab_size, [6, 9, 4]);
const models: ModelRef[] = [{ id: "one", name: "one", weight: 1 }, { id: "two", name: "two", weight: 0.5 }, { id: "tied", name: "tied", weight: 2 }];

let b: Bench;
const theta = new Map<string, Weights>();
const configs = new Map<string, ModelConfig>();
const fishers = new Map<string, Weights>();
/** A tied model's embedding stands for its head. */
const nameIn = (id: string, name: string): string => (id === "tied" && name === HEAD ? EMBEDDING : name);

beforeAll(async () => {
  const all = { base: await randomModel(RAW, "F32", 1), one: await randomModel(RAW, "F32", 2), two: await randomModel(RAW, "BF16", 3), tied: await randomModel(TINY.qwen2Tied, "F32", 4) };
  for (const [id, { checkpoint, config }] of Object.entries(all)) {
    theta.set(id, await float64Parameters(checkpoint));
    configs.set(id, config);
    fishers.set(id, referenceFisher(config, theta.get(id)!, TOKENS));
  }
  b = bench((await watchedGpu()).gpu, Object.fromEntries(Object.entries(all).map(([id, { checkpoint }]) => [id, checkpoint])));
});

const recipe = (method: string, params: Recipe["params"], count: number, change: Partial<Recipe> = {}): Recipe => recipeFor(method, params, { models: models.slice(0, count), tokens: TOKENS, ...change });
const merged = async (asked: Recipe): Promise<Checkpoint> => {
  const { checkpoint, report } = await b.merge(asked);
  expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
  return checkpoint;
};

describe("Fisher-weighted averaging", () => {
  const ids = (count: number, base: boolean): string[] => [...models.slice(0, count).map((m) => m.id!), ...(base ? ["base"] : [])];
  const norm = (F: Weights): number => Math.sqrt([...F.values()].reduce((sum, v) => sum + v.reduce((s, x) => s + x * x, 0), 0));

  test.each<[Recipe["params"], number, boolean]>([
    [{ floor: 1e-6 }, 2, false],
    [{ floor: 1e-4, floorOn: "all", normalize: false }, 3, false],
    [{ floor: 0 }, 1, true],
    [{ floor: 1e-7, includeBase: "yes", baseWeight: 0.3 }, 2, true],
  ])("%j of %i models, base %s", async (params, count, base) => {
    const checkpoint = await merged(recipe("fisher-average", params, count));
    const who = ids(count, base);
    const w = who.map((id) => (id === "base" ? Number(params.baseWeight ?? 1) : (models.find((m) => m.id === id)!.weight as number)));
    const c = w.map((v, k) => (params.normalize === false ? v : v / norm(fishers.get(who[k]!)!)));
    const sum = w.reduce((a, v) => a + v, 0);
    for (const name of theta.get("base")!.keys()) {
      const want = theta.get("base")!.get(name)!.map((_, i) => {
        const by = who.map((id, k) => c[k]! * Math.max(fishers.get(id)!.get(nameIn(id, name))![i]!, k === 0 || params.floorOn === "all" ? Number(params.floor) : 0));
        const total = by.reduce((a, v) => a + v, 0);
        return who.reduce((all, id, k) => all + (total > 0 ? by[k]! / total : w[k]! / sum) * theta.get(id)!.get(nameIn(id, name))![i]!, 0);
      });
      // A constant in all keys hardly changes attention: the gradient of this bias is nearly rounding alone, and so are the weights.
      expectClose(await valuesOf(checkpoint, name), want, { atol: name.endsWith("k_proj.bias") ? 1e-3 : 2e-5, rtol: 1e-5 }, name);
    }
    const shape = await b.shape(recipe("fisher-average", params, count));
    expect(shape.needsPass).toBe(false);
    const row = shape.experts[0]!.tensors.find((t) => t.name === "model.layers.1.mlp.up_proj.weight")!;
    const F = fishers.get("one")!.get(row.name)!;
    expectClose([row.fisherMean!], [F.reduce((a, v) => a + v, 0) / F.length], { rtol: 1e-3 });
    expect(row.delta2Mean).toBeGreaterThan(0);
  });

  test("equal models are left as they are, to the bit; random tokens are those of FIM", async () => {
    b.models.set("twin", b.models.get("one")!);
    const asked = recipeFor("fisher-average", { N: 2, len: 6 }, { models: [{ id: "one", name: "one" }, { id: "twin", name: "twin", weight: 3 }] });
    expect(await tensorBytesOf(await merged(asked))).toEqual(await tensorBytesOf(b.models.get("one")!));
    const { losses } = await b.measure(asked);
    const drawn = await randomSequences(b.models.get("one")!, RAW.vocab_size, { seed: 42, N: 2, len: 6, vocab: "config", prependBos: false });
    expectClose(losses, drawn.map((s) => forward(configs.get("one")!, theta.get("one")!, s).loss), { atol: 1e-5 }, "losses");
  });

  test("slices and the CPU change no byte; weights and floor need no new pass; what is stored goes with the pass", async () => {
    const asked = recipe("fisher-average", { floor: 1e-6 }, 2);
    const whole = await tensorBytesOf(await merged(asked));
    const passes = [...b.passes.keys()].filter((k) => k.startsWith("pass/")).length;
    const small = bench(b.env.gpu, Object.fromEntries(b.models), { sliceElements: 320, passes: b.env.passes });
    const cut = await tensorBytesOf((await small.merge({ ...asked, output: { ...asked.output, maxShardBytes: 1 << 20 } })).checkpoint);
    expect(cut).toEqual(whole);
    const other = await merged({ ...asked, params: { floor: 1e-3 }, models: models.slice(0, 2).map((m) => ({ ...m, weight: 1 })) });
    expect(await tensorBytesOf(other)).not.toEqual(whole);
    expect([...b.passes.keys()].filter((k) => k.startsWith("pass/")).length).toBe(passes);

    // Of a pass whose arrays are gone nothing is merged, and it is made again.
    for (const key of [...b.passes.keys()]) if (key.includes("/array/fisher/")) b.passes.delete(key);
    await expect(b.merge(asked)).rejects.toMatchObject({ code: "storage-full", details: { passGone: true } });
    expect(await tensorBytesOf(await merged(asked))).toEqual(whole);
  });

  test("a cancelled pass leaves nothing; what cannot be averaged is refused before it; the plan says what is stored, and a full disk", async () => {
    const alone = bench(b.env.gpu, Object.fromEntries(b.models));
    const asked = recipe("fisher-average", {}, 2);
    const going = alone.engine.measure("stop", asked, (progress) => {
      if (progress.phases.find((p) => p.id === "model 1")?.state === "now") void alone.engine.cancel("stop");
    }, () => undefined);
    await expect(going).rejects.toMatchObject({ code: "cancelled" });
    expect([...alone.passes.keys()].filter((key) => key !== "order")).toEqual([]);
    await expect(alone.measure({ ...asked, models: [{ ...models[0]!, weight: -1 }, models[1]!] })).rejects.toMatchObject({ code: "bad-recipe" });
    const foreign = { ...b.models.get("two")!, tensors: b.models.get("two")!.tensors, config: { ...b.models.get("two")!.config, hidden_act: "gelu" } };
    alone.models.set("two", foreign);
    await expect(alone.measure(asked)).rejects.toMatchObject({ code: "unknown-architecture", details: { where: "tiny" } });
    alone.models.set("two", b.models.get("two")!);
    const phase = (await alone.engine.plan(asked)).phases.find((p) => p.id === "measure")!;
    expect(phase.label).toMatch(/^Fisher of 2 models: .* on disk until the pass is dropped$/);
    expect(phase.gpuBytes).toBeGreaterThan(0);
    // A full disk ends the pass, which leaves nothing of itself there.
    const { set } = alone.env.passes;
    alone.env.passes.set = (key, value, ...rest) => (key.includes("/array/fisher/1/") ? Promise.reject(new DOMException("full", "QuotaExceededError")) : set(key, value, ...rest));
    await expect(alone.measure(asked)).rejects.toMatchObject({ code: "storage-full", details: { neededBytes: phase.writeBytes } });
    expect([...alone.passes.keys()].filter((key) => key !== "order")).toEqual([]);
    alone.env.passes.set = set;
    await alone.measure(asked);
    const arrays = [...alone.passes].filter(([key]) => key.includes("/array/fisher/"));
    // Beside the values, the ids of the embedding's rows.
    expect(phase.writeBytes).toBe(arrays.reduce((sum, [key, v]) => sum + (key.endsWith("/ids") ? 0 : (v as Float32Array).byteLength), 0));
  });
});

describe("Sens-Merging", () => {
  const layerOf = (name: string): string => {
    const role = describeTensor(name, "Qwen2ForCausalLM");
    return role.layer !== undefined ? String(role.layer) : role.isEmbedding ? "embedding" : role.isHead ? "head" : "norm";
  };
  /** K sigma of every model, by layer. */
  const reference = (ids: string[], T: number): Map<string, number[]> => {
    const alphas = ids.map((id) => {
      const S = new Map<string, number>();
      for (const tokens of TOKENS) for (const [name, g] of gradients(configs.get(id)!, theta.get(id)!, tokens).gradients) S.set(layerOf(name), (S.get(layerOf(name)) ?? 0) + g.reduce((a, v, i) => a + Math.abs(v * theta.get(id)!.get(name)![i]!), 0) / TOKENS.length);
      const size = Math.hypot(...S.values());
      const alpha = new Map([...S].map(([layer, v]) => [layer, v / size]));
      if (!alpha.has("head")) alpha.set("head", alpha.get("embedding")!);
      return alpha;
    });
    const V = RAW.vocab_size;
    const logits = ids.map((id) => TOKENS.map((tokens) => forward(configs.get(id)!, theta.get(id)!, tokens).logits));
    const own = ids.map((_, i) => ids.reduce((sum, __, j) => sum + (i === j ? 0 : TOKENS.reduce((all, tokens, s) => all + tokens.reduce((m, ___, t) => m + Math.hypot(...Array.from({ length: V }, (____, v) => logits[i]![s]![t * V + v]! - logits[j]![s]![t * V + v]!)), 0) / tokens.length, 0) / TOKENS.length), 0));
    const total = own.reduce((a, v) => a + v, 0);
    return new Map([...alphas[0]!.keys(), "head"].map((layer) => {
      const e = alphas.map((alpha, i) => Math.exp((alpha.get(layer)! * own[i]!) / total / T));
      return [layer, e.map((v) => (ids.length * v) / e.reduce((a, x) => a + x, 0))];
    }));
  };

  test.each([[2, 0.7, 2], [3, 0.5, 0.02]])("%i models, lambda %f, T %f", async (count, lambda, T) => {
    const asked = recipe("sens-merging", { lambda, T }, count);
    const checkpoint = await merged(asked);
    const ids = models.slice(0, count).map((m) => m.id!);
    const shares = reference(ids, T);
    let spread = 0;
    for (const [name, theta0] of theta.get("base")!) {
      const share = shares.get(layerOf(name))!;
      spread = Math.max(spread, ...share.map((s) => Math.abs(s - 1)));
      const want = theta0.map((v, i) => v + ids.reduce((sum, id, k) => sum + lambda * share[k]! * (theta.get(id)!.get(nameIn(id, name))![i]! - v), 0));
      expectClose(await valuesOf(checkpoint, name), want, { atol: 2e-5, rtol: 1e-5 }, name);
    }
    expect(spread, "the models are not shared alike").toBeGreaterThan(count === 2 ? 1e-3 : 0.1);
    const shape = await b.shape(asked);
    for (const [k, expert] of shape.experts.entries()) for (const row of expert.layers) expectClose([row.alpha!], [lambda * shares.get(String(row.layer))![k]!], { rtol: 1e-4 }, `layer ${row.layer}`);
    // Lambda and T are applied to what was measured.
    expect((await b.shape({ ...asked, params: { lambda: 0.1, T: 5 } })).needsPass).toBe(false);
  });

  test("one model is task arithmetic, without a text; several need one", async () => {
    const { tokens: _, ...one } = recipe("sens-merging", { lambda: 0.4 }, 1);
    expect(await tensorBytesOf(await merged(one))).toEqual(await tensorBytesOf(await merged(recipe("task-arithmetic", { lambda: 0.4 }, 1, { models: [{ id: "one", name: "one" }] }))));
    const { tokens: __, ...two } = recipe("sens-merging", {}, 2);
    await expect(b.measure(two)).rejects.toMatchObject({ code: "bad-recipe", details: { where: "calibration" } });
    await expect(b.engine.plan(two)).rejects.toMatchObject({ code: "bad-recipe" });
    expect((await b.engine.plan(recipe("sens-merging", {}, 2))).phases.filter((p) => p.id === "measure").map((p) => p.gpuBytes > 0)).toEqual([false, true, true]);
  });

  test("text goes through the base's tokenizer, also for the Fisher, and is part of what a pass is known by", async () => {
    const text = JSON.stringify({ version: "1.0", model: { type: "WordLevel", vocab: Object.fromEntries(["?", "one", "two", "three", "four", "five"].map((word, i) => [word, i])), unk_token: "?" }, pre_tokenizer: { type: "Whitespace" } });
    const base = { ...b.models.get("base")!, tensors: b.models.get("base")!.tensors, text: async (path: string) => (path === "tokenizer.json" ? text : path === "tokenizer_config.json" ? "{}" : undefined) };
    b.models.set("reader", base);
    const calibration = { source: "given" as const, name: "numbers", texts: ["one two three", "five four"], samples: 2, maxTokens: 8, seed: 1 };
    const { tokens: _, ...asked } = recipe("sens-merging", {}, 2, { calibration, base: { id: "reader", name: "reader" } });
    const report = await b.measure(asked);
    expect(report.tokens).toBe(5);
    const { losses, key } = report;
    const sequences = [[1, 2, 3], [5, 4]];
    expectClose([...losses].sort(), sequences.map((s) => forward(configs.get("one")!, theta.get("one")!, s).loss).sort(), { atol: 1e-5 }, "losses");
    expect((await b.measure({ ...asked, calibration: { ...calibration, texts: ["one two three"] } })).key).not.toBe(key);
    const fisher = await b.measure({ ...asked, method: "fisher-average", params: { tokens: "calibration" } });
    expectClose([...fisher.losses].sort(), [...losses].sort(), { atol: 1e-6 }, "losses");
    const { calibration: __, ...without } = { ...asked, method: "fisher-average", params: { tokens: "calibration" } };
    await expect(b.measure(without)).rejects.toMatchObject({ code: "bad-recipe", details: { where: "calibration" } });
  });
});
