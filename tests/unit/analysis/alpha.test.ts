import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { alphaOfScore, layerAlphas, middle } from "../../../src/analysis/alpha";
import { expectClose } from "../../support/compare";

interface Golden { cases: { name: string; fisher: number[]; delta2: number[]; s: number[]; median: number; s_tilde: number[]; range: number; theta_adapt: number; alpha: number[] }[] }
const golden = JSON.parse(readFileSync("tests/fixtures/alpha-golden.json", "utf8")) as Golden;
const adaptive = { scoreMode: "product", theta: "adaptive" } as const;

describe("layerAlphas against the golden vectors", () => {
  test.each(golden.cases.map((c) => [c.name, c] as const))("%s", (_, c) => {
    const got = layerAlphas(c, adaptive);
    expectClose(got.s, c.s, { rtol: 1e-12 }, "s");
    expectClose(got.sTilde, c.s_tilde, { atol: 1e-11 }, "s~");
    expect(got.median).toBeCloseTo(c.median, 11);
    expect(got.range).toBeCloseTo(c.range, 11);
    expect(got.theta).toBeCloseTo(c.theta_adapt, 11);
    expectClose(got.alpha, c.alpha, { atol: 1e-12 }, "alpha");
    expect(got.dropped).toEqual([]);
  });
});

describe("worked examples", () => {
  const fisher = [4e-3, 1e-4, 2e-5, 1e-6, 4e-6];
  const delta2 = [1e-4, 2e-4, 1e-4, 1e-4, 5e-4];

  test("five layers, adaptive", () => {
    const got = layerAlphas({ fisher, delta2 }, adaptive);
    expectClose(got.s, [-14.731801, -17.727534, -20.030119, -23.025851, -20.030119], { atol: 1e-6 });
    expectClose(got.alpha, [0.5, 0.589329, 0.654484, 0.731059, 0.654484], { atol: 1e-6 });
    expect(got.theta).toBeCloseTo(0.120568, 6);
    expect(got.range).toBeCloseTo(8.29405, 6);
  });

  test("five layers, theta 0.2", () => {
    expectClose(layerAlphas({ fisher, delta2 }, { scoreMode: "product", theta: 0.2 }).alpha, [0.5, 0.645461, 0.742626, 0.840078, 0.742626], { atol: 1e-6 });
  });

  test("four layers share alpha with five; the median moves", () => {
    const got = layerAlphas({ fisher: fisher.slice(0, 4), delta2: delta2.slice(0, 4) }, adaptive);
    expect(got.median).toBeCloseTo(-18.878826, 6);
    expectClose(got.alpha, [0.5, 0.589329, 0.654484, 0.731059], { atol: 1e-6 });
  });

  test("two blocks of the end-to-end example", () => {
    const got = layerAlphas({ fisher: [2, 0.025], delta2: [6.25 / 4, 6.25 / 4] }, adaptive);
    expectClose(got.s, [1.139434, -3.242592], { atol: 1e-6 });
    expectClose(got.alpha, [0.5, 0.731059], { atol: 1e-6 });
  });

  test("all equal, and a single layer, give one half", () => {
    expect(layerAlphas({ fisher: [1, 1, 1], delta2: [2, 2, 2] }, adaptive).alpha).toEqual([0.5, 0.5, 0.5]);
    expect(layerAlphas({ fisher: [3], delta2: [2] }, { scoreMode: "product", theta: 0.3 }).alpha).toEqual([0.5]);
  });

  test("other signals", () => {
    expectClose(layerAlphas({ fisher: [1, Math.E], delta2: [9, 1] }, { scoreMode: "fimOnly", theta: 1 }).s, [0, 1], { atol: 1e-15 });
    expectClose(layerAlphas({ fisher: [1, 1], delta2: [1, Math.E] }, { scoreMode: "normOnly", theta: 1 }).s, [0, 1], { atol: 1e-15 });
    expectClose(layerAlphas({ fisher: [1, 1], delta2: [1, 1] }, { scoreMode: "joint", theta: 1, joint: [Math.E, 1] }).s, [1, 0], { atol: 1e-15 });
  });
});

