import { IDBFactory } from "fake-indexeddb";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Progress } from "../../../src/core/progress";
import type { Checkpoint } from "../../../src/core/tensors";
import type { IncomingFolder, ModelFacts, StorageInfo, StoredModel } from "../../../src/engine/api";
import { hashWeights } from "../../../src/store/hash";
import { blobFile } from "../../../src/store/blobFile";
import { indexedDatabases, memoryDatabases, type Databases, type KeyValue } from "../../../src/store/keyValue";
import { createLibrary, type Library, type LibraryEnv } from "../../../src/store/library";
import { localLocks } from "../../../src/store/locks";

const CHUNK = 4096;
const fixture = join(__dirname, "../../fixtures/llama-tiny-bf16/base");

function folderOf(name: string, change: (path: string, file: File) => File = (_, file) => file): IncomingFolder {
  return {
    name,
    files: readdirSync(fixture).map((path) => ({ path, file: change(path, new File([readFileSync(join(fixture, path))], path, { lastModified: 1000 })) })),
  };
}
const weights = readFileSync(join(fixture, "model.safetensors"));
const chunks = Math.ceil(weights.length / CHUNK);

type Facts = { tensors: number };
const env = (databases: Databases, more: Partial<LibraryEnv<Facts>> = {}): LibraryEnv<Facts> => ({
  databases,
  locks: localLocks(),
  describe: (checkpoint) => ({ tensors: checkpoint.tensors.size }),
  chunkBytes: CHUNK,
  now: () => 77,
  ...more,
});

/** The same databases with a hook before every setMany, to fail, to count, or to wait. */
function hooked(inner: Databases, before: (entries: [string, unknown][]) => Promise<void> | void): Databases {
  return {
    ...inner,
    open: (name): KeyValue => {
      const store = inner.open(name);
      return { ...store, setMany: async (entries, durability) => { await before(entries); await store.setMany(entries, durability); } };
    },
  };
}
const isChunk = (entries: [string, unknown][]): boolean => entries[0]![0].startsWith("c/0001"); // file 1 is model.safetensors

async function expectSameWeights(checkpoint: Checkpoint): Promise<void> {
  const direct = blobFile("model.safetensors", new Blob([weights]));
  expect(checkpoint.tensors.size).toBeGreaterThan(0);
  for (const info of checkpoint.tensors.values()) {
    const got = await checkpoint.read(info.name, 0, info.end - info.begin);
    const want = await direct.read(info.begin, info.end - info.begin);
    expect(Buffer.from(got).equals(want), info.name).toBe(true);
  }
}

const implementations: [string, () => Databases][] = [["IndexedDB", () => indexedDatabases(new IDBFactory())], ["memory", memoryDatabases]];

