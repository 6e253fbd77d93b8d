import { expect, test } from "vitest";
import type { StudioError } from "../../../src/core/errors";
import { planWeights, poolKeys } from "../../../src/generate/weights";
import { WeightPool } from "../../../src/generate/pool";
import { identified } from "../../../src/core/tensors";
import { mergedWords } from "../../../src/core/trying";
import type { Gpu } from "../../../src/gpu/gpu";
import { expectedTensors } from "../../../src/model/architectures";
import { randomModel, TINY } from "../../support/tinyModel";

/** Buffers with a size and nothing else, and which of them were given back. */
function fakeGpu(): { gpu: Gpu; freed: GPUBuffer[]; panels(...sizes: number[]): { row0: number; rows: number; buffer: GPUBuffer }[] } {
  const freed: GPUBuffer[] = [];
  const gpu = { release: (...buffers: GPUBuffer[]) => void freed.push(...buffers) } as unknown as Gpu;
  return { gpu, freed, panels: (...sizes) => sizes.map((size, row0) => ({ row0, rows: 1, buffer: { size } as GPUBuffer })) };
}

test("buffers are counted once, found when they are offered, and given back by their last holder", () => {
  const { gpu, freed, panels } = fakeGpu();
  const pool = new WeightPool(gpu);
  const made = panels(256, 512);
  const first = pool.add("a", made);
  expect([pool.heldBytes, pool.has("a"), pool.take("a")]).toEqual([768, false, undefined]);
  first.offer();
  const second = pool.take("a")!;
  expect(second.panels).toEqual(made);
  expect(pool.heldBytes).toBe(768);
  first.release();
  first.release();
  expect([freed.length, pool.heldBytes, pool.has("a")]).toEqual([0, 768, true]);
  second.release();
  expect(freed).toEqual(made.map(({ buffer }) => buffer));
  expect([pool.heldBytes, pool.has("a"), pool.take("a")]).toEqual([0, false, undefined]);
});

test("what was made twice at one time, has no key, or was given back is nobody else's", () => {
  const { gpu, freed, panels } = fakeGpu();
  const pool = new WeightPool(gpu);
  const [one, two, plain] = [pool.add("a", panels(256)), pool.add("a", panels(256)), pool.add(undefined, panels(256))];
  for (const share of [one, two, plain]) share.offer();
  expect(pool.heldBytes).toBe(768);
  expect(pool.take("a")!.panels).toBe(one.panels);
  two.release();
  expect([pool.has("a"), freed.length, pool.heldBytes]).toEqual([true, 1, 512]);
  expect([pool.has(undefined), pool.take(undefined)]).toEqual([false, undefined]);
  const late = pool.add("b", panels(256));
  late.release();
  late.offer();
  expect(pool.has("b")).toBe(false);
});

test("tensors that are there take nothing of the budget, and are not counted twice", async () => {
  const { checkpoint, config } = await randomModel({ ...TINY.qwen3, hidden_size: 64, intermediate_size: 200, vocab_size: 300, num_hidden_layers: 4 }, "BF16");
  const nothing = planWeights(checkpoint, config, 0);
  expect(nothing).toMatchObject({ residentBlocks: 0, residentHead: false, sharedBytes: 0 });
  const inBlocks = (...layers: number[]) => (name: string): boolean => expectedTensors(config).some((t) => t.name === name && layers.includes(t.layer!));
  const whole = planWeights(checkpoint, config, Infinity);
  const block = (nothing.streamedBytesPerStep - 2 * 64 * 300) / 4;
  const shared = planWeights(checkpoint, config, whole.weightBytes - 3 * block, inBlocks(0, 1, 3));
  expect(shared).toEqual({ ...whole, sharedBytes: 3 * block });
  expect(planWeights(checkpoint, config, whole.weightBytes - 3 * block - 1, inBlocks(0, 1, 3)).residentEmbedding).toBe(false);
  // Blocks that stay are the first ones: one that is there, but behind one that is not, is brought again.
  expect(planWeights(checkpoint, config, 0, inBlocks(0, 3))).toMatchObject({ residentBlocks: 1, sharedBytes: block, residentBytes: block + 4 * 64, residentHead: false });
});

test("keys tell form and source; a source without identities has none", async () => {
  const { checkpoint, config } = await randomModel(TINY.qwen2Tied, "BF16");
  expect((await poolKeys(checkpoint, config)).size).toBe(0);
  const keys = await poolKeys(identified(checkpoint, "one"), config);
  expect([...keys.keys()]).toEqual(expectedTensors(config).map(({ name }) => name));
  expect(new Set(keys.values()).size).toBe(keys.size);
  expect(keys.get("model.norm.weight")).toMatch(/^f32 /);
  const others = new Set((await poolKeys(identified(checkpoint, "two"), config)).values());
  expect([...keys.values()].some((key) => others.has(key))).toBe(false);
  const stop = new AbortController();
  stop.abort();
  await expect(poolKeys(identified(checkpoint, "one"), config, stop.signal)).rejects.toMatchObject({ code: "cancelled" } satisfies Partial<StudioError>);
});

test("what was merged for a preview is said in one breath", () => {
  const words = (made: number, there: number, seconds = 0.0414) => mergedWords({ made, there, bytes: 1, seconds });
  expect([words(290, 0, 12.4), words(3, 287), words(0, 1290), words(1, 0)]).toEqual(["290 tensors merged in 12 s", "3 of 290 tensors merged anew in 0.04 s", "1,290 tensors there already", "1 tensor merged in 0.04 s"]);
});
