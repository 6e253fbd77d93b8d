import { describe, expect, test } from "vitest";
import { logitDistances } from "../../../src/fisher/logitDistance";
import { modelFisher } from "../../../src/fisher/modelFisher";
import { sensitivities } from "../../../src/fisher/sensitivity";
import { FisherStore, PIECE, storedFisher } from "../../../src/fisher/stored";
import type { ArrayStore } from "../../../src/fisher/types";
import { parseModelConfig } from "../../../src/model/config";
import { readFloatTensor } from "../../../src/model/weights";
import { fisher as referenceFisher, forward, gradients } from "../../reference/model/decoder";
import { expectClose } from "../../support/compare";
import { testGpu } from "../../support/gpu";
import { fixtureCheckpoint, fixtureJson, fixtureTensors, float64Parameters } from "../../support/nodeCheckpoint";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";

const signal = new AbortController().signal;
const memory = (): ArrayStore & { held: Map<string, Float32Array> } => {
  const held = new Map<string, Float32Array>();
  return { held, put: async (name, values) => void held.set(name, values), get: async (name) => held.get(name) };
};
const largest = (values: ArrayLike<number>): number => Array.from(values).reduce((m, v) => Math.max(m, Math.abs(v)), 0);

describe("the Fisher of one model, stored and read again", () => {
  test("equals the golden Fisher of the fixture, entry by entry", async () => {
    const gpu = await testGpu();
    const source = await fixtureCheckpoint("qwen2-tiny-f32", "base");
    const golden = await fixtureTensors("qwen2-tiny-f32", "fisher.safetensors");
    const sequences = fixtureJson<Record<string, number[][]>>("qwen2-tiny-f32", "tokens.json").fisher_N4_L16!;
    const arrays = memory();
    const { sums } = await modelFisher(gpu, { source, config: parseModelConfig(source.config), sequences, labels: "self", seed: 1, signal, store: new FisherStore(arrays, 2) });
    const stored = storedFisher(arrays, 2, source);
    expect([...sums.keys()].sort()).toEqual([...golden.tensors.keys()].sort());
    for (const name of golden.tensors.keys()) {
      const want = await readFloatTensor(golden, name);
      const got = await readFloatTensor(stored, name);
      expectClose(got, want, { atol: 2e-5 * largest(want), rtol: 2e-3 }, name);
      expectClose([sums.get(name)!.sum, sums.get(name)!.square], [want.reduce((a, v) => a + v, 0), want.reduce((a, v) => a + v * v, 0)], { rtol: 1e-4 }, name);
      const info = stored.tensors.get(name)!;
      const part = await stored.read(name, 4 * 3, Math.min(40, info.end - 12));
      expect([...new Float32Array(part.buffer, part.byteOffset, part.byteLength / 4)]).toEqual([...got.subarray(3, 13)]);
    }
    expect([...arrays.held.keys()].filter((k) => k.includes("embed_tokens")), "an embedding is stored by its rows").toEqual(["fisher/2/model.embed_tokens.weight/ids", "fisher/2/model.embed_tokens.weight/rows"]);
    await expect(storedFisher(memory(), 0, source).read("model.norm.weight", 0, 8)).rejects.toMatchObject({ code: "storage-full", details: { passGone: true } });
  });

  test("a tied head is one tensor; panels and batches change little", async () => {
    const gpu = await testGpu();
    const { checkpoint: source, config } = await randomModel(TINY.qwen2Tied, "F32", 3);
    const sequences = randomTokens(4, config.vocab, [7, 5, 9]);
    const want = referenceFisher(config, await float64Parameters(source), sequences);
    for (const memoryPlan of [{}, { panelBytes: 24 * 4 * 16, inputsOnHost: true }]) {
      const arrays = memory();
      await modelFisher(gpu, { source, config, sequences, labels: "self", seed: 1, signal, memory: memoryPlan, store: new FisherStore(arrays, 0) });
      for (const [name, F] of want) expectClose(await readFloatTensor(storedFisher(arrays, 0, source), name), F, { atol: 1e-5 * largest(F), rtol: 1e-3 }, name);
    }
  });

  test("pieces are cut where they should be", async () => {
    const arrays = memory();
    const store = new FisherStore(arrays, 0);
    const values = Float32Array.from({ length: 2 * PIECE + 5 }, (_, i) => i + 1);
    for (const [from, to] of [[0, 10], [10, PIECE + 3], [PIECE + 3, values.length]] as const) await store.add("big", values.length, values.subarray(from, to));
    expect([...arrays.held.values()].map((p) => p.length)).toEqual([PIECE, PIECE, 5]);
    const source = storedFisher(arrays, 0, { tensors: new Map([["big", { name: "big", dtype: "BF16" as const, shape: [values.length], elements: values.length, file: "", begin: 0, end: 2 * values.length }]]), read: async () => new Uint8Array() });
    const bytes = await source.read("big", 4 * (PIECE - 2), 4 * (PIECE + 4));
    expect(Buffer.compare(bytes, new Uint8Array(values.buffer, 4 * (PIECE - 2), bytes.byteLength))).toBe(0);
  });
});

