import { expect, test } from "vitest";
import { createFisherFiles } from "../../../src/worker/fisherFiles";
import { FakeDirectory } from "../store/fakeDirectory";

const filesIn = (root: FakeDirectory) => createFisherFiles({ getDirectory: async () => root.handle() } as unknown as StorageManager);

test("is written at any offset, with zeros between, and offered once closed", async () => {
  const files = filesIn(new FakeDirectory("", { sync: true }));
  const file = await files.create("k", 6);
  await file.writeAt(4, Uint8Array.of(5, 6));
  await file.writeAt(0, Uint8Array.of(1));
  expect(await files.read("k")).toBeUndefined();
  await file.close();
  expect(new Uint8Array(await (await files.read("k"))!.arrayBuffer())).toEqual(Uint8Array.of(1, 0, 0, 0, 5, 6));
  expect(await files.read("other")).toBeUndefined();
});

test("only the last one is kept; a discarded one leaves nothing", async () => {
  const root = new FakeDirectory("", { sync: true });
  const files = filesIn(root);
  await (await files.create("a", 1)).close();
  const second = await files.create("b", 1);
  expect(await files.read("a")).toBeUndefined();
  await second.discard();
  expect(root.tree().size).toBe(0);
});

test("says storage-full before the pass", async () => {
  const root = new FakeDirectory("", { sync: true, quota: 10 });
  await expect(filesIn(root).create("a", 11)).rejects.toMatchObject({ code: "storage-full" });
  expect(root.tree().size).toBe(0);
});

test("says that there is no place to write", async () => {
  await expect(createFisherFiles(undefined).create("a", 1)).rejects.toMatchObject({ code: "permission" });
  await expect(filesIn(new FakeDirectory("")).create("a", 1)).rejects.toMatchObject({ code: "permission" });
});
