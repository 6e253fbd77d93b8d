import { del, get, keys, set, setMany, type UseStore } from "idb-keyval";
import { StudioError } from "../core/errors";

/** `relaxed` returns when the system has the data, `strict` when the disk has it. */
export type Durability = "relaxed" | "strict";

/** A small ordered map that outlives the page. Values are whatever the structured clone algorithm takes. */
export interface KeyValue {
  get<T>(key: string): Promise<T | undefined>;
  set(key: string, value: unknown, durability?: Durability): Promise<void>;
  /** All or nothing. */
  setMany(entries: [string, unknown][], durability?: Durability): Promise<void>;
  del(key: string, durability?: Durability): Promise<void>;
  /** In ascending order. */
  keys(): Promise<string[]>;
  /** Lets go of the connection; the next call opens it again. */
  close(): void;
}

/** Named key-value databases: IndexedDB in a browser, maps in tests. */
export interface Databases {
  open(name: string): KeyValue;
  remove(name: string): Promise<void>;
  /** Names of the databases that exist; empty where the browser cannot list them. */
  names(): Promise<string[]>;
}

const STORE = "kv";

/**
 * idb-keyval over a store function of our own: its createStore keeps the connection open for ever, which blocks
 * deletion, and cannot choose durability. This one closes on `versionchange` and reopens when needed.
 */
function indexedKeyValue(name: string, factory: IDBFactory): KeyValue {
  let opening: Promise<IDBDatabase> | undefined;
  const open = (): Promise<IDBDatabase> => {
    if (opening) return opening;
    const attempt = new Promise<IDBDatabase>((resolve, reject) => {
      const request = factory.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const database = request.result;
        database.onversionchange = () => {
          database.close();
          opening = undefined;
        };
        database.onclose = () => {
          opening = undefined;
        };
        resolve(database);
      };
    });
    opening = attempt;
    attempt.catch(() => {
      opening = undefined;
    });
    return attempt;
  };

  const transaction = async (mode: IDBTransactionMode, durability: Durability): Promise<IDBTransaction> => {
    const database = await open();
    try {
      return database.transaction(STORE, mode, { durability });
    } catch (error) {
      // Closed between open and use, by another tab's deletion or by the browser: one fresh connection.
      if (!(error instanceof DOMException) || error.name !== "InvalidStateError") throw error;
      opening = undefined;
      return (await open()).transaction(STORE, mode, { durability });
    }
  };
  const store =
    (durability: Durability): UseStore =>
    async (mode, callback) => {
      const work = await transaction(mode, durability);
      try {
        return await callback(work.objectStore(STORE));
      } catch (error) {
        // A value that cannot be stored throws out of `put`, and the puts before it would still be committed.
        try {
          work.abort();
        } catch {
          // it has ended already
        }
        throw error;
      }
    };
  const relaxed = store("relaxed");
  const strict = store("strict");
  const pick = (durability: Durability | undefined): UseStore => (durability === "strict" ? strict : relaxed);

  return {
    get: <T>(key: string) => get<T>(key, relaxed),
    set: (key, value, durability) => set(key, value, pick(durability)),
    setMany: (entries, durability) => setMany(entries, pick(durability)),
    del: (key, durability) => del(key, pick(durability)),
    keys: () => keys<string>(relaxed),
    close: () => {
      const closing = opening;
      opening = undefined;
      closing?.then((database) => database.close()).catch(() => undefined);
    },
  };
}

/** IndexedDB. `remove` throws StudioError "busy" when another tab keeps the database open for ten seconds. */
export function indexedDatabases(factory: IDBFactory = indexedDB): Databases {
  return {
    open: (name) => indexedKeyValue(name, factory),
    names: async () => (factory.databases ? (await factory.databases()).flatMap((d) => (d.name ? [d.name] : [])) : []),
    remove: (name) =>
      new Promise((resolve, reject) => {
        const request = factory.deleteDatabase(name);
        const timer = setTimeout(
          () => reject(new StudioError("busy", `Deleting ${name}: another tab still has it open. Close the other tab and try again.`, { title: "Open in another tab", where: name })),
          10_000,
        );
        request.onsuccess = () => {
          clearTimeout(timer);
          resolve();
        };
        request.onerror = () => {
          clearTimeout(timer);
          reject(request.error);
        };
      }),
  };
}

/** The same promises kept by a Map: values are cloned on the way in and out, as a database does. */
export function memoryKeyValue(map = new Map<string, unknown>()): KeyValue {
  return {
    get: async <T>(key: string) => (map.has(key) ? (structuredClone(map.get(key)) as T) : undefined),
    set: async (key, value) => void map.set(key, structuredClone(value)),
    setMany: async (entries) => {
      const cloned = entries.map(([key, value]) => [key, structuredClone(value)] as const);
      for (const [key, value] of cloned) map.set(key, value);
    },
    del: async (key) => void map.delete(key),
    keys: async () => [...map.keys()].sort(),
    close: () => undefined,
  };
}

export function memoryDatabases(): Databases {
  const maps = new Map<string, Map<string, unknown>>();
  return {
    open: (name) => {
      // The map is looked up at every call, so that a database comes back empty after `remove`.
      const inner = (): KeyValue => {
        let map = maps.get(name);
        if (!map) maps.set(name, (map = new Map()));
        return memoryKeyValue(map);
      };
      return {
        get: (key) => inner().get(key),
        set: (key, value) => inner().set(key, value),
        setMany: (entries) => inner().setMany(entries),
        del: (key) => inner().del(key),
        keys: () => inner().keys(),
        close: () => undefined,
      };
    },
    remove: async (name) => void maps.delete(name),
    names: async () => [...maps.keys()],
  };
}
