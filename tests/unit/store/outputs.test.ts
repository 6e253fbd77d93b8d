import { describe, expect, test } from "vitest";
import { pickedFolder } from "../../../src/store/folderHandle";
import { localLocks } from "../../../src/store/locks";
import { memoryFolder } from "../../../src/store/memoryFolder";
import { opfsFolder } from "../../../src/store/opfs";
import { createOutputs } from "../../../src/worker/outputs";
import { FakeDirectory } from "./fakeDirectory";
import { outputFolderContract } from "./outputFolder";

describe("in memory", () => outputFolderContract(async () => {
  const folder = memoryFolder();
  return { folder, leftovers: () => folder.files.size };
}));

describe.each([["sync access handles", true], ["createWritable", false]])("OPFS with %s", (_, sync) => outputFolderContract(async () => {
  const root = new FakeDirectory("", { sync });
  return { folder: await opfsFolder(root.handle(), "job"), leftovers: () => root.children.size };
}));

describe("a picked folder", () => {
  outputFolderContract(async () => {
    const root = new FakeDirectory("Models");
    return { folder: await pickedFolder(root.handle(), "merged"), leftovers: () => root.children.size };
  });

  test("writes into a subfolder of the result's name, made safe", async () => {
    const root = new FakeDirectory("Models");
    const folder = await pickedFolder(root.handle(), "../qwen: a/b");
    await (await folder.create("config.json", 0)).close();
    expect([...root.tree().keys()]).toEqual(["qwen- a-b/config.json"]);
  });

  test("refuses a subfolder that holds files, and leaves it alone", async () => {
    const root = new FakeDirectory("Models");
    const first = await pickedFolder(root.handle(), "merged");
    await (await first.create("model.safetensors", 0)).close();
    await expect(pickedFolder(root.handle(), "merged")).rejects.toMatchObject({ code: "bad-request", details: { found: "model.safetensors" } });
    expect(root.tree().size).toBe(1);
  });

  test("keeps an empty subfolder that was there, when discarded", async () => {
    const root = new FakeDirectory("Models");
    await root.getDirectoryHandle("merged", { create: true });
    const folder = await pickedFolder(root.handle(), "merged");
    await folder.create("a", 1);
    await folder.discard();
    expect([...root.children.keys()]).toEqual(["merged"]);
    expect(root.tree().size).toBe(0);
  });
});

test("OPFS says storage-full before the first byte", async () => {
  const folder = await opfsFolder(new FakeDirectory("", { sync: true, quota: 1000 }).handle(), "job");
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
  const outputsIn = (root: FakeDirectory, locks = localLocks()) => createOutputs({ getDirectory: async () => root.handle() } as unknown as StorageManager, locks);

  test("a zip is packed beside the staged files", async () => {
    const root = new FakeDirectory("", { sync: true });
    const output = await outputsIn(root).open({ kind: "zip", name: "merged" });
    for (const [path, data] of [["model.safetensors", Uint8Array.of(1, 2, 3)], ["config.json", Uint8Array.of(123, 125)]] as const) {
      const file = await output.create(path, data.length);
      await file.write(data);
      await file.close();
    }
    await output.finish();
    const archive = await output.stagedFile!(output.archive!);
    expect(archive.name).toBe("merged.zip");
    expect(unzip(new Uint8Array(await archive.arrayBuffer()))).toEqual(new Map([["merged/model.safetensors", Uint8Array.of(1, 2, 3)], ["merged/config.json", Uint8Array.of(123, 125)]]));
    await output.discard();
    expect(root.tree().size).toBe(0);
  });

  test("sweep removes stages of tabs that are gone, and not those in use", async () => {
    const root = new FakeDirectory("", { sync: true });
    const gone = await outputsIn(root, localLocks()).open({ kind: "stage", name: "a" });
    await (await gone.create("old", 0)).close();
    const outputs = outputsIn(root);
    const mine = await outputs.open({ kind: "stage", name: "a" });
    await (await mine.create("new", 0)).close();
    await outputs.sweep();
    expect([...root.tree().keys()].map((path) => path.split("/").at(-1))).toEqual(["new"]);
    expect((await mine.stagedFile!("new")).size).toBe(0);
  });
});
