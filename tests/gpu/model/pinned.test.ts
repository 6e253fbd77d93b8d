import { afterEach, beforeEach, expect, test } from "vitest";
import type { Gpu } from "../../../src/gpu/gpu";
import type { TensorSource } from "../../../src/core/tensors";
import { createDecoder } from "../../../src/model/decoder";
import { testGpu } from "../../support/gpu";
import { randomModel, randomTokens, TINY, type RandomModel } from "../../support/tinyModel";

let gpu: Gpu;
beforeEach(async () => {
  gpu = await testGpu();
  gpu.trim();
});
afterEach(() => {
  gpu.budgetBytes = Infinity;
});

interface Run {
  /** Bytes read of each tensor. */
  reads: Map<string, number>;
  losses: number[];
  gradients: Map<string, Float32Array>;
  pinnedBlocks: number;
  peakBytes: number;
}

/** A whole pass whose gradients with respect to the activations are kept, at a budget. */
async function pass({ checkpoint, config }: RandomModel, budgetBytes: number, panelBytes: number): Promise<Run> {
  gpu.trim();
  gpu.budgetBytes = budgetBytes;
  gpu.peakBytes = gpu.allocatedBytes;
  const reads = new Map<string, number>();
  const source: TensorSource = { ...checkpoint, read: (name, offset, length, into) => (reads.set(name, (reads.get(name) ?? 0) + length), checkpoint.read(name, offset, length, into)) };
  const gradients = new Map<string, Float32Array>();
  const decoder = createDecoder(gpu, source, config, { panelBytes });
  const { losses, pinnedBlocks } = await decoder.pass(randomTokens(3, config.vocab, [9, 7, 8]), {
    visitor: {
      linear: async ({ name, dy, N }, { rows }) => void gradients.set(name, await gpu.readFloats(dy, rows * N)),
      head: async ({ name, dlogits, row0, rows: N }, { rows }) => void gradients.set(`${name} ${row0}`, await gpu.readFloats(dlogits, rows * N)),
      embedding: async ({ name, dx, C }, { rows }) => void gradients.set(name, await gpu.readFloats(dx, rows * C)),
    },
  });
  expect([gpu.liveBytes, gpu.reservedBytes], "nothing is held after a pass").toEqual([0, 0]);
  return { reads, losses, gradients, pinnedBlocks, peakBytes: gpu.peakBytes };
}

test.each([["llamaOdd", "lm_head.weight", 2], ["qwen2Tied", "model.embed_tokens.weight", 3]] as const)("%s: with room every block and every panel of the head is read once, without room as often as it is used", async (family, head, sweeps) => {
  const model = await randomModel(TINY[family]);
  const { layers, tied } = model.config;
  const bytes = (name: string): number => model.checkpoint.tensors.get(name)!.end - model.checkpoint.tensors.get(name)!.begin;
  const blocks = [...model.checkpoint.tensors.keys()].filter((name) => name.startsWith("model.layers."));
  const wide = await pass(model, Infinity, 4096);
  const narrow = await pass(model, 1, 4096);

  expect(wide.pinnedBlocks).toBe(layers);
  expect(narrow.pinnedBlocks).toBe(0);
  for (const name of blocks) expect([name, wide.reads.get(name), narrow.reads.get(name)]).toEqual([name, bytes(name), 2 * bytes(name)]);
  // A tied head is also the embedding, of which some rows are gathered.
  const gathered = tied ? wide.reads.get(head)! - bytes(head) : 0;
  expect(gathered).toBeLessThanOrEqual(24 * bytes(head) / model.config.vocab);
  expect([wide.reads.get(head), narrow.reads.get(head)]).toEqual([gathered + bytes(head), gathered + sweeps * bytes(head)]);
  expect(wide.peakBytes).toBeGreaterThan(narrow.peakBytes);
  // The same bits, wherever the weights came from.
  expect(narrow.losses).toEqual(wide.losses);
  expect(narrow.gradients).toEqual(wide.gradients);
});

test("with room for some, the last blocks stay, and the peak keeps to the budget", async () => {
  const model = await randomModel(TINY.llamaOdd);
  const { layers } = model.config;
  const [wide, narrow] = [await pass(model, Infinity, 4096), await pass(model, 1, 4096)];
  const seen = new Set<number>();
  for (let share = 0.1; share < 1; share += 0.1) {
    const budget = Math.round(narrow.peakBytes + share * (wide.peakBytes - narrow.peakBytes));
    const some = await pass(model, budget, 4096);
    expect(some.peakBytes).toBeLessThanOrEqual(budget);
    expect(some.gradients).toEqual(wide.gradients);
    const once = Array.from({ length: layers }, (_, layer) => some.reads.get(`model.layers.${layer}.self_attn.q_proj.weight`) === wide.reads.get(`model.layers.${layer}.self_attn.q_proj.weight`));
    expect(once.filter(Boolean)).toHaveLength(some.pinnedBlocks);
    expect(once, "the last ones").toEqual(once.map((_, layer) => layer >= layers - some.pinnedBlocks));
    seen.add(some.pinnedBlocks);
  }
  expect(seen.size).toBeGreaterThan(1);
});
