import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readFolder } from "../../../src/cli/nodeFiles";
import { openRecipe, type RecipeContext } from "../../../src/engine/context";
import { planMerge } from "../../../src/engine/planner";
import { openCheckpoint } from "../../../src/formats/checkpoint";
import { noAdapter, type AdapterFacts } from "../../../src/gpu/info";
import type { Budgets, Forecast } from "../../../src/engine/api";
import type { Recipe } from "../../../src/core/recipe";
import { makeCheckpoint } from "../../support/makeCheckpoint.mjs";
import { recipeFor } from "../../support/engineBench";

const GB = 1e9;
const hardware: AdapterFacts = { ...noAdapter(""), state: "hardware" };
const software: AdapterFacts = { ...noAdapter(""), state: "software" };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "planner-"));
  for (const shape of ["7b", "1.5b", "tiny"] as const)
    for (const side of ["base", "partner"] as const) makeCheckpoint({ out: join(folder, `${shape}-${side}`), shape, side, headersOnly: true });
});
afterAll(() => rmSync(folder, { recursive: true }));

async function context(shape: string, method: string, params: Recipe["params"] = {}): Promise<RecipeContext> {
  const recipe = recipeFor(method, params, { base: { id: `${shape}-base`, name: "base" }, models: [{ id: `${shape}-partner`, name: "partner" }] });
  return openRecipe(recipe, async (id) => openCheckpoint(id, (await readFolder(join(folder, id))).files));
}
const plan = async (shape: string, method: string, budgets: Budgets, params: Recipe["params"] = {}, facts = hardware): Promise<Forecast> =>
  planMerge({ context: await context(shape, method, params), facts, budgets, ingest: "in place", pass: method.startsWith("fim") ? "fisher" : method === "ties" ? "changes" : "none" });
const phase = (forecast: Forecast, id: string) => forecast.phases.find((p) => p.id === id)!;

describe("the published sizes", () => {
  test.each([["7b", 2.5 * GB, hardware], ["1.5b", 1 * GB, hardware], ["7b", 2.5 * GB, software], ["1.5b", 1 * GB, software]] as const)("%s fits %d bytes of GPU and 512 MB, panels uncut", async (shape, gpuBytes, facts) => {
    const forecast = await plan(shape, "fim-ties", { gpuBytes, hostBytes: 512e6 }, {}, facts);
    expect(forecast.fits).toBe(true);
    expect(forecast.gpuBytes).toBeLessThanOrEqual(gpuBytes);
    expect(forecast.hostBytes).toBeLessThanOrEqual(512e6);
    // Nothing that could change a bit was needed.
    expect(forecast.memory.panelBytes).toBe(2 ** 27);
  }, 60_000);

  test("7B: traffic and work of the roofline", async () => {
    const forecast = await plan("7b", "fim-ties", { gpuBytes: 2.5 * GB, hostBytes: 512e6 });
    // Linear layers in the blocks, 6.525e9, as bf16; embedding rows and the head are the rest.
    const blocks = 2 * 6.525e9;
    const head = 2 * 152064 * 3584;
    expect(phase(forecast, "forward").readBytes / blocks).toBeCloseTo(1, 2);
    // Backward: base and tuned blocks once; the head twice (loss, gradient) and its tuned side; both embeddings for their
    // sums. Less what stayed on the GPU.
    const { pinnedBlocks } = forecast.memory;
    expect(pinnedBlocks).toBeGreaterThan(0);
    expect(pinnedBlocks).toBeLessThan(6);
    expect(phase(forecast, "backward").readBytes / ((2 - pinnedBlocks / 28) * blocks + 5 * head)).toBeCloseTo(1, 2);
    // 512 tokens: forward 2 M W; recompute (which stops before down_proj), dX, dW, and four products with the head.
    expect(phase(forecast, "forward").flops / (2 * 512 * 6.525e9)).toBeCloseTo(1, 1);
    expect(phase(forecast, "backward").flops / (2 * 512 * (3 * 6.525e9 - 28 * 18944 * 3584 + 4 * 152064 * 3584))).toBeCloseTo(1, 1);
    // The journal has the input of each block and the gradient below it; the masks are a bit for each entry.
    const rows = 4 * 512 * 3584;
    expect(phase(forecast, "forward").writeBytes).toBe(28 * rows);
    expect((phase(forecast, "backward").writeBytes - 29 * rows) / (6.525e9 / 8)).toBeCloseTo(1, 2);
    expect(phase(forecast, "merge").writeBytes / 15.231e9).toBeCloseTo(1, 3);
    expect(phase(forecast, "ingest").readBytes / (2 * 15.231e9)).toBeCloseTo(1, 3);
  }, 60_000);
});