describe.each(implementations)("a library in %s", (_, make) => {
  test("copies a folder, verifies it, and reads tensors across chunks", async () => {
    const library = createLibrary(env(make()));
    const seen: Progress[] = [];
    const model = await library.ingest("j", folderOf("tiny"), { backend: "copy", onProgress: (p) => seen.push(p) });
    expect(model).toMatchObject({ name: "tiny", state: "ready", backend: "copy", createdAt: 77, files: 2, chunks, chunksDone: chunks });
    expect(model.bytes).toBe(readdirSync(fixture).reduce((sum, f) => sum + readFileSync(join(fixture, f)).length, 0));
    expect(model.hash).toBe(await hashWeights(folderOf("x").files.map(({ path, file }) => blobFile(path, file)), { chunkBytes: CHUNK }));
    expect(model.facts.tensors).toBeGreaterThan(0);
    expect(await library.list()).toEqual([model]);
    const checkpoint = await library.get(model.id);
    await expectSameWeights(checkpoint);
    expect(await checkpoint.text("config.json")).toBe(readFileSync(join(fixture, "config.json"), "utf8"));

    const last = seen.at(-1)!;
    expect(last.fraction).toBe(1);
    expect(last.phases.map((p) => [p.id, p.state])).toEqual([["headers", "done"], ["space", "done"], ["copy", "done"], ["small", "done"]]);
    expect(last.phases[0]!.count).toMatch(/^\d+ tensors, no gaps, no overlaps$/);
    expect(last.phases[2]).toMatchObject({ label: "Copying and verifying model.safetensors", count: `${chunks} of ${chunks}` });
    expect(last.strips![0]!.cells).toEqual(Array(chunks).fill("full"));
    expect(last.bytesDone).toBe(model.bytes);
    const fractions = seen.map((p) => p.fraction);
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  });

  test("is there after a reload, and a second drop returns at once", async () => {
    const databases = make();
    const first = await createLibrary(env(databases)).ingest("j", folderOf("tiny"), { backend: "copy" });
    let writes = 0;
    const again = createLibrary(env(hooked(databases, () => void writes++)));
    expect(await again.list()).toEqual([first]);
    expect(await again.ingest("j", folderOf("tiny"), { backend: "copy" })).toEqual(first);
    expect(writes).toBe(0);
    await expectSameWeights(await again.get(first.id));
  });

  test("two folders of one name and other contents are two models", async () => {
    const library = createLibrary(env(make()));
    const a = await library.ingest("j", folderOf("tiny"), { backend: "copy" });
    const b = await library.ingest("j", folderOf("tiny", (path, file) => new File([file], path, { lastModified: 2000 })), { backend: "copy" });
    expect(a.id).not.toBe(b.id);
    expect(await library.list()).toHaveLength(2);
  });

  test("removes a model with its database", async () => {
    const databases = make();
    const library = createLibrary(env(databases));
    const model = await library.ingest("j", folderOf("tiny"), { backend: "copy" });
    await library.get(model.id);
    await library.remove(model.id);
    expect(await library.list()).toEqual([]);
    expect(await databases.names()).toEqual(["studio-catalog"]);
    await expect(library.get(model.id)).rejects.toMatchObject({ code: "bad-request" });
  });

  test("cancel keeps what is stored; the next drop goes on at the first missing chunk", async () => {
    const databases = make();
    const stop = new AbortController();
    let stored = 0;
    const first = createLibrary(env(hooked(databases, (entries) => {
      if (isChunk(entries) && ++stored === 3) stop.abort();
    })));
    await expect(first.ingest("j", folderOf("tiny"), { backend: "copy", signal: stop.signal })).rejects.toMatchObject({ code: "cancelled" });
    await first.ingest("k", folderOf("other"), { backend: "copy" }); // the cancelled job has put its tools away by then

    const copied: string[] = [];
    const again = createLibrary(env(hooked(databases, (entries) => { if (isChunk(entries)) copied.push(entries[0]![0]); })));
    const [listed] = (await again.list()).filter((m) => m.name === "tiny");
    expect(listed).toMatchObject({ state: "ingesting", chunks, chunksDone: 3 });
    const half = await again.get(listed!.id); // headers and small files can be read, weights that are missing cannot
    expect(half.tensors.size).toBe(listed!.facts.tensors);
    expect(half.config).toHaveProperty("model_type");
    const late = [...half.tensors.values()].sort((a, b) => b.end - a.end)[0]!;
    await expect(half.read(late.name, 0, 2)).rejects.toMatchObject({ code: "file-changed" });

    const seen: Progress[] = [];
    const model = await again.ingest("j", folderOf("tiny"), { backend: "copy", onProgress: (p) => seen.push(p) });
    expect(copied[0]).toBe("c/0001/000003");
    expect(copied).toHaveLength(chunks - 3);
    expect(seen.find((p) => p.phases[2]!.state === "now")!.bytesDone).toBeGreaterThanOrEqual(3 * CHUNK);
    expect(model.hash).toBe(await hashWeights(folderOf("x").files.map(({ path, file }) => blobFile(path, file)), { chunkBytes: CHUNK }));
    await expectSameWeights(await again.get(model.id));
  });

  test("a model that lost chunks is listed as evicted, and the next drop completes it", async () => {
    const databases = make();
    const model = await createLibrary(env(databases)).ingest("j", folderOf("tiny"), { backend: "copy" });
    await databases.open(`studio-model-${model.id}`).del("c/0001/000001");
    const again = createLibrary(env(databases));
    expect(await again.list()).toMatchObject([{ id: model.id, state: "evicted", chunksDone: chunks - 1 }]);
    expect(await again.ingest("j", folderOf("tiny"), { backend: "copy" })).toEqual(model);
    await expectSameWeights(await again.get(model.id));
  });

  test("a model whose database is gone is listed as evicted", async () => {
    const databases = make();
    const model = await createLibrary(env(databases)).ingest("j", folderOf("tiny"), { backend: "copy" });
    await databases.remove(`studio-model-${model.id}`);
    const again = createLibrary(env(databases));
    expect(await again.list()).toMatchObject([{ id: model.id, state: "evicted" }]);
    expect(await again.ingest("j", folderOf("tiny"), { backend: "copy" })).toEqual(model);
  });

  test("a database without a record is removed at the start", async () => {
    const databases = make();
    await databases.open("studio-model-lost").set("m", {});
    await createLibrary(env(databases)).list();
    expect(await databases.names()).not.toContain("studio-model-lost");
  });
});

