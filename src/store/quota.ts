import { isQuotaFailure } from "./failures";

export interface QuotaAnswer {
  enough: boolean;
  /** What would still be granted, when that is known. */
  freeBytes?: number;
}

/** The part of FileSystemSyncAccessHandle used here; declared so that code without the worker library sees it too. */
export interface SyncAccessHandle {
  read(into: Uint8Array, options?: { at?: number }): number;
  write(bytes: Uint8Array, options?: { at?: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

export type MaybeSyncFile = FileSystemFileHandle & { createSyncAccessHandle?(): Promise<SyncAccessHandle> };

const PROBE = ".probe";

/** Runs `use` with the probe file open; undefined where there is no OPFS or another tab probes right now, `full` where not even an empty file is granted. */
async function withProbe<T>(storage: StorageManager, use: (handle: SyncAccessHandle) => T, full: T): Promise<T | undefined> {
  let root: FileSystemDirectoryHandle;
  let handle: SyncAccessHandle | undefined;
  try {
    root = await storage.getDirectory();
    const file: MaybeSyncFile = await root.getFileHandle(PROBE, { create: true });
    handle = await file.createSyncAccessHandle?.();
  } catch (error) {
    return isQuotaFailure(error) ? full : undefined;
  }
  if (!handle) return undefined;
  try {
    return use(handle);
  } finally {
    handle.truncate(0);
    handle.close();
    await root.removeEntry(PROBE).catch(() => undefined);
  }
}

/** True when a sparse file of `bytes` is granted. It tests the quota, not the free disk. */
function fits(handle: SyncAccessHandle, bytes: number): boolean {
  try {
    handle.truncate(bytes);
    return true;
  } catch (error) {
    if (isQuotaFailure(error) || error instanceof DOMException || error instanceof TypeError) return false;
    throw error;
  } finally {
    handle.truncate(0);
  }
}

/** Largest size that fits, to about 2 %, by doubling and halving; capped at 4 TiB. */
function largest(handle: SyncAccessHandle, atLeast: number): number {
  const cap = 2 ** 42;
  let low = atLeast;
  let high = Math.max(2 ** 28, atLeast * 2);
  while (high < cap && fits(handle, high)) {
    low = high;
    high *= 2;
  }
  for (high = Math.min(high, cap); high - low > Math.max(2 ** 20, low / 50); ) {
    const middle = Math.floor((low + high) / 2);
    if (fits(handle, middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** `quota - usage` of the browser's own estimate: too low in Chromium (always 10 GiB), the best there is elsewhere. */
async function estimated(storage: StorageManager): Promise<number | undefined> {
  const { quota, usage } = await storage.estimate();
  return quota === undefined || usage === undefined ? undefined : quota - usage;
}

/**
 * Whether `bytes` more would be granted, by truncating a sparse file in the origin's own file system (in a worker).
 * Without one, by the browser's estimate; without that, yes: the write itself will tell.
 */
export async function probeQuota(storage: StorageManager, bytes: number): Promise<QuotaAnswer> {
  const probed = await withProbe(storage, (handle): QuotaAnswer => {
    const enough = fits(handle, bytes);
    return { enough, freeBytes: largest(handle, enough ? bytes : 0) };
  }, { enough: false, freeBytes: 0 });
  if (probed) return probed;
  const freeBytes = await estimated(storage).catch(() => undefined);
  return freeBytes === undefined ? { enough: true } : { enough: freeBytes >= bytes, freeBytes };
}

/** What the browser would still grant, measured; undefined when it cannot be told. */
export async function freeBytes(storage: StorageManager): Promise<number | undefined> {
  return (await withProbe(storage, (handle) => largest(handle, 0), 0)) ?? (await estimated(storage).catch(() => undefined));
}

/** Asks for storage that is not evicted; only a page can, not a worker. Firefox may wait for the user for ever, so five seconds is the limit. */
export async function askPersistence(storage: { persist?(): Promise<boolean> }, waitMs = 5000): Promise<boolean> {
  if (!storage.persist) return false;
  const late = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), waitMs));
  return Promise.race([storage.persist().catch(() => false), late]);
}

/**
 * Waits, five seconds at most, until deleted bytes are free. A browser keeps the space of a deleted Blob until the last
 * object that points at it has been collected, so the collector is given a reason to run: 256 MiB that are dropped at once.
 * Measured in Chromium 156 on 22 Nov 2026, 200 MB: free after 2.8 s; without the reason not within 17 s.
 */
export async function awaitSpace(storage: StorageManager, before: number | undefined, bytes: number, waitMs = 5000): Promise<void> {
  const until = performance.now() + waitMs;
  const pieces = 4;
  for (let i = 0; before !== undefined && performance.now() < until; i++) {
    const { usage } = await storage.estimate();
    if (usage === undefined || usage <= before - bytes * 0.9) return;
    if (i < pieces) new Uint8Array(64 * 1024 * 1024).fill(1);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
