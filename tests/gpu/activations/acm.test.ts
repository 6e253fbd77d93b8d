import { expect, test } from "vitest";
import { acmInformation, EMBEDDING_LAYER, HEAD_LAYER, NORM_LAYER } from "../../../src/activations/acm";
import { fromFloat32 } from "../../../src/formats/dtypes";
import * as mutual from "../../reference/activations/mutualInformation";
import * as reference from "../../reference/model/decoder";
import { expectClose } from "../../support/compare";
import { testGpu } from "../../support/gpu";
import { fixtureCheckpoint, fixtureJson, float64Parameters } from "../../support/nodeCheckpoint";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";

const bf16 = (values: ArrayLike<number>): Uint16Array => new Uint16Array(fromFloat32(Float32Array.from(values), "BF16").buffer);
const downProj = (layer: number): string => `model.layers.${layer}.mlp.down_proj.weight`;

test.each(["mistral", "qwen2Tied"] as const)("%s: each layer and text against the float64 reference", async (name) => {
  const gpu = await testGpu();
  const [base, merged] = await Promise.all([1, 2].map((seed) => randomModel(TINY[name], "BF16", seed)));
  const { config } = base!;
  const sequences = randomTokens(6, config.vocab, [7, 4, 11]);
  const parameters = await Promise.all([base!, merged!].map(({ checkpoint }) => float64Parameters(checkpoint)));
  const want = new Map<number, number[]>();
  for (const tokens of sequences) {
    const [a, b] = parameters.map((p) => reference.forward(config, p, tokens));
    const put = (layer: number, x: ArrayLike<number>, y: ArrayLike<number>): void => void want.set(layer, [...(want.get(layer) ?? []), mutual.mutualInformation(bf16(x), bf16(y))]);
    put(EMBEDDING_LAYER, a!.hidden[0]!, b!.hidden[0]!);
    for (let layer = 0; layer < config.layers; layer++) put(layer, a!.outputs.get(downProj(layer))!, b!.outputs.get(downProj(layer))!);
    put(NORM_LAYER, a!.outputs.get("model.norm.weight")!, b!.outputs.get("model.norm.weight")!);
    put(HEAD_LAYER, a!.logits, b!.logits);
  }
  const live = gpu.liveBytes;
  for (const options of [{}, { maxRows: 11, inputsOnHost: true }, { hiddenBytes: 8 * config.hidden * 11 }]) {
    const got = await acmInformation(gpu, base!.checkpoint, merged!.checkpoint, sequences, options);
    expect([...got.keys()].sort()).toEqual([...want.keys()].sort());
    // A value whose rounding to bf16 differs between f32 and float64 moves one pair of some hundred.
    for (const [layer, m] of want) expectClose(got.get(layer)!, m, { atol: 0.03 }, `layer ${layer}`);
  }
  expect(gpu.liveBytes).toBe(live);
});

test("a model tells all about itself; bins and a choice of the head's channels make other numbers, the same every time", async () => {
  const gpu = await testGpu();
  const { checkpoint, config } = await randomModel(TINY.qwen3, "F32");
  const sequences = randomTokens(6, config.vocab, [20, 6]);
  const entropy = await acmInformation(gpu, checkpoint, checkpoint, sequences);
  for (const [layer, m] of entropy) for (const value of m) expect(value, `layer ${layer}`).toBeGreaterThan(2);
  const binned = await acmInformation(gpu, checkpoint, checkpoint, sequences, { bins: 4, headChannels: 8 });
  // Values are many and nearly all distinct, so four bins of equal share have an entropy of almost ln 4.
  expect(binned.get(0)![0]).toBeCloseTo(Math.log(4), 2);
  const few = async (seed: number): Promise<number[]> => [...(await acmInformation(gpu, checkpoint, checkpoint, sequences, { headChannels: 8, seed })).get(HEAD_LAYER)!];
  const first = await few(1);
  expect(await few(1)).toEqual(first);
  expect(await few(2)).not.toEqual(first);
});

test.each(["qwen2-tiny-f32", "llama-tiny-bf16"])("%s: base against fine-tuned, as hooks in transformers and numpy have it", async (set) => {
  const [base, tuned] = await Promise.all(["base", "finetuned"].map((folder) => fixtureCheckpoint(set, folder)));
  const sequences = fixtureJson<Record<string, number[][]>>(set, "tokens.json").fisher_N8_L64!;
  const got = await acmInformation(await testGpu(), base!, tuned!, sequences);
  const want = fixtureJson<Record<string, { mutual_information_N8_L64: Record<string, number[]> }>>("activations-golden.json")[set]!.mutual_information_N8_L64;
  expect([...got.keys()].map(String).sort()).toEqual(Object.keys(want).sort());
  // The embedding is exact; elsewhere a rounding to bf16 that falls the other way moves one pair of 4096.
  for (const [layer, m] of Object.entries(want)) expectClose(got.get(Number(layer))!, m, { atol: layer === "-1" ? 1e-9 : 5e-3 }, `layer ${layer}`);
});
