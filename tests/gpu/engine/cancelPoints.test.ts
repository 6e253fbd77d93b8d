import { beforeAll, expect, test } from "vitest";
import type { Progress } from "../../../src/core/progress";
import type { Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { bench, recipeFor, watchedGpu, type Bench, type WatchedGpu } from "../../support/engineBench";
import { fixtureCheckpoint } from "../../support/nodeCheckpoint";

const LIMIT_MS = 2000;
const UNIFORM_RING = 512 * 256;
const nothing = () => undefined;

let watched: WatchedGpu;
let base: Checkpoint;
let finetuned: Checkpoint;
beforeAll(async () => {
  base = await fixtureCheckpoint("qwen2-tiny-f32", "base");
  finetuned = await fixtureCheckpoint("qwen2-tiny-f32", "finetuned");
  watched = await watchedGpu();
});

const fresh = (): Bench => bench(watched.gpu, { base, finetuned });
const fisher = (): Recipe => recipeFor("fim-ties", { r: 0.2, calib: "off" }, { tokens: [[1, 2, 3, 4, 5], [6, 7, 8]] });
const inPhase = (id: string) => (p: Progress): boolean => p.phases.some((phase) => phase.id === id && phase.state === "now");
const leaked = () => watched.liveBuffers().filter((b) => b.size !== UNIFORM_RING);

/** Cancels a job at the first progress that `at` picks; returns the milliseconds until it answered. */
async function cancelAt(b: Bench, run: (onProgress: (p: Progress) => void) => Promise<unknown>, at: (p: Progress) => boolean, what: string): Promise<number> {
  let asked = 0;
  const job = run((p) => {
    if (asked > 0 || !at(p)) return;
    asked = performance.now();
    void b.engine.cancel("job");
  });
  await expect(job, what).rejects.toMatchObject({ code: "cancelled" });
  expect(asked, `${what} was reached`).toBeGreaterThan(0);
  return performance.now() - asked;
}

test("a pass is cancelled within two seconds in each of its phases, and leaves neither buffers nor masks", async () => {
  const points: [string, (p: Progress) => boolean][] = [
    ["tokens", inPhase("tokens")], ["forward", inPhase("forward")], ["between forward and backward", (p) => inPhase("backward")(p) && p.fraction < 0.4], ["backward", (p) => inPhase("backward")(p) && p.fraction > 0.5], ["scores", inPhase("scores")],
  ];
  for (const [what, at] of points) {
    const b = fresh();
    expect(await cancelAt(b, (onProgress) => b.engine.measure("job", fisher(), onProgress, nothing), at, what), what).toBeLessThan(LIMIT_MS);
    expect(leaked(), what).toEqual([]);
    expect([...b.passes.keys()].filter((key) => key !== "order"), what).toEqual([]);
  }
});

test("a pass over changes, and an export while it writes, closes and reads back", async () => {
  const recipe = recipeFor("ties", {});
  const b = fresh();
  expect(await cancelAt(b, (onProgress) => b.engine.measure("job", recipe, onProgress, nothing), inPhase("changes"), "changes")).toBeLessThan(LIMIT_MS);
  await b.measure(recipe);
  const points: [string, (p: Progress) => boolean][] = [["write", inPhase("write")], ["small files", inPhase("small")], ["verify", inPhase("verify")]];
  for (const [what, at] of points) {
    expect(await cancelAt(b, (onProgress) => b.engine.exportModel("job", recipe, { kind: "stage", name: "x" }, onProgress), at, what), what).toBeLessThan(LIMIT_MS);
    expect([...b.output().files.keys()], what).toEqual([]);
    expect(leaked(), what).toEqual([]);
  }
  expect((await b.merge(recipe)).report.checks.every((check) => check.verdict !== "fail"), "the next one is whole").toBe(true);
});
