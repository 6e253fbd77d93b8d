import { afterEach, expect, test } from "vitest";
import { StudioError } from "../../../src/core/errors";
import type { Recipe } from "../../../src/core/recipe";
import type { EngineApi } from "../../../src/engine/api";
import { localLocks } from "../../../src/store/locks";
import { pageSide } from "../../../src/worker/client";
import { withJobLocks } from "../../../src/worker/jobs";
import { connect, expose, type Connection, type Endpoint } from "../../../src/worker/rpc";

const engine = {
  factor: 3,
  async times(x: number) { return x * this.factor; },
  async count(to: number, onStep: (i: number) => void, onHalf: (text: string) => void) {
    for (let i = 0; i < to; i++) {
      onStep(i);
      if (i * 2 === to) onHalf("half");
    }
    return "done";
  },
  async fail(kind: string) {
    if (kind === "studio") throw new StudioError("bad-recipe", "Merging: no.", { title: "No", where: "here", n: 4, odd: () => 1 });
    if (kind === "plain") throw new RangeError("out of range");
    throw "a word";
  },
  async unclonable() { return () => 1; },
  async fill(buffer: ArrayBuffer, value: number) {
    new Uint8Array(buffer).fill(value);
    return buffer;
  },
  async never() { return new Promise<void>(() => undefined); },
};

const open: MessageChannel[] = [];
afterEach(() => { for (const channel of open.splice(0)) channel.port1.close(); });
function bridge(): Connection<typeof engine> {
  const channel = new MessageChannel();
  open.push(channel);
  expose(engine, channel.port1 as Endpoint);
  return connect<typeof engine>(channel.port2 as Endpoint);
}

test("hands buffers over and back, and copies none", async () => {
  const { api } = bridge();
  const mine = new ArrayBuffer(1000);
  const going = api.fill(mine, 7);
  expect(mine.byteLength, "it is on its way").toBe(0);
  const back = await going;
  expect(new Uint8Array(back)).toEqual(new Uint8Array(1000).fill(7));
});

test("calls a method on its object and answers many calls at once", async () => {
  const { api } = bridge();
  expect(await Promise.all([api.times(1), api.times(2), api.times(5)])).toEqual([3, 6, 15]);
});

test("callbacks come in order and before the result", async () => {
  const { api } = bridge();
  const seen: unknown[] = [];
  seen.push(await api.count(4, (i) => seen.push(i), (text) => seen.push(text)));
  expect(seen).toEqual([0, 1, 2, "half", 3, "done"]);
});

test("a StudioError crosses with code and details", async () => {
  const error: unknown = await bridge().api.fail("studio").catch((e: unknown) => e);
  expect(error).toBeInstanceOf(StudioError);
  expect(error).toMatchObject({ code: "bad-recipe", message: "Merging: no.", details: { title: "No", where: "here", n: 4 } });
});

test("other exceptions keep their message", async () => {
  await expect(bridge().api.fail("plain")).rejects.toMatchObject({ code: "internal", message: "out of range" });
  await expect(bridge().api.fail("word")).rejects.toMatchObject({ code: "internal", message: "a word" });
});

test("what cannot be cloned is an error, on either side", async () => {
  const { api } = bridge();
  await expect(api.unclonable()).rejects.toMatchObject({ code: "internal" });
  await expect(api.times({ f: () => 1 } as unknown as number)).rejects.toMatchObject({ code: "internal" });
  expect(await api.times(1)).toBe(3);
});

test("unknown methods and those of every object are refused", async () => {
  const { api } = bridge();
  const any = api as unknown as Record<string, () => Promise<unknown>>;
  await expect(any.nope!()).rejects.toThrow(/no method "nope"/);
  await expect((Reflect.get(api, "hasOwnProperty") as () => Promise<unknown>)()).rejects.toThrow(/no method/);
});

test("when the other side is gone, open and later calls reject", async () => {
  const { api, fail } = bridge();
  const call = api.never();
  fail(new StudioError("internal", "The engine stopped."));
  await expect(call).rejects.toThrow("The engine stopped.");
  await expect(api.times(1)).rejects.toThrow("The engine stopped.");
});

