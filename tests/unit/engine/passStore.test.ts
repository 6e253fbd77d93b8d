import { expect, test } from "vitest";
import { PassStore, type StoredPass } from "../../../src/engine/passStore";
import { memoryKeyValue } from "../../../src/store/keyValue";

const pass = (key: string): StoredPass => ({ key, stats: [], report: { key, losses: [1], tokens: 2, elapsedMs: 3, timings: {}, adapter: "x", warnings: [] } });
const open = () => {
  const map = new Map<string, unknown>();
  return { map, store: new PassStore(memoryKeyValue(map)) };
};
const run = async (store: PassStore, key: string, finished = true): Promise<void> => {
  await store.begin(key);
  await store.masks(key).put("w", 0, Uint32Array.of(1));
  await store.masks(key).put("w", 1, Uint32Array.of(2));
  if (finished) await store.put(pass(key));
};

test("a pass is there when it was put, with its masks by model", async () => {
  const { store, map } = open();
  await run(store, "k");
  expect(await store.get("k")).toEqual(pass("k"));
  expect([await store.masks("k").get("w", 0), await store.masks("k").get("w", 1), await store.masks("k").get("v", 0)]).toEqual([Uint32Array.of(1), Uint32Array.of(2), undefined]);
  expect((await new PassStore(memoryKeyValue(map)).get("k"))?.report.losses, "after a reload").toEqual([1]);
});

test("dropping takes pass, masks and place; another pass of a similar key stays", async () => {
  const { store, map } = open();
  await run(store, "k");
  await run(store, "k2");
  await store.drop("k");
  expect(await store.get("k")).toBeUndefined();
  expect([...map.keys()].sort()).toEqual(["mask/k2/0/w", "mask/k2/1/w", "order", "pass/k2"]);
  expect(map.get("order")).toEqual(["k2"]);
});

test("three passes are kept; the oldest goes, and one that never finished goes like it", async () => {
  const { store, map } = open();
  await run(store, "unfinished", false);
  for (const key of ["a", "b"]) await run(store, key);
  expect([...map.keys()].some((k) => k.startsWith("mask/unfinished/"))).toBe(true);
  await run(store, "c");
  expect([...map.keys()].some((k) => k.includes("unfinished"))).toBe(false);
  await run(store, "a");
  await run(store, "d");
  expect(map.get("order")).toEqual(["c", "a", "d"]);
  expect(await store.get("b")).toBeUndefined();
});
