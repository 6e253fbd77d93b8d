import { afterEach, describe, expect, test } from "vitest";
import type { Checkpoint } from "../../../src/core/tensors";
import { KeyValueCache, planCache } from "../../../src/generate/cache";
import { createGenerator } from "../../../src/generate/generator";
import { chooseToken, samplingKey } from "../../../src/generate/sampling";
import { CachedWalk } from "../../../src/generate/walk";
import { GeneratorWeights, planWeights } from "../../../src/generate/weights";
import { parseModelConfig, type ModelConfig } from "../../../src/model/config";
import { createDecoder } from "../../../src/model/decoder";
import { Pace } from "../../../src/model/pace";
import { readFloatTensor } from "../../../src/model/weights";
import { forward } from "../../reference/model/decoder";
import { expectClose } from "../../support/compare";
import { testGpu } from "../../support/gpu";
import { fixtureCheckpoint, fixtureJson, fixtureTensors, float64Parameters } from "../../support/nodeCheckpoint";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";

const open: (() => void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) close();
  expect((await testGpu()).liveBytes, "bytes still held").toBe(0);
});

/** The walk over a model with room for `places` sequences. */
async function walkOf(checkpoint: Checkpoint, config: ModelConfig, places: number, capacity: number): Promise<CachedWalk> {
  const gpu = await testGpu();
  const weights = await GeneratorWeights.load(gpu, checkpoint, config, planWeights(checkpoint, config, Infinity));
  const cache = new KeyValueCache(gpu, config, planCache(config, capacity, places, Infinity));
  const walk = new CachedWalk(gpu, config, weights, cache, new Pace(gpu));
  open.push(() => {
    walk.end();
    cache.release();
    weights.release();
  });
  return walk;
}

const rowsOf = (tokens: readonly number[], place: number, from = 0, to = tokens.length) => tokens.slice(from, to).map((token, i) => ({ place, position: from + i, token }));
const all = (rows: readonly unknown[]): number[] => rows.map((_, i) => i);

describe.each(["qwen2-tiny-f32", "llama-tiny-bf16"])("%s", (set) => {
  test("logits are the golden ones: a whole prompt by tiles, and token by token", async () => {
    const tokens = fixtureJson<Record<string, number[][]>>(set, "tokens.json").fisher_N4_L16![0]!;
    const golden = await fixtureTensors(set, "tensors.safetensors");
    const checkpoint = await fixtureCheckpoint(set, "base");
    const config = parseModelConfig(checkpoint.config);
    const want = await readFloatTensor(golden, "logits0/base");
    const walk = await walkOf(checkpoint, config, 2, 20);
    const rows = rowsOf(tokens, 1);
    const whole = await walk.logits(rows, all(rows), true);
    expectClose(whole.flatMap((row) => [...row]), want, { atol: 1e-5 }, "by tiles");
    const single: number[] = [];
    for (const row of rowsOf(tokens, 0)) single.push(...(await walk.logits([row], [0], false))[0]!);
    expectClose(single, want, { atol: 1e-5 }, "token by token");
  });
});

test("logits equal the decoder's whole computation, whatever is beside a row, to the same bits", async () => {
  const { checkpoint, config } = await randomModel({ ...TINY.qwen3, hidden_size: 40 }, "BF16", 4);
  const sequences = randomTokens(2, config.vocab, [9, 21, 30]);
  const decoder = createDecoder(await testGpu(), checkpoint, config);
  const { logits } = await decoder.forward(sequences, { loss: false, logitsOf: (s, position) => position >= sequences[s]!.length - 3 });
  const walk = await walkOf(checkpoint, config, 4, 40);
  for (const [s, tokens] of sequences.entries()) await walk.logits(rowsOf(tokens, s, 0, tokens.length - 3), [], true);
  // The last three tokens of all, side by side and then, in a place of its own, of one alone.
  const beside: Float32Array[][] = [];
  for (let back = 3; back > 0; back--) {
    const rows = sequences.map((tokens, s) => ({ place: s, position: tokens.length - back, token: tokens[tokens.length - back]! }));
    beside.push(await walk.logits(rows, all(rows), false));
  }
  for (const [s, tokens] of sequences.entries()) {
    const want = logits.filter(({ sequence }) => sequence === s);
    const parameters = await float64Parameters(checkpoint);
    const exact = forward(config, parameters, tokens).logits;
    want.forEach(({ values, position }, i) => {
      expectClose(beside[i]![s]!, values, { atol: 2e-6, rtol: 1e-5 }, `sequence ${s}`);
      expectClose(beside[i]![s]!, exact.slice(position * config.vocab, (position + 1) * config.vocab), { atol: 3e-6, rtol: 1e-5 }, `sequence ${s}, float64`);
    });
    await walk.logits(rowsOf(tokens, 3, 0, tokens.length - 3), [], true);
    for (let back = 3; back > 0; back--) expect(await walk.logits(rowsOf(tokens, 3, tokens.length - back, tokens.length - back + 1), [0], false)).toEqual([beside[3 - back]![s]!]);
  }
});

test("a copied prompt gives the same bits; samples of a prompt share it, to the tokens that each has alone", async () => {
  const gpu = await testGpu();
  const { checkpoint, config } = await randomModel({ ...TINY.qwen3, max_position_embeddings: 80 }, "BF16");
  const prompts = randomTokens(4, config.vocab, [40, 6]);
  const walk = await walkOf(checkpoint, config, 3, 50);
  const [long] = prompts as [number[]];
  const whole = await walk.logits(rowsOf(long, 1), [39], true);
  await walk.copyCached(1, 2, 40);
  const next = { position: 40, token: 3 };
  const [kept, copied] = await walk.logits([{ ...next, place: 1 }, { ...next, place: 2 }], [0, 1], false);
  expect(copied).toEqual(kept);
  expect(copied).not.toEqual(whole[0]);

  const generator = await createGenerator(gpu, checkpoint, config);
  open.push(() => generator.end());
  const sampling = { temperature: 1.5, topK: 0, topP: 1, repetitionPenalty: 1, seed: 5 };
  const request = { ...sampling, stopIds: Array.from({ length: 12 }, (_, id) => id), maxNewTokens: 6 };
  // Fewer places than samples: a place that comes free is given to another sample, and to another prompt.
  const got = await generator.generate(prompts, { ...request, samples: 7, batch: 3 });
  expect(new Set(got.map(({ tokens }) => tokens)).size, "they end at different times").toBeGreaterThan(3);
  for (const { prompt, sample, ids, stopId } of got) {
    const tokens = [...prompts[prompt]!];
    const key = samplingKey(sampling.seed, tokens, sample);
    let rows = rowsOf(tokens, 0);
    for (const [step, id] of [...ids, ...(stopId === undefined ? [] : [stopId])].entries()) {
      const [logits] = await walk.logits(rows, [rows.length - 1], rows.length > 32);
      expect(chooseToken(logits!, sampling, new Set(), key, step), `sample ${sample} of prompt ${prompt}, token ${step}`).toBe(id);
      tokens.push(id);
      rows = rowsOf(tokens, 0, tokens.length - 1);
    }
  }

  const flops = async (samples: number): Promise<number> => {
    const before = gpu.flops;
    await generator.generate(prompts, { ...request, maxNewTokens: 1, samples, batch: 3 });
    return gpu.flops - before;
  };
  expect(await flops(7), "the first tokens of seven samples cost what one costs").toBe(await flops(1));
});
