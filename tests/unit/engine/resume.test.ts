import { afterAll, expect, test } from "vitest";
import { StudioError } from "../../../src/core/errors";
import type { Progress } from "../../../src/core/progress";
import type { Recipe } from "../../../src/core/recipe";
import type { ExportTarget } from "../../../src/engine/api";
import { readFolder, type DiskFile } from "../../../src/cli/nodeFiles";
import { openCheckpoint } from "../../../src/formats/checkpoint";
import { createFileWriter, type FileWriter } from "../../../src/store/fileWriter";
import { memoryKeyValue } from "../../../src/store/keyValue";
import { localLocks, type Locks } from "../../../src/store/locks";
import { createOutputs, type Outputs } from "../../../src/worker/outputs";
import { bench, recipeFor } from "../../support/engineBench";
import { FakeDirectory } from "../store/fakeDirectory";

const TARGET: ExportTarget = { kind: "stage", name: "merged" };
// Cuts on |delta| with equal keys at the threshold, in two shards of float32.
const recipe = recipeFor("ties", { density: 0.3 }, { output: { dtype: "F32", maxShardBytes: 1 << 20 } });

/** A browser of one profile: its files and its database; `tab` is one visit, whose locks end with it. */
function browser() {
  const root = new FakeDirectory("", { sync: true });
  const records = memoryKeyValue();
  const storage = { getDirectory: async () => root.handle() } as unknown as StorageManager;
  return { root, records, tab: (writer: FileWriter = createFileWriter(), locks: Locks = localLocks()): Outputs => createOutputs({ storage, locks, records, writer }) };
}

/** A writer that dies at call number `at` of `method`: what comes after it never happens. */
function dying(at: number, method: "put" | "flush" | "close" | "open" = "put", error: () => unknown = () => new Error("killed")): FileWriter & { calls: number } {
  const inner = createFileWriter();
  let dead = false;
  const self = {
    calls: 0,
    ...inner,
    ...Object.fromEntries(
      (["open", "put", "flush", "close"] as const).map((name) => [
        name,
        async (...args: unknown[]) => {
          if (name === method && self.calls++ === at) dead = true;
          if (dead) throw error();
          return (inner[name] as (...a: unknown[]) => Promise<unknown>)(...args);
        },
      ]),
    ),
  };
  return self as FileWriter & { calls: number };
}

// From the disk: it reads into the arrays it is given.
const opened: DiskFile[] = [];
afterAll(() => Promise.all(opened.map((file) => file.close())));
async function models() {
  const open = async (name: string) => {
    const { files } = await readFolder(`public/samples/${name}`);
    opened.push(...files);
    return openCheckpoint(name, files);
  };
  return { base: await open("base"), finetuned: await open("long-cot") };
}

async function run(outputs: Outputs, wanted: Recipe = recipe) {
  const progress: Progress[] = [];
  const { engine } = bench(undefined, await models(), { openOutput: (target, job) => outputs.open(target, job), flushBytes: 1, sliceElements: 4096 });
  const report = await engine.exportModel("job", wanted, TARGET, (p) => progress.push(p));
  return { report, progress, hashes: Object.fromEntries(report.files.map((f) => [f.path, f.sha256])) };
}

