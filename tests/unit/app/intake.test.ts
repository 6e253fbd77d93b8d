import { afterEach, describe, expect, test, vi } from "vitest";
import { collectDrop, fromInput, groupFolders, pickFolder } from "../../../src/app/intake";
import type { IncomingFolder } from "../../../src/engine/api";

const file = (name: string): File => new File(["x"], name);
const found = (...paths: string[]) => paths.map((path) => ({ path, file: () => file(path.split("/").at(-1)!) }));
const summary = (folders: IncomingFolder[]): Record<string, string[]> => Object.fromEntries(folders.map((f) => [f.name, f.files.map((x) => x.path).sort()]));

describe("grouping", () => {
  test("keeps a model's own files and leaves hidden files, other formats and subfolders", async () => {
    const files = found("m/model.safetensors", "m/config.json", "m/tokenizer.json", "m/LICENSE", "m/.gitattributes", "m/pytorch_model.bin", "m/onnx/model.onnx", "m/original/consolidated.safetensors", "m/.cache/model.safetensors");
    expect(summary(await groupFolders(files))).toEqual({ m: ["LICENSE", "config.json", "model.safetensors", "tokenizer.json"] });
  });

  test("gives each model of a folder of models", async () => {
    const files = found("all/base/model.safetensors", "all/base/config.json", "all/tuned/model-00001-of-00002.safetensors", "all/notes.txt", "all/tuned/checkpoint-1/model.safetensors");
    expect(summary(await groupFolders(files))).toEqual({ base: ["config.json", "model.safetensors"], tuned: ["model-00001-of-00002.safetensors"] });
  });

  test("loose files are one folder", async () => {
    expect(summary(await groupFolders(found("model.safetensors", "config.json")))).toEqual({ "Loose files": ["config.json", "model.safetensors"] });
    expect(summary(await groupFolders(found("qwen-math.safetensors", "config.json")))).toEqual({ "qwen-math": ["config.json", "qwen-math.safetensors"] });
  });

  test("a download cache gives the repository's name", async () => {
    expect(summary(await groupFolders(found("models--Qwen--Qwen2.5-0.5B/snapshots/0a1b/model.safetensors")))).toEqual({ "Qwen2.5-0.5B": ["model.safetensors"] });
  });

  test("an index without its shards is still a model, for the reader to refuse", async () => {
    expect(summary(await groupFolders(found("m/model.safetensors.index.json", "m/config.json")))).toEqual({ m: ["config.json", "model.safetensors.index.json"] });
  });

  test("a folder without weights comes whole, so that its contents can be named", async () => {
    expect(summary(await groupFolders(found("m/model.gguf", "m/a/b.txt")))).toEqual({ m: ["a/b.txt", "model.gguf"] });
  });

  test("nothing at all is said", async () => {
    await expect(groupFolders([])).rejects.toMatchObject({ code: "bad-file" });
    await expect(groupFolders(found(".DS_Store"))).rejects.toMatchObject({ code: "bad-file" });
  });
});

const directoryHandle = (name: string, children: Record<string, unknown>): unknown => ({
  kind: "directory",
  name,
  values: async function* () {
    for (const [child, value] of Object.entries(children)) yield value === "file" ? { kind: "file", name: child, getFile: async () => file(child) } : value;
  },
});
const fileEntry = (name: string): unknown => ({ isFile: true, name, file: (resolve: (f: File) => void) => resolve(file(name)) });
const directoryEntry = (name: string, batches: unknown[][]): unknown => ({
  isFile: false,
  name,
  createReader: () => {
    const left = [...batches, []];
    return { readEntries: (resolve: (entries: unknown[]) => void) => resolve(left.shift() ?? []) };
  },
});

/** A DataTransfer whose list is dead after the handler's first await, as a browser's is. */
function transfer(items: Record<string, unknown>[], files: File[] = []): DataTransfer {
  let alive = true;
  queueMicrotask(() => { alive = false; });
  const live = <T>(value: T): T => {
    if (!alive) throw new Error("the item list is dead");
    return value;
  };
  return {
    get items() {
      return live(items.map((item) => ({ kind: "file", getAsFile: () => live(null), ...Object.fromEntries(Object.entries(item).map(([key, value]) => [key, () => live(value)])) })));
    },
    get files() { return live(files); },
  } as unknown as DataTransfer;
}

