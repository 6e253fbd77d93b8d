import { beforeAll, describe, expect, test } from "vitest";
import type { Progress, StripCell } from "../../../src/core/progress";
import { StudioError } from "../../../src/core/errors";
import type { Recipe } from "../../../src/core/recipe";
import { GREEDY_OPTIONS, type EvaluatedItem, type TryPiece } from "../../../src/core/trying";
import { Device, MAX_LOSSES } from "../../../src/engine/device";
import type { StoredPass } from "../../../src/engine/passStore";
import { bench, digest, fisherMemory, recipeFor, watchedGpu, type Bench, type WatchedGpu } from "../../support/engineBench";
import { sampleCheckpoint } from "../../support/nodeCheckpoint";
import { perturbed } from "../../support/perturbed";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";

const RAW = { ...TINY.qwen2Tied, tie_word_embeddings: false };
const TOKENS = randomTokens(5, RAW.vocab_size, [6, 4]);
const recipe = recipeFor("fim-ties", { r: 0.3, calib: "off", keepFisher: true }, { tokens: TOKENS });
const never = new AbortController().signal;
const nothing = () => undefined;

let watched: WatchedGpu;
/** One engine for all tests: opening a device is cheap, compiling kernels for it is not. */
let b: Bench;
const kept = fisherMemory();
/** Called before each read of the base. */
let onRead = nothing;

const lose = () => watched.devices.at(-1)!.destroy();
/** Measures, and loses the device whenever `when` says so of a progress. Reads run ahead of the work, so they cannot say. */
const measure = (of: Recipe, when: (p: Progress) => boolean = () => false) => b.engine.measure("job", of, (p) => void (when(p) && lose()), nothing);
const cellsOf = (p: Progress, strip: number): StripCell[] => p.strips?.[strip]?.cells ?? [];
/** True for the first progress of which the condition holds. */
const once = (holds: (p: Progress) => boolean): ((p: Progress) => boolean) => {
  let done = false;
  return (p) => !done && (done = holds(p));
};
const left = () => {
  const pass = [...b.passes].find(([k]) => k.startsWith("pass/"))![1] as StoredPass;
  return { stats: pass.stats, losses: pass.report.losses, masks: Object.fromEntries([...b.passes].filter(([k]) => k.startsWith("mask/")).map(([k, words]) => [k.split("/").slice(2).join("/"), words])), fisher: kept.state.bytes };
};

beforeAll(async () => {
  watched = await watchedGpu("apart");
  const base = (await randomModel(RAW, "F32", 1)).checkpoint;
  b = bench(watched.gpu, { base: { ...base, read: async (...args) => (onRead(), base.read(...args)) }, finetuned: await perturbed(base, 1) }, { fisherFile: kept.fisherFile });
});

describe("a pass", () => {
  let want: ReturnType<typeof left>;

  beforeAll(async () => {
    await measure(recipe);
    want = left();
  });

  test.each<[string, (p: Progress) => boolean]>([
    ["in the forward", (p) => cellsOf(p, 0)[0] === "half"],
    ["in the backward", (p) => cellsOf(p, 1).at(-1) === "full"],
  ])("a device destroyed %s is opened again; numbers, masks and the kept Fisher are those of an undisturbed pass", async (_, holds) => {
    b.passes.clear();
    const before = watched.devices.length;
    const { warnings } = await measure(recipe, once(holds));
    expect(watched.devices.length).toBe(before + 1);
    expect(left()).toEqual(want);
    expect(warnings.join(" ")).toMatch(/went away once during this pass/);
    expect([...b.passes.keys()].some((k) => k.startsWith("journal/"))).toBe(false);
  });

  test("three losses in one pass stop it with a sentence; asked again, it goes on where it was", async () => {
    b.passes.clear();
    const before = watched.devices.length;
    const plain = { ...recipe, params: { ...recipe.params, keepFisher: false } };
    const first = once((p) => cellsOf(p, 1).at(-1) === "full");
    const notes = new Set<string>();
    const failure: StudioError = await measure(plain, (p) => {
      if (p.note) notes.add(p.note);
      return first(p) || p.note !== undefined;
    }).then(() => Promise.reject(new Error("it did not stop")), (error: StudioError) => error);
    expect(failure).toMatchObject({ code: "gpu-lost", details: { title: "The GPU keeps going away" } });
    expect(failure.message).toMatch(/^Measuring: the GPU went away 3 times during this job.*Close other programs.*What is finished is kept/);
    expect(notes).toContain("The GPU went away and was opened again. Continues at block 0, backward.");
    expect(watched.devices.length).toBe(before + MAX_LOSSES - 1);
    const seen: Progress[] = [];
    await measure(plain, (p) => (seen.push(structuredClone(p)), false));
    expect(seen.find((p) => p.note)!.note).toBe("Continues at block 0, backward.");
    expect(left()).toEqual(want);
  });
});

