import { afterEach, beforeAll, expect, test } from "vitest";
import type { Progress } from "../../../src/core/progress";
import type { Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { bench, digest, hookedReads, recipeFor, watchedGpu, type Bench, type WatchedGpu } from "../../support/engineBench";
import { fixtureCheckpoint } from "../../support/nodeCheckpoint";

/** A pause takes effect within this time, and by then nothing new is begun. */
const LIMIT_MS = 2000;
const nothing = () => undefined;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let watched: WatchedGpu;
let base: Checkpoint;
let finetuned: Checkpoint;
let reads = 0;
let onRead: (n: number) => void = nothing;

const hooked = (checkpoint: Checkpoint): Checkpoint => hookedReads(checkpoint, () => onRead(++reads));
const fresh = (): Bench => bench(watched.gpu, { base: hooked(base), finetuned: hooked(finetuned) });
const recipe = (method = "fim-ties"): Recipe => recipeFor(method, method === "fim-ties" ? { r: 0.2, calib: "off" } : { lambda: 0.5 }, { tokens: [[1, 2, 3, 4, 5], [6, 7, 8]] });

beforeAll(async () => {
  base = await fixtureCheckpoint("qwen2-tiny-f32", "base");
  finetuned = await fixtureCheckpoint("qwen2-tiny-f32", "finetuned");
  watched = await watchedGpu();
});
afterEach(() => {
  onRead = nothing;
  reads = 0;
});

/** Pauses at the n-th read, and once it has come to rest looks on for a while: no read, no dispatch, no progress but the pause. */
async function pauseAt(b: Bench, at: number, progress: Progress[], resume: () => void): Promise<void> {
  let asked: () => void = nothing;
  const reached = new Promise<void>((resolve) => (asked = resolve));
  onRead = (n) => {
    if (n !== at) return;
    void b.engine.pause("job");
    asked();
  };
  await reached;
  await sleep(LIMIT_MS / 2);
  const before = { reads, told: progress.length };
  expect(progress.at(-1)!.paused, "told that it waits").toBe(true);
  await sleep(300);
  expect({ reads, told: progress.length }, "nothing moves").toEqual(before);
  resume();
}

test("a paused pass stands still, goes on, and measures the same; neither its time nor its speed counts the pause", async () => {
  const plain = fresh();
  await plain.measure(recipe());
  const total = reads;
  const want = await plain.shape(recipe());
  for (const share of [0.1, 0.5, 0.9]) {
    reads = 0;
    const b = fresh();
    const progress: Progress[] = [];
    const started = performance.now();
    const job = b.engine.measure("job", recipe(), (p) => progress.push(structuredClone(p)), nothing);
    await pauseAt(b, Math.ceil(share * total), progress, () => void b.engine.resume("job"));
    const { elapsedMs } = await job;
    expect(elapsedMs, "the pause is not counted").toBeLessThan(performance.now() - started - LIMIT_MS / 2);
    expect(progress.at(-1)!.paused).toBeUndefined();
    expect(progress.every((p, i) => i === 0 || p.elapsedMs >= progress[i - 1]!.elapsedMs)).toBe(true);
    expect(await b.shape(recipe())).toEqual(want);
  }
});

test("a paused export stands still while it writes and while it reads back, and writes the same bytes", async () => {
  const plain = fresh();
  await plain.measure(recipe());
  reads = 0;
  const want = [...(await plain.merge(recipe())).files].map(([path, bytes]) => [path, digest(bytes)]);
  const total = reads;
  // The last reads of the models belong to the tiles of the check.
  for (const at of [2, Math.ceil(total / 2), total - 2]) {
    const b = fresh();
    b.passes.clear();
    for (const [key, value] of plain.passes) b.passes.set(key, value);
    reads = 0;
    const progress: Progress[] = [];
    const job = b.engine.exportModel("job", recipe(), { kind: "stage", name: "merged" }, (p) => progress.push(structuredClone(p)));
    await pauseAt(b, at, progress, () => void b.engine.resume("job"));
    await job;
    expect([...b.output().files].map(([path, bytes]) => [path, digest(bytes)])).toEqual(want);
  }
});

test("a paused job can be cancelled, within two seconds, and leaves nothing", async () => {
  const b = fresh();
  const progress: Progress[] = [];
  const job = b.engine.measure("job", recipe(), (p) => progress.push(p), nothing);
  const ended = expect(job).rejects.toMatchObject({ code: "cancelled" });
  let asked = 0;
  await pauseAt(b, 30, progress, () => {
    asked = performance.now();
    void b.engine.cancel("job");
  });
  await ended;
  expect(performance.now() - asked).toBeLessThan(LIMIT_MS);
  expect(watched.liveBuffers().filter((buffer) => buffer.size !== 512 * 256)).toEqual([]);
});

test("pausing or continuing a job that is not there does nothing", async () => {
  const b = fresh();
  await b.engine.pause("nobody");
  await b.engine.resume("nobody");
  await b.engine.pause("job");
  expect((await b.measure(recipe("task-arithmetic"))).losses, "a pause before the job is none of it").toEqual([]);
});
