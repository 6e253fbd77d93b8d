import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readFolder } from "../../../src/cli/nodeFiles";
import { drawTokens } from "../../../src/core/random";
import type { Recipe } from "../../../src/core/recipe";
import type { Forecast } from "../../../src/engine/api";
import { openRecipe } from "../../../src/engine/context";
import { planMerge } from "../../../src/engine/planner";
import { openCheckpoint } from "../../../src/formats/checkpoint";
import { noAdapter, type AdapterFacts } from "../../../src/gpu/info";
import { recipeFor } from "../../support/engineBench";
import { makeCheckpoint } from "../../support/makeCheckpoint.mjs";

const hardware: AdapterFacts = { ...noAdapter(""), state: "hardware" };
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "plan-gradients-"));
  for (const side of ["base", "partner"] as const) makeCheckpoint({ out: join(folder, side), shape: "1.5b", side, headersOnly: true });
});
afterAll(() => rmSync(folder, { recursive: true }));

const plan = async (method: string, models: string[], gpuBytes: number, change: Partial<Recipe>): Promise<Forecast> => {
  const recipe = recipeFor(method, {}, { base: { id: "base", name: "base" }, models: models.map((id) => ({ id, name: id })), ...change });
  const context = await openRecipe(recipe, async (id) => openCheckpoint(id, (await readFolder(join(folder, id))).files));
  return planMerge({ context, facts: hardware, budgets: { gpuBytes, hostBytes: 512e6 }, ingest: "in place", pass: "none" });
};

describe("what the passes with gradients of every model take, at 1.5B", () => {
  test("Fisher averaging stays within 1 GB of GPU and 512 MB, and says what it stores: 4 bytes for each value, few embedding rows", async () => {
    const forecast = await plan("fisher-average", ["partner"], 1e9, {});
    const pass = forecast.phases.find((p) => p.id === "measure")!;
    expect(forecast.fits).toBe(true);
    // The base's head is tied and so dense; of the partner's embedding the rows of 512 tokens at most are stored.
    const blocks = 4 * 1.3104e9;
    const head = 4 * 151936 * 1536;
    expect(pass.writeBytes / (2 * blocks + 2 * head)).toBeCloseTo(1, 2);
    expect(pass.label).toContain("GB on disk until the pass is dropped");
    // And it is read once more, beside the models.
    const merge = forecast.phases.find((p) => p.id === "merge")!;
    expect(merge.readBytes).toBeGreaterThan(pass.writeBytes);
  }, 120_000);

  test("Sens-Merging takes texts in groups whose block inputs fit", async () => {
    const tokens = drawTokens(1, 151936, 100, 60);
    const forecast = await plan("sens-merging", ["partner", "partner"], 2e9, { tokens });
    expect(forecast.gpuBytes).toBeLessThanOrEqual(2e9);
    expect(forecast.hostBytes).toBeLessThanOrEqual(512e6);
    const [, gradients, logits] = forecast.phases.filter((p) => p.id === "measure");
    // 60 tokens have 28 x 60 x 1536 block inputs of 4 bytes, so 48 texts fit a quarter of the budget: three groups. Blocks are read
    // once or twice for each, the head for the loss and the gradient.
    expect(gradients!.label).toBe("Gradients of 2 models on 6,000 tokens");
    const model = 2 * (1.3104e9 + 151936 * 1536);
    expect(gradients!.readBytes / (6 * model)).toBeGreaterThan(0.9);
    expect(gradients!.readBytes / (6 * model)).toBeLessThan(2.3);
    expect(logits!.readBytes / (6 * model)).toBeCloseTo(1, 1);
  }, 120_000);
});