describe("what can go wrong", () => {
  test("a malformed file stops before anything is stored", async () => {
    const databases = memoryDatabases();
    const library = createLibrary(env(databases));
    const broken = folderOf("tiny", (path, file) => (path === "model.safetensors" ? new File([file.slice(0, file.size - 1)], path) : file));
    await expect(library.ingest("j", broken, { backend: "copy" })).rejects.toMatchObject({ code: "bad-file", details: { official: "MetadataIncompleteBuffer" } });
    expect(await library.list()).toEqual([]);
    expect((await databases.names()).filter((n) => n !== "studio-catalog")).toEqual([]);
  });

  test("a folder without weights names what was found", async () => {
    const library = createLibrary(env(memoryDatabases()));
    const folder = { name: "docs", files: [{ path: "notes.txt", file: new File(["a"], "notes.txt") }] };
    await expect(library.ingest("j", folder, { backend: "copy" })).rejects.toThrow(/docs: found notes\.txt, but no \.safetensors file/);
    const pickle = { name: "old", files: [{ path: "pytorch_model.bin", file: new File(["a"], "x") }] };
    await expect(library.ingest("j", pickle, { backend: "copy" })).rejects.toMatchObject({ details: { check: "pickle" } });
  });

  test("too little room is said in numbers before the first byte", async () => {
    const databases = memoryDatabases();
    const asked: number[] = [];
    const library = createLibrary(env(databases, { probeQuota: async (bytes) => { asked.push(bytes); return { enough: false, freeBytes: 5_000_000 }; } }));
    const failure = library.ingest("j", folderOf("tiny"), { backend: "copy" });
    await expect(failure).rejects.toThrow(/needed, 5 MB free/);
    await expect(failure).rejects.toMatchObject({ code: "storage-full", details: { freeBytes: 5_000_000, neededBytes: asked[0] } });
    expect(asked[0]).toBeGreaterThan(weights.length);
    expect(await library.list()).toEqual([]);
  });

  test("a quota that is hit half way keeps what is stored, and the retry goes on", async () => {
    const databases = memoryDatabases();
    let room = 2;
    const library = createLibrary(env(hooked(databases, (entries) => {
      if (isChunk(entries) && room-- <= 0) throw new DOMException("", "QuotaExceededError");
    })));
    await expect(library.ingest("j", folderOf("tiny"), { backend: "copy" })).rejects.toMatchObject({ code: "storage-full" });
    expect(await library.list()).toMatchObject([{ state: "ingesting", chunksDone: 2 }]);
    room = Infinity;
    expect(await library.ingest("j", folderOf("tiny"), { backend: "copy" })).toMatchObject({ state: "ready", chunksDone: chunks });
  });

  test("a source that changes during the copy gives file-changed", async () => {
    const library = createLibrary(env(hooked(memoryDatabases(), (entries) => {
      if (entries[0]![0] === "c/0001/000002") throw new DOMException("Failed to write blobs (InvalidBlob)", "DataError");
    })));
    await expect(library.ingest("j", folderOf("tiny"), { backend: "copy" })).rejects.toMatchObject({ code: "file-changed", details: { where: "tiny/model.safetensors" } });
  });

  test("an unfinished copy is not continued from another version", async () => {
    let room = 1;
    const library = createLibrary(env(hooked(memoryDatabases(), (entries) => {
      if (isChunk(entries) && room-- <= 0) throw new DOMException("", "QuotaExceededError");
    })));
    await expect(library.ingest("j", folderOf("tiny"), { backend: "copy" })).rejects.toMatchObject({ code: "storage-full" });
    const newer = folderOf("tiny", (path, file) => (path === "model.safetensors" ? new File([file], path, { lastModified: 5000 }) : file));
    await expect(library.ingest("j", newer, { backend: "copy" })).rejects.toThrow(/tiny\/model\.safetensors: it was modified on 1970-01-01T00:00:05/);
    const [listed] = await library.list();
    await library.remove(listed!.id);
    room = Infinity;
    expect(await library.ingest("j", newer, { backend: "copy" })).toMatchObject({ state: "ready" });
  });

  test("a header that differs under the same size and time is not continued", async () => {
    let room = 1;
    const library = createLibrary(env(hooked(memoryDatabases(), (entries) => {
      if (isChunk(entries) && room-- <= 0) throw new DOMException("", "QuotaExceededError");
    })));
    await expect(library.ingest("j", folderOf("tiny"), { backend: "copy" })).rejects.toMatchObject({ code: "storage-full" });
    const renamed = Buffer.from(weights);
    renamed.write("model.norm.weighu", renamed.indexOf("model.norm.weight"));
    const forged = folderOf("tiny", (path, file) => (path === "model.safetensors" ? new File([renamed], path, { lastModified: 1000 }) : file));
    await expect(library.ingest("j", forged, { backend: "copy" })).rejects.toThrow(/header differs/);
  });

  test("a second tab is told that the model is busy", async () => {
    const databases = memoryDatabases();
    const locks = localLocks();
    let reached = (): void => undefined;
    let go = (): void => undefined;
    const copying = new Promise<void>((resolve) => (reached = resolve));
    const gate = new Promise<void>((resolve) => (go = resolve));
    const first = createLibrary(env(hooked(databases, async (entries) => { if (isChunk(entries)) { reached(); await gate; } }), { locks }));
    const work = first.ingest("j", folderOf("tiny"), { backend: "copy" });
    await copying;
    const second = createLibrary(env(databases, { locks }));
    const [listed] = await second.list();
    expect(listed).toMatchObject({ state: "ingesting" });
    await expect(second.ingest("j", folderOf("tiny"), { backend: "copy" })).rejects.toMatchObject({ code: "busy" });
    await expect(second.remove(listed!.id)).rejects.toMatchObject({ code: "busy" });
    await expect(first.remove(listed!.id)).rejects.toMatchObject({ code: "busy" });
    // Meanwhile the first tab can already check the model, from the files themselves.
    await expectSameWeights(await first.get(listed!.id));
    go();
    expect(await work).toMatchObject({ state: "ready" });
  });

  test("cancel answers although a write hangs", async () => {
    const stop = new AbortController();
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const library = createLibrary(env(hooked(memoryDatabases(), async (entries) => { if (isChunk(entries)) { setTimeout(() => stop.abort()); await gate; } })));
    await expect(library.ingest("j", folderOf("tiny"), { backend: "copy", signal: stop.signal })).rejects.toMatchObject({ code: "cancelled" });
    go();
    expect(await library.ingest("j", folderOf("tiny"), { backend: "copy" })).toMatchObject({ state: "ready" });
  });

  test("a browser that cannot store Blobs gets byte records, and the same hash", async () => {
    const inner = memoryDatabases();
    const noBlobs: Databases = {
      ...inner,
      open: (name) => {
        const store = inner.open(name);
        const check = (value: unknown): void => { if (value instanceof Blob) throw new DOMException("", "DataCloneError"); };
        return {
          ...store,
          set: async (key, value, d) => { check(value); await store.set(key, value, d); },
          setMany: async (entries, d) => { for (const [, value] of entries) check(value); await store.setMany(entries, d); },
        };
      },
    };
    const library = createLibrary(env(noBlobs));
    const model = await library.ingest("j", folderOf("tiny"), { backend: "copy" });
    expect(model.hash).toBe((await createLibrary(env(memoryDatabases())).ingest("j", folderOf("tiny"), { backend: "copy" })).hash);
    await expectSameWeights(await library.get(model.id));
    expect(await createLibrary(env(noBlobs)).list()).toMatchObject([{ state: "ready" }]);
  });
});

