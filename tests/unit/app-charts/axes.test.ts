import { describe, expect, test } from "vitest";
import { alphaAxis, crossings, decadeAxis, keptTicks, layerTicks, linearAxis, meanOf, minorDecades, niceStep, pendingRanges, rampStep } from "../../../src/app/charts/axes";

const PAPER: [number, number] = [0.5, 1 / (1 + Math.exp(-1))];

describe("alphaAxis", () => {
  test("is zoomed to the reachable range while every value stays in it", () => {
    const axis = alphaAxis([0.5, 0.61, 0.731], PAPER);
    expect(axis.domain).toEqual([0.48, 0.75]);
    expect(axis.ticks).toEqual([0.5, 0.55, 0.6, 0.65, 0.7]);
  });
  test("stands before any value is known", () => {
    expect(alphaAxis([undefined, undefined], PAPER).domain).toEqual([0.48, 0.75]);
  });
  test("grows to the next 0.05 on the side that is left", () => {
    expect(alphaAxis([0.5, 0.823], PAPER).domain).toEqual([0.48, 0.85]);
    expect(alphaAxis([0.412, 0.7], PAPER).domain).toEqual([0.4, 0.75]);
    // A value on a multiple of 0.05 still gets room: its dot would be cut by the edge.
    expect(alphaAxis([0.5, 0.85], PAPER).domain).toEqual([0.48, 0.9]);
    expect(alphaAxis([0.1, 1], PAPER).domain).toEqual([0.05, 1.05]);
  });
  test("follows the values alone without a reachable range", () => {
    expect(alphaAxis([0.5, 0.5, 0.5]).domain).toEqual([0.45, 0.55]);
    expect(alphaAxis([0.3, undefined, 1]).domain).toEqual([0.25, 1.05]);
    expect(alphaAxis([]).domain).toEqual([0, 1]);
  });
  test("ignores numbers that are none", () => {
    expect(alphaAxis([NaN, Infinity, 0.6], PAPER).domain).toEqual([0.48, 0.75]);
  });
  test("widens its steps with its range, and never labels the upper end", () => {
    for (const values of [[0, 1], [-0.5, 1.5], [-2, 2], [0.55, 0.56]]) {
      const { domain, ticks } = alphaAxis(values);
      expect(ticks.length).toBeLessThanOrEqual(9);
      expect(ticks.length).toBeGreaterThan(0);
      expect(Math.max(...ticks)).toBeLessThan(domain[1]);
      expect(Math.min(...ticks)).toBeGreaterThanOrEqual(domain[0]);
    }
  });
});

describe("decadeAxis", () => {
  test("takes whole decades around the values", () => {
    const axis = decadeAxis([4.07e-3, 3.09e-6])!;
    expect(axis.domain[0]).toBeCloseTo(1e-6, 12);
    expect(axis.domain[1]).toBeCloseTo(1e-2, 8);
    expect(axis.ticks.map((t) => Math.round(Math.log10(t)))).toEqual([-6, -5, -4, -3, -2]);
  });
  test("leaves a decade for a value that is a power of ten", () => {
    expect(decadeAxis([1e-3])!.domain.map(Math.log10).map(Math.round)).toEqual([-4, -3]);
    expect(decadeAxis([1e-4, 1e-3])!.domain.map(Math.log10).map(Math.round)).toEqual([-4, -3]);
  });
  test("skips labels over many decades, never the upper end", () => {
    const { ticks, domain } = decadeAxis([1e-20, 1])!;
    expect(ticks.length).toBeLessThanOrEqual(6);
    expect(ticks.at(-1)).toBe(domain[1]);
  });
  test("has no place for zero, negative and unknown values", () => {
    expect(decadeAxis([0, -1, undefined, NaN])).toBeUndefined();
    expect(decadeAxis([0, 5])!.domain.map(Math.log10).map(Math.round)).toEqual([0, 1]);
  });
  test("minor lines are 2 to 9 times each decade", () => {
    const lines = minorDecades([1e-2, 1]);
    expect(lines).toHaveLength(16);
    expect(lines[0]).toBeCloseTo(0.02, 10);
    expect(lines.at(-1)).toBeCloseTo(0.9, 10);
  });
});

