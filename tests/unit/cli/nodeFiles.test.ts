import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readFolder } from "../../../src/cli/nodeFiles";

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
