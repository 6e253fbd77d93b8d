import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { diskOutput, readFolder } from "../../../src/cli/nodeFiles";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "files-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("a folder's own files, in order, without hidden ones and subfolders", async () => {
  mkdirSync(join(root, "sub"));
  for (const [name, text] of [["b.txt", "hello"], ["a.txt", ""], [".hidden", "x"], ["sub/c.txt", "x"]] as const) writeFileSync(join(root, name), text);
  const { files } = await readFolder(root);
  expect(files.map((f) => [f.path, f.size])).toEqual([["a.txt", 0], ["b.txt", 5]]);
  const into = new Uint8Array(16);
  const part = await files[1]!.read(1, 3, into);
  expect(new TextDecoder().decode(part)).toBe("ell");
  expect(part.buffer).toBe(into.buffer);
  await expect(files[1]!.read(3, 4)).rejects.toMatchObject({ code: "bad-file", message: expect.stringContaining("ends at byte 5") as string });
  for (const file of files) await file.close();
  await files[1]!.read(0, 5);
  await files[1]!.close();
});

test("a folder that is not there", async () => {
  await expect(readFolder(join(root, "none"))).rejects.toMatchObject({ code: "bad-file" });
});

test("an output appears only when it is whole", async () => {
  const target = join(root, "deep", "out");
  const output = await diskOutput(target);
  expect(readdirSync(root)).toEqual([]);
  const file = await output.create("a.txt", 4);
  await file.write(new Uint8Array([104, 105]));
  await file.write(new Uint8Array([33, 33]));
  await file.close();
  const source = await output.open("a.txt");
  expect(await source.read(0, 4)).toEqual(new Uint8Array([104, 105, 33, 33]));
  expect(readdirSync(join(root, "deep"))).toHaveLength(1);
  await output.finish();
  expect(readdirSync(join(root, "deep"))).toEqual(["out"]);
  expect(readFileSync(join(target, "a.txt"), "utf8")).toBe("hi!!");
});

test("discarding leaves nothing of it, also before the first file", async () => {
  const unused = await diskOutput(join(root, "x", "never"));
  await unused.discard();
  expect(readdirSync(root)).toEqual([]);
  const output = await diskOutput(join(root, "out"));
  await (await output.create("a.txt", 1)).close();
  await output.discard();
  expect(readdirSync(root)).toEqual([]);
});

test("a folder with files in it, and a file, are refused", async () => {
  writeFileSync(join(root, "file"), "x");
  await expect(diskOutput(root)).rejects.toMatchObject({ code: "bad-request", message: expect.stringContaining("already holds 1 file") as string });
  await expect(diskOutput(join(root, "file"))).rejects.toMatchObject({ code: "bad-request" });
});
