import { describe, expect, test } from "vitest";
import { StudioError } from "../../../src/core/errors";
import type { TensorSource } from "../../../src/core/tensors";
import { ReadAhead, type PlannedRead } from "../../../src/store/readAhead";

const BUFFER = 128 * 1024;
/** Longer than what has an array of its own. */
const LONG = 100 * 1024;

interface Call {
  name: string;
  offset: number;
  length: number;
  into: Uint8Array;
  finish(): void;
  fail(error: Error): void;
}

/** A source whose reads end when the test says so. `byteAt` is what it holds. */
function slowSource(auto = false): { source: TensorSource; calls: Call[]; open(): Call[] } {
  const calls: Call[] = [];
  const ended = new Set<Call>();
  const source: TensorSource = {
    tensors: new Map(),
    read: (name, offset, length, into) =>
      new Promise((resolve, reject) => {
        const target = into ?? new Uint8Array(length);
        const call: Call = {
          name, offset, length, into: target,
          finish: () => {
            ended.add(call);
            for (let i = 0; i < length; i++) target[i] = byteAt(name, offset + i);
            resolve(target.subarray(0, length));
          },
          fail: (error) => {
            ended.add(call);
            reject(error);
          },
        };
        calls.push(call);
        if (auto) setTimeout(call.finish, 0);
      }),
  };
  return { source, calls, open: () => calls.filter((c) => !ended.has(c)) };
}
const byteAt = (name: string, at: number): number => (name.charCodeAt(0) + 7 * at) & 0xff;
const planOf = (names: string, length = LONG): PlannedRead[] => [...names].map((name) => ({ source: 0, name, offset: 0, length }));
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

function ahead(buffers: number, auto = false, stop = new AbortController()) {
  const slow = slowSource(auto);
  const ring = new ReadAhead({ buffers, bufferBytes: BUFFER, signal: stop.signal });
  const source = ring.wrap(slow.source, 0);
  return { ...slow, ring, source, stop, take: (name: string, length = LONG) => source.lease!(name, 0, length) };
}

