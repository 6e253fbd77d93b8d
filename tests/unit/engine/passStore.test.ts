import { expect, test } from "vitest";
import { JOURNAL_VERSION } from "../../../src/engine/passJournal";
import { PassStore, type StoredPass } from "../../../src/engine/passStore";
import type { TensorStats } from "../../../src/fisher/types";
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

test("four passes are kept; the oldest goes, and one that never finished goes like it", async () => {
  const { store, map } = open();
  await run(store, "unfinished", false);
  for (const key of ["z", "a", "b"]) await run(store, key);
  expect([...map.keys()].some((k) => k.startsWith("mask/unfinished/"))).toBe(true);
  await run(store, "c");
  expect([...map.keys()].some((k) => k.includes("unfinished"))).toBe(false);
  await run(store, "a");
  await run(store, "d");
  expect(map.get("order")).toEqual(["b", "c", "a", "d"]);
  expect(await store.get("z")).toBeUndefined();
});

const how = { identity: "adapter", durability: "relaxed", bytes: () => 7 } as const;
const state = (done: number) => ({ walk: 0, done, taken: [0] });
const row = (name: string) => ({ name, experts: [] }) as unknown as TensorStats;

test("a journal gives back the last commit, its tensors in order and its arrays; what was put after it does not count", async () => {
  const { store, map } = open();
  const stage = (await store.journal("k", how)).stage(0);
  await stage.put("x.1.0", Float32Array.of(1, 2));
  await stage.commit(state(1), { stats: [row("a")], drop: [] });
  await stage.put("x.2.0", Float32Array.of(3));
  await stage.commit(state(2), { stats: [row("b"), row("c")], drop: ["x.1.0"] });
  await stage.put("dx.2.0", Float32Array.of(4));
  const book = await new PassStore(memoryKeyValue(map)).journal("k", how);
  expect(book.reached).toEqual({ stage: 0, state: state(2), bytes: 7 });
  const again = book.stage(0);
  expect(again.stats.map((s) => s.name)).toEqual(["a", "b", "c"]);
  expect(await again.read("x.2.0", 1)).toEqual(Float32Array.of(3));
  await expect(again.read("x.2.0", 2)).rejects.toMatchObject({ details: { journalDamaged: true } });
  await expect(again.require(["x.2.0", "x.1.0"])).rejects.toThrow(/"x.1.0" is not there/);
  expect(book.stage(1).state, "a stage that has not begun").toBeUndefined();
});

test("an unfinished pass loses its journal when it is evicted, dropped or finished", async () => {
  const { store, map } = open();
  const begun = async (key: string): Promise<void> => {
    await store.begin(key);
    const stage = (await store.journal(key, how)).stage(0);
    await stage.put("x.1.0", new Float32Array(4));
    await stage.commit(state(1), { stats: [], drop: [] });
  };
  const journals = () => [...map.keys()].filter((k) => k.startsWith("journal/")).map((k) => k.split("/")[1]);
  for (const key of ["evicted", "dropped", "finished"]) await begun(key);
  expect(new Set(journals())).toEqual(new Set(["evicted", "dropped", "finished"]));
  for (const key of ["another", "one more"]) await store.begin(key);
  expect(journals()).not.toContain("evicted");
  await store.drop("dropped");
  expect(journals()).not.toContain("dropped");
  await store.put(pass("finished"));
  expect(journals()).toEqual([]);
  // Closed between the pass and the removal of its journal.
  await begun("k");
  map.set("pass/k", pass("k"));
  await store.begin("later");
  expect(journals()).toEqual([]);
});

test.each([["version", { version: JOURNAL_VERSION + 1 }], ["identity", { identity: "another" }]])("a journal of another %s is removed when it is opened", async (_, change) => {
  const { store, map } = open();
  await (await store.journal("k", how)).stage(0).commit(state(3), { stats: [row("a")], drop: [] });
  map.set("journal/k/head", { ...(map.get("journal/k/head") as object), ...change });
  expect((await store.journal("k", how)).reached).toBeUndefined();
  expect([...map.keys()]).toEqual([]);
});
