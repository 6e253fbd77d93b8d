import { beforeAll, describe, expect, test } from "vitest";
import type { Progress } from "../../../src/core/progress";
import type { Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { JOURNAL_VERSION } from "../../../src/engine/passJournal";
import type { StoredPass } from "../../../src/engine/passStore";
import { memoryKeyValue } from "../../../src/store/keyValue";
import { bench, fisherMemory, recipeFor, watchedGpu } from "../../support/engineBench";
import { KILLED, mortalKeyValue } from "../../support/mortalKeyValue";
import { perturbed } from "../../support/perturbed";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";

const RAW = { ...TINY.qwen2Tied, num_hidden_layers: 3, tie_word_embeddings: false };
const TOKENS = randomTokens(5, RAW.vocab_size, [6, 9, 4]);
const TWO = [{ id: "finetuned", name: "finetuned" }, { id: "other", name: "other" }];
const TIED = { base: { id: "tied", name: "tied" }, models: [{ id: "tiedTuned", name: "tiedTuned" }] };

/** The same model with values in steps of 2^-10, and, for `k` > 0, each moved by one of few amounts: many changes are equal. */
const stepped = (checkpoint: Checkpoint, k: number): Checkpoint => ({
  ...checkpoint,
  read: async (name, offset, length) => {
    const bytes = (await checkpoint.read(name, offset, length)).slice();
    const values = new Float32Array(bytes.buffer);
    values.forEach((v, i) => (values[i] = Math.round(v * 1024) / 1024 + (k > 0 ? (((offset / 4 + i) * 7919 * k) % 5) / 256 : 0)));
    return bytes;
  },
});
const EQUAL = { base: { id: "stepped", name: "stepped" }, models: [{ id: "stepped1", name: "stepped1" }, { id: "stepped2", name: "stepped2" }] };

let gpu: GPU;
let models: Record<string, Checkpoint>;

beforeAll(async () => {
  ({ gpu } = await watchedGpu());
  const [base, tied] = [(await randomModel(RAW, "F32", 1)).checkpoint, (await randomModel({ ...RAW, tie_word_embeddings: true }, "F32", 3)).checkpoint];
  models = { base, finetuned: await perturbed(base, 1), other: await perturbed(base, 2), tied, tiedTuned: await perturbed(tied, 3), stepped: stepped(base, 0), stepped1: stepped(base, 1), stepped2: stepped(base, 2) };
});

type Change = NonNullable<Parameters<typeof recipeFor>[2]>;
const fim = (params: Recipe["params"] = {}, change: Change = {}): Recipe => recipeFor("fim-ties", { r: 0.3, calib: "off", ...params }, { tokens: TOKENS, ...change });

/** What a pass leaves: its numbers to the last bit, and every mask. */
function left(map: ReadonlyMap<string, unknown>): { stats: StoredPass["stats"]; losses: number[]; masks: Record<string, unknown>; others: string[] } {
  const [pass] = [...map].filter(([k]) => k.startsWith("pass/")).map(([, v]) => v as StoredPass);
  return { stats: pass!.stats, losses: pass!.report.losses, masks: Object.fromEntries([...map].filter(([k]) => k.startsWith("mask/"))), others: [...map.keys()].filter((k) => !/^(pass|mask)\//.test(k)) };
}

/** One life of a program: an engine of its own over the same database, which ends after `writes`. */
async function life(map: Map<string, unknown>, recipe: Recipe, writes = Infinity): Promise<{ died: boolean; written: number; seen: Progress[] }> {
  const passes = mortalKeyValue(map, writes);
  const seen: Progress[] = [];
  const died = await bench(gpu, models, { passes }).engine.measure("job", recipe, (p) => seen.push(structuredClone(p)), () => undefined).then(() => false, (error: Error) => {
    if (error.message !== KILLED) throw error;
    return true;
  });
  return { died, written: passes.written, seen };
}

const uninterrupted = async (recipe: Recipe) => {
  const map = new Map<string, unknown>();
  const { written, seen } = await life(map, recipe);
  return { ...left(map), written, seen };
};

describe("a pass that is killed again and again ends in the same bits", () => {
  test.each<[string, () => Recipe]>([
    ["one threshold per tensor, norms and biases too", () => fim({ trim1D: true })],
    ["one threshold per block, Gaussian probes", () => fim({ trimScope: "block", calib: "gaussian" })],
    ["one threshold for the model, exactly so many of equal scores, two models", () => fim({ trimScope: "model", percentile: "exactK", trimScore: "magnitude" }, EQUAL)],
    ["one threshold for the model as a percentile", () => fim({ trimScope: "model" })],
    ["activations, two batches", () => fim({ calib: "activations" }, { tokens: randomTokens(9, RAW.vocab_size, Array.from({ length: 65 }, () => 8)) })],
    ["at the fine-tuned models, two of them", () => fim({ fisherAt: "finetuned" }, { models: TWO })],
    ["a tied head, embeddings trimmed by size, sampled labels", () => fim({ trimEmbed: "magnitude", labels: "sampled" }, TIED)],
    ["squares per token", () => fim({ fisher: "token" })],
    ["TIES over the whole model, equal changes, two models", () => recipeFor("ties", { density: 0.3, scope: "model", keepRule: "mergekit" }, EQUAL)],
    ["TIES per tensor", () => recipeFor("ties", { density: 0.3 })],
  ])("%s", async (_, make) => {
    const want = await uninterrupted(make());
    expect(want.others).toEqual(["order"]);
    const map = new Map<string, unknown>();
    let lives = 0;
    let redone = 0;
    // A step of a block is at most 20 writes here, so every life gets a step further.
    for (let died = true; died; lives++) {
      const run = await life(map, make(), 23 + lives);
      died = run.died;
      redone += run.written;
      expect(lives, "each life goes on where the one before ended").toBeLessThan(60);
    }
    expect(lives).toBeGreaterThan(1);
    const { stats, losses, masks, others } = left(map);
    expect(stats).toEqual(want.stats);
    expect(losses).toEqual(want.losses);
    expect(masks).toEqual(want.masks);
    expect(others, "nothing of the journal stays").toEqual(["order"]);
    expect(redone, "most of the work was done once").toBeLessThan(3 * want.written);
  });

  test("killed at each of many single points", async () => {
    const recipe = fim({}, TIED);
    const want = await uninterrupted(recipe);
    for (let at = 2; at <= want.written; at += 8) {
      const map = new Map<string, unknown>();
      expect((await life(map, recipe, at)).died).toBe(true);
      await life(map, recipe);
      expect(left(map), `killed at write ${at} of ${want.written}`).toEqual({ stats: want.stats, losses: want.losses, masks: want.masks, others: want.others });
    }
  });
});

describe("going on", () => {
  test("progress begins where the pass goes on, and says so", async () => {
    const map = new Map<string, unknown>();
    const { written } = await uninterrupted(fim());
    await life(map, fim(), written - 14);
    const { seen } = await life(map, fim());
    const first = seen.find((p) => p.note !== undefined)!;
    expect(first.note).toMatch(/^Continues at block [01], backward\.$/);
    expect(first.fraction).toBeGreaterThan(0.5);
    expect(first.phases.find((p) => p.state === "now")).toMatchObject({ id: "backward", count: expect.stringMatching(/^continues at block [01]$/) as string });
    expect(first.strips![0]!.cells).toEqual(["half", "half", "half"]);
    expect(first.strips![1]!.cells.at(-1)).toBe("full");
    const fractions = seen.map((p) => p.fraction);
    expect(fractions.every((f, i) => i === 0 || f >= fractions[i - 1]!)).toBe(true);
  });

  test("a journal of another version, another adapter, or with a part missing is dropped, and the pass is made anew", async () => {
    const want = await uninterrupted(fim());
    const spoil: [string, (map: Map<string, unknown>, root: string) => void][] = [
      ["version", (map, root) => map.set(`${root}head`, { ...(map.get(`${root}head`) as object), version: JOURNAL_VERSION + 1 })],
      ["identity", (map, root) => map.set(`${root}head`, { ...(map.get(`${root}head`) as object), identity: "another adapter" })],
      ["a missing array", (map) => map.delete([...map.keys()].find((k) => k.includes("/array/dx."))!)],
      ["an array of another shape", (map) => map.set([...map.keys()].find((k) => k.includes("/array/x.1."))!, new Float32Array(3))],
      ["a missing record of tensors", (map) => map.delete([...map.keys()].find((k) => k.includes("/stats/"))!)],
      ["a missing mask", (map) => map.delete([...map.keys()].find((k) => k.startsWith("mask/") && k.includes("layers.2"))!)],
    ];
    for (const [name, change] of spoil) {
      const map = new Map<string, unknown>();
      await life(map, fim(), want.written - 16);
      const root = [...map.keys()].find((k) => k.endsWith("/head"))!.slice(0, -"head".length);
      const before = map.size;
      change(map, root);
      expect(map.size).toBeLessThanOrEqual(before);
      await life(map, fim());
      const { stats, masks, others } = left(map);
      expect(stats, name).toEqual(want.stats);
      expect(masks, name).toEqual(want.masks);
      expect(others, name).toEqual(["order"]);
    }
  });

  test("a full disk ends the journal, not the pass", async () => {
    const want = await uninterrupted(fim());
    const map = new Map<string, unknown>();
    const inner = memoryKeyValue(map);
    const passes = { ...inner, set: async (key: string, value: unknown) => (key.includes("/array/dx.") ? Promise.reject(Object.assign(new Error("full"), { name: "QuotaExceededError" })) : inner.set(key, value)) };
    const report = await bench(gpu, models, { passes }).measure(fim());
    expect(left(map)).toMatchObject({ stats: want.stats, masks: want.masks, others: ["order"] });
    expect(report.warnings.join(" ")).toContain("no room to write down");
  });

  test("a pass that keeps its Fisher starts over in another program, and ends with the same file", async () => {
    const [whole, cut] = [fisherMemory(), fisherMemory()];
    const recipe = fim({ keepFisher: true });
    await bench(gpu, models, { fisherFile: whole.fisherFile }).measure(recipe);
    const map = new Map<string, unknown>();
    const first = bench(gpu, models, { fisherFile: cut.fisherFile, passes: mortalKeyValue(map, 30) });
    await expect(first.measure(recipe)).rejects.toMatchObject({ message: KILLED });
    await bench(gpu, models, { fisherFile: cut.fisherFile, passes: memoryKeyValue(map) }).measure(recipe);
    expect(cut.state.bytes).toEqual(whole.state.bytes);
  });
});
