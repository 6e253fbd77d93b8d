import { createHash } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import type { FileMark, OutputFolder } from "../../../src/core/files";
import type { Recipe } from "../../../src/core/recipe";
import type { ExportReport, OutputJob } from "../../../src/engine/api";
import { createFileWriter } from "../../../src/store/fileWriter";
import { pickedFolder } from "../../../src/store/folderHandle";
import { memoryKeyValue, type KeyValue } from "../../../src/store/keyValue";
import { localLocks, type Locks } from "../../../src/store/locks";
import { memoryFolder } from "../../../src/store/memoryFolder";
import { opfsFolder } from "../../../src/store/opfs";
import { createOutputs } from "../../../src/worker/outputs";
import { FakeDirectory } from "./fakeDirectory";
import { outputFolderContract } from "./outputFolder";

describe("in memory", () => outputFolderContract(async () => {
  const folder = memoryFolder();
  return { folder, leftovers: () => folder.files.size };
}));

describe("OPFS", () => outputFolderContract(async () => {
  const root = new FakeDirectory("", { sync: true });
  return { folder: await opfsFolder(root.handle(), "job", createFileWriter()), leftovers: () => root.children.size };
}));

describe("a picked folder", () => {
  outputFolderContract(async () => {
    const root = new FakeDirectory("Models");
    return { folder: await pickedFolder(root.handle(), "merged", createFileWriter()), leftovers: () => root.children.size };
  });

  test("writes into a subfolder of the result's name, made safe", async () => {
    const root = new FakeDirectory("Models");
    const folder = await pickedFolder(root.handle(), "../qwen: a/b", createFileWriter());
    await (await folder.create("config.json", 0)).close();
    expect([...root.tree().keys()]).toEqual(["qwen- a-b/config.json"]);
  });

  test("refuses a subfolder that holds files, and leaves it alone", async () => {
    const root = new FakeDirectory("Models");
    const first = await pickedFolder(root.handle(), "merged", createFileWriter());
    await (await first.create("model.safetensors", 0)).close();
    await expect(pickedFolder(root.handle(), "merged", createFileWriter())).rejects.toMatchObject({ code: "bad-request", details: { found: "model.safetensors" } });
    expect(root.tree().size).toBe(1);
  });

  test("keeps an empty subfolder that was there, when discarded", async () => {
    const root = new FakeDirectory("Models");
    await root.getDirectoryHandle("merged", { create: true });
    const folder = await pickedFolder(root.handle(), "merged", createFileWriter());
    await folder.create("a", 1);
    await folder.discard();
    expect([...root.children.keys()]).toEqual(["merged"]);
    expect(root.tree().size).toBe(0);
  });
});

test("OPFS says storage-full before the first byte", async () => {
  const folder = await opfsFolder(new FakeDirectory("", { sync: true, quota: 1000 }).handle(), "job", createFileWriter());
  await expect(folder.create("model.safetensors", 2000)).rejects.toMatchObject({ code: "storage-full", details: { neededBytes: 2000 } });
});

/** The entries of a zip by its central directory (APPNOTE 4.3.12), stored method only. */
function unzip(bytes: Uint8Array): Map<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let end = bytes.length - 22;
  while (view.getUint32(end, true) !== 0x06054b50) end--;
  let at = view.getUint32(end + 16, true);
  const files = new Map<string, Uint8Array>();
  for (let i = view.getUint16(end + 10, true); i > 0; i--) {
    const [size, name, extra, comment, local] = [view.getUint32(at + 24, true), view.getUint16(at + 28, true), view.getUint16(at + 30, true), view.getUint16(at + 32, true), view.getUint32(at + 42, true)];
    const data = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    expect(view.getUint16(at + 10, true)).toBe(0);
    files.set(new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name)), bytes.slice(data, data + size));
    at += 46 + name + extra + comment;
  }
  return files;
}