describe("layers without a signal", () => {
  test("are left out of T and take its largest alpha", () => {
    const got = layerAlphas({ fisher: [4e-3, 0, 1e-4, 1e-6, 1], delta2: [1e-4, 1, 2e-4, 1e-4, 0] }, adaptive);
    const without = layerAlphas({ fisher: [4e-3, 1e-4, 1e-6], delta2: [1e-4, 2e-4, 1e-4] }, adaptive);
    expect(got.dropped).toEqual([1, 4]);
    expect([got.alpha[0], got.alpha[2], got.alpha[3]]).toEqual(without.alpha);
    expect(got.alpha[1]).toBe(Math.max(...without.alpha));
    expect(got.alpha[4]).toBe(Math.max(...without.alpha));
    expect(got.median).toBe(without.median);
  });

  test("none at all: one half everywhere", () => {
    const got = layerAlphas({ fisher: [0, 0], delta2: [1, 1] }, adaptive);
    expect(got.alpha).toEqual([0.5, 0.5]);
    expect(got.median).toBeNaN();
  });

  test("means whose product underflows still have a score", () => {
    expect(layerAlphas({ fisher: [1e-200, 1e-150], delta2: [1e-200, 1e-150] }, adaptive).dropped).toEqual([]);
  });
});

describe("invariances", () => {
  const positive = fc.double({ min: 1e-12, max: 1e6, noNaN: true });
  const members = fc.array(fc.tuple(positive, positive), { minLength: 2, maxLength: 40 });

  test("a constant factor in F or in delta^2 changes nothing", () => {
    fc.assert(
      fc.property(members, positive, positive, (m, a, b) => {
        const plain = layerAlphas({ fisher: m.map((x) => x[0]), delta2: m.map((x) => x[1]) }, adaptive);
        const scaled = layerAlphas({ fisher: m.map((x) => x[0] * a), delta2: m.map((x) => x[1] * b) }, adaptive);
        // With a range near zero the quotient is all rounding.
        if (plain.range > 1e-6) expectClose(scaled.alpha, plain.alpha, { atol: 1e-7 });
      }),
    );
  });

  test("adaptive theta reaches exactly from one half to 0.731059, and order follows the score", () => {
    fc.assert(
      fc.property(members, (m) => {
        const got = layerAlphas({ fisher: m.map((x) => x[0]), delta2: m.map((x) => x[1]) }, adaptive);
        expect(Math.min(...got.alpha)).toBe(0.5);
        if (got.range > 0) expect(Math.max(...got.alpha)).toBeCloseTo(0.7310585786300049, 12);
        for (let i = 1; i < m.length; i++) if (got.s[i]! < got.s[i - 1]!) expect(got.alpha[i]!).toBeGreaterThanOrEqual(got.alpha[i - 1]!);
      }),
    );
  });

  test("the median cancels", () => {
    const got = layerAlphas({ fisher: [1, 2, 3, 4], delta2: [4, 3, 1, 9] }, adaptive);
    const maxTilde = Math.max(...got.sTilde);
    expectClose(got.sTilde.map((t) => 1 - 1 / (1 + Math.exp(-got.theta * (t - maxTilde)))), got.alpha, { atol: 1e-15 });
  });
});

test("alphaOfScore goes below one half above the highest score of T", () => {
  expect(alphaOfScore(1, { theta: 1, maxS: 0 })).toBeCloseTo(0.268941, 6);
  expect(alphaOfScore(-1, { theta: 1, maxS: 0 })).toBeCloseTo(0.731059, 6);
});

test("middle of odd, even and empty lists", () => {
  expect(middle([3, 1, 2])).toBe(2);
  expect(middle([4, 1, 2, 3])).toBe(2.5);
  expect(middle([])).toBeNaN();
});
