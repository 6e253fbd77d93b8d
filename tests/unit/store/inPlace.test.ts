import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { IncomingFolder } from "../../../src/engine/api";
import { memoryDatabases, type Databases } from "../../../src/store/keyValue";
import { createLibrary, type LibraryEnv } from "../../../src/store/library";
import { localLocks } from "../../../src/store/locks";

const fixture = join(__dirname, "../../fixtures/llama-tiny-bf16/base");
const CHUNK = 4096;

/** A folder on a disk that answers through handles: permission, contents and times can change. */
class Disk {
  permission: PermissionState = "granted";
  reads = 0;
  readonly files = new Map<string, { bytes: Buffer; lastModified: number }>(readdirSync(fixture).map((name) => [name, { bytes: readFileSync(join(fixture, name)), lastModified: 1000 }]));

  private handle(path: string): FileSystemFileHandle {
    return {
      kind: "file",
      name: path,
      queryPermission: async () => this.permission,
      getFile: async () => {
        if (this.permission !== "granted") throw new DOMException("", "NotAllowedError");
        const file = this.files.get(path);
        if (!file) throw new DOMException("", "NotFoundError");
        this.reads++;
        return new File([new Uint8Array(file.bytes)], path, { lastModified: file.lastModified });
      },
    } as unknown as FileSystemFileHandle;
  }
  readonly directory = {
    kind: "directory",
    name: "tiny",
    queryPermission: async () => this.permission,
    getFileHandle: async (name: string) => this.handle(name),
  } as unknown as FileSystemDirectoryHandle;

  async folder(kind: "directory" | "files" | "none"): Promise<IncomingFolder> {
    const files = await Promise.all([...this.files.keys()].map(async (path) => ({ path, file: await this.handle(path).getFile(), ...(kind === "files" ? { handle: this.handle(path) } : {}) })));
    return { name: "tiny", files, ...(kind === "directory" ? { directory: this.directory } : {}) };
  }
}

/** Databases that keep handles by reference, as a browser's do; a structured clone in Node cannot. */
function keepingHandles(inner: Databases): Databases {
  const kept = new Map<string, unknown>();
  return {
    ...inner,
    open: (name) => {
      const store = inner.open(name);
      return {
        ...store,
        get: async <T>(key: string) => {
          const value = await store.get<T>(key);
          return (value && kept.has(key) ? { ...value, handles: kept.get(key) } : value) as T | undefined;
        },
        set: async (key, value, durability) => {
          const { handles, ...rest } = value as { handles?: unknown };
          if (handles) kept.set(key, handles);
          else kept.delete(key);
          await store.set(key, handles ? rest : value, durability);
        },
      };
    },
  };
}

const env = (databases: Databases, more: Partial<LibraryEnv<number>> = {}): LibraryEnv<number> => ({ databases, locks: localLocks(), describe: (c) => c.tensors.size, chunkBytes: CHUNK, now: () => 77, ...more });