describe("in place", () => {
  test("stores nothing, has the hash of a copy, and is forgotten on reload", async () => {
    const databases = memoryDatabases();
    const library = createLibrary(env(databases));
    const model = await library.ingest("j", folderOf("tiny"), { backend: "session" });
    expect(model).toMatchObject({ backend: "session", state: "ready", chunksDone: chunks });
    await expectSameWeights(await library.get(model.id));
    expect(await createLibrary(env(databases)).list()).toEqual([]);
    const copy = await library.ingest("j", folderOf("tiny"), { backend: "copy" });
    expect(copy).toMatchObject({ id: model.id, backend: "copy", hash: model.hash! });
    expect(await library.list()).toEqual([copy]);
  });

  test("works where the browser refuses to store, and a copy says why not", async () => {
    const refusing: Databases = { open: () => ({ ...memoryDatabases().open("x"), keys: () => Promise.reject(new DOMException("", "SecurityError")) }), remove: async () => undefined, names: async () => [] };
    const library = createLibrary(env(refusing));
    const model = await library.ingest("j", folderOf("tiny"), { backend: "session" });
    expect(await library.list()).toEqual([model]);
    await expect(library.ingest("j", folderOf("tiny2"), { backend: "copy" })).rejects.toMatchObject({ code: "permission" });
    await library.remove(model.id);
    expect(await library.list()).toEqual([]);
  });

  test("is removed", async () => {
    const library = createLibrary(env(memoryDatabases()));
    const model = await library.ingest("j", folderOf("tiny"), { backend: "session" });
    await library.remove(model.id);
    expect(await library.list()).toEqual([]);
  });
});

