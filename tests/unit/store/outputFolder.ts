import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { OutputFolder } from "../../../src/core/files";

/** What every OutputFolder promises. `leftovers` counts the files that exist where it writes. */
export function outputFolderContract(make: () => Promise<{ folder: OutputFolder; leftovers(): Promise<number> | number }>): void {
  const pattern = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (i * 7) & 255);
  const readAll = async (folder: OutputFolder, path: string): Promise<Uint8Array> => {
    const file = await folder.open(path);
    return file.read(0, file.size);
  };

  test("reads back what was written, piece by piece, from a buffer that is used again", async () => {
    const { folder } = await make();
    const file = await folder.create("model.safetensors", 5000);
    const buffer = new Uint8Array(1700);
    for (let at = 0; at < 5000; at += 1700) {
      const piece = pattern(5000).subarray(at, at + 1700);
      buffer.set(piece);
      await file.write(buffer.subarray(0, piece.length));
    }
    buffer.fill(0);
    expect(await file.close()).toBe(createHash("sha256").update(pattern(5000)).digest("hex"));
    await folder.finish();
    expect(await readAll(folder, "model.safetensors")).toEqual(pattern(5000));
    expect(await (await folder.open("model.safetensors")).read(1234, 10)).toEqual(pattern(5000).subarray(1234, 1244));
    await folder.discard();
  });

  test("hashes two files side by side that it does not keep, from a buffer that is used again, and tells the time", async () => {
    const { folder, leftovers } = await make();
    if (!folder.digest) return void expect(folder.times, "hashed by whom it asks").toBeUndefined();
    const before = await leftovers();
    const [a, b] = [await folder.digest(5000), await folder.digest(10)];
    const buffer = pattern(5000);
    await a.write(buffer.subarray(0, 3000));
    await b.write(buffer.subarray(0, 10));
    await a.write(buffer.subarray(3000));
    buffer.fill(0);
    expect(await a.close()).toBe(createHash("sha256").update(pattern(5000)).digest("hex"));
    expect(await b.close()).toBe(createHash("sha256").update(pattern(10)).digest("hex"));
    expect(await leftovers()).toBe(before);
    expect((await folder.times!()).find((t) => t.stage === "hash")!.bytes).toBe(5010);
    expect((await folder.times!()).find((t) => t.stage === "hash")!.bytes, "since the last call").toBe(0);
    await folder.discard();
  });

  test("a file has the size that was written, whatever was announced", async () => {
    const { folder } = await make();
    const file = await folder.create("README.md", 100);
    await file.write(pattern(3));
    await file.close();
    expect((await folder.open("README.md")).size).toBe(3);
    await (await folder.create("empty", 0)).close();
    expect((await folder.open("empty")).size).toBe(0);
    await folder.discard();
  });

  test("writes several files at once, also in subfolders", async () => {
    const { folder } = await make();
    const [a, b] = [await folder.create("a", 4), await folder.create("sub/b", 4)];
    await b.write(pattern(4));
    await a.write(pattern(2));
    await a.write(pattern(2));
    await a.close();
    await b.close();
    expect(await readAll(folder, "a")).toEqual(Uint8Array.of(0, 7, 0, 7));
    expect(await readAll(folder, "sub/b")).toEqual(pattern(4));
    await folder.discard();
  });

  test("refuses a path twice, a write after close, a look before close", async () => {
    const { folder } = await make();
    const file = await folder.create("a", 1);
    await expect(folder.create("a", 1)).rejects.toThrow(/twice/);
    await expect(folder.open("a")).rejects.toThrow(/before/);
    await file.close();
    await expect(file.write(pattern(1))).rejects.toThrow(/after/);
    await folder.discard();
  });

  test("discard leaves nothing behind, finished or not", async () => {
    const { folder, leftovers } = await make();
    const done = await folder.create("a", 2);
    await done.write(pattern(2));
    await done.close();
    await (await folder.create("sub/b", 2)).write(pattern(1));
    await folder.discard();
    expect(await leftovers()).toBe(0);
  });
}
