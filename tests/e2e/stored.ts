/** What is stored of a model, seen from outside: chunks in IndexedDB, files in the origin's own file system; and ways to stop the worker at a chosen place. */
import type { Page } from "@playwright/test";

/** Key of a chunk of the weight file, which comes after config.json. */
export const key = (chunk: number): string => `c/0001/${String(chunk).padStart(6, "0")}`;
export const keys = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => key(from + i));

/** Keys of the one model that has chunks in IndexedDB, and its entry in the catalogue. */
export async function stored(page: Page, name: string): Promise<{ keys: string[]; hashes: (string | null)[]; entry: { state: string; chunksDone: number; hash?: string } | undefined }> {
  return page.evaluate(async (wanted) => {
    const open = (database: string) => new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open(database);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const done = <T>(request: IDBRequest<T>) => new Promise<T>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const names = (await indexedDB.databases()).map((d) => d.name!);
    const read = async <T>(database: string, work: (store: IDBObjectStore) => Promise<T>): Promise<T> => {
      const db = await open(database);
      try {
        return await work(db.transaction(db.objectStoreNames[0]!).objectStore(db.objectStoreNames[0]!));
      } finally {
        db.close();
      }
    };
    const models = names.includes("studio-catalog") ? await read("studio-catalog", (s) => done(s.getAll())) : [];
    const entry = models.map((m: { model?: { id: string; name: string; state: string; chunksDone: number; hash?: string } }) => m.model).find((m) => m?.name === wanted);
    const database = `studio-model-${entry?.id}`;
    if (!names.includes(database)) return { keys: [], hashes: [], entry };
    return read(database, async (s) => {
      const keys = (await done(s.getAllKeys())) as string[];
      // The weight file comes after config.json.
      const states = await Promise.all(keys.filter((k) => k.startsWith("s/0001/")).map((k) => done(s.get(k) as IDBRequest<{ x: string | null }>)));
      return { keys: keys.filter((k) => k.startsWith("c/0001/")), hashes: states.map((state) => state.x), entry };
    });
  }, name);
}

/**
 * Lets the worker wait for ever when it is about to store this chunk: whatever happens next finds exactly the ones before.
 * The transaction is given up, and nobody is told.
 */
export async function holdAt(page: Page, chunk: number): Promise<void> {
  await page.workers()[0]!.evaluate((key) => {
    const put = IDBObjectStore.prototype.put;
    IDBObjectStore.prototype.put = function (value: unknown, at?: IDBValidKey) {
      if (at !== key) return put.call(this, value, at);
      for (const event of ["oncomplete", "onabort", "onerror"]) Object.defineProperty(this.transaction, event, { set: () => undefined });
      const request = this.get(key);
      this.transaction.abort();
      IDBObjectStore.prototype.put = () => request as IDBRequest<IDBValidKey>;
      return request as IDBRequest<IDBValidKey>;
    };
  }, key(chunk));
}

/** Notes which chunks are written from here on. */
export async function watchPuts(page: Page): Promise<() => Promise<string[]>> {
  const worker = page.workers()[0]!;
  await worker.evaluate(() => {
    const put = IDBObjectStore.prototype.put;
    const written: string[] = [];
    Object.assign(globalThis, { written });
    IDBObjectStore.prototype.put = function (value: unknown, at?: IDBValidKey) {
      if (String(at).startsWith("c/0001/")) written.push(String(at));
      return put.call(this, value, at);
    };
  });
  return () => worker.evaluate(() => (globalThis as unknown as { written: string[] }).written);
}

/**
 * Lets reads of Blobs of at least `minBytes` in the worker wait, from the `after`-th on; the returned function lets them
 * go on. A copy then stands still with two chunks more than are verified, a pass or merge before its next tensor.
 */
export async function holdReads(page: Page, minBytes: number, after: number): Promise<() => Promise<void>> {
  const worker = page.workers()[0]!;
  await worker.evaluate(({ minBytes, after: free }) => {
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    let reads = 0;
    const { stream, arrayBuffer } = Blob.prototype;
    Blob.prototype.arrayBuffer = async function () {
      if (this.size >= minBytes && reads++ >= free) await gate;
      return arrayBuffer.call(this);
    };
    Blob.prototype.stream = function () {
      if (this.size < minBytes || reads++ < free) return stream.call(this) as ReturnType<Blob["stream"]>;
      const source = gate.then(() => (stream.call(this) as ReadableStream<Uint8Array<ArrayBuffer>>).getReader());
      return new ReadableStream({
        type: "bytes",
        pull: async (controller) => {
          const { value, done } = await (await source).read();
          if (value) controller.enqueue(value);
          if (!done) return;
          controller.close();
          controller.byobRequest?.respond(0);
        },
      }) as ReturnType<Blob["stream"]>;
    };
    Object.assign(globalThis, { letGo: () => { Object.assign(Blob.prototype, { stream, arrayBuffer }); go(); } });
  }, { minBytes, after });
  return async () => worker.evaluate(() => (globalThis as unknown as { letGo(): void }).letGo());
}

/** Every file of the origin's own file system, by path, with its size; not the probe for the quota, which comes and goes. */
export async function ownFiles(page: Page): Promise<Record<string, number>> {
  return page.evaluate(async () => {
    const found: Record<string, number> = {};
    const walk = async (directory: FileSystemDirectoryHandle, path: string): Promise<void> => {
      for await (const child of directory.values()) {
        if (child.name === ".probe") continue;
        if (child.kind === "file") found[path + child.name] = (await child.getFile()).size;
        else await walk(child, `${path}${child.name}/`);
      }
    };
    await walk(await navigator.storage.getDirectory(), "");
    return found;
  });
}
