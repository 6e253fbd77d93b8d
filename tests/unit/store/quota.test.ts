import { expect, test } from "vitest";
import { localLocks, webLocks } from "../../../src/store/locks";
import { askPersistence, awaitSpace, freeBytes, probeQuota } from "../../../src/store/quota";
import { FakeDirectory } from "./fakeDirectory";

/** A file system whose files are only sizes, so that a probe may be large. */
function sparse(quota: number): { storage: StorageManager; sizes: number[]; removed: string[] } {
  const sizes: number[] = [];
  const removed: string[] = [];
  const handle = {
    truncate: (size: number) => {
      sizes.push(size);
      if (size > quota) throw new DOMException("", "QuotaExceededError");
    },
    close: () => undefined,
  };
  const root = {
    getFileHandle: async () => ({ createSyncAccessHandle: async () => handle }),
    removeEntry: async (name: string) => void removed.push(name),
  };
  return { storage: { getDirectory: async () => root, estimate: async () => ({ quota: 10, usage: 0 }) } as unknown as StorageManager, sizes, removed };
}

test.each([0, 5_000_000, 150e9])("measures a quota of %d bytes to 2 %", async (quota) => {
  const { storage, sizes, removed } = sparse(quota);
  const free = (await freeBytes(storage))!;
  expect(free).toBeLessThanOrEqual(quota);
  expect(free).toBeGreaterThanOrEqual(quota * 0.97 - 2 ** 20);
  expect(sizes.at(-1)).toBe(0);
  expect(removed).toEqual([".probe"]);
});

test("says whether so many bytes would be granted, against the browser's own estimate", async () => {
  expect(await probeQuota(sparse(10e9).storage, 9e9)).toMatchObject({ enough: true });
  expect(await probeQuota(sparse(10e9).storage, 11e9)).toMatchObject({ enough: false });
});

test("falls back to the estimate, and without one to yes", async () => {
  const without = { getDirectory: async () => new FakeDirectory("").handle(), estimate: async () => ({ quota: 100, usage: 40 }) } as unknown as StorageManager;
  expect(await probeQuota(without, 60)).toEqual({ enough: true, freeBytes: 60 });
  expect(await probeQuota(without, 61)).toEqual({ enough: false, freeBytes: 60 });
  const nothing = { getDirectory: () => Promise.reject(new DOMException("", "SecurityError")), estimate: async () => ({}) } as unknown as StorageManager;
  expect(await probeQuota(nothing, 1e15)).toEqual({ enough: true });
  expect(await freeBytes(nothing)).toBeUndefined();
});

test("does not wait for ever for an answer about persistence", async () => {
  expect(await askPersistence({ persist: () => new Promise(() => undefined) }, 20)).toBe(false);
  expect(await askPersistence({ persist: async () => true }, 1000)).toBe(true);
  expect(await askPersistence({})).toBe(false);
});

test("locks are taken at once or not at all", async () => {
  const locks = localLocks();
  const release = await locks.acquire("a");
  expect(await locks.acquire("a")).toBeUndefined();
  expect(await locks.acquire("b")).toBeDefined();
  release!();
  expect(await locks.acquire("a")).toBeDefined();
});

test("shared locks go together, an exclusive one goes with none", async () => {
  const here = localLocks();
  const there = here.other();
  const first = await here.acquire("a", "shared");
  const second = await there.acquire("a", "shared");
  expect(await there.acquire("a")).toBeUndefined();
  first!();
  first!(); // counts once
  expect(await here.acquire("a")).toBeUndefined();
  expect([here.holds("a"), there.holds("a")]).toEqual([false, true]);
  second!();
  const only = await here.acquire("a");
  expect(only).toBeDefined();
  expect(await there.acquire("a", "shared")).toBeUndefined();
});

test("Web Locks are held until released", async () => {
  let held: Promise<unknown> | undefined;
  const manager = {
    request: async (_name: string, options: { ifAvailable: boolean; mode: string }, use: (lock: object | null) => Promise<void> | void) => {
      expect(options).toEqual({ ifAvailable: true, mode: "exclusive" });
      if (held) return use(null);
      held = Promise.resolve(use({})).then(() => (held = undefined));
      return held;
    },
  } as unknown as LockManager;
  const locks = webLocks(manager);
  const release = await locks.acquire("a");
  expect(await locks.acquire("a")).toBeUndefined();
  release!();
  await held;
  expect(await locks.acquire("a")).toBeDefined();
});

test("deleted bytes are waited for until the browser counts them as free, and not for ever", async () => {
  let usage = 1000;
  let asked = 0;
  const storage = { estimate: async () => ({ usage: ++asked > 2 ? (usage = 100) : usage }) } as unknown as StorageManager;
  await awaitSpace(storage, 1000, 900);
  expect(asked).toBe(3);
  asked = 0;
  await awaitSpace({ estimate: async () => ({ usage: ++asked + 1000 }) } as unknown as StorageManager, 1000, 900, 150);
  expect(asked).toBeLessThan(4);
  await awaitSpace({ estimate: () => Promise.reject(new Error("not asked")) } as unknown as StorageManager, undefined, 900);
});

test("a quota that grants not even an empty file is a quota of nothing", async () => {
  const full = { getDirectory: async () => ({ getFileHandle: () => Promise.reject(new DOMException("", "QuotaExceededError")) }), estimate: async () => ({ quota: 1e10, usage: 0 }) } as unknown as StorageManager;
  expect(await probeQuota(full, 10)).toEqual({ enough: false, freeBytes: 0 });
  expect(await freeBytes(full)).toBe(0);
});
