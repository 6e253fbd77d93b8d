import { expect, test } from "vitest";
import { inputGrams, type GramWanted } from "../../../src/activations/grams";
import { EMBEDDING, HEAD } from "../../../src/model/architectures";
import { gramOf } from "../../reference/merge/regmean";
import * as reference from "../../reference/model/decoder";
import { expectClose } from "../../support/compare";
import { testGpu } from "../../support/gpu";
import { float64Parameters } from "../../support/nodeCheckpoint";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";

/** Matrices of inputs by the first weight that reads them; of the MLP's output only the diagonal, of the head too. */
async function gramsIn(name: "qwen2Tied" | "qwen3", hiddenBytes?: number): Promise<{ found: Map<string, Float32Array>; waited: number }> {
  const { checkpoint, config } = await randomModel(TINY[name], "BF16");
  const found = new Map<string, Float32Array>();
  const sums = new Map<string, Float32Array>();
  let waited = 0;
  await inputGrams(await testGpu(), checkpoint, randomTokens(8, config.vocab, [5, 4, 7]), {
    want: (names): GramWanted => ({ key: names[0]!, diagonal: names[0]!.includes("down_proj") }),
    found: async ({ key }, gram) => void found.set(key, gram),
    sums: { put: async (key, values) => void sums.set(key, ((waited += values.length > 0 ? 1 : 0), values)), get: async (key) => sums.get(key) },
  }, { maxRows: 9, hiddenBytes });
  expect([...sums.values()].every((values) => values.length === 0), "nothing is left behind").toBe(true);
  return { found, waited };
}

test.each(["qwen2Tied", "qwen3"] as const)("%s: against a forward in float64, and the same in several runs", async (name) => {
  const { checkpoint, config } = await randomModel(TINY[name], "BF16");
  const parameters = await float64Parameters(checkpoint);
  const inputs = new Map<string, number[]>();
  for (const sequence of randomTokens(8, config.vocab, [5, 4, 7])) for (const [module, x] of reference.forward(config, parameters, sequence).inputs) inputs.set(module, [...(inputs.get(module) ?? []), ...x]);
  const { found, waited } = await gramsIn(name);
  expect(waited).toBe(0);
  expect(found.size).toBe(4 * config.layers + 1);
  for (const [key, gram] of found) {
    const x = inputs.get(key === HEAD && config.tied ? EMBEDDING : key)!;
    const K = x.length / 16;
    const whole = gramOf(x, K);
    const want = gram.length === K ? whole.filter((_, at) => at % (K + 1) === 0) : whole;
    expectClose(gram, want, { atol: 1e-5 * want.reduce((m, v) => Math.max(m, v), 0) }, key);
  }
  // Five tokens fit at a time: three runs, of which two leave sums.
  const again = await gramsIn(name, 4 * config.hidden * 5);
  expect(again.waited).toBe(2 * found.size);
  for (const [key, gram] of again.found) expectClose(gram, found.get(key)!, { atol: 1e-6 * found.get(key)!.reduce((m, v) => Math.max(m, v), 0) }, key);
});

test("sums that are gone are not taken for zeros", async () => {
  const { checkpoint } = await randomModel(TINY.qwen3, "BF16");
  const sums = { put: async () => undefined, get: async () => undefined };
  await expect(inputGrams(await testGpu(), checkpoint, [[1, 2, 3], [4, 5, 6]], { want: (names) => ({ key: names[0]!, diagonal: true }), found: async () => undefined, sums }, { hiddenBytes: 1 })).rejects.toThrow(/the sums over the first texts are no longer/);
});

test("inputs that are not finite are named", async () => {
  const { checkpoint } = await randomModel(TINY.qwen3, "BF16");
  const broken = { ...checkpoint, tensors: checkpoint.tensors, read: async (...args: Parameters<typeof checkpoint.read>) => {
    const bytes = await checkpoint.read(...args);
    return args[0] === "model.layers.1.input_layernorm.weight" ? new Uint8Array(bytes).fill(0x7f) : bytes;
  } };
  await expect(inputGrams(await testGpu(), broken, [[1, 2, 3]], { want: (names) => ({ key: names[0]!, diagonal: false }), found: async () => undefined, sums: { put: async () => undefined, get: async () => undefined } })).rejects.toThrow(/channel 0 of the input of "model.layers.1.self_attn.q_proj.weight" is not finite/);
});
