import { describe, expect, test } from "vitest";
import { TimeLeft, type Stretch } from "../../../src/core/eta";
import { ProgressMeter, type Progress } from "../../../src/core/progress";
import { exportStretches, passStretches } from "../../../src/engine/estimate";
import type { PassStep } from "../../../src/engine/planPass";

/** What "left" may be off by, of the whole job, once a tenth of it is done. */
const MARGIN = 0.25;

/** Numbers in [-1, 1), the same every time. */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** Plays a job whose pieces take these seconds; returns the largest error after a tenth of the expected work, of the whole time. */
function worst(stretches: readonly Stretch[], pieces: readonly { work: number; seconds: number }[]): number {
  let time = 0;
  let work = 0;
  let largest = 0;
  const total = pieces.reduce((sum, p) => sum + p.seconds, 0);
  const seen: Progress[] = [];
  const meter = new ProgressMeter("job", "measure", [{ id: "a", label: "a" }], stretches.reduce((sum, s) => sum + s.work, 0), (p) => seen.push(p), { now: () => 1000 * time, intervalMs: 0 });
  meter.expect(stretches);
  meter.phase("a");
  for (const piece of pieces) {
    time += piece.seconds;
    meter.emit((work += piece.work));
    const { fraction, secondsLeft } = seen.at(-1)!;
    if (fraction < 0.1 || !secondsLeft) continue;
    largest = Math.max(largest, Math.abs(Math.sqrt(secondsLeft[0] * secondsLeft[1]) - (total - time)) / total);
  }
  expect(largest, "something was foretold").toBeGreaterThan(0);
  return largest;
}

/** Steps of a pass over the six blocks of the sample pair, 8 x 64 tokens, as planned. */
const SAMPLE: PassStep[] = [
  { kind: "forward", mixed: true, flops: 96e6, dispatches: 16, readBytes: 165e3, compiled: 7 },
  ...Array.from({ length: 5 }, (): PassStep => ({ kind: "forward", mixed: false, flops: 96e6, dispatches: 16, readBytes: 160e3, compiled: 0 })),
  { kind: "backward", mixed: true, flops: 284e6, dispatches: 72, readBytes: 166e3, compiled: 13 },
  ...Array.from({ length: 5 }, (): PassStep => ({ kind: "backward", mixed: false, flops: 276e6, dispatches: 62, readBytes: 161e3, compiled: 0 })),
  { kind: "end", mixed: true, flops: 5e6, dispatches: 4, readBytes: 5e3, compiled: 1 },
];
/** CPU seconds of these steps, four runs one after the other on the software adapter; the first compiles the kernels. */
const RECORDED = [
  [0.76, 0.36, 0.3, 0.33, 0.27, 0.48, 1.99, 0.85, 0.97, 0.94, 0.99, 0.8, 0.66],
  [0.47, 0.29, 0.31, 0.26, 0.29, 0.35, 1.05, 0.97, 0.91, 1.08, 0.94, 1.18, 0.01],
  [0.35, 0.29, 0.3, 0.28, 0.32, 0.41, 1.21, 1.09, 0.88, 1.04, 0.97, 1.07, 0.01],
  [0.35, 0.36, 0.32, 0.48, 0.34, 0.34, 1.16, 1.03, 1.04, 0.91, 1.23, 0.85, 0.01],
];
const WORK = [...Array<number>(6).fill(1), ...Array<number>(6).fill(3), 2];

