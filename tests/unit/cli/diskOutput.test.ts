import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { diskKeyValue } from "../../../src/cli/diskKeyValue";
import { checkTarget, diskOutput, partialPaths } from "../../../src/cli/diskOutput";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "output-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const pattern = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (i * 7 + (i >> 8)) & 255);
const sha = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

test("an output appears only when it is whole", async () => {
  const target = join(root, "deep", "out");
  const output = await diskOutput(target, "key");
  expect(readdirSync(root)).toEqual([]);
  const file = await output.create("a.txt", 4);
  await file.write(new Uint8Array([104, 105]));
  await file.write(new Uint8Array([33, 33]));
  expect(await file.close()).toBe(sha(new Uint8Array([104, 105, 33, 33])));
  const source = await output.open("a.txt");
  expect(await source.read(0, 4)).toEqual(new Uint8Array([104, 105, 33, 33]));
  expect(readdirSync(join(root, "deep")).sort()).toEqual([".out.partial", ".out.partial.json"]);
  await output.finish();
  expect(readdirSync(join(root, "deep"))).toEqual(["out"]);
  expect(readFileSync(join(target, "a.txt"), "utf8")).toBe("hi!!");
});

test("discarding leaves nothing of it, also before the first file", async () => {
  const unused = await diskOutput(join(root, "x", "never"), "key");
  await unused.discard();
  expect(readdirSync(root)).toEqual([]);
  const output = await diskOutput(join(root, "out"), "key");
  const file = await output.create("a.txt", 10_000_000);
  await file.write(pattern(9_000_000));
  await output.discard();
  expect(readdirSync(root)).toEqual([]);
});

test("a folder with files in it, and a file, are refused", async () => {
  writeFileSync(join(root, "file"), "x");
  await expect(checkTarget(root)).rejects.toMatchObject({ code: "bad-request", message: expect.stringContaining("already holds 1 file") as string });
  await expect(diskOutput(join(root, "file"), "key")).rejects.toMatchObject({ code: "bad-request" });
});

test("the same export goes on behind the flushed bytes, whatever was written after them; the hash is that of the whole", async () => {
  const bytes = pattern(11_000_003);
  const first = await diskOutput(join(root, "out"), "key");
  const shard = await first.create("one", 5);
  await shard.write(pattern(5));
  const done = { path: "one", bytes: 5, sha256: await shard.close() };
  const file = await first.create("two", bytes.length);
  await file.write(bytes.subarray(0, 5_000_001));
  const mark = (await file.flush())!;
  expect(mark).toEqual({ bytes: 5_000_001 });
  await first.journal!.note({ files: [done], mark });
  await file.write(new Uint8Array(3_000_000).fill(255));
  await first.suspend!();
  expect(existsSync(join(root, "out"))).toBe(false);

  const second = await diskOutput(join(root, "out"), "key");
  expect(second.journal!.earlier).toEqual({ files: [done], mark });
  expect(await second.journal!.adopt("one", 5)).toBe(true);
  expect(await second.journal!.adopt("one", 6)).toBe(false);
  expect(await second.journal!.holds("two", 5_000_001)).toBe(true);
  expect(await second.journal!.holds("three", 1)).toBe(false);
  const again = await second.create("two", bytes.length, mark);
  await again.write(bytes.subarray(5_000_001));
  expect(await again.close()).toBe(sha(bytes));
  await second.finish();
  expect(readdirSync(root)).toEqual(["out"]);
  expect(Buffer.compare(readFileSync(join(root, "out", "two")), bytes)).toBe(0);
});

test("another export removes what the one before left", async () => {
  const first = await diskOutput(join(root, "out"), "key");
  await (await first.create("old", 1)).close();
  await first.journal!.note({ any: 1 });
  await first.suspend!();
  const second = await diskOutput(join(root, "out"), "other");
  expect(second.journal!.earlier).toBeUndefined();
  await (await second.create("new", 1)).close();
  await second.finish();
  expect(readdirSync(join(root, "out"))).toEqual(["new"]);
});

test("a file that is shorter than its mark, a journal that is half, a process that is at work", async () => {
  const paths = partialPaths(join(root, "out"));
  const first = await diskOutput(join(root, "out"), "key");
  const file = await first.create("a", 100);
  await file.write(pattern(100));
  await file.flush();
  await first.journal!.note({});
  await first.suspend!();
  truncateSync(join(paths.files, "a"), 50);
  const second = await diskOutput(join(root, "out"), "key");
  await expect(second.create("a", 100, { bytes: 100 })).rejects.toMatchObject({ code: "file-changed" });
  await second.suspend!();
  writeFileSync(paths.journal, '{"v":1,"ke');
  expect((await diskOutput(join(root, "out"), "key")).journal!.earlier).toBeUndefined();
  writeFileSync(paths.journal, JSON.stringify({ v: 1, key: "key", pid: process.ppid }));
  await expect(diskOutput(join(root, "out"), "key")).rejects.toMatchObject({ code: "busy", message: expect.stringContaining(String(process.ppid)) as string });
});

test("values in a place outlive the store; half-written ones are not there", async () => {
  const place = join(root, "pass");
  mkdirSync(root, { recursive: true });
  const one = diskKeyValue(place);
  expect(await one.keys()).toEqual([]);
  expect(await one.get("a/b")).toBeUndefined();
  await one.set("a/b", new Uint32Array([1, 2]));
  writeFileSync(join(place, "c.half"), "x");
  const two = diskKeyValue(place);
  expect(await two.keys()).toEqual(["a/b"]);
  expect(await two.get("a/b")).toEqual(new Uint32Array([1, 2]));
  await two.remove();
  expect(existsSync(place)).toBe(false);
});