describe.each(["directory", "files"] as const)("linked by %s", (kind) => {
  test("is read in place, stores no chunk, and after a reload is locked until it is opened again", async () => {
    const disk = new Disk();
    const databases = keepingHandles(memoryDatabases());
    const library = createLibrary(env(databases));
    const model = await library.ingest("j", await disk.folder(kind), { backend: "link" });
    expect(model).toMatchObject({ backend: "link", state: "ready", chunksDone: model.chunks });
    expect(await databases.names()).toEqual(["studio-catalog"]);

    disk.permission = "prompt";
    const again = createLibrary(env(databases));
    expect(await again.list()).toEqual([{ ...model, state: "locked" }]);
    await expect(again.get(model.id)).rejects.toMatchObject({ code: "permission", details: { where: "tiny" } });
    await expect(again.reconnect(model.id)).rejects.toMatchObject({ code: "permission" });
    expect((await again.handles(model.id)).length).toBe(kind === "directory" ? 1 : 2);
    disk.permission = "granted";
    expect(await again.reconnect(model.id)).toEqual(model);
    expect(await again.list()).toEqual([model]);
    const checkpoint = await again.get(model.id);
    const [first] = checkpoint.tensors.values();
    expect(Buffer.from(await checkpoint.read(first!.name, 0, 16))).toEqual(disk.files.get("model.safetensors")!.bytes.subarray(first!.begin, first!.begin + 16));
    await again.remove(model.id);
    expect(await createLibrary(env(databases)).list()).toEqual([]);
  });

  test("opens by itself where the browser still allows it, and the same folder dropped again is not hashed again", async () => {
    const disk = new Disk();
    const databases = keepingHandles(memoryDatabases());
    const model = await createLibrary(env(databases)).ingest("j", await disk.folder(kind), { backend: "link" });
    expect(await createLibrary(env(databases)).list()).toEqual([model]);
    disk.permission = "prompt";
    const again = createLibrary(env(databases));
    expect(await again.list()).toMatchObject([{ state: "locked" }]);
    disk.permission = "granted";
    let progress = 0;
    expect(await again.ingest("j", await disk.folder(kind), { backend: "link", onProgress: (p) => (progress += p.bytesDone ?? 0) })).toEqual(model);
    expect(progress, "no byte of the weights was read for its hash").toBe(0);
  });

  test.each([
    ["a newer time", (f: { bytes: Buffer; lastModified: number }) => ({ ...f, lastModified: 9000 }), /tiny\/model\.safetensors: it was modified on 1970-01-01T00:00:09/],
    ["another size", (f: { bytes: Buffer; lastModified: number }) => ({ ...f, bytes: Buffer.concat([f.bytes, Buffer.from("x")]) }), /tiny\/model\.safetensors: it has .* \(\d+ bytes\)/],
    ["another header under the same size and time", (f: { bytes: Buffer; lastModified: number }) => {
      const bytes = Buffer.from(f.bytes);
      bytes.write("model.norm.weighu", bytes.indexOf("model.norm.weight"));
      return { ...f, bytes };
    }, /tiny\/model\.safetensors: its header differs/],
    ["a header that is no header", (f: { bytes: Buffer; lastModified: number }) => ({ ...f, bytes: Buffer.alloc(f.bytes.length, 255) }), /tiny\/model\.safetensors: its header differs/],
    ["a file that is gone", () => undefined, /tiny\/model\.safetensors: it is not there any more/],
  ])("%s is said with the file, and the model stays locked", async (_, change, sentence) => {
    const disk = new Disk();
    const databases = keepingHandles(memoryDatabases());
    const model = await createLibrary(env(databases)).ingest("j", await disk.folder(kind), { backend: "link" });
    const before = disk.files.get("model.safetensors")!;
    const after = change(before);
    if (after) disk.files.set("model.safetensors", after);
    else disk.files.delete("model.safetensors");
    const again = createLibrary(env(databases));
    expect(await again.list()).toEqual([{ ...model, state: "locked" }]);
    await expect(again.reconnect(model.id)).rejects.toThrow(sentence);
    await expect(again.get(model.id)).rejects.toMatchObject({ code: "file-changed" });
    disk.files.set("model.safetensors", before);
    expect(await again.reconnect(model.id), "put back, it is the same again").toEqual(model);
  });
});

test("a folder without handles becomes a session and says so", async () => {
  const databases = keepingHandles(memoryDatabases());
  const library = createLibrary(env(databases));
  expect(await library.ingest("j", await new Disk().folder("none"), { backend: "link" })).toMatchObject({ backend: "session", state: "ready" });
  expect(await createLibrary(env(databases)).list()).toEqual([]);
});

test("a cancelled link is not listed", async () => {
  const databases = keepingHandles(memoryDatabases());
  const stop = new AbortController();
  const library = createLibrary(env(databases));
  const work = library.ingest("j", await new Disk().folder("directory"), { backend: "link", signal: stop.signal, onProgress: (p) => { if (p.phases[1]!.state === "now") stop.abort(); } });
  await expect(work).rejects.toMatchObject({ code: "cancelled" });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await library.list()).toEqual([]);
  expect(await createLibrary(env(databases)).list()).toEqual([]);
});