describe("a Fisher pass", () => {
  test.each(RECORDED.map((seconds, run) => [run + 1, seconds] as const))("of the sample as recorded, run %i", (run, seconds) => {
    const stretches = passStretches(SAMPLE, 1, { software: true, rates: {}, compiled: run === 1 ? 0 : 21 });
    expect(stretches.reduce((sum, s) => sum + s.work, 0)).toBe(26);
    // Ten times as slow, so that it lasts longer than the three seconds in which nothing is foretold.
    expect(worst(stretches, WORK.map((work, i) => ({ work, seconds: 10 * seconds[i]! })))).toBeLessThan(MARGIN);
  });

  /** Blocks of a 1.5B model, 8 x 64 tokens: a large head before the first backward block and behind the last. */
  const large: PassStep[] = [
    ...Array.from({ length: 28 }, (_, i): PassStep => ({ kind: "forward", mixed: i === 0, flops: 48e9, dispatches: 40, readBytes: 94e6, compiled: i === 0 ? 7 : 0 })),
    ...Array.from({ length: 28 }, (_, i): PassStep => ({ kind: "backward", mixed: i === 0, flops: 150e9 + (i === 0 ? 960e9 : 0), dispatches: 160, readBytes: 188e6, compiled: i === 0 ? 13 : 0 })),
    { kind: "end", mixed: true, flops: 720e9, dispatches: 60, readBytes: 930e6, compiled: 1 },
  ];
  const largeWork = [...Array<number>(28).fill(1), ...Array<number>(28).fill(3), 2];

  test.each([
    ["as planned", 0, 1, 1],
    ["every step up to a quarter off", 0.25, 1, 1],
    ["backward a fifth slower than planned", 0.1, 1.2, 1],
    ["backward a fifth faster, head a third slower", 0.1, 0.8, 1.33],
  ])("of a large model, %s", (_, spread, backward, head) => {
    const random = noise(5);
    const stretches = passStretches(large, 1, { software: true, rates: {}, compiled: 0 });
    const pieces = stretches.map(({ work, seconds, kind }) => ({ work, seconds: seconds * 7 * (1 + spread * random()) * (kind === "backward" ? backward : kind === "forward" ? 1 : head) }));
    expect(pieces.map((p) => p.work)).toEqual(largeWork);
    expect(worst(stretches, pieces)).toBeLessThan(MARGIN);
  });

  test("in three rounds: the end of a round comes before the next one's first block", () => {
    const rounds = [...SAMPLE, ...SAMPLE.map((s) => ({ ...s, compiled: 0 })), ...SAMPLE.map((s) => ({ ...s, compiled: 0 }))];
    const stretches = passStretches(rounds, 3, { software: true, rates: {}, compiled: 0 });
    expect(stretches.reduce((sum, s) => sum + s.work, 0)).toBe(3 * 26);
    expect(stretches.map((s) => s.work)).toEqual([...WORK.slice(0, 12), ...WORK.slice(0, 12), ...WORK.slice(0, 12), 6]);
    const random = noise(11);
    expect(worst(stretches, stretches.map(({ work, seconds }) => ({ work, seconds: 200 * seconds * (1 + 0.2 * random()) })))).toBeLessThan(MARGIN);
  });

  test("counting blocks alone, 1 forward and 3 backward, would miss the head of a large model", () => {
    const planned = passStretches(large, 1, { software: true, rates: {}, compiled: 0 });
    const counted = planned.map(({ work }) => ({ work, seconds: work, kind: "block" }));
    expect(worst(counted, planned.map(({ work, seconds }) => ({ work, seconds: 7 * seconds })))).toBeGreaterThan(MARGIN / 2);
  });
});

describe("an export", () => {
  /** Slices of 4 MB, written at one speed and read back at another. */
  const play = (verifyShare: number, spread: number): number => {
    const random = noise(3);
    const bytes = 3e9;
    const slices = Array.from({ length: 750 }, () => bytes / 750);
    const write = slices.map((work) => ({ work, seconds: (work / 120e6) * (1 + spread * random()) }));
    const verify = slices.map((work) => ({ work, seconds: (verifyShare * work * (1 + spread * random())) / 120e6 }));
    return worst(exportStretches(bytes), [...write, ...verify]);
  };
  test.each([[0.5, 0.5], [0.3, 0.5], [0.8, 0.5], [0.5, 0.9]])("read back in %f of the time of writing, slices off by %f", (share, spread) => expect(play(share, spread)).toBeLessThan(MARGIN));
});

describe("TimeLeft", () => {
  const kinds: Stretch[] = [{ work: 10, seconds: 10, kind: "slow" }, { work: 10, seconds: 10, kind: "fast" }, { work: 10, seconds: 10, kind: "slow" }];

  test("a kind that was measured keeps its speed when it comes again; one that was not takes the speed of the job", () => {
    const time = new TimeLeft(kinds, 0);
    expect(time.left()).toBeUndefined();
    time.done(10, 20_000);
    // 2 s per second expected: 10 of "fast" unmeasured, 10 of "slow".
    expect(time.left()!.seconds).toBeCloseTo(40, 9);
    expect(time.left()!.unmeasured).toBeCloseTo(0.5, 9);
    time.done(20, 25_000);
    expect(time.left()!.seconds).toBeCloseTo(20, 0);
    expect(time.left()!.unmeasured).toBe(0);
  });

  test("work that an earlier run did counts in the share and not in the speed", () => {
    const time = new TimeLeft(kinds, 0);
    time.startAt(15, 1000);
    expect(time.fractionAt(15)).toBe(0.5);
    time.done(20, 2000);
    expect(time.left()!.seconds).toBeCloseTo(2, 9);
  });

  test("time without work is charged to the next piece; a job of no expected time has no share", () => {
    const time = new TimeLeft(kinds, 0);
    time.done(0, 5000);
    time.done(5, 10_000);
    expect(time.left()!.seconds).toBeCloseTo(50, 9);
    expect(new TimeLeft([{ work: 0, seconds: 0, kind: "a" }], 0).fractionAt(0)).toBe(0);
  });
});
