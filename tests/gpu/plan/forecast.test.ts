import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readFolder } from "../../../src/cli/nodeFiles";
import type { Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { openRecipe, type RecipeContext } from "../../../src/engine/context";
import { paperPass, type PaperPass } from "../../../src/engine/planPass";
import { passOptions, sequencesOf } from "../../../src/engine/passes";
import { fisherPass, type PassMemory } from "../../../src/fisher/measure";
import { openCheckpoint } from "../../../src/formats/checkpoint";
import { parseModelConfig } from "../../../src/model/config";
import { recipeFor } from "../../support/engineBench";
import { testGpu } from "../../support/gpu";
import { makeCheckpoint } from "../../support/makeCheckpoint.mjs";

/** Sizes between a toy and a model: panels, pool and kept inputs all matter, and a pass is about 1 GFLOP. */
const MID = { hidden_size: 256, intermediate_size: 704, num_hidden_layers: 3, num_attention_heads: 4, num_key_value_heads: 2, vocab_size: 3001 };

let folder: string;
const models = new Map<string, Checkpoint>();
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "forecast-"));
  for (const [size, config] of [["tiny", {}], ["mid", MID]] as const)
    for (const side of ["base", "partner"] as const) {
      const id = `${size}-${side}`;
      makeCheckpoint({ out: join(folder, id), shape: "tiny", side, config });
      models.set(id, await openCheckpoint(id, (await readFolder(join(folder, id))).files));
    }
});
afterAll(() => rmSync(folder, { recursive: true }));

async function context(size: string, params: Recipe["params"] = {}): Promise<RecipeContext> {
  const recipe = recipeFor("fim-ties", { N: 4, len: 24, ...params }, { base: { id: `${size}-base`, name: "base" }, models: [{ id: `${size}-partner`, name: "partner" }] });
  return openRecipe(recipe, async (id) => models.get(id)!);
}

interface Run {
  gpuBytes: number;
  readBytes: number;
  dispatches: number;
  flops: number;
  masks: Map<string, Uint32Array>;
}

/** The pass itself, counted. */
async function real(ctx: RecipeContext, budgetBytes: number, memory: PassMemory): Promise<Run> {
  const gpu = await testGpu();
  gpu.trim();
  gpu.submits.fix(); // cuts as forecast, however busy this machine is
  const before = { dispatches: gpu.dispatches, flops: gpu.flops };
  gpu.peakBytes = gpu.allocatedBytes;
  gpu.budgetBytes = budgetBytes;
  let readBytes = 0;
  const counted = (c: Checkpoint): Checkpoint => ({ ...c, read: (name, offset, length, into) => ((readBytes += length), c.read(name, offset, length, into)) });
  const masks = new Map<string, Uint32Array>();
  await fisherPass(gpu, {
    ...passOptions(ctx), base: counted(ctx.base), experts: ctx.experts.map(counted), config: parseModelConfig(ctx.base.config), sequences: await sequencesOf(ctx), memory,
    masks: { put: async (name, _, words) => void masks.set(name, words), get: async (name) => masks.get(name) },
    signal: new AbortController().signal, onTensor: () => undefined,
  });
  gpu.budgetBytes = Infinity;
  return { gpuBytes: gpu.peakBytes, readBytes, dispatches: gpu.dispatches - before.dispatches, flops: gpu.flops - before.flops, masks };
}

const total = (paper: PaperPass, key: "readBytes" | "dispatches" | "flops"): number => paper.forward[key] + paper.backward[key];

async function compare(size: string, params: Recipe["params"], budgetBytes = Infinity, memory: PassMemory = {}): Promise<{ run: Run; peak: number }> {
  const ctx = await context(size, params);
  const paper = await paperPass(ctx, (await testGpu()).facts, budgetBytes, memory);
  const run = await real(ctx, budgetBytes, memory);
  const peak = Math.max(paper.forward.gpuBytes, paper.backward.gpuBytes);
  expect(run.gpuBytes).toBeLessThanOrEqual(1.2 * peak);
  expect(run.gpuBytes).toBeGreaterThanOrEqual(0.5 * peak);
  expect(total(paper, "readBytes")).toBe(run.readBytes);
  expect(total(paper, "flops") / run.flops).toBeCloseTo(1, 6);
  expect(total(paper, "dispatches")).toBe(run.dispatches);
  return { run, peak };
}

describe("a pass takes what its plan says: peak, bytes read, dispatches, work", () => {
  test.each([
    ["tiny", {}],
    ["tiny", { trimScope: "block" }],
    ["tiny", { trimScope: "model" }],
    ["tiny", { fisher: "token", N: 2, len: 6 }],
  ])("%s %j", async (size, params) => {
    await compare(size, params as Recipe["params"]);
  }, 120_000);

  test("with a budget that sends pooled buffers away, block inputs on the host and panels of 1 MiB; the masks do not change but in rounding", async () => {
    const wide = await compare("mid", {});
    const evicted = await compare("mid", {}, Math.ceil(0.8 * wide.peak));
    expect(evicted.run.gpuBytes).toBeLessThanOrEqual(0.8 * wide.peak);
    expect(evicted.run.masks).toEqual(wide.run.masks);
    const hosted = await compare("mid", {}, Infinity, { inputsOnHost: true });
    expect(hosted.run.masks).toEqual(wide.run.masks);
    const cut = await compare("mid", {}, Infinity, { panelBytes: 2 ** 20 });
    expect(cut.peak).toBeLessThan(wide.peak);
  }, 240_000);
});