describe("linearAxis", () => {
  test("ends on nice steps around the values", () => {
    expect(linearAxis([-13.75, -20.7])).toEqual({ domain: [-22, -12], ticks: [-22, -20, -18, -16, -14, -12] });
  });
  test("starts bars at 0", () => {
    const axis = linearAxis([1.93e-4, 3.38e-4], { fromZero: true })!;
    expect(axis.domain).toEqual([0, 4e-4]);
    expect(axis.ticks).toEqual([0, 1e-4, 2e-4, 3e-4, 4e-4]);
  });
  test("gives equal values room", () => {
    const { domain } = linearAxis([3, 3])!;
    expect(domain[0]).toBeLessThan(3);
    expect(domain[1]).toBeGreaterThan(3);
    expect(linearAxis([0, 0], { fromZero: true })!.domain[1]).toBeGreaterThan(0);
  });
  test("is undefined when nothing is known", () => {
    expect(linearAxis([undefined, NaN])).toBeUndefined();
  });
  test("niceStep is 1, 2 or 5 times a power of ten, not below the raw step", () => {
    for (const raw of [0.00013, 0.9, 1, 1.39, 2, 3.3, 5, 7, 99]) {
      const step = niceStep(raw);
      expect(step).toBeGreaterThanOrEqual(raw * 0.999999);
      expect([1, 2, 5]).toContain(Math.round(step / 10 ** Math.floor(Math.log10(step) + 1e-9)));
    }
  });
});

describe("layerTicks", () => {
  test("labels 0, 4, 8 ... and the last", () => {
    expect(layerTicks(28, 690)).toEqual([0, 4, 8, 12, 16, 20, 24, 27]);
  });
  test("labels every layer of a small model", () => {
    expect(layerTicks(1, 300)).toEqual([0]);
    expect(layerTicks(2, 300)).toEqual([0, 1]);
    expect(layerTicks(6, 300)).toEqual([0, 1, 2, 3, 4, 5]);
  });
  test("drops the tick that the last one would touch", () => {
    // 24 and 25 are 11 pixels apart.
    expect(layerTicks(26, 286)).toEqual([0, 4, 8, 12, 16, 20, 25]);
  });
  test.each([1, 2, 3, 6, 28, 32, 80, 100])("never crowds labels: %i layers", (layers) => {
    for (const width of [240, 330, 686]) {
      const ticks = layerTicks(layers, width);
      const band = width / layers;
      expect(ticks[0]).toBe(0);
      expect(ticks.at(-1)).toBe(layers - 1);
      expect(new Set(ticks).size).toBe(ticks.length);
      for (let i = 1; i < ticks.length; i++) expect((ticks[i]! - ticks[i - 1]!) * band).toBeGreaterThanOrEqual(Math.min(20, band));
    }
  });
  test("no layers, no ticks", () => expect(layerTicks(0, 300)).toEqual([]));
});

describe("keptTicks", () => {
  test("marks r and half of the trimmed part", () => {
    expect(keptTicks([0.2001, 0.2003, 0.2])).toEqual([0, 0.2, 0.6, 1]);
  });
  test("takes quarters when r would touch an end", () => {
    expect(keptTicks([0.05])).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(keptTicks([0.9])).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(keptTicks([undefined])).toEqual([0, 0.25, 0.5, 0.75, 1]);
  });
});

describe("pendingRanges", () => {
  test("finds the runs that are not known", () => {
    const filled = Array.from({ length: 28 }, (_, l) => (l > 10 ? 1 : undefined));
    expect(pendingRanges(filled)).toEqual([[0, 10]]);
    expect(pendingRanges([1, undefined, 1, undefined, undefined])).toEqual([[1, 1], [3, 4]]);
    expect(pendingRanges([undefined])).toEqual([[0, 0]]);
    expect(pendingRanges([1, 0])).toEqual([]);
    expect(pendingRanges([])).toEqual([]);
  });
});

test("meanOf takes what is known", () => {
  expect(meanOf([1, undefined, 3])).toBe(2);
  expect(meanOf([undefined, NaN])).toBeUndefined();
});

describe("rampStep", () => {
  test("cuts a log scale into seven equal parts", () => {
    expect(rampStep(1e-7, [1e-7, 1], true)).toBe(0);
    expect(rampStep(2e-4, [1e-7, 1], true)).toBe(3);
    expect(rampStep(1, [1e-7, 1], true)).toBe(6);
  });
  test("holds values outside the scale at its ends and leaves unknown ones out", () => {
    expect(rampStep(-5, [0, 1], false)).toBe(0);
    expect(rampStep(5, [0, 1], false)).toBe(6);
    expect(rampStep(undefined, [0, 1], false)).toBeUndefined();
    expect(rampStep(0, [1e-6, 1], true)).toBeUndefined();
  });
});

describe("crossings", () => {
  const line = [{ x: 0, y: 0 }, { x: 40, y: 40 }];
  test("counts where a line runs through a box", () => {
    expect(crossings(line, 0, 40, 100, 120)).toBe(0);
    expect(crossings(line, 10, 30, 10, 30)).toBeGreaterThan(crossings(line, 10, 30, 10, 14));
    expect(crossings([{ x: 5, y: 5 }], 0, 10, 0, 10)).toBe(1);
    expect(crossings([], 0, 10, 0, 10)).toBe(0);
  });
});