describe("budgets", () => {
  test("a smaller GPU budget first sends pooled buffers away, then block inputs, then cuts panels", async () => {
    const at = (gpuBytes: number): Promise<Forecast> => plan("1.5b", "fim-ties", { gpuBytes, hostBytes: 2 * GB });
    const [wide, pooled, small] = [await at(8 * GB), await at(700e6), await at(330e6)];
    expect(wide.memory).toMatchObject({ inputsOnHost: false, panelBytes: 2 ** 27 });
    expect({ ...pooled.memory, pinnedBlocks: 28 }).toEqual(wide.memory);
    expect(pooled.memory.pinnedBlocks).toBeLessThan(28);
    expect(pooled.gpuBytes).toBeLessThan(wide.gpuBytes);
    expect(pooled.gpuBytes).toBeLessThanOrEqual(700e6);
    expect(small.memory.inputsOnHost).toBe(true);
    expect(small.memory.panelBytes).toBeLessThan(2 ** 27);
    expect(small.gpuBytes).toBeLessThan(pooled.gpuBytes);
    expect(small.notes.join(" ")).toContain("last bits may differ");
  }, 60_000);

  test("1.5B on 8 GB: all blocks stay on the GPU, and their second read disappears", async () => {
    const at = (gpuBytes: number): Promise<Forecast> => plan("1.5b", "fim-ties", { gpuBytes, hostBytes: 2 * GB });
    const [roomy, tight] = [await at(8 * GB), await at(700e6)];
    const blocks = 2 * 1.31e9;
    expect(roomy.memory.pinnedBlocks).toBe(28);
    expect(roomy.notes.join(" ")).toContain("28 of 28 blocks stay on the GPU");
    const saved = phase(tight, "backward").readBytes - phase(roomy, "backward").readBytes;
    // A tied head of 467 MB stays too: three sweeps read it once.
    expect(saved / ((1 - tight.memory.pinnedBlocks / 28) * blocks + 2 * 2 * 151936 * 1536)).toBeCloseTo(1, 1);
    expect(roomy.gpuBytes).toBeGreaterThan(tight.gpuBytes);
    expect(roomy.gpuBytes).toBeLessThanOrEqual(8 * GB);
    expect({ ...roomy.memory, pinnedBlocks: 0 }).toEqual({ ...tight.memory, pinnedBlocks: 0 });
  }, 60_000);

  test("7B with a threshold per block: what it needs is told, and what would need less", async () => {
    const forecast = await plan("7b", "fim-ties", { gpuBytes: 2.5 * GB, hostBytes: 512e6 }, { trimScope: "block" });
    expect(forecast.fits).toBe(forecast.gpuBytes <= 2.5 * GB && forecast.hostBytes <= 512e6);
    if (forecast.gpuBytes > 2.5 * GB) expect(forecast.notes.join(" ")).toMatch(/of GPU memory are needed .* or set trimScope to tensor/);
    const tensor = await plan("7b", "fim-ties", { gpuBytes: 2.5 * GB, hostBytes: 512e6 });
    expect(tensor.gpuBytes).toBeLessThanOrEqual(forecast.gpuBytes);
  }, 120_000);

  test("what cannot fit says so, with both numbers", async () => {
    const forecast = await plan("1.5b", "fim-ties", { gpuBytes: 50e6, hostBytes: 512e6 });
    expect(forecast.fits).toBe(false);
    expect(forecast.notes[0]).toMatch(/of GPU memory are needed at one time, the budget is 50 MB/);
  }, 60_000);

  test("slices of the merge shrink to a small budget", async () => {
    const wide = await plan("1.5b", "task-arithmetic", { gpuBytes: 2 * GB, hostBytes: 512e6 });
    const small = await plan("1.5b", "task-arithmetic", { gpuBytes: 20e6, hostBytes: 512e6 });
    expect(small.memory.sliceElements).toBeLessThan(wide.memory.sliceElements);
    expect(small.gpuBytes).toBeLessThanOrEqual(20e6);
    expect(small.readBytes).toBe(wide.readBytes);
  });
});

test("times need every speed, and range from the longest stage to the sum", async () => {
  const job = { context: await context("tiny", "task-arithmetic"), facts: hardware, budgets: { gpuBytes: GB, hostBytes: GB }, ingest: "copy" as const, pass: "none" as const };
  expect((await planMerge({ ...job, rates: { readBytes: 1e6 } })).seconds).toBeUndefined();
  const { seconds, phases } = await planMerge({ ...job, rates: { readBytes: 1e6, writeBytes: 5e5 } });
  const merge = phases.find((p) => p.id === "merge")!;
  expect(merge.seconds![0]).toBeCloseTo(Math.max(merge.readBytes / 1e6, merge.writeBytes / 5e5), 6);
  expect(merge.seconds![1]).toBeCloseTo(merge.readBytes / 1e6 + merge.writeBytes / 5e5, 6);
  expect(seconds![1]).toBeCloseTo(phases.reduce((sum, p) => sum + p.seconds![1], 0), 6);
});
