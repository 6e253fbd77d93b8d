import { expect, test } from "vitest";
import { parseBudgets, parseBytes, parseRates } from "../../../src/cli/budgets";
import { diskKeyValue } from "../../../src/cli/diskKeyValue";

test.each([["2GB", 2e9], ["512MB", 512e6], ["512 MiB", 512 * 2 ** 20], ["1.5GiB", 1.5 * 2 ** 30], ["64mb", 64e6], ["2147483648", 2 ** 31], ["7B", 7]])("%s", (text, bytes) => {
  expect(parseBytes(text, "gpu-budget")).toBe(bytes);
});

test.each(["", "lots", "-1GB", "2XB", "1e9", "GB"])("refuses %j with the flag's name", (text) => {
  expect(() => parseBytes(text, "gpu-budget")).toThrow(/--gpu-budget .*: expected bytes/);
});

test("only budgets that were given are set", () => {
  expect(parseBudgets({})).toEqual({});
  expect(parseBudgets({ "host-budget": ["512MB"] })).toEqual({ hostBytes: 512e6 });
});

test("speeds by name; anything else is refused", () => {
  expect(parseRates(["gpu=5e12", "read=1e9"])).toEqual({ gpuFlops: 5e12, readBytes: 1e9 });
  for (const wrong of ["disk=1", "read", "read=0", "read=fast"]) expect(() => parseRates([wrong])).toThrow(/--rate/);
});

test("values on disk: typed arrays and records come back, names with slashes list in order, remove leaves nothing", async () => {
  const store = diskKeyValue();
  expect(await store.get("a")).toBeUndefined();
  expect(await store.keys()).toEqual([]);
  await store.set("mask/k/0/model.layers.0.q", Uint32Array.of(1, 0xffffffff));
  await store.setMany([["pass/k", { stats: [{ threshold: Infinity }] }], ["order", ["k"]]]);
  expect(await store.get("mask/k/0/model.layers.0.q")).toEqual(Uint32Array.of(1, 0xffffffff));
  expect(await store.get("pass/k")).toEqual({ stats: [{ threshold: Infinity }] });
  expect(await store.keys()).toEqual(["mask/k/0/model.layers.0.q", "order", "pass/k"]);
  await store.del("order");
  expect(await store.get("order")).toBeUndefined();
  await store.remove();
  expect(await store.keys()).toEqual([]);
});
