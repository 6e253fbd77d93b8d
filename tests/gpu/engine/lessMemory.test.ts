import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readFolder } from "../../../src/cli/nodeFiles";
import type { StudioError } from "../../../src/core/errors";
import type { Checkpoint } from "../../../src/core/tensors";
import { openCheckpoint } from "../../../src/formats/checkpoint";
import type { StoredPass } from "../../../src/engine/passStore";
import { bench, recipeFor, type Bench } from "../../support/engineBench";
import { makeCheckpoint } from "../../support/makeCheckpoint.mjs";
import { shortGpu, type ShortGpu } from "../../support/shortGpu";

/** A head of 16 MB as f32, so that a panel of 8 MiB is a cut, above blocks that are quick. */
const WIDE = { hidden_size: 256, intermediate_size: 320, num_hidden_layers: 3, num_attention_heads: 4, num_key_value_heads: 2, vocab_size: 16_000 };
const MB = 2 ** 20;
/** What a device keeps for good: the ring of uniforms. */
const IDLE = 512 * 256;

let folder: string;
const models: Record<string, Checkpoint> = {};
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "less-memory-"));
  for (const [id, side] of [["base", "base"], ["finetuned", "partner"]] as const) {
    makeCheckpoint({ out: join(folder, id), shape: "tiny", side, config: WIDE });
    models[id] = await openCheckpoint(id, (await readFolder(join(folder, id))).files);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

const recipe = () => recipeFor("fim-ties", { N: 2, len: 6 });

/** A measurement on a device with room for `limit` bytes beside what it keeps for good. */
async function measure(limit: number, change: { budget?: number; panelBytes?: number } = {}): Promise<{ short: ShortGpu; made: Bench; pass: StoredPass; masks: Map<string, unknown> }> {
  const short = await shortGpu(IDLE + limit);
  const made = bench(short.gpu, models, { budgets: { gpuBytes: change.budget ?? 2 ** 31, hostBytes: 2 ** 31 } });
  const kernels = { adapter: "", forms: {}, panelBytes: change.panelBytes ?? 0 };
  const report = await made.measure({ ...recipe(), ...(change.panelBytes ? { kernels } : {}) });
  const pass = made.passes.get(`pass/${report.key}`) as StoredPass;
  const masks = new Map([...made.passes].filter(([key]) => key.startsWith("mask/")).map(([key, words]) => [key.replace(report.key, "pass"), words]));
  return { short, made, pass, masks };
}

describe("a device with less room than the budget says", () => {
  test("gives the results of its panel size, says what happened, and holds nothing afterwards", async () => {
    const free = await measure(Infinity);
    const { peakBytes } = free.pass.report.gpuMemory!;
    expect(free.short.bytes).toBe(IDLE);
    expect(free.pass.report.warnings).toEqual([]);
    expect(free.pass.report.gpuMemory!.pinnedBlocks).toBe(WIDE.num_hidden_layers);
    expect(free.masks.size).toBe(7 * WIDE.num_hidden_layers);

    const references = new Map([[free.pass.report.kernels!.panelBytes, free]]);
    const seen = new Set<number>();
    for (const share of [0.8, 0.55]) {
      const tight = await measure(Math.floor(share * peakBytes));
      const { warnings, kernels, gpuMemory } = tight.pass.report;
      expect(tight.short.refused, `with ${share} of the room`).toBeGreaterThan(0);
      expect(warnings.join(" ")).toMatch(/The GPU had no room for .* beside .*; the work was planned again for /);
      expect(gpuMemory!.peakBytes).toBeLessThanOrEqual(share * peakBytes);
      expect(tight.short.bytes, "nothing is held afterwards").toBe(IDLE);
      const { panelBytes } = kernels!;
      seen.add(panelBytes);
      // The same panels on a device with room: the same bits.
      let want = references.get(panelBytes);
      if (!want) references.set(panelBytes, (want = await measure(Infinity, { panelBytes })));
      expect(want.pass.report.kernels!.panelBytes).toBe(panelBytes);
      expect(tight.masks).toEqual(want.masks);
      expect(tight.pass.stats).toEqual(want.pass.stats);
      expect(tight.pass.report.losses).toEqual(want.pass.report.losses);
    }
    expect(seen.has(8 * MB), `panels ${[...seen].join()}`).toBe(true);
  }, 600_000);

  test("below the least that a pass needs: one sentence with both numbers and what to do, and nothing is held", async () => {
    const short = await shortGpu(IDLE + 14 * MB);
    const made = bench(short.gpu, models, { budgets: { gpuBytes: 2 ** 31, hostBytes: 2 ** 31 } });
    const error = (await made.measure(recipe()).catch((e: unknown) => e)) as StudioError;
    expect(error).toMatchObject({ code: "gpu-limit", details: { title: "Out of GPU memory" } });
    expect(error.message).toMatch(/^The GPU has no room: [\d.]+ MB more were wanted beside [\d.]+ MB\. .* cuts matrices into panels of 8\.39 MB and needs [\d.]+ MB at one time\. Close other programs/);
    expect(short.bytes).toBe(IDLE);
    // With room again the same engine measures.
    short.limit = Infinity;
    expect((await made.measure(recipe())).losses).toHaveLength(2);
  }, 300_000);

  test("a merge goes on in smaller slices, to the same bytes", async () => {
    const whole = await bench((await shortGpu()).gpu, models).merge(recipeFor("task-arithmetic"));
    const short = await shortGpu(IDLE + 6 * MB);
    const merged = await bench(short.gpu, models).merge(recipeFor("task-arithmetic"));
    expect(short.refused).toBeGreaterThan(0);
    expect(short.bytes).toBe(IDLE);
    expect([...merged.files.keys()]).toEqual([...whole.files.keys()]);
    for (const [path, bytes] of whole.files) if (path.endsWith(".safetensors")) expect(Buffer.compare(merged.files.get(path)!, bytes), path).toBe(0);
  }, 300_000);
});
