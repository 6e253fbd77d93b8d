import { expect, test } from "vitest";
import { addClock, clockOf, staged, StageClock } from "../../../src/core/stages";

function clockAt(): { clock: StageClock; at(ms: number): void } {
  let now = 0;
  return { clock: new StageClock(() => now), at: (ms) => void (now = ms) };
}

test("pieces of a stage that overlap count once, stages count side by side", () => {
  const { clock, at } = clockAt();
  clock.phase("merge");
  const first = clock.begin("read");
  at(10);
  const second = clock.begin("read");
  const write = clock.begin("write");
  at(20);
  first(100);
  at(30);
  second(50);
  second(50); // ended once
  at(45);
  write(7);
  at(50);
  expect(clock.report()).toEqual([{ phase: "merge", wallMs: 50, stages: [{ stage: "read", busyMs: 30, bytes: 150 }, { stage: "write", busyMs: 35, bytes: 7 }] }]);
});

test("a piece that outlives its phase is shared between the two; a phase that comes again adds up", () => {
  const { clock, at } = clockAt();
  clock.phase("forward");
  const compute = clock.begin("compute");
  at(10);
  clock.phase("backward");
  at(14);
  compute();
  at(20);
  clock.phase("forward");
  at(21);
  clock.stop();
  clock.add("read", 5, 5); // between phases: nobody's
  expect(clock.report()).toEqual([
    { phase: "forward", wallMs: 11, stages: [{ stage: "compute", busyMs: 10, bytes: 0 }] },
    { phase: "backward", wallMs: 10, stages: [{ stage: "compute", busyMs: 4, bytes: 0 }] },
  ]);
});

test("a job's clock is found by its signal, and work without one is done all the same", () => {
  const { signal } = new AbortController();
  expect(staged(signal, "select", 4, () => 1)).toBe(1);
  expect(clockOf(signal)).toBeUndefined();
  const clock = addClock(signal);
  clock.phase("verify");
  expect(() => staged(signal, "select", 4, () => { throw new Error("stop"); })).toThrow("stop");
  expect(clock.report()[0]!.stages).toMatchObject([{ stage: "select", bytes: 4 }]);
});