test("weights that an index leaves out are not stored", async () => {
  const library = createLibrary(env(memoryDatabases()));
  const folder = folderOf("tiny");
  folder.files.push({ path: "consolidated.safetensors", file: new File([weights], "consolidated.safetensors") });
  expect(await library.ingest("j", folder, { backend: "copy" })).toMatchObject({ files: 2, chunks });
});

test("the sample is recognised whatever its times", async () => {
  const library = createLibrary(env(memoryDatabases()));
  const at = (lastModified: number): IncomingFolder => folderOf("sample", (path, file) => new File([file], path, { lastModified }));
  const first = await library.ingest("j", at(1), { backend: "copy", sample: true });
  expect(first.sample).toBe(true);
  expect((await library.ingest("j", at(2), { backend: "copy", sample: true })).id).toBe(first.id);
});

test("reports storage, counting copies where the browser does not", async () => {
  const library = createLibrary(env(memoryDatabases(), { freeBytes: async () => 123, persisted: async () => true }));
  const model = await library.ingest("j", folderOf("tiny"), { backend: "copy" });
  expect(await library.storage()).toEqual({ usedBytes: model.bytes, freeBytes: 123, persistent: true });
});

/** Compiles only while the library's records are what the engine's interface promises. */
export async function matchesTheInterface(library: Library<ModelFacts>, folder: IncomingFolder): Promise<[StoredModel[], StoredModel, StorageInfo]> {
  return [await library.list(), await library.ingest("j", folder, { backend: "copy" }), await library.storage()];
}
