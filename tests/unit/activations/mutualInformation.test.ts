import { describe, expect, test } from "vitest";
import { mutualInformation } from "../../../src/activations/mutualInformation";
import { fromFloat32 } from "../../../src/formats/dtypes";
import { randomFloats } from "../../support/compare";
import * as reference from "../../reference/activations/mutualInformation";

const bf16 = (values: ArrayLike<number>): Uint16Array => new Uint16Array(fromFloat32(Float32Array.from(values), "BF16").buffer);
const mi = (x: number[], y: number[], bins?: number): number => mutualInformation(bf16(x), bf16(y), { bins });

/** Pairs with many ties: values on a grid of `steps`, y a noisy copy of x. */
function tied(seed: number, count: number, steps: number, noise: number): [Uint16Array, Uint16Array] {
  const x = randomFloats(seed, count).map((v) => Math.round(v * steps) / steps);
  const y = randomFloats(seed + 1, count, noise).map((v, i) => Math.round((x[i]! + v) * steps) / steps);
  return [bf16(x), bf16(y)];
}

test("the worked examples", () => {
  expect(mi([0, 0, 1, 1], [0, 0, 1, 2])).toBeCloseTo(Math.LN2, 14);
  expect(mi([0, 0, 1, 1], [0, 1, 0, 1])).toBeCloseTo(0, 14);
  expect(mi([1, 2, 3, 4], [5, -6, 7, 8])).toBeCloseTo(Math.log(4), 14);
});

test("a constant list tells nothing, an empty one neither, and no answer is below 0", () => {
  expect(mi([3, 3, 3], [1, 2, 3])).toBe(0);
  expect(mi([], [])).toBe(0);
  for (let seed = 0; seed < 20; seed++) expect(mutualInformation(...tied(seed, 9, 1, 3))).toBeGreaterThanOrEqual(0);
});

test("-0 and 0 are one value; infinities are values", () => {
  expect(mi([0, -0, 0, -0], [1, 2, 3, 4])).toBe(0);
  expect(mi([Infinity, -Infinity], [1, 2])).toBeCloseTo(Math.LN2, 14);
});

test("NaN and lists of different lengths are refused", () => {
  expect(() => mi([1, NaN], [1, 2])).toThrow(/value 2 of 2 is NaN/);
  expect(() => mutualInformation(Uint16Array.of(1, 2), Uint16Array.of(1, 0xff81))).toThrow(/value 2 of 2 is NaN/);
  expect(() => mi([1], [1, 2])).toThrow(/1 and 2 values/);
});

describe("against the float64 reference", () => {
  test.each([[1, 1, 2], [2, 50, 3], [3, 1000, 8], [4, 5000, 4], [5, 9000, 1000], [6, 20000, 1]])("seed %i: %i pairs on a grid of %i", (seed, count, steps) => {
    for (const noise of [0, 0.3, 3]) {
      const [x, y] = tied(seed, count, steps, noise);
      expect(mutualInformation(x, y)).toBeCloseTo(reference.mutualInformation(x, y), 12);
      if (count <= 1000) for (const bins of [1, 2, 7, 64]) expect(mutualInformation(x, y, { bins })).toBeCloseTo(reference.mutualInformation(x, y, bins), 12);
    }
  });
});

test("neither the order of the pairs nor that of the lists changes a bit", () => {
  const [x, y] = tied(9, 30000, 300, 0.2);
  const value = mutualInformation(x, y);
  expect(mutualInformation(x.slice().reverse(), y.slice().reverse())).toBe(value);
  expect(mutualInformation(y, x)).toBe(value);
});