describe("a drop", () => {
  test("prefers handles, and captures every item before waiting", async () => {
    const drop = transfer([
      { getAsFileSystemHandle: Promise.resolve(directoryHandle("base", { "model.safetensors": "file", ".git": directoryHandle(".git", { "x.safetensors": "file" }) })), webkitGetAsEntry: null },
      { getAsFileSystemHandle: Promise.resolve(directoryHandle("tuned", { "model.safetensors": "file", "config.json": "file" })), webkitGetAsEntry: null },
    ]);
    expect(summary(await collectDrop(drop))).toEqual({ base: ["model.safetensors"], tuned: ["config.json", "model.safetensors"] });
  });

  test("uses entries where there are no handles, and reads batches until one is empty", async () => {
    const drop = transfer([{ webkitGetAsEntry: directoryEntry("m", [[fileEntry("config.json")], [fileEntry("model.safetensors")]]) }]);
    expect(summary(await collectDrop(drop))).toEqual({ m: ["config.json", "model.safetensors"] });
  });

  test("uses an entry when its handle is refused", async () => {
    const drop = transfer([{ getAsFileSystemHandle: Promise.reject(new DOMException("", "NotAllowedError")), webkitGetAsEntry: directoryEntry("m", [[fileEntry("model.safetensors")]]) }]);
    expect(summary(await collectDrop(drop))).toEqual({ m: ["model.safetensors"] });
  });

  test("falls back to plain files", async () => {
    const drop = transfer([{ webkitGetAsEntry: null, getAsFile: file("model.safetensors") }, { webkitGetAsEntry: null, getAsFile: file("config.json") }]);
    expect(summary(await collectDrop(drop))).toEqual({ "Loose files": ["config.json", "model.safetensors"] });
  });

  test("keeps the handle of each model's own folder, and of each file", async () => {
    const inner = directoryHandle("tuned", { "model.safetensors": "file" });
    const drop = transfer([{ getAsFileSystemHandle: Promise.resolve(directoryHandle("all", { "notes.txt": "file", tuned: inner })), webkitGetAsEntry: null }]);
    const [folder] = await collectDrop(drop);
    expect(folder!.directory).toBe(inner);
    expect(folder!.files[0]!.handle).toMatchObject({ kind: "file", name: "model.safetensors" });
    const entries = transfer([{ webkitGetAsEntry: directoryEntry("m", [[fileEntry("model.safetensors")]]) }]);
    const [plain] = await collectDrop(entries);
    expect([plain!.directory, plain!.files[0]!.handle]).toEqual([undefined, undefined]);
  });
});

describe("a folder that the browser does not answer for", () => {
  const silent = new Promise<never>(() => undefined);
  const mute = (name: string): unknown => ({ kind: "directory", name, values: () => ({ [Symbol.asyncIterator]: () => ({ next: () => silent }) }) });

  test("is named, with what to do", async () => {
    const drop = transfer([{ getAsFileSystemHandle: Promise.resolve(directoryHandle("m", { a: mute("a") })), webkitGetAsEntry: null }]);
    const failure = collectDrop(drop, 20);
    await expect(failure).rejects.toMatchObject({ code: "permission", details: { where: "m/a" } });
    await expect(failure).rejects.toThrow(/^Reading the folder m\/a: .*Move the model into a folder of its own/);
  });

  test("is read by its entry when only the handle is withheld", async () => {
    const drop = transfer([{ getAsFileSystemHandle: silent, webkitGetAsEntry: directoryEntry("m", [[fileEntry("model.safetensors")]]) }]);
    expect(summary(await collectDrop(drop, 20))).toEqual({ m: ["model.safetensors"] });
  });

  test("is named when neither answers", async () => {
    const entry = { isFile: false, name: "profile", createReader: () => ({ readEntries: () => undefined }) };
    await expect(collectDrop(transfer([{ getAsFileSystemHandle: silent, webkitGetAsEntry: entry }]), 20)).rejects.toMatchObject({ details: { where: "profile" } });
    await expect(collectDrop(transfer([{ getAsFileSystemHandle: silent, webkitGetAsEntry: null, getAsFile: file("profile") }]), 20)).rejects.toMatchObject({ details: { where: "profile" } });
  });
});

test("a directory input gives folders by relative path", async () => {
  const at = (path: string): File => Object.defineProperty(file(path.split("/").at(-1)!), "webkitRelativePath", { value: path });
  expect(summary(await fromInput([at("m/model.safetensors"), at("m/config.json"), at("m/sub/x.txt")]))).toEqual({ m: ["config.json", "model.safetensors"] });
});

describe("the folder dialog", () => {
  afterEach(() => vi.unstubAllGlobals());
  test("gives the models of the folder chosen", async () => {
    vi.stubGlobal("showDirectoryPicker", async () => directoryHandle("m", { "model.safetensors": "file" }));
    expect(summary(await pickFolder())).toEqual({ m: ["model.safetensors"] });
  });
  test("gives none when it is closed, and says when there is no dialog", async () => {
    vi.stubGlobal("showDirectoryPicker", () => Promise.reject(new DOMException("", "AbortError")));
    expect(await pickFolder()).toEqual([]);
    vi.unstubAllGlobals();
    await expect(pickFolder()).rejects.toMatchObject({ code: "permission" });
  });
});