test("an unfinished copy gives way to a link, with its chunks; a link gives way to a copy", async () => {
  const inner = memoryDatabases();
  const databases = keepingHandles(inner);
  let room = 1;
  const tight: Databases = { ...databases, open: (name) => ({ ...databases.open(name), setMany: async (entries, durability) => {
    if (entries[0]![0].startsWith("c/0001") && room-- <= 0) throw new DOMException("", "QuotaExceededError");
    await databases.open(name).setMany(entries, durability);
  } }) };
  const disk = new Disk();
  const library = createLibrary(env(tight));
  await expect(library.ingest("j", await disk.folder("directory"), { backend: "copy" })).rejects.toMatchObject({ code: "storage-full" });
  const linked = await library.ingest("j", await disk.folder("directory"), { backend: "link" });
  expect(await library.list()).toEqual([linked]);
  expect(await databases.names()).toEqual(["studio-catalog"]);
  room = Infinity;
  const copied = await library.ingest("j", await disk.folder("directory"), { backend: "copy" });
  expect(copied).toMatchObject({ id: linked.id, backend: "copy", hash: linked.hash });
  expect(await library.list()).toEqual([copied]);
  disk.permission = "denied";
  expect(await createLibrary(env(databases)).list()).toEqual([copied]);
});

describe("a finished result", () => {
  /** `stages/r` of the origin's own file system. */
  const ownFiles = (disk: Disk) => {
    const folders = new Map<string, FileSystemDirectoryHandle>([["r", disk.directory]]);
    const stages = {
      getDirectoryHandle: async (name: string) => {
        if (!folders.has(name)) throw new DOMException("", "NotFoundError");
        return folders.get(name)!;
      },
      removeEntry: async (name: string) => {
        if (!folders.delete(name)) throw new DOMException("", "NotFoundError");
      },
    };
    return { folders, ownFiles: async () => ({ getDirectoryHandle: async () => stages }) as unknown as FileSystemDirectoryHandle };
  };
  const result = { name: "merged", directory: "stages/r", paths: ["config.json", "model.safetensors", "recipe.json"] };

  test("becomes a model where it lies, is there after a reload, and is deleted with its files", async () => {
    const disk = new Disk();
    const { folders, ownFiles: own } = ownFiles(disk);
    const databases = memoryDatabases();
    const library = createLibrary(env(databases, { ownFiles: own }));
    const model = await library.adopt("j", result, {});
    expect(model).toMatchObject({ name: "merged", backend: "opfs", state: "ready", files: 2 });
    expect(await databases.names(), "no chunk is stored").toEqual(["studio-catalog"]);
    expect(await library.ownFolders()).toEqual(["stages/r"]);
    const session = await createLibrary(env(memoryDatabases())).ingest("j", await disk.folder("none"), { backend: "session" });
    expect(model.hash, "the hash of the same bytes read elsewhere").toBe(session.hash);

    const again = createLibrary(env(databases, { ownFiles: own }));
    expect(await again.list()).toEqual([model]);
    expect((await again.get(model.id)).tensors.size).toBe(model.facts);
    await again.remove(model.id);
    expect(await again.list()).toEqual([]);
    expect([...folders.keys()]).toEqual([]);
  });

  test("whose files the browser deleted is evicted, and can be removed", async () => {
    const disk = new Disk();
    const { folders, ownFiles: own } = ownFiles(disk);
    const databases = memoryDatabases();
    const model = await createLibrary(env(databases, { ownFiles: own })).adopt("j", result, {});
    folders.clear();
    const again = createLibrary(env(databases, { ownFiles: own }));
    expect(await again.list()).toEqual([{ ...model, state: "evicted" }]);
    await again.remove(model.id);
    expect(await again.list()).toEqual([]);
  });
});

test("a model that a job of another tab reads is not deleted, and the sentence names it", async () => {
  const here = localLocks();
  const there = here.other();
  const databases = memoryDatabases();
  const library = createLibrary(env(databases, { locks: here }));
  const model = await library.ingest("j", await new Disk().folder("none"), { backend: "copy" });
  const release = await there.acquire(`model:${model.id}`, "shared");
  await expect(library.remove(model.id)).rejects.toMatchObject({ code: "busy", details: { title: "Busy in another tab", where: "tiny" } });
  expect(await library.list()).toEqual([model]);
  release!();
  const mine = await here.acquire(`model:${model.id}`, "shared");
  await expect(library.remove(model.id)).rejects.toMatchObject({ code: "busy", details: { title: "In use", where: "tiny" } });
  mine!();
  await library.remove(model.id);
  expect(await library.list()).toEqual([]);
});
