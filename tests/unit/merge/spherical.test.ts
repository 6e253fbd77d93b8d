import { describe, expect, it } from "vitest";
import { MT19937 } from "../../../src/core/random";
import { karcher, modelStockShare, multislerp, nuslerp, nuslerpShare, slerp } from "../../../src/merge/spherical";
import { combine, gramOf, karcherReference, modelStockReference, multislerpReference, nuslerpReference, slerpReference } from "../../reference/merge/spherical";

function vectors(count: number, length: number, seed: number): number[][] {
  const rng = new MT19937(seed);
  return Array.from({ length: count }, () => Array.from({ length }, () => rng.next() / 2 ** 31 - 1));
}
function expectClose(actual: readonly number[], wanted: readonly number[], tolerance = 1e-12): void {
  expect(actual).toHaveLength(wanted.length);
  actual.forEach((x, i) => expect(Math.abs(x - wanted[i]!), `entry ${i}: ${x} and ${wanted[i]}`).toBeLessThan(tolerance));
}
const opposite = [[1, 2, -1], [-2, -4, 2]];
const parallel = [[1, 2, -1], [3, 6, -3]];

describe("slerp", () => {
  it("gives the worked example of METHODS 9", () => expectClose(combine(slerp(gramOf([[1, 0], [0, 2]]), 0.5), [[1, 0], [0, 2]]), [Math.SQRT1_2, Math.SQRT2]));
  it.each([0, 0.2, 0.5, 1])("equals the formula on whole vectors, t = %s", (t) => {
    for (const pair of [vectors(2, 40, 1), vectors(2, 3, 2), opposite, parallel, [[0, 0], [1, 2]]]) expectClose(combine(slerp(gramOf(pair), t), pair), slerpReference(pair[0]!, pair[1]!, t));
  });
});

describe("nuslerp", () => {
  it.each([0, 0.3, 1])("equals the formula on whole vectors, t = %s", (t) => {
    for (const pair of [vectors(2, 40, 3), vectors(2, 3, 4), parallel]) expectClose(combine(nuslerp(gramOf(pair), t), pair), nuslerpReference(pair[0]!, pair[1]!, t), 1e-9);
  });
  it("goes straight between opposite vectors", () => expect(nuslerp([[4, -4], [-4, 4]], 0.25)).toEqual([0.75, 0.25]));
  it("takes a half where the weights cancel", () => {
    expect(nuslerpShare(1, -1)).toBe(0.5);
    expect(nuslerpShare(1, 3)).toBe(0.75);
  });
});

describe("multislerp", () => {
  it.each([2, 3, 5])("equals the formula on whole vectors, %s models", (count) => {
    const given = vectors(count, 30, 5 + count);
    const weights = given.map((_, i) => i + 1);
    expectClose(combine(multislerp(gramOf(given), weights, true), given), multislerpReference(given, weights), 1e-10);
  });
  it("returns one model as it is", () => expect(multislerp([[9]], [0.3], true)).toEqual([1]));
  it("takes the straight line where two directions cancel", () => expect(multislerp([[1, -1], [-1, 1]], [1, 1], true)).toEqual([0.5, 0.5]));
  it("refuses more directions that cancel, and weights that sum to 0", () => {
    expect(() => multislerp([[1, -1, 0], [-1, 1, 0], [0, 0, 0]], [1, 1, 1], true)).toThrow(/directions of 3 models cancel in a tensor/);
    expect(() => multislerp([[1, -1, 0], [-1, 1, 0], [0, 0, 0]], [1, 1, 1], true, 1e-8, '"model.norm.weight"')).toThrow(/cancel in "model.norm.weight"/);
    expect(() => multislerp([[1, 0], [0, 1]], [1, -1], true)).toThrow(/weights sum to 0/);
    // In binary these sum to 5.6e-17.
    expect(() => multislerp([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0.1, 0.2, -0.3], true)).toThrow(/weights sum to 0/);
  });
  it("leaves zeros where no model has a direction", () => {
    expect(multislerp([[0, 0, 0], [0, 0, 0], [0, 0, 0]], [1, 1, 2], true)).toEqual([0.25, 0.25, 0.5]);
  });
});

describe("karcher", () => {
  it.each([2, 3, 4])("is the point where the logarithms sum to zero, %s models", (count) => {
    const given = vectors(count, 24, 20 + count).map((v, i) => v.map((x, j) => (j === 0 ? 3 : x * (1 + i))));
    expectClose(combine(karcher(gramOf(given), 50, 1e-12), given), karcherReference(given), 1e-8);
  });
  it("halves the angle between two vectors and takes their mean norm", () => expectClose(combine(karcher([[1, 0], [0, 9]]), [[1, 0], [0, 3]]), [Math.SQRT2, Math.SQRT2], 1e-9));
  it("gives a zero tensor no direction, but a share of the norm", () => expectClose(karcher([[4, 0], [0, 0]]), [0.5, 0]));
  it("takes the first of two opposite directions, at the mean norm", () => {
    expectClose(combine(karcher(gramOf([[3], [-1]])), [[3], [-1]]), [2]);
    expectClose(combine(karcher(gramOf([[1, 2, -1], [-1, -2, 1]])), [[1, 2, -1], [-1, -2, 1]]), [1, 2, -1]);
  });
  it("leaves an opposite model out of the direction, three on a line", () => expectClose(combine(karcher(gramOf([[2], [1], [-3]])), [[2], [1], [-3]]), [2]));
  it("gives zeros for zeros", () => expect(karcher([[0, 0], [0, 0]])).toEqual([0, 0]));
  it("does not depend on the order of the models", () => {
    const given = vectors(3, 12, 77);
    const back = [...given].reverse();
    expectClose(combine(karcher(gramOf(given)), given), combine(karcher(gramOf(back)), back), 1e-12);
  });
});

describe("model stock", () => {
  it("gives the worked example of METHODS 9", () => expect(modelStockShare(gramOf([[1, 0], [1, 1]]))).toBeCloseTo(0.828427, 6));
  it.each([2, 3, 4])("equals the formula on whole vectors, %s models", (count) => {
    const base = vectors(1, 20, 90)[0]!;
    const models = vectors(count, 20, 91 + count).map((v) => v.map((x, i) => base[i]! + 0.5 + x));
    const offsets = models.map((m) => m.map((x, i) => x - base[i]!));
    const t = modelStockShare(gramOf(offsets));
    expectClose(combine([1 - t, ...models.map(() => t / count)], [base, ...models]), modelStockReference(base, models), 1e-12);
  });
});