test("an export survives a lost device, and writes the same files", async () => {
  await measure(recipe);
  const whole = await b.merge(recipe);
  const before = watched.devices.length;
  let reads = 0;
  onRead = () => void (++reads === 12 && lose());
  const again = await b.merge(recipe);
  expect(watched.devices.length).toBe(before + 1);
  expect([...again.files].map(([path, bytes]) => [path, digest(bytes)])).toEqual([...whole.files].map(([path, bytes]) => [path, digest(bytes)]));
  expect(again.report.checks.filter((c) => c.verdict === "fail")).toEqual([]);
});

test("answers begin again on another device, are told anew, and are those of an undisturbed run", async () => {
  b.models.set("sample", await sampleCheckpoint("base"));
  const model = { kind: "model", id: "sample" } as const;
  const options = { ...GREEDY_OPTIONS, prompt: "raw", maxNewTokens: 12 } as const;
  const prompts = ["47+7+3+7=?\n", "1+2=?\n"];
  const ask = async (disturb: (piece: TryPiece) => void) => (await b.engine.generate("try", model, prompts, { ...options, stopIds: [] }, nothing, disturb)).map(({ ids, text }) => ({ ids, text }));
  const want = await ask(nothing);
  const before = watched.devices.length;
  const pieces: TryPiece[] = [];
  expect(await ask((piece) => (pieces.push(piece), pieces.length === 3 && lose()))).toEqual(want);
  expect(watched.devices.length).toBe(before + 1);
  const told = pieces.filter(({ index }) => index === 0);
  expect(told.filter(({ tokens }) => tokens === 1).length, "told from the first token on, twice").toBe(2);
  expect(told.at(-1)!.text).toBe(want[0]!.text);

  // Of an evaluation, what was judged before the loss is judged again, and counted once.
  const problems = prompts.map((prompt) => ({ prompt, answer: "1" }));
  const judge = (disturb: (item: EvaluatedItem) => void) => b.engine.evaluate("try", model, problems, { ...options, samples: 2, temperature: 1 }, nothing, disturb);
  const whole = await judge(nothing);
  let items = 0;
  const again = await judge(() => void (++items === 1 && lose()));
  expect([again.items, again.summary, again.majority]).toEqual([whole.items, whole.summary, whole.majority]);
  expect(watched.devices.length, "it ended with answers still to come").toBe(before + 2);
  expect(items).toBe(3);
});

describe("the device of the engine", () => {
  test("after a loss it is another, with half the work in a submit, for this job and later ones", async () => {
    const device = new Device(watched.gpu);
    const costs: number[] = [];
    const usual = (await device.open()).submitCost;
    const result = await device.run("Testing", never, async (gpu, losses) => {
      costs.push(gpu.submitCost);
      if (losses === 2) return "done";
      lose();
      await gpu.sync();
      return (await gpu.read(gpu.alloc(256), 256), "alive");
    });
    expect(result).toBe("done");
    expect(costs).toEqual([usual, usual / 2, usual / 4]);
    const later = await device.open();
    expect(later.submitCost).toBe(usual / 4);
    later.destroy();
  });

  test("any failure on a device that is gone counts as its loss; one on a device that is there does not", async () => {
    const device = new Device(watched.gpu);
    let calls = 0;
    const odd = async (): Promise<string> => {
      if (calls++ > 0) return "done";
      lose();
      throw new TypeError("buffer is no buffer");
    };
    expect(await device.run("Testing", never, odd)).toBe("done");
    await expect(device.run("Testing", never, async () => Promise.reject(new TypeError("wrong")))).rejects.toThrow("wrong");
    (await device.open()).destroy();
  });

  test("an adapter that does not come back is a sentence", async () => {
    let gone = false;
    const entry = { requestAdapter: async (options?: GPURequestAdapterOptions) => (gone ? null : watched.gpu.requestAdapter(options)) } as GPU;
    const run = new Device(entry, 1).run("Testing", never, async (gpu) => {
      gone = true;
      gpu.device.destroy();
      throw new StudioError("gpu-lost", "gone");
    });
    await expect(run).rejects.toMatchObject({ code: "gpu-lost", message: expect.stringMatching(/^Testing: the GPU went away and did not come back/) as string });
  });

  test("a cancelled job does not wait for another device", async () => {
    const stop = new AbortController();
    const run = new Device(watched.gpu).run("Testing", stop.signal, async () => {
      stop.abort(new StudioError("cancelled", "stop"));
      throw new StudioError("gpu-lost", "gone");
    });
    await expect(run).rejects.toMatchObject({ code: "gpu-lost" });
  });
});