test("the api can be returned from an async function", async () => {
  const { api } = bridge();
  expect(await (async () => api)()).toBe(api);
});

const recipeOf = (...ids: string[]): Recipe => ({ base: { id: ids[0], name: `model ${ids[0]}` }, models: ids.slice(1).map((id) => ({ id, name: `model ${id}` })) }) as unknown as Recipe;

/** An engine whose passes wait for `go`, behind the locks of `locks`. */
function waiting(locks: ReturnType<typeof localLocks>): { measure(id: string, recipe: Recipe): Promise<unknown>; cancel(id: string): Promise<unknown>; go(): void } {
  let go = (): void => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  const engine = withJobLocks({ measure: async () => gate, cancel: async () => "ok" } as unknown as EngineApi, locks);
  return { measure: engine.measure as (id: string, recipe: Recipe) => Promise<unknown>, cancel: engine.cancel, go: () => go() };
}
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

test("a long call holds its job's lock, a second of the same id is busy", async () => {
  const locks = localLocks();
  const { measure, cancel, go } = waiting(locks);
  const first = measure("7", recipeOf("a", "b"));
  await turn();
  expect(await locks.acquire("job:7")).toBeUndefined();
  await expect(measure("7", recipeOf("a", "b"))).rejects.toMatchObject({ code: "busy" });
  expect(await cancel("7")).toBe("ok");
  go();
  await first;
  expect(await locks.acquire("job:7")).toBeDefined();
});

test("a pass shares the locks of its models: others may read them, none may delete them", async () => {
  const here = localLocks();
  const there = here.other();
  const { measure, go } = waiting(here);
  const first = measure("1", recipeOf("a", "b"));
  await turn();
  expect(await there.acquire("model:a")).toBeUndefined();
  const reading = await there.acquire("model:b", "shared");
  expect(reading).toBeDefined();
  reading!();
  go();
  await first;
  const deleting = await there.acquire("model:b");
  expect(deleting).toBeDefined();

  const refused = measure("2", recipeOf("a", "b"));
  await expect(refused).rejects.toMatchObject({ code: "busy", details: { title: "Busy in another tab", where: "model b" } });
  expect(await there.acquire("model:a"), "what was taken before is let go").toBeDefined();
  await here.acquire("model:c");
  await expect(measure("3", recipeOf("c"))).rejects.toMatchObject({ code: "busy", details: { title: "In use", where: "model c" } });
});

test("a linked model is asked for on the page before it is opened; a refusal, or no answer, is said", async () => {
  const log: string[] = [];
  let answer: () => Promise<string> = async () => "granted";
  const handle = { name: "my-model", requestPermission: async ({ mode }: { mode: string }) => { log.push(mode); return answer(); } };
  const api = pageSide({ linkedHandles: async () => [handle], reconnect: async (id: string) => { log.push(id); return "opened"; } } as unknown as EngineApi, undefined, 20);
  expect(await api.reconnect("m")).toBe("opened");
  expect(log).toEqual(["read", "m"]);
  for (const next of [async () => "denied", () => new Promise<string>(() => undefined)]) {
    answer = next;
    await expect(api.reconnect("m")).rejects.toMatchObject({ code: "permission", details: { where: "my-model" } });
  }
  expect(log).toEqual(["read", "m", "read", "read"]);
});

test("the page asks for persistence before a copy, not for the sample or for files in place", async () => {
  const log: string[] = [];
  const api = pageSide(
    { ingest: async (id: string) => { log.push(id); }, models: async () => ["m"] } as unknown as EngineApi,
    { persist: async () => { log.push("asked"); return true; } },
  );
  const folder = { name: "a", files: [] };
  await api.ingest("copy", folder, { backend: "copy" }, () => undefined);
  await api.ingest("sample", folder, { backend: "copy", sample: true }, () => undefined);
  await api.ingest("place", folder, { backend: "session" }, () => undefined);
  expect(log).toEqual(["asked", "copy", "sample", "place"]);
  expect(await api.persist()).toBe(true);
  expect(await api.models()).toEqual(["m"]);
});
