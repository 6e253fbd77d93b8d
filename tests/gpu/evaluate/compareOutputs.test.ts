import { expect, test } from "vitest";
import { compareOutputs } from "../../../src/evaluate/compareOutputs";
import { parseModelConfig } from "../../../src/model/config";
import * as reference from "../../reference/evaluate/divergence";
import { forward } from "../../reference/model/decoder";
import { testGpu } from "../../support/gpu";
import { fixtureCheckpoint, fixtureJson, float64Parameters } from "../../support/nodeCheckpoint";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";

const nothing = new AbortController().signal;

test.each(["qwen2-tiny-f32", "llama-tiny-bf16"])("%s: perplexity and KL of base and fine-tuned against whole logits in float64", async (set) => {
  const gpu = await testGpu();
  const windows = fixtureJson<Record<string, number[][]>>(set, "tokens.json").fisher_N4_L16!;
  const [base, tuned] = [await fixtureCheckpoint(set, "base"), await fixtureCheckpoint(set, "finetuned")];
  const models = [base, tuned].map((source) => ({ source, config: parseModelConfig(source.config) }));
  const got = await compareOutputs(gpu, { models, pairs: [[0, 1], [1, 0]], windows, signal: nothing, panelBytes: 4 * 64 * 64 });
  const rows: Float64Array[][] = [];
  for (const { source, config } of models) {
    const parameters = await float64Parameters(source);
    rows.push(windows.flatMap((tokens) => {
      const { logits } = forward(config, parameters, tokens);
      return tokens.map((_, t) => logits.slice(t * config.vocab, (t + 1) * config.vocab));
    }));
  }
  const targets = windows.flatMap((w) => [...w.slice(1), -1]);
  const off = (value: number, want: number): number => Math.abs(value / want - 1);
  rows.forEach((model, k) => expect(off(got.perplexities[k]!, reference.perplexity(model, targets))).toBeLessThan(1e-6));
  expect(off(got.divergences[0]!, reference.divergence(rows[0]!, rows[1]!))).toBeLessThan(1e-5);
  expect(off(got.divergences[1]!, reference.divergence(rows[1]!, rows[0]!))).toBeLessThan(1e-5);
});

test("a model with more ids is compared on those that both have; a fault of one ends the walk of all", async () => {
  const gpu = await testGpu();
  const small = await randomModel(TINY.qwen3, "F32", 3);
  const wide = await randomModel({ ...TINY.qwen3, vocab_size: 71 }, "F32", 4);
  const windows = randomTokens(5, 61, [9, 6]);
  const models = [small, wide].map(({ checkpoint: source, config }) => ({ source, config }));
  const { perplexities, divergences } = await compareOutputs(gpu, { models, pairs: [[0, 1]], windows, signal: nothing });
  const rows: Float64Array[][] = [];
  for (const { source, config } of models) {
    const parameters = await float64Parameters(source);
    rows.push(windows.flatMap((tokens) => {
      const { logits } = forward(config, parameters, tokens);
      return tokens.map((_, t) => logits.slice(t * config.vocab, t * config.vocab + 61));
    }));
  }
  const targets = windows.flatMap((w) => [...w.slice(1), -1]);
  rows.forEach((model, k) => expect(Math.abs(perplexities[k]! / reference.perplexity(model, targets) - 1)).toBeLessThan(1e-5));
  expect(Math.abs(divergences[0]! / reference.divergence(rows[0]!, rows[1]!) - 1)).toBeLessThan(1e-5);
  const failing = { ...models[1]!, source: { ...wide.checkpoint, read: () => Promise.reject(new Error("torn away")) } };
  await expect(compareOutputs(gpu, { models: [models[0]!, failing], pairs: [], windows, signal: nothing })).rejects.toThrow("torn away");
});
