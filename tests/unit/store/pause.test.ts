import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cancelled } from "../../../src/core/errors";
import { addGate } from "../../../src/core/pause";
import type { Progress } from "../../../src/core/progress";
import { memoryDatabases, type Databases } from "../../../src/store/keyValue";
import { createLibrary, type Library } from "../../../src/store/library";
import { localLocks } from "../../../src/store/locks";

const CHUNK = 4096;
const fixture = join(__dirname, "../../fixtures/llama-tiny-bf16/base");
const chunks = Math.ceil(readFileSync(join(fixture, "model.safetensors")).length / CHUNK);
const folder = () => ({ name: "tiny", files: readdirSync(fixture).map((path) => ({ path, file: new File([readFileSync(join(fixture, path))], path, { lastModified: 1000 }) })) });
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A library whose chunk stores call `onChunk` with the number of weight chunks stored so far. */
function counting(onChunk: (stored: number) => void): Library<{ tensors: number }> {
  let stored = 0;
  const inner = memoryDatabases();
  const databases: Databases = {
    ...inner,
    open: (name) => {
      const store = inner.open(name);
      return {
        ...store,
        setMany: async (entries, durability) => {
          await store.setMany(entries, durability);
          if (entries[0]![0].startsWith("c/0001")) onChunk(++stored);
        },
      };
    },
  };
  return createLibrary({ databases, locks: localLocks(), describe: (checkpoint) => ({ tensors: checkpoint.tensors.size }), chunkBytes: CHUNK });
}

for (const backend of ["copy", "session"] as const)
  test(`${backend}: reading a folder waits while its job is paused, says so, and goes on to the same hash`, async () => {
    const want = (await counting(() => undefined).ingest("job", folder(), { backend })).hash;
    const { signal } = new AbortController();
    const gate = addGate(signal);
    const seen: Progress[] = [];
    let paused = false;
    const library = counting((n) => void (backend === "copy" && n === 3 && gate.pause()));
    const onProgress = (p: Progress): void => {
      seen.push(p);
      // A session writes nothing that could be counted: it is paused as its reading begins.
      if (backend === "session" && !paused && p.phases.some(({ id, state }) => id === "copy" && state === "now")) {
        paused = true;
        gate.pause();
      }
    };
    const job = library.ingest("job", folder(), { backend, signal, onProgress });
    while (!seen.at(-1)?.paused) await sleep(5);
    await sleep(50);
    const before = seen.length;
    await sleep(100);
    expect(seen.length, "nothing moves").toBe(before);
    const cells = seen.at(-1)!.strips?.[0]?.cells ?? [];
    expect(cells.filter((cell) => cell === "full" || cell === "half").length).toBeLessThan(chunks);
    gate.resume();
    const model = await job;
    expect(model.hash).toBe(want);
    expect(seen.at(-1)!.paused).toBeUndefined();
  });

test("a paused copy that is cancelled keeps what is stored", async () => {
  const controller = new AbortController();
  const gate = addGate(controller.signal);
  const library = counting((n) => void (n === 3 && gate.pause()));
  const job = library.ingest("job", folder(), { backend: "copy", signal: controller.signal });
  while (!gate.paused) await sleep(5);
  await sleep(20);
  controller.abort(cancelled());
  await expect(job).rejects.toMatchObject({ code: "cancelled" });
  expect(await library.list()).toMatchObject([{ state: "ingesting", chunksDone: 3 }]);
});

const inPhase = (wanted: string) => (p: Progress): boolean => p.phases.some(({ id, state }) => id === wanted && state === "now");
test.each([
  ["copying", inPhase("copy"), 0],
  ["a chunk is verified", () => false, 3],
  ["the small files are verified", inPhase("small"), 0],
])("a copy cancelled while %s answers within two seconds, and is finished by the next drop", async (_, at, chunk) => {
  const controller = new AbortController();
  let asked = 0;
  const cancel = (): void => {
    if (asked > 0) return;
    asked = performance.now();
    controller.abort(cancelled());
  };
  // The chunk before is read back while this one is stored.
  const library = counting((n) => void (n === chunk && cancel()));
  await expect(library.ingest("job", folder(), { backend: "copy", signal: controller.signal, onProgress: (p) => void (at(p) && cancel()) })).rejects.toMatchObject({ code: "cancelled" });
  expect(asked).toBeGreaterThan(0);
  expect(performance.now() - asked).toBeLessThan(2000);
  expect(await library.list()).toMatchObject([{ state: "ingesting" }]);
  expect(await library.ingest("job", folder(), { backend: "copy" })).toMatchObject({ state: "ready", chunksDone: chunks });
});

test("hashing a folder in place is cancelled within two seconds, and it is not offered as ready", async () => {
  const controller = new AbortController();
  const library = counting(() => undefined);
  let asked = 0;
  const onProgress = (p: Progress): void => {
    if (asked > 0 || !p.phases.some(({ id, state }) => id === "copy" && state === "now")) return;
    asked = performance.now();
    controller.abort(cancelled());
  };
  await expect(library.ingest("job", folder(), { backend: "session", signal: controller.signal, onProgress })).rejects.toMatchObject({ code: "cancelled" });
  expect(performance.now() - asked).toBeLessThan(2000);
  expect((await library.list()).filter((model) => model.state === "ready")).toEqual([]);
});
