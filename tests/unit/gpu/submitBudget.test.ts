import { describe, expect, test } from "vitest";
import { foldWorkgroups } from "../../../src/gpu/kernel";
import { DISPATCH_MS, SUBMIT_MS, SubmitBudget } from "../../../src/gpu/submitBudget";

const SPEED = 1e6;
/** A budget that has seen one submit go as estimated. */
function known(speed = SPEED): SubmitBudget {
  const budget = new SubmitBudget(speed);
  budget.measured(80 * speed, 80);
  return budget;
}
const times = (n: number, act: () => void): void => void Array.from({ length: n }, act);

describe("cuts", () => {
  test("a dispatch takes at most 50 ms by estimate, a submit 100", () => {
    const budget = known();
    expect(budget.submitCost).toBe(SUBMIT_MS * SPEED);
    for (const ms of [0.1, 1, 49, 50, 51, 99, 100, 137, 1e4, 1e7]) {
      const parts = budget.parts(ms * SPEED, 2 ** 31);
      expect(ms / parts, `${ms} ms in ${parts}`).toBeLessThanOrEqual(DISPATCH_MS);
      expect(parts === 1 || ms / (parts - 1) > DISPATCH_MS, "no more cuts than needed").toBe(true);
    }
  });

  test("never zero, never more than workgroups, and every piece fits the grid", () => {
    const budget = known();
    expect(budget.parts(0, 1)).toBe(1);
    expect(budget.parts(1e18, 7)).toBe(7);
    times(200, () => budget.slower());
    expect(budget.submitCost).toBeGreaterThan(0);
    expect(budget.parts(1, 3)).toBeGreaterThanOrEqual(1);
    for (const workgroups of [1, 65_535, 65_536, 1e6, 3e8]) {
      const parts = known().parts(1e9, workgroups);
      const [x, y] = foldWorkgroups(Math.ceil(workgroups / parts));
      expect(Math.max(x, y)).toBeLessThanOrEqual(65_535);
    }
  });

  test("the first dispatch of an unknown device is a sixteenth of its call, unless it is tiny anyway", () => {
    const budget = new SubmitBudget(SPEED);
    expect(budget.parts(40 * SPEED, 1000)).toBe(16);
    expect(budget.parts(40 * SPEED, 5), "one per workgroup at most").toBe(5);
    expect(budget.parts(SPEED, 1000)).toBe(1);
    expect(budget.parts(3200 * SPEED, 1000), "more where the estimate asks for it").toBe(64);
    budget.measured(2.5 * SPEED, 3);
    expect(budget.parts(40 * SPEED, 1000)).toBe(1);
  });
});

describe("measurements", () => {
  test("a submit above 250 ms halves at once, each time", () => {
    const budget = known();
    for (const want of [0.5, 0.25, 0.125]) {
      budget.measured(budget.submitCost, 251);
      expect(budget.speed).toBe(want * SPEED);
    }
  });

  test("above 100 ms the estimate falls to what was measured, at most by half", () => {
    const budget = known();
    budget.measured(100 * SPEED, 125);
    expect(budget.speed).toBeCloseTo(0.8 * SPEED, 6);
    const other = known();
    other.measured(SPEED, 200);
    expect(other.speed).toBe(SPEED / 2);
  });

  test("fast submits double it, slowly: four in a row, and none of them slow", () => {
    const budget = known();
    const fast = (): void => budget.measured(80 * SPEED, 8);
    times(3, fast);
    budget.measured(80 * SPEED, 70); // as estimated: the row begins anew
    times(3, fast);
    expect(budget.speed).toBe(SPEED);
    fast();
    expect(budget.speed).toBe(2 * SPEED);
  });

  test("a device a hundred times faster is found within 30 submits, one a hundred times slower within 7", () => {
    const run = (actual: number): number => {
      const budget = new SubmitBudget(SPEED);
      for (let submits = 1; ; submits++) {
        budget.measured(budget.submitCost, budget.submitCost / actual);
        const off = budget.speed / actual;
        if (off >= 0.49 && off <= 1.01) return submits;
      }
    };
    expect(run(100 * SPEED)).toBeLessThanOrEqual(30);
    expect(run(SPEED / 100)).toBeLessThanOrEqual(7);
  });

  test("tiny submits, and clocks that say nothing, teach nothing", () => {
    const budget = known();
    times(50, () => budget.measured(SPEED, 0.01));
    times(50, () => budget.measured(80 * SPEED, NaN));
    times(50, () => budget.measured(0, 300));
    expect(budget.speed).toBe(SPEED);
  });

  test("it settles on a steady device and keeps submits below 250 ms after the first", () => {
    const actual = SPEED / 3;
    const budget = new SubmitBudget(SPEED);
    const took: number[] = [];
    times(100, () => {
      took.push(budget.submitCost / actual);
      budget.measured(budget.submitCost, took.at(-1)!);
    });
    expect(Math.max(...took.slice(1))).toBeLessThanOrEqual(250);
    expect(took.at(-1)).toBeLessThanOrEqual(SUBMIT_MS * 1.001);
    expect(took.at(-1)).toBeGreaterThan(SUBMIT_MS / 4);
  });
});

test("a fixed budget stays, but a lost device still halves it", () => {
  const budget = known();
  budget.fix(1000);
  budget.measured(1e9, 900);
  expect([budget.submitCost, budget.adapts, budget.parts(2000, 99)]).toEqual([1000, false, 4]);
  budget.slower();
  expect(budget.submitCost).toBe(500);
});
