import { IDBFactory } from "fake-indexeddb";
import { describe, expect, test } from "vitest";
import { indexedDatabases, memoryDatabases, type Databases } from "../../../src/store/keyValue";

const implementations: [string, () => Databases][] = [
  ["indexedDatabases", () => indexedDatabases(new IDBFactory())],
  ["memoryDatabases", () => memoryDatabases()],
];

describe.each(implementations)("%s", (_, make) => {
  test("gives back what was set, and undefined for the rest", async () => {
    const store = make().open("a");
    await store.set("k", { n: 1 });
    expect(await store.get("k")).toEqual({ n: 1 });
    expect(await store.get("other")).toBeUndefined();
  });

  test("keeps a copy, not the object", async () => {
    const store = make().open("a");
    const value = { n: 1 };
    await store.set("k", value, "strict");
    value.n = 2;
    expect(await store.get("k")).toEqual({ n: 1 });
    (await store.get<{ n: number }>("k"))!.n = 3;
    expect(await store.get("k")).toEqual({ n: 1 });
  });

  test("keeps Blobs as Blobs", async () => {
    const store = make().open("a");
    await store.set("k", new Blob([new Uint8Array([1, 2, 3])]).slice(1));
    expect(new Uint8Array(await (await store.get<Blob>("k"))!.arrayBuffer())).toEqual(new Uint8Array([2, 3]));
  });

  test("setMany sets all or nothing", async () => {
    const store = make().open("a");
    await store.setMany([["b", 2], ["a", 1]], "strict");
    expect(await store.keys()).toEqual(["a", "b"]);
    await expect(store.setMany([["c", 3], ["d", () => undefined]])).rejects.toThrow();
    expect(await store.keys()).toEqual(["a", "b"]);
  });

  test("deletes keys, and goes on after close", async () => {
    const store = make().open("a");
    await store.setMany([["a", 1], ["b", 2]]);
    await store.del("a");
    store.close();
    expect(await store.keys()).toEqual(["b"]);
  });

  test("databases are apart, are listed, and go even while open", async () => {
    const databases = make();
    const [a, b] = [databases.open("a"), databases.open("b")];
    await a.set("k", "a");
    await b.set("k", "b");
    expect((await databases.names()).sort()).toEqual(["a", "b"]);
    await databases.remove("a");
    expect(await databases.names()).toEqual(["b"]);
    expect(await a.get("k")).toBeUndefined();
    expect(await b.get("k")).toBe("b");
  });
});

test("asks IndexedDB for the durability of the call", async () => {
  const factory = new IDBFactory();
  const seen: unknown[] = [];
  const store = indexedDatabases(factory).open("a");
  await store.set("k", 1);
  const database = await new Promise<IDBDatabase>((resolve) => {
    const request = factory.open("a", 1);
    request.onsuccess = () => resolve(request.result);
  });
  const prototype = Object.getPrototypeOf(database) as { transaction: (...args: unknown[]) => unknown };
  const real = prototype.transaction;
  prototype.transaction = function (...args: unknown[]) {
    seen.push((args[2] as { durability: string }).durability);
    return real.apply(this, args);
  };
  await store.set("k", 2);
  await store.setMany([["k", 3]], "strict");
  prototype.transaction = real;
  expect(seen).toEqual(["relaxed", "strict"]);
});
