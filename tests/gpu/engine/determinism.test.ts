import { beforeAll, describe, expect, test } from "vitest";
import type { Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { bench, digest, recipeFor, tensorBytesOf, valuesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { fixtureCheckpoint } from "../../support/nodeCheckpoint";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";

/** Four files of at most 1 MiB each, in a pair of random models. */
const LARGER = { ...TINY.qwen2Tied, tie_word_embeddings: false, hidden_size: 64, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 400, num_hidden_layers: 3, vocab_size: 4001 };

const allFiles = (files: ReadonlyMap<string, Uint8Array>) => Object.fromEntries([...files].map(([path, bytes]) => [path, digest(bytes)]));

describe("the same bytes", () => {
  let gpu: GPU;
  let models: Record<string, Checkpoint>;
  let b: Bench;

  beforeAll(async () => {
    gpu = (await watchedGpu()).gpu;
    const base = await fixtureCheckpoint("llama-tiny-bf16", "base");
    models = { base, finetuned: await fixtureCheckpoint("llama-tiny-bf16", "finetuned") };
    const large = await randomModel(LARGER, "F32", 1);
    Object.assign(models, { largeBase: large.checkpoint, largeTuned: (await randomModel(LARGER, "F32", 2)).checkpoint });
    b = bench(gpu, models);
  });
  const large = (params: Recipe["params"], maxShardBytes: number): Recipe => ({
    ...recipeFor("fim-ties", params, { tokens: randomTokens(1, 4001, [8, 6]), output: { maxShardBytes } }),
    base: { id: "largeBase", name: "large" }, models: [{ id: "largeTuned", name: "tuned" }],
  });

  test("the same recipe twice, on two devices, gives the same files", async () => {
    const recipe = large({ r: 0.2 }, 1 << 20);
    const first = await b.merge(recipe);
    const second = await bench((await watchedGpu("apart")).gpu, models).merge(recipe);
    expect(allFiles(second.files)).toEqual(allFiles(first.files));
    expect([...first.files.keys()].filter((f) => f.endsWith(".safetensors")).length).toBeGreaterThanOrEqual(3);
    expect(first.report.checks.every((c) => c.verdict === "pass")).toBe(true);
    expect(first.report.tiles).toEqual({ compared: 64, equal: 64 });
  });

  test("one file or many, small slices or large ones", async () => {
    const many = await b.merge(large({ r: 0.2 }, 1 << 20));
    const one = await b.merge(large({ r: 0.2 }, 5e9));
    expect([...one.files.keys()]).not.toContain("model.safetensors.index.json");
    const index = JSON.parse(new TextDecoder().decode(many.files.get("model.safetensors.index.json"))) as { metadata: { total_size: number }; weight_map: Record<string, string> };
    expect(Object.keys(index.weight_map).sort()).toEqual([...many.checkpoint.tensors.keys()].sort());
    const want = await tensorBytesOf(one.checkpoint);
    expect(await tensorBytesOf(many.checkpoint)).toEqual(want);
    const small = bench(gpu, models, { sliceElements: 64 * 33 });
    expect(await tensorBytesOf((await small.merge(large({ r: 0.2 }, 1 << 20))).checkpoint)).toEqual(want);
  });

  test.each([
    ["task-arithmetic", { lambda: 0 }, "base"],
    ["linear", {}, "finetuned"],
    ["fim-ties", { r: 0.2, scale: 0, outsideT: "base" }, "base"],
    ["fim-ta", { scale: 0, outsideT: "base" }, "base"],
  ])("%s %o is the %s, bit by bit", async (method, params, same) => {
    const { checkpoint } = await b.merge(recipeFor(method, params as Recipe["params"], { tokens: [[1, 2, 3, 4]] }));
    expect(await tensorBytesOf(checkpoint)).toEqual(await tensorBytesOf(models[same]!));
  });

  test("task arithmetic at 1 is the fine-tuned model; only a zero that does not change keeps the base's sign", async () => {
    const { checkpoint } = await b.merge(recipeFor("task-arithmetic", { lambda: 1 }));
    for (const name of checkpoint.tensors.keys()) {
      const [merged, theta0, theta1] = await Promise.all([checkpoint, models.base!, models.finetuned!].map((m) => valuesOf(m, name)));
      expect(merged!.findIndex((v, i) => !Object.is(v, theta1![i] === theta0![i] ? theta0![i] : theta1![i])), name).toBe(-1);
    }
  });
});