test("an export that is killed at any point goes on and writes the files of an uninterrupted one", async () => {
  const counting = dying(-1);
  const whole = await run(browser().tab(counting));
  expect(whole.report.checks.map((c) => c.verdict)).not.toContain("fail");
  const puts = counting.calls;
  expect(whole.report.files.filter((f) => f.path.endsWith(".safetensors"))).toHaveLength(2);
  expect(puts).toBeGreaterThan(30);
  let kept = 0;
  for (const [method, at] of [["put", 0], ["put", 7], ["put", Math.floor(puts / 2)], ["put", puts - 8], ["flush", 3], ["flush", 20], ["close", 0], ["close", 1], ["open", 3], ["close", 5]] as const) {
    const profile = browser();
    // Killed, not failed: the tab's own clean-up never runs, so its locks are simply gone.
    const tab = profile.tab(dying(at, method));
    const cut = { ...tab, open: async (...args: Parameters<Outputs["open"]>) => ({ ...(await tab.open(...args)), suspend: async () => undefined, discard: async () => undefined }) };
    await expect(run(cut), `${method} ${at}`).rejects.toThrow("killed");
    const next = profile.tab();
    await next.sweep();
    const [left] = await next.unfinished();
    expect(left?.target, `${method} ${at}`).toEqual(TARGET);
    const again = await run(next);
    expect(again.hashes, `${method} ${at}`).toEqual(whole.hashes);
    expect(again.report.keptBytes ?? 0, "what was listed is what is kept").toBe(left!.bytesDone);
    const bytes = again.progress.filter((p) => p.kind === "export").map((p) => p.bytesDone ?? 0);
    expect(bytes, "progress begins where it goes on").toContain(left!.bytesDone);
    kept = Math.max(kept, left!.bytesDone);
    expect(await next.unfinished()).toEqual([]);
  }
  expect(kept).toBeGreaterThan(0.5 * whole.report.totalBytes);
}, 120_000);

test("another recipe, and a changed input, begin anew and remove the stage", async () => {
  for (const change of ["recipe", "input"] as const) {
    const profile = browser();
    await expect(run({ ...profile.tab(dying(20)), sweep: async () => undefined })).rejects.toThrow("killed");
    expect((await profile.tab().unfinished())[0]!.bytesDone).toBeGreaterThan(0);
    const next = change === "recipe" ? { ...recipe, params: { density: 0.4 } } : { ...recipe, base: { ...recipe.base, hash: "a".repeat(32) } };
    const { report } = await run(profile.tab(), next);
    expect(report.keptBytes).toBeUndefined();
    expect(await profile.tab().unfinished()).toEqual([]);
    const stages = profile.root.children.get("stages") as FakeDirectory;
    expect(stages.children.size, "one stage, the new one").toBe(1);
  }
});

test("a full disk says what is needed and free, keeps what is written, and goes on when there is space", async () => {
  const whole = await run(browser().tab());
  const profile = browser();
  const full = (): StudioError => new StudioError("storage-full", "Writing model-00002-of-00002.safetensors: no more space.");
  const locks = localLocks();
  const tab = profile.tab(dying(1, "open", full), locks);
  const short: Outputs = { ...tab, open: async (...args) => ({ ...(await tab.open(...args)), freeBytes: async () => 5 }) };
  const error = await run(short).catch((e: unknown) => e as StudioError);
  expect(error).toMatchObject({ code: "storage-full", details: { freeBytes: 5 } });
  const [left] = await profile.tab(createFileWriter(), locks).unfinished();
  expect((error as StudioError).details.neededBytes).toBe(left!.bytesTotal - left!.bytesDone);
  expect((error as StudioError).message).toContain("are kept");
  const again = await run(profile.tab(createFileWriter(), locks));
  expect(again.report.keptBytes).toBe(left!.bytesDone);
  expect(again.hashes).toEqual(whole.hashes);
});

test("cancelling keeps nothing", async () => {
  const profile = browser();
  const outputs = profile.tab();
  const { engine } = bench(undefined, await models(), { openOutput: (target, job) => outputs.open(target, job), flushBytes: 1, sliceElements: 4096 });
  const going = engine.exportModel("job", recipe, TARGET, (p) => p.fraction > 0.1 && void engine.cancel("job"));
  await expect(going).rejects.toMatchObject({ code: "cancelled" });
  expect(await profile.tab().unfinished()).toEqual([]);
  expect(profile.root.tree().size).toBe(0);
});

test("the report has the time of hashing and writing, over all shards", async () => {
  const { report } = await run(browser().tab());
  const shards = report.files.filter((f) => f.path.endsWith(".safetensors")).reduce((sum, f) => sum + f.bytes, 0);
  for (const stage of ["hash", "write"]) {
    const found = report.stages!.find((s) => s.stage === stage)!;
    expect(found.bytes).toBe(shards);
    expect(found.busyMs).toBeGreaterThan(0);
  }
});
