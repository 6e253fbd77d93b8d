import { expect, test } from "vitest";
import { inputMeans } from "../../../src/activations/aim";
import type { TensorSource } from "../../../src/core/tensors";
import { EMBEDDING, HEAD } from "../../../src/model/architectures";
import type { ModelConfig } from "../../../src/model/config";
import * as reference from "../../reference/model/decoder";
import { columnMeans } from "../../reference/stats/columnMeans";
import { expectClose } from "../../support/compare";
import { testGpu } from "../../support/gpu";
import { fixtureCheckpoint, fixtureJson, float64Parameters } from "../../support/nodeCheckpoint";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";

/** Sum over sequences of token means of |input|, for every module of the float64 decoder. */
async function wanted(config: ModelConfig, source: TensorSource, sequences: number[][]): Promise<Map<string, Float64Array>> {
  const parameters = await float64Parameters(source);
  const sums = new Map<string, Float64Array>();
  for (const tokens of sequences)
    for (const [name, x] of reference.forward(config, parameters, tokens).inputs) {
      const K = parameters.get(name)!.length / (name.includes("norm") ? 1 : outputs(config, name));
      const mean = columnMeans(x, K, [0, x.length / K]);
      const module = name === EMBEDDING ? HEAD : name;
      sums.set(module, sums.get(module)?.map((sum, c) => sum + mean[c]!) ?? mean);
    }
  return sums;
}

/** Rows of a weight matrix. */
function outputs({ hidden: C, intermediate: F, heads: H, kvHeads: KV, headDim: D, vocab: V }: ModelConfig, name: string): number {
  const role = /(\w+)\.weight$/.exec(name)![1]!;
  return { q_proj: H * D, k_proj: KV * D, v_proj: KV * D, o_proj: C, gate_proj: F, up_proj: F, down_proj: C, lm_head: V, embed_tokens: V }[role]!;
}

const lengths = [9, 3, 14, 2, 6];

test.each(["qwen2Tied", "qwen3", "mistral"] as const)("%s: every module against the float64 reference, batches and runs change nothing beyond rounding", async (name) => {
  const gpu = await testGpu();
  const { checkpoint, config } = await randomModel(TINY[name], "BF16");
  const sequences = randomTokens(5, config.vocab, lengths);
  const want = await wanted(config, checkpoint, sequences);
  const live = gpu.liveBytes;
  const steps: number[][] = [];
  for (const options of [{}, { maxRows: 9, inputsOnHost: true }, { hiddenBytes: 4 * config.hidden * 17, onBlock: (...step: number[]) => steps.push(step) }]) {
    const got = await inputMeans(gpu, checkpoint, sequences, options);
    expect([...got.keys()].sort()).toEqual([...want.keys()].sort());
    for (const [module, a] of want) expectClose(got.get(module)!, a, { rtol: 1e-4, atol: 1e-6 * Math.max(...a) }, module);
  }
  // Tokens 9 + 3, 14 + 2, 6: three runs.
  expect(steps).toEqual(Array.from({ length: 3 * config.layers }, (_, i) => [i, 3 * config.layers]));
  expect(gpu.liveBytes).toBe(live);
});

test.each(["qwen2-tiny-f32", "llama-tiny-bf16"])("%s: every module against hooks in transformers", async (set) => {
  const checkpoint = await fixtureCheckpoint(set, "base");
  const sequences = fixtureJson<Record<string, number[][]>>(set, "tokens.json").fisher_N4_L16!;
  const got = await inputMeans(await testGpu(), checkpoint, sequences);
  const want = fixtureJson<Record<string, { input_means_N4_L16: Record<string, number[]> }>>("activations-golden.json")[set]!.input_means_N4_L16;
  expect([...got.keys()].sort()).toEqual(Object.keys(want).sort());
  for (const [module, a] of Object.entries(want)) expectClose(got.get(module)!, a, { rtol: 1e-5, atol: 1e-6 * Math.max(...a) }, module);
});

test("activations that are not finite are reported with their module; a cancelled walk ends", async () => {
  const gpu = await testGpu();
  const { checkpoint, config } = await randomModel(TINY.mistral, "F32");
  const poisoned = {
    ...checkpoint,
    read: async (name: string, offset: number, length: number, into?: Uint8Array) => {
      const bytes = await checkpoint.read(name, offset, length, into);
      if (name === "model.layers.1.self_attn.v_proj.weight") new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, 0x7fc00000, true);
      return bytes;
    },
  };
  const sequences = randomTokens(3, config.vocab, [5, 4]);
  await expect(inputMeans(gpu, poisoned, sequences)).rejects.toThrow(/what goes into "model.layers.1.self_attn.o_proj.weight" is NaN/);
  const stop = new AbortController();
  await expect(inputMeans(gpu, checkpoint, sequences, { signal: stop.signal, onBlock: () => stop.abort() })).rejects.toMatchObject({ code: "cancelled" });
});