describe("exports", () => {
  const records = new Map<string, unknown>();
  beforeEach(() => records.clear());
  // Handles are kept as they are; a browser's database clones them.
  const keyValue: KeyValue = { ...memoryKeyValue(records), set: async (key, value) => void records.set(key, value), get: async <T,>(key: string) => records.get(key) as T };
  const outputsIn = (root: FakeDirectory, locks: Locks = localLocks()) => createOutputs({ storage: { getDirectory: async () => root.handle() } as unknown as StorageManager, locks, records: keyValue, writer: createFileWriter() });
  const job = (key = "key", paths = ["model.safetensors", "config.json"]): OutputJob => ({ key, recipe: { method: "linear" } as Recipe, paths, bytes: 10 });
  const reportOf = (files: Record<string, number>, verdict: "pass" | "fail" = "pass"): ExportReport => ({
    name: Object.keys(files)[0]!, files: Object.entries(files).map(([path, bytes]) => ({ path, bytes, from: "", sha256: "" })), totalBytes: Object.values(files).reduce((a, b) => a + b, 0),
    elapsedMs: 1, checks: [{ id: "tiles", label: "Tiles", found: "", verdict }], tiles: { compared: 1, equal: 1 }, recipeHash: "",
  });
  const stageNames = (root: FakeDirectory) => (root.children.get("stages") as FakeDirectory).children.keys();
  /** An export in a tab of its own, and the name of its stage. */
  const staged = async (root: FakeDirectory, name: string, key = name) => {
    const before = new Set(root.children.has("stages") ? stageNames(root) : []);
    const tab = localLocks();
    // What others have begun is not this test's.
    for (const known of before) if (!(records.get(known) as { finished?: unknown } | undefined)?.finished) await tab.acquire(`stage:${known}`);
    const output = await outputsIn(root, tab).open({ kind: "stage", name }, job(key));
    return { output, id: [...stageNames(root)].find((id) => !before.has(id))! };
  };
  const put = async (output: OutputFolder, path: string, data: Uint8Array): Promise<string> => {
    const file = await output.create(path, data.length);
    await file.write(data);
    return file.close();
  };

  test("a zip is packed beside the staged files", async () => {
    const root = new FakeDirectory("", { sync: true });
    const output = await outputsIn(root).open({ kind: "zip", name: "merged" }, job());
    await put(output, "model.safetensors", Uint8Array.of(1, 2, 3));
    await put(output, "config.json", Uint8Array.of(123, 125));
    await output.finish();
    const { staged } = await output.keep!(reportOf({ "model.safetensors": 3, "config.json": 2 }));
    expect(staged).toMatchObject({ paths: ["merged.zip"], bytes: root.total });
    expect([...root.tree().keys()], "the archive holds them all").toEqual([`stages/${staged!.id}/merged.zip`]);
    const archive = await outputsIn(root).finished.file(staged!.id, "merged.zip");
    expect(archive.name).toBe("merged.zip");
    expect(unzip(new Uint8Array(await archive.arrayBuffer()))).toEqual(new Map([["merged/model.safetensors", Uint8Array.of(1, 2, 3)], ["merged/config.json", Uint8Array.of(123, 125)]]));
    await outputsIn(root).finished.discard(staged!.id);
    expect(root.tree().size).toBe(0);
  });

  test("sweep removes what has no record and what is not whole, not what waits for downloads, became a model, or can be continued", async () => {
    const root = new FakeDirectory("", { sync: true });
    // Every tab dies: its locks are free.
    const finish = async (name: string, verdict?: "fail") => {
      const { output, id } = await staged(root, name);
      await put(output, name, Uint8Array.of(1, 2));
      await output.finish();
      const report = await output.keep!(reportOf({ [name]: 2 }, verdict));
      expect(report.staged).toEqual({ id, paths: [name], bytes: 2 });
      return id;
    };
    const cut = await staged(root, "cut");
    await put(cut.output, "half", Uint8Array.of(1));
    await finish("kept");
    await finish("wrong", "fail");
    const torn = await finish("torn");
    const model = await finish("model");
    (((root.children.get("stages") as FakeDirectory).children.get(torn)) as FakeDirectory).children.clear();
    const tab = outputsIn(root);
    expect((await tab.finished.list()).map((f) => f.report.name)).toEqual(["kept", "model"]);
    await tab.sweep([`stages/${model}`]);
    expect([...root.tree().keys()].map((path) => path.split("/").at(-1)).sort()).toEqual(["half", "kept", "model"]);
    expect((await tab.finished.list()).map((f) => f.report.name), "a model is deleted with the model").toEqual(["kept"]);
    await expect(tab.finished.file(torn, "torn")).rejects.toMatchObject({ code: "bad-request" });
  });

  test("a finished result outlives its tab and another export, is busy while a tab has it open, and gives way to the same bytes", async () => {
    const root = new FakeDirectory("", { sync: true });
    const write = async (key: string) => {
      const { output, id } = await staged(root, "merged", key);
      await put(output, "model.safetensors", Uint8Array.of(1, 2, 3));
      await output.finish();
      await output.keep!(reportOf({ "model.safetensors": 3 }));
      return id;
    };
    const id = await write("key");
    const locks = localLocks();
    const [here, there] = [outputsIn(root, locks), outputsIn(root, locks.other())];
    expect(await here.unfinished()).toEqual([]);
    const other = await here.open({ kind: "stage", name: "merged" }, job("other"));
    await other.discard();
    expect(await here.finished.list()).toMatchObject([{ id, recipe: { method: "linear" }, downloaded: [], report: { staged: { paths: ["model.safetensors"], bytes: 3 } } }]);
    expect(new Uint8Array(await (await here.finished.file(id, "model.safetensors")).arrayBuffer())).toEqual(Uint8Array.of(1, 2, 3));
    expect(await there.finished.list()).toMatchObject([{ downloaded: ["model.safetensors"] }]);
    await expect(there.finished.discard(id)).rejects.toMatchObject({ code: "busy" });
    await write("key");
    expect(await here.finished.list(), "a download of the first may be on its way").toHaveLength(2);
    await here.finished.discard(id);
    const again = await write("key");
    expect((await here.finished.list()).map((f) => f.id), "the same bytes, never downloaded").toEqual([again]);
    await there.finished.discard(again);
    expect(root.tree().size).toBe(0);
  });

  test("an export that was cut off is listed, and goes on at its last note; a finished one is not", async () => {
    const root = new FakeDirectory("", { sync: true });
    const first = await outputsIn(root).open({ kind: "stage", name: "merged" }, job());
    expect(first.journal!.earlier).toBeUndefined();
    const sha256 = await put(first, "one", Uint8Array.of(1, 2));
    const file = await first.create("model.safetensors", 8);
    await file.write(Uint8Array.of(3, 4, 5));
    const mark = (await file.flush())!;
    await first.journal!.note({ v: 1, files: [{ path: "one", bytes: 2, sha256 }], current: { path: "model.safetensors", mark } });
    await file.write(Uint8Array.of(9));
    await file.flush();

    const outputs = outputsIn(root);
    expect(await outputs.unfinished()).toMatchObject([{ target: { kind: "stage", name: "merged" }, bytesDone: 5, bytesTotal: 10, recipe: { method: "linear" } }]);
    await outputs.sweep();
    const second = await outputs.open({ kind: "stage", name: "merged" }, job());
    expect([...stageNames(root)], "in the same stage").toEqual([records.keys().next().value]);
    expect(await outputs.unfinished(), "it is at work again").toEqual([]);
    const note = second.journal!.earlier as { current: { mark: FileMark } };
    expect(await second.journal!.adopt("one", 2)).toBe(true);
    expect(await second.journal!.holds("model.safetensors", 3)).toBe(true);
    const again = await second.create("model.safetensors", 8, note.current.mark);
    await again.write(Uint8Array.of(6, 7));
    expect(await again.close()).toBe(createHash("sha256").update(Uint8Array.of(3, 4, 5, 6, 7)).digest("hex"));
    expect(await (await second.open("model.safetensors")).read(0, 5)).toEqual(Uint8Array.of(3, 4, 5, 6, 7));
    await second.finish();
    expect(await outputsIn(root).unfinished(), "until its report is kept").toHaveLength(1);
    await second.keep!(reportOf({ one: 2, "model.safetensors": 5 }));
    expect(await outputsIn(root).unfinished()).toEqual([]);
  });

  test("a suspended export waits for the next try of this tab; one of something else removes it", async () => {
    const root = new FakeDirectory("", { sync: true });
    const locks = localLocks();
    const outputs = outputsIn(root, locks);
    const first = await outputs.open({ kind: "stage", name: "merged" }, job());
    await put(first, "one", Uint8Array.of(1));
    await first.suspend!();
    expect(await outputs.unfinished()).toHaveLength(1);
    const other = await outputs.open({ kind: "stage", name: "merged" }, job("other"));
    expect(root.tree().size).toBe(0);
    const id = [...records.keys()][0]!;
    await expect(outputs.discardUnfinished(id)).rejects.toMatchObject({ code: "busy" });
    await other.suspend!();
    await outputs.discardUnfinished(id);
    expect(await outputs.unfinished()).toEqual([]);
    expect([...(root.children.get("stages") as FakeDirectory).children.keys()]).toEqual([]);
  });

  test("a picked folder goes on with whole files, in the same folder only, and begins the one in work anew", async () => {
    const root = new FakeDirectory("");
    const target = { kind: "folder" as const, handle: root.handle(), name: "merged" };
    const first = await outputsIn(root).open(target, job());
    await put(first, "config.json", Uint8Array.of(1, 2));
    const cut = await first.create("model.safetensors", 4);
    await cut.write(Uint8Array.of(1));
    expect(await cut.flush()).toBeUndefined();
    await first.journal!.note({ v: 1, files: [] });

    const merged = root.children.get("merged") as FakeDirectory;
    await merged.getFileHandle("model.safetensors.crswap", { create: true });
    const second = await outputsIn(root).open(target, job());
    expect(await second.journal!.adopt("config.json", 2)).toBe(true);
    expect(await second.journal!.holds("model.safetensors", 0)).toBe(false);
    await put(second, "model.safetensors", Uint8Array.of(4, 5));
    expect([...merged.children.keys()].sort()).toEqual(["config.json", "model.safetensors"]);
    await second.suspend!();

    await merged.getFileHandle("letter.txt", { create: true });
    await expect(outputsIn(root).open(target, job())).rejects.toMatchObject({ code: "bad-request", details: { found: "letter.txt" } });
    await outputsIn(root).discardUnfinished([...records.keys()][0]!);
    expect([...merged.children.keys()], "a stranger's file stays, and so does all beside it").toContain("letter.txt");
  });
});

test("the hash of a file goes on without the state of its hasher, by reading", async () => {
  const root = new FakeDirectory("", { sync: true });
  const data = Uint8Array.from({ length: 9000 }, (_, i) => i & 255);
  const first = await opfsFolder(root.handle(), "job", createFileWriter());
  const file = await first.create("a", 9000);
  await file.write(data.subarray(0, 5000));
  const { bytes } = (await file.flush())!;
  await first.suspend();
  for (const hash of [undefined, new Uint8Array(8)]) {
    const folder = await opfsFolder(root.handle(), "job", createFileWriter());
    const again = await folder.create("a", 9000, { bytes, ...(hash ? { hash } : {}) });
    await again.write(data.subarray(5000));
    expect(await again.close()).toBe(createHash("sha256").update(data).digest("hex"));
  }
  const folder = await opfsFolder(root.handle(), "job", createFileWriter());
  await expect(folder.create("a", 9000, { bytes: 9001 })).rejects.toMatchObject({ code: "file-changed" });
});
