import { afterEach, describe, expect, test } from "vitest";
import type { Checkpoint, TensorSource } from "../../../src/core/tensors";
import { GREEDY } from "../../../src/generate/sampling";
import { createGenerator, type Generator, type GenerateOptions } from "../../../src/generate/generator";
import { parseModelConfig, type ModelConfig } from "../../../src/model/config";
import { createDecoder } from "../../../src/model/decoder";
import { testGpu } from "../../support/gpu";
import { fixtureCheckpoint, fixtureJson, fixtureTensors } from "../../support/nodeCheckpoint";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";

const open: Generator[] = [];
afterEach(async () => {
  for (const generator of open.splice(0)) generator.end();
  expect((await testGpu()).liveBytes, "bytes still held").toBe(0);
});

async function generatorOf(checkpoint: TensorSource, config: ModelConfig, budgetBytes?: number): Promise<Generator> {
  const generator = await createGenerator(await testGpu(), checkpoint, config, { budgetBytes });
  open.push(generator);
  return generator;
}

const options = (change: Partial<GenerateOptions> & { maxNewTokens: number }): GenerateOptions => ({ stopIds: [], ...change });

/** Greedy tokens by computing the whole sequence again for each. */
async function recomputed(checkpoint: Checkpoint, config: ModelConfig, prompt: readonly number[], count: number): Promise<number[]> {
  const decoder = createDecoder(await testGpu(), checkpoint, config);
  const all = [...prompt];
  for (let i = 0; i < count; i++) {
    const { logits } = await decoder.forward([all], { loss: false, logitsOf: (_, position) => position === all.length - 1 });
    const { values } = logits[0]!;
    all.push(values.reduce((best, v, id) => (v > values[best]! ? id : best), 0));
  }
  return all.slice(prompt.length);
}

describe.each(["qwen2-tiny-f32", "llama-tiny-bf16"])("%s", (set) => {
  const { prompt } = fixtureJson<{ prompt: number[] }>(set, "tokens.json");
  const { merge } = fixtureJson<{ merge: { variants: Record<string, { greedy_12: number[] }> } }>(set, "reference.json");

  test("greedy tokens of the golden merge are the golden ones", async () => {
    const base = await fixtureCheckpoint(set, "base");
    const merged = await fixtureTensors(set, "merged_fim_ties_r02.safetensors");
    const source: TensorSource = { tensors: new Map([...base.tensors, ...merged.tensors]), read: (name, ...range) => (merged.tensors.has(name) ? merged : base).read(name, ...range) };
    const generator = await generatorOf(source, parseModelConfig(base.config));
    expect((await generator.generate([prompt], options({ maxNewTokens: 12 })))[0]!.ids).toEqual(merge.variants.fim_ties_r02!.greedy_12);
  });

  test.each(["base", "finetuned"])("greedy tokens of %s are the golden ones, alone and in a batch", async (part) => {
    const checkpoint = await fixtureCheckpoint(set, part);
    const generator = await generatorOf(checkpoint, parseModelConfig(checkpoint.config));
    expect(generator.plan.streamedBytesPerStep).toBe(0);
    const want = merge.variants[part]!.greedy_12;
    const [alone] = await generator.generate([prompt], options({ maxNewTokens: 12 }));
    expect(alone).toMatchObject({ ids: want, stop: "length", stopId: undefined, promptTokens: prompt.length, tokens: 12, prompt: 0, sample: 0 });
    const others = [[7], [...prompt, ...want.slice(0, 4)], prompt];
    const beside = await generator.generate(others, options({ maxNewTokens: 12 }));
    expect(beside[2]!.ids).toEqual(want);
    expect(beside[1]!.ids.slice(0, 8)).toEqual(want.slice(4));
  });
});

describe.each(Object.entries({
  ...TINY,
  qwen2Late: { ...TINY.qwen2Tied, use_sliding_window: true, sliding_window: 5, max_window_layers: 1 },
  llama3Rope: { ...TINY.llamaOdd, attention_bias: false, mlp_bias: false, head_dim: 8, max_position_embeddings: 64, rope_scaling: { rope_type: "llama3", factor: 4, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 16 } },
}))("a random %s", (_, raw) => {
  test("decodes with its cache what the whole computation gives, past its window", async () => {
    const { checkpoint, config } = await randomModel(raw, "BF16");
    const generator = await generatorOf(checkpoint, config);
    const prompts = randomTokens(3, config.vocab, [2, 7, 35]);
    const got = await generator.generate(prompts, options({ maxNewTokens: 9 }));
    for (const [i, prompt] of prompts.entries()) expect(got[i]!.ids, `prompt ${i}`).toEqual(await recomputed(checkpoint, config, prompt, 9));
  });
});