describe("reading ahead", () => {
  test("reads in the order of the plan, as far as there are buffers, and goes on when one comes back", async () => {
    const { ring, calls, take } = ahead(2);
    ring.follow(planOf("abcd"));
    expect(calls.map((c) => c.name)).toEqual(["a", "b"]);
    calls.forEach((c) => c.finish());
    const a = await take("a");
    expect(a.bytes[3]).toBe(byteAt("a", 3));
    await turn();
    expect(calls.map((c) => c.name)).toEqual(["a", "b"]); // a is still looked at
    a.done();
    a.done(); // once
    expect(calls.map((c) => c.name)).toEqual(["a", "b", "c"]);
    expect(calls[2]!.into.buffer).toBe(calls[0]!.into.buffer);
    expect(ring.counts).toMatchObject({ ahead: 1, late: 0, unplanned: 0, inUse: 2, mostInUse: 2, inFlight: 1 });
  });

  test("never has more reads on their way, nor more buffers, than it was given", async () => {
    const { ring, calls, open, take } = ahead(4);
    const names = "abcdefghijkl";
    ring.follow(planOf(names));
    for (const name of names) {
      expect(open().length).toBeLessThanOrEqual(3);
      open().forEach((c) => c.finish());
      const { bytes, done } = await take(name);
      expect(bytes[LONG - 1]).toBe(byteAt(name, LONG - 1));
      done();
      await turn();
    }
    expect(ring.counts).toMatchObject({ ahead: 12, late: 0, dropped: 0, inUse: 0 });
    expect(ring.counts.mostInUse).toBeLessThanOrEqual(4);
    expect(new Set(calls.map((c) => c.into.buffer)).size).toBeLessThanOrEqual(4);
    expect(calls.map((c) => c.name).join("")).toBe(names);
  });

  test("small reads take no buffer of the ring", async () => {
    const { ring, calls, take } = ahead(1, true);
    ring.follow([...planOf("ab", 16), ...planOf("c"), ...planOf("d", 16)]);
    for (const name of "ab") (await take(name, 16)).done();
    (await take("c")).done();
    expect((await take("d", 16)).bytes).toEqual(Uint8Array.from({ length: 16 }, (_, i) => byteAt("d", i)));
    expect(calls.map((c) => c.name).join("")).toBe("abcd");
    expect(ring.counts).toMatchObject({ ahead: 4, mostInUse: 1 });
  });

  test("a read that comes early skips those before it; one that is not planned is made directly", async () => {
    const { ring, calls, take } = ahead(2, true);
    ring.follow(planOf("abcd"));
    const stranger = await take("x");
    expect(stranger.bytes[1]).toBe(byteAt("x", 1));
    stranger.done();
    (await take("c")).done();
    (await take("d")).done();
    await turn();
    expect(ring.counts).toMatchObject({ unplanned: 1, late: 1, ahead: 1, dropped: 2, inUse: 0 });
    // What was skipped is still there for who asks for it, read again.
    expect((await take("a")).bytes[9]).toBe(byteAt("a", 9));
    expect(calls.map((c) => c.name).join("")).toBe("abxcda");
  });

  test("the plain read gives the same bytes, into the caller's array", async () => {
    const { ring, source } = ahead(2, true);
    ring.follow(planOf("ab"));
    for (const name of "abz") {
      const into = new Uint8Array(LONG + 5).fill(1);
      const got = await source.read(name, 0, LONG, into);
      expect(got.buffer).toBe(into.buffer);
      expect(got.byteLength).toBe(LONG);
      expect(got.every((v, i) => v === byteAt(name, i))).toBe(true);
      expect(into[LONG]).toBe(1);
    }
    expect(ring.counts).toMatchObject({ ahead: 2, unplanned: 1, inUse: 0 });
  });

  test.each([0, 1, 2, 4])("the same bytes with %i buffers, whatever the order", async (buffers) => {
    const { ring, take } = ahead(buffers, true);
    ring.follow(planOf("abcabcab"));
    for (const name of "abcacxbbc") {
      const { bytes, done } = await take(name);
      expect(bytes.every((v, i) => v === byteAt(name, i)), name).toBe(true);
      done();
    }
    expect(ring.counts.inUse).toBe(buffers > 0 ? ring.counts.inFlight : 0);
    await ring.end();
    await turn();
    expect(ring.counts).toMatchObject({ inUse: 0, inFlight: 0 });
  });

  test("an error reaches who asks for the bytes, and only them; its buffer is free again", async () => {
    const { ring, calls, take } = ahead(1);
    ring.follow(planOf("abc"));
    calls[0]!.fail(new StudioError("file-changed", "gone"));
    await expect(take("a")).rejects.toMatchObject({ code: "file-changed" });
    await turn();
    expect(calls.map((c) => c.name)).toEqual(["a", "b"]);
    calls[1]!.fail(new Error("nobody asks for b"));
    const c = take("c");
    await turn();
    calls[2]!.finish();
    (await c).done();
    expect(ring.counts.inUse).toBe(0);
  });

  test("a cancel ends a wait at once, begins nothing more, and leaves no buffer in use", async () => {
    const { ring, calls, take, stop } = ahead(2);
    ring.follow(planOf("abcd"));
    const waiting = take("a");
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ code: "cancelled" });
    await expect(take("b")).rejects.toMatchObject({ code: "cancelled" });
    expect(calls).toHaveLength(2);
    // The reads that were on their way end when they end; their buffers are nobody's until then.
    const ended = ring.end();
    calls.forEach((c) => c.finish());
    await ended;
    await turn();
    expect(ring.counts).toMatchObject({ inUse: 0, inFlight: 0 });
    expect(calls).toHaveLength(2);
  });

  test("a job that begins in the middle of the plan is followed from there", async () => {
    const { ring, take } = ahead(2, true);
    const names = Array.from({ length: 2000 }, (_, i) => String.fromCharCode(300 + i));
    ring.follow(names.map((name) => ({ source: 0, name, offset: 0, length: LONG })));
    for (const name of names.slice(1500, 1510)) (await take(name)).done();
    expect(ring.counts).toMatchObject({ late: 1, ahead: 9, unplanned: 0 });
    // Far jumps later on are taken for reads that the plan does not know, until there are many of them.
    for (const name of [...names.slice(0, 3), names[1510]!]) (await take(name)).done();
    expect(ring.counts).toMatchObject({ ahead: 10, unplanned: 3 });
  });

  test("reads are on their way while their reader computes", async () => {
    const stop = new AbortController();
    const ring = new ReadAhead({ buffers: 2, bufferBytes: BUFFER, signal: stop.signal });
    const slow: TensorSource = { tensors: new Map(), read: async (_, __, length, into) => (await new Promise((resolve) => setTimeout(resolve, 5)), into!.subarray(0, length)) };
    const source = ring.wrap(slow, 0);
    ring.follow(planOf("abcdef"));
    let overlapped = 0;
    for (const name of "abcdef") {
      const { done } = await source.lease!(name, 0, LONG);
      if (ring.counts.inFlight > 0) overlapped++;
      await new Promise((resolve) => setTimeout(resolve, 15)); // computes
      done();
    }
    expect(overlapped).toBeGreaterThanOrEqual(1);
    expect(ring.counts.ahead).toBe(6);
  });
});
