import { expect, test } from "vitest";
import { cancelled } from "../../../src/core/errors";
import { memoryFile, type OutputFolder } from "../../../src/core/files";
import { addGate, gateOf, pausableOutput, whileRunning } from "../../../src/core/pause";
import { ProgressMeter, type Progress } from "../../../src/core/progress";

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
/** What became of a promise so far. */
const watch = (promise: Promise<unknown>): { state: string } => {
  const seen = { state: "waiting" };
  promise.then(() => (seen.state = "passed"), (error: { code?: string }) => (seen.state = error.code ?? "failed"));
  return seen;
};

test("work passes an open gate, waits at a shut one, goes on when it opens, and a cancel ends the wait", async () => {
  const controller = new AbortController();
  const gate = addGate(controller.signal);
  await whileRunning(controller.signal);
  gate.pause();
  const first = watch(whileRunning(controller.signal));
  const second = watch(whileRunning(controller.signal));
  await turn();
  expect([first.state, second.state]).toEqual(["waiting", "waiting"]);
  gate.resume();
  await turn();
  expect([first.state, second.state]).toEqual(["passed", "passed"]);
  gate.pause();
  const third = watch(whileRunning(controller.signal));
  await turn();
  controller.abort(cancelled());
  await turn();
  expect(third.state).toBe("cancelled");
  gate.pause();
  expect(gate.paused, "a cancelled job cannot be paused").toBe(false);
});

test("a gate shut again before the wait was told keeps the work waiting", async () => {
  const { signal } = new AbortController();
  const gate = addGate(signal);
  gate.pause();
  const wait = watch(whileRunning(signal));
  gate.resume();
  gate.pause();
  await turn();
  expect(wait.state).toBe("waiting");
  gate.resume();
  await turn();
  expect(wait.state).toBe("passed");
});

test("without a gate only a cancel is heeded", async () => {
  const controller = new AbortController();
  await whileRunning(undefined);
  await whileRunning(controller.signal);
  expect(gateOf(controller.signal)).toBeUndefined();
  controller.abort(cancelled());
  await expect(whileRunning(controller.signal)).rejects.toMatchObject({ code: "cancelled" });
});

test("its clock stands while it is shut", () => {
  let time = 100;
  const { signal } = new AbortController();
  const gate = addGate(signal, () => time);
  expect(gate.now()).toBe(100);
  time = 150;
  gate.pause();
  time = 1000;
  expect(gate.now()).toBe(150);
  gate.resume();
  time = 1010;
  expect(gate.now()).toBe(160);
});

test("reads and writes of an output wait, closing and discarding do not", async () => {
  const calls: string[] = [];
  const folder: OutputFolder = {
    create: async () => ({ write: async () => void calls.push("write"), flush: async () => undefined, close: async () => (calls.push("close"), "") }),
    open: async (path) => memoryFile(path, new Uint8Array(4)),
    finish: async () => undefined,
    discard: async () => void calls.push("discard"),
  };
  const controller = new AbortController();
  const gate = addGate(controller.signal);
  const output = pausableOutput(folder, controller.signal);
  const file = await output.create("a", 4);
  const source = await output.open("a");
  gate.pause();
  const write = watch(file.write(new Uint8Array(1)));
  const read = watch(source.read(0, 4));
  await file.close();
  await output.discard();
  await turn();
  expect(calls).toEqual(["close", "discard"]);
  expect([write.state, read.state]).toEqual(["waiting", "waiting"]);
  controller.abort(cancelled());
  await turn();
  expect([write.state, read.state]).toEqual(["cancelled", "cancelled"]);
  expect(calls).toEqual(["close", "discard"]);
});

test("the meter tells a pause at once, and counts neither elapsed time nor speed while it lasts", () => {
  let time = 0;
  const { signal } = new AbortController();
  const gate = addGate(signal, () => time);
  const seen: Progress[] = [];
  const meter = new ProgressMeter("job", "measure", [{ id: "a", label: "a" }], 100, (p) => seen.push(p), { signal });
  meter.phase("a");
  for (let i = 1; i <= 20; i++) {
    time += 1000;
    meter.emit(i);
  }
  expect(seen.at(-1)).toMatchObject({ elapsedMs: 20_000, fraction: 0.2 });
  const before = seen.at(-1)!.secondsLeft!;
  expect(Math.sqrt(before[0] * before[1])).toBeCloseTo(80, 5);
  gate.pause();
  expect(seen.at(-1)).toMatchObject({ paused: true, elapsedMs: 20_000, secondsLeft: before });
  time += 3_600_000;
  gate.resume();
  expect(seen.at(-1)!.paused).toBeUndefined();
  expect(seen.at(-1)).toMatchObject({ elapsedMs: 20_000, secondsLeft: before });
  time += 1000;
  meter.emit(21);
  expect(seen.at(-1)).toMatchObject({ elapsedMs: 21_000 });
  const after = seen.at(-1)!.secondsLeft!;
  expect(Math.sqrt(after[0] * after[1])).toBeCloseTo(79, 5);
});