describe("the options", () => {
  const tiny = () => randomModel({ ...TINY.qwen2Tied, max_position_embeddings: 40 }, "BF16");

  test("stop ids end an answer, are counted, and are not part of it", async () => {
    const { checkpoint, config } = await tiny();
    const generator = await generatorOf(checkpoint, config);
    const [whole] = await generator.generate([[3, 4, 5]], options({ maxNewTokens: 10 }));
    const stop = whole!.ids[5]!;
    const at = whole!.ids.indexOf(stop);
    const seen: [number, number, number][] = [];
    const [cut] = await generator.generate([[3, 4, 5]], options({ maxNewTokens: 10, stopIds: [999, stop] }), (...call) => seen.push(call));
    expect(cut).toMatchObject({ ids: whole!.ids.slice(0, at), stop: "stop id", stopId: stop, tokens: at + 1 });
    expect(seen).toEqual(whole!.ids.slice(0, at).map((id, step) => [0, id, step]));
  });

  test("the model's last position ends an answer", async () => {
    const { checkpoint, config } = await tiny();
    const generator = await generatorOf(checkpoint, config);
    const [full, over, near] = await generator.generate(randomTokens(1, config.vocab, [40, 60, 37]), options({ maxNewTokens: 10 }));
    expect(full).toMatchObject({ ids: [], stop: "context", seconds: 0 });
    expect(over).toMatchObject({ ids: [], stop: "context" });
    expect(near).toMatchObject({ stop: "context", tokens: 3 });
  });

  test("more prompts than places: each answer is the one it has alone, also sampled", async () => {
    const { checkpoint, config } = await tiny();
    const generator = await generatorOf(checkpoint, config);
    const prompts = randomTokens(8, config.vocab, [2, 9, 1, 4, 5, 3]);
    const sampling = options({ maxNewTokens: 8, temperature: 0.8, topP: 0.95, topK: 30, repetitionPenalty: 1.1, seed: 11, samples: 2 });
    const stopIds = [1, 2, 3, 4, 5, 6];
    const together = await generator.generate(prompts, { ...sampling, stopIds, batch: 5 });
    expect(new Set(together.map(({ ids }) => ids.length)).size, "lengths differ").toBeGreaterThan(1);
    for (const [i, prompt] of prompts.entries()) {
      const alone = await generator.generate([prompt], { ...sampling, stopIds, batch: 1 });
      expect(alone.map(({ ids, stop }) => ({ ids, stop }))).toEqual(together.slice(2 * i, 2 * i + 2).map(({ ids, stop }) => ({ ids, stop })));
    }
    const one = await generator.generate(prompts, { ...sampling, stopIds, samples: 1 });
    expect(one.map(({ ids }) => ids)).toEqual(together.filter(({ sample }) => sample === 0).map(({ ids }) => ids));
    const other = await generator.generate(prompts, { ...sampling, stopIds, seed: 12 });
    expect(other.map(({ ids }) => ids)).not.toEqual(together.map(({ ids }) => ids));
  });

  test("prompts of more rows than go together are taken in pieces, short and long ones", async () => {
    const { checkpoint, config } = await randomModel(TINY.mistral, "BF16");
    const generator = await generatorOf(checkpoint, config);
    for (const length of [31, 60]) {
      const prompts = randomTokens(5, config.vocab, Array.from({ length: 18 }, () => length));
      const together = await generator.generate(prompts, options({ maxNewTokens: 2, batch: 18 }));
      for (const i of [0, 8, 17]) expect((await generator.generate([prompts[i]!], options({ maxNewTokens: 2 })))[0]!.ids).toEqual(together[i]!.ids);
    }
  });

  test("weights that do not fit are brought for every step, to the same tokens", async () => {
    const { checkpoint, config } = await randomModel({ ...TINY.qwen3, hidden_size: 64, intermediate_size: 600, vocab_size: 300, num_hidden_layers: 3 }, "BF16");
    const generator = await generatorOf(checkpoint, config);
    const prompts = randomTokens(3, config.vocab, [4, 6]);
    const want = await generator.generate(prompts, options({ maxNewTokens: 5 }));
    const { weightBytes } = generator.plan;
    for (const part of [0.9, 0.6, 0]) {
      // The fixed part of the budget is what a step needs.
      const overhead = 4 * 128 * (4 * 64 + 3 * 600 + 3 * 24) + 34 * 1024 * 1024 + 8 * 300;
      const small = await generatorOf(checkpoint, config, overhead + (8 / 7) * part * weightBytes);
      expect(small.plan.residentBytes).toBeLessThanOrEqual(Math.max(part * weightBytes, 4 * 64));
      expect(small.plan.residentBlocks).toBeLessThan(3);
      expect(small.plan.streamedBytesPerStep).toBeGreaterThan(0);
      expect((await small.generate(prompts, options({ maxNewTokens: 5 }))).map(({ ids }) => ids)).toEqual(want.map(({ ids }) => ids));
    }
  });

  test("a cancel gives what there is, and holds nothing", async () => {
    const { checkpoint, config } = await tiny();
    const gpu = await testGpu();
    const generator = await generatorOf(checkpoint, config);
    const before = gpu.liveBytes;
    const stop = new AbortController();
    const got = await generator.generate([[1], [2], [3]], { ...options({ maxNewTokens: 30 }), signal: stop.signal, batch: 2 }, (sequence, _id, step) => {
      if (sequence === 0 && step === 3) stop.abort();
    });
    expect(got.map(({ stop: reason }) => reason)).toEqual(["cancelled", "cancelled", "cancelled"]);
    expect(got.map(({ ids }) => ids.length)).toEqual([4, 4, 0]);
    await gpu.sync();
    expect(gpu.liveBytes).toBe(before);
    const early = new AbortController();
    early.abort();
    await expect(createGenerator(gpu, checkpoint, config, { signal: early.signal })).rejects.toMatchObject({ code: "cancelled" });
  });

  test("a cancel in the middle of a step is answered without the rest of that step", async () => {
    const { checkpoint, config } = await randomModel({ ...TINY.qwen3, num_hidden_layers: 6 }, "BF16");
    const gpu = await testGpu();
    const { queue } = gpu.device;
    const submit = queue.submit.bind(queue);
    let submits = 0;
    let told = () => undefined as void;
    queue.submit = (commands) => {
      submits++;
      told();
      submit(commands);
    };
    try {
      // No weight stays, so that each of the 6 blocks is brought, and submitted, for itself.
      const generator = await generatorOf(checkpoint, config, 0);
      const steps: number[] = [];
      const [whole] = await generator.generate([[1, 2]], options({ maxNewTokens: 4 }), () => steps.push(submits));
      const perStep = steps[3]! - steps[2]!;
      expect(perStep, "one for each block and the head").toBeGreaterThan(6);
      const stop = new AbortController();
      let at = Infinity;
      told = () => void (submits >= at && stop.abort());
      const [cut] = await generator.generate([[1, 2]], { ...options({ maxNewTokens: 4 }), signal: stop.signal }, (_, _id, step) => void (step === 1 && (at = submits + Math.ceil(perStep / 3))));
      expect(cut).toMatchObject({ ids: whole!.ids.slice(0, 2), stop: "cancelled", tokens: 2 });
      expect(submits - at, "submits after the signal").toBeLessThan(2);
    } finally {
      queue.submit = submit;
    }
  });

  test("unusable prompts and settings are refused by name", async () => {
    const { checkpoint, config } = await tiny();
    const generator = await generatorOf(checkpoint, config);
    const refused = (prompts: number[][], change: Partial<GenerateOptions>) => expect((async () => generator.generate(prompts, { ...options({ maxNewTokens: 5 }), ...GREEDY, ...change }))()).rejects;
    await refused([[1], []], {}).toThrow("prompt 2 has no tokens");
    await refused([[1, 53]], {}).toThrow("prompt 1 has 53 at position 2");
    await refused([[1]], { maxNewTokens: 0 }).toThrow("maxNewTokens is 0");
    await refused([[1]], { batch: 33 }).toThrow("batch is 33");
    await refused([[1]], { topP: 2 }).toThrow("topP is 2");
  });
});