describe("Sens-Merging's two measures", () => {
  test.each(["qwen2Tied", "qwen3", "llamaOdd"] as const)("%s: sums of |theta gradient| per tensor, sample by sample", async (which) => {
    const gpu = await testGpu();
    const { checkpoint: source, config } = await randomModel({ ...TINY[which], mlp_bias: false }, "BF16", 5);
    const sequences = randomTokens(8, config.vocab, [6, 11, 4]);
    const theta = await float64Parameters(source);
    const want = new Map<string, number>();
    for (const tokens of sequences) for (const [name, g] of gradients(config, theta, tokens).gradients) want.set(name, (want.get(name) ?? 0) + g.reduce((sum, v, i) => sum + Math.abs(v * theta.get(name)![i]!), 0));
    for (const memoryPlan of [{}, { panelBytes: 4 * 16 * 40, inputsOnHost: true }]) {
      const { sums, losses } = await sensitivities(gpu, { source, config, sequences, signal, memory: memoryPlan });
      expect([...sums.keys()].sort()).toEqual([...want.keys()].sort());
      for (const [name, value] of want) expectClose([sums.get(name)!], [value], { rtol: 2e-5 }, name);
      expectClose(losses, sequences.map((s) => forward(config, theta, s).loss), { atol: 1e-5 }, "losses");
      const { sums: first } = await sensitivities(gpu, { source, config, sequences: sequences.slice(0, 2), signal, memory: memoryPlan });
      const { sums: spread } = await sensitivities(gpu, { source, config, sequences: sequences.slice(2), signal, memory: memoryPlan, before: first });
      for (const [name, value] of sums) expectClose([spread.get(name)!], [value], { rtol: 1e-14 }, `${name}, in two calls`);
    }
  });

  test("distances of logits, over panels, for models with vocabularies of two sizes", async () => {
    const gpu = await testGpu();
    const models = [await randomModel(TINY.qwen3, "F32", 1), await randomModel(TINY.qwen3, "BF16", 2), await randomModel({ ...TINY.qwen3, vocab_size: 58 }, "F32", 3)];
    const sequences = randomTokens(2, 58, [5, 3, 8]);
    const logits = await Promise.all(models.map(async ({ checkpoint, config }) => {
      const theta = await float64Parameters(checkpoint);
      return sequences.map((s) => forward(config, theta, s).logits);
    }));
    const want = (i: number, j: number): number =>
      sequences.reduce((sum, tokens, s) => sum + tokens.reduce((all, _, t) => {
        const square = Array.from({ length: 58 }, (__, v) => (logits[i]![s]![t * models[i]!.config.vocab + v]! - logits[j]![s]![t * models[j]!.config.vocab + v]!) ** 2);
        return all + Math.sqrt(square.reduce((a, b) => a + b, 0));
      }, 0) / tokens.length, 0);
    for (const memoryPlan of [{}, { panelBytes: 4 * 20 * 16 }]) {
      const g = await logitDistances(gpu, { models: models.map(({ checkpoint, config }) => ({ source: checkpoint, config })), sequences, signal, memory: memoryPlan });
      for (const [i, j] of [[0, 1], [0, 2], [1, 2]] as const) {
        expectClose([g[i]![j]!], [want(i, j)], { rtol: 1e-5 }, `${i}, ${j}`);
        expect(g[j]![i]).toBe(g[i]![j]);
      }
      expect(g.map((row, i) => row[i])).toEqual([0, 0, 0]);
    }
  });

  test("a model that cannot be read ends all of them", async () => {
    const gpu = await testGpu();
    const { checkpoint, config } = await randomModel(TINY.mistral, "F32", 1);
    let reads = 0;
    const broken = { ...checkpoint, tensors: checkpoint.tensors, text: checkpoint.text, read: async (...args: Parameters<typeof checkpoint.read>) => (++reads > 12 ? Promise.reject(new Error("gone")) : checkpoint.read(...args)) };
    await expect(logitDistances(gpu, { models: [{ source: checkpoint, config }, { source: broken, config }], sequences: randomTokens(2, config.vocab, [5]), signal })).rejects.toThrow("gone");
    const stop = new AbortController();
    await expect(sensitivities(gpu, { source: checkpoint, config, sequences: randomTokens(2, config.vocab, [5]), signal: stop.signal, onForwardBlock: () => stop.abort() })).rejects.toMatchObject({ code: "cancelled" });
  });
});
