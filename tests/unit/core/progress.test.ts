import { describe, expect, test } from "vitest";
import { ProgressMeter, type Progress } from "../../../src/core/progress";

const PHASES = [{ id: "a", label: "First" }, { id: "b", label: "Second" }, { id: "c", label: "Third" }];

function meter(total = 100, intervalMs = 120) {
  let now = 1000;
  const sent: Progress[] = [];
  const made = new ProgressMeter("job", "measure", PHASES, total, (p) => sent.push(structuredClone(p)), intervalMs, () => now);
  return { meter: made, sent, wait: (ms: number) => (now += ms) };
}

describe("ProgressMeter", () => {
  test("sends at most every interval, but every phase", () => {
    const { meter: m, sent, wait } = meter();
    m.phase("a");
    for (let i = 0; i < 100; i++) {
      wait(10);
      m.emit(i / 2);
    }
    expect(sent.length).toBeGreaterThan(7);
    expect(sent.length).toBeLessThan(11);
    const before = sent.length;
    m.phase("b");
    expect(sent.length).toBe(before + 1);
    expect(sent.at(-1)!.phases.map((p) => p.state)).toEqual(["done", "now", "todo"]);
    expect(sent.at(-1)!.phases[0]!.elapsedMs).toBe(1000);
  });

  test("the fraction never goes back and never passes 1", () => {
    const { meter: m, sent, wait } = meter();
    for (const work of [10, 50, 30, 0, 60, 400, 90]) {
      wait(200);
      m.emit(work, true);
    }
    m.phase("c");
    expect(sent.map((p) => p.fraction)).toEqual([0.1, 0.5, 0.5, 0.5, 0.6, 1, 1, 1]);
  });

  test("no time left before 3 s, nor before 2 %", () => {
    const fast = meter();
    fast.wait(2900);
    fast.meter.emit(50, true);
    expect(fast.sent.at(-1)!.secondsLeft).toBeUndefined();
    fast.wait(200);
    fast.meter.emit(50, true);
    expect(fast.sent.at(-1)!.secondsLeft).toBeDefined();

    const slow = meter();
    slow.wait(60_000);
    slow.meter.emit(1.9, true);
    expect(slow.sent.at(-1)!.secondsLeft).toBeUndefined();
    slow.wait(1000);
    slow.meter.emit(2.5, true);
    expect(slow.sent.at(-1)!.secondsLeft).toBeDefined();
  });

  test("at a steady rate the range holds the true time left", () => {
    const { meter: m, sent, wait } = meter();
    for (let work = 1; work <= 60; work++) {
      wait(500);
      m.bytesDone = work * 1000;
      m.emit(work, true);
    }
    const [low, high] = sent.at(-1)!.secondsLeft!;
    expect(low).toBeCloseTo(0.8 * 20, 6);
    expect(high).toBeCloseTo(1.3 * 20, 6);
    expect(sent.at(-1)!.bytesPerSecond).toBeCloseTo(2000, 6);
  });

  test("the rate follows a change within some seconds", () => {
    const { meter: m, sent, wait } = meter(1000);
    let work = 0;
    for (let i = 0; i < 20; i++) {
      wait(500);
      m.emit((work += 1), true);
    }
    for (let i = 0; i < 40; i++) {
      wait(500);
      m.emit((work += 10), true);
    }
    const left = (1000 - work) / 20;
    expect(sent.at(-1)!.secondsLeft![0] / 0.8 / left).toBeGreaterThan(0.95);
    expect(sent.at(-1)!.secondsLeft![0] / 0.8 / left).toBeLessThan(1.1);
  });

  test("work of an earlier run counts in the bar, not in the rate", () => {
    const { meter: m, sent, wait } = meter();
    m.startAt(50, 5000);
    wait(4000);
    m.emit(54, true);
    expect(sent.at(-1)!.fraction).toBe(0.54);
    expect(sent.at(-1)!.secondsLeft![0]).toBeCloseTo(0.8 * 46, 6);
  });

  test("a phase that comes again puts those after it back", () => {
    const { meter: m, sent, wait } = meter();
    m.phase("a");
    wait(10);
    m.phase("b", "1 of 2");
    m.count("2 of 2");
    wait(10);
    m.phase("a");
    expect(sent.at(-1)!.phases.map((p) => p.state)).toEqual(["now", "todo", "todo"]);
    expect(sent.at(-1)!.phases[1]!.count).toBeUndefined();
  });

  test.each([[100], [0]])("finish says 1 and done, also for %i units of work", (total) => {
    const { meter: m, sent } = meter(total);
    m.phase("a");
    m.finish();
    expect(sent.at(-1)!.fraction).toBe(1);
    expect(sent.at(-1)!.secondsLeft).toBeUndefined();
    expect(sent.at(-1)!.phases.every((p) => p.state === "done")).toBe(true);
  });
});
