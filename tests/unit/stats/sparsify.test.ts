import { describe, expect, it } from "vitest";
import { MT19937 } from "../../../src/core/random";
import { bandMask, bernoulliMask, breadcrumbsCounts, checkDella, dellaMask, drawKey, fusionKeys, fusionRanks, fusionThreshold, varianceKeys } from "../../../src/kernels/stats/sparsify";
import { findCut, maskBit, popcount, type Cut } from "../../../src/kernels/stats/trim";

const bits = (mask: Uint32Array, n: number): number[] => Array.from({ length: n }, (_, i) => (maskBit(mask, i) ? 1 : 0));
function randomKeys(n: number, seed: number): Float32Array {
  const rng = new MT19937(seed);
  return Float32Array.from({ length: n }, () => rng.next() / 2 ** 32);
}
const top = (keys: Float32Array, count: number): Cut => findCut(keys, { kind: "exact", count });

describe("bernoulliMask", () => {
  it("keeps the given share, within five standard deviations", () => {
    for (const keep of [0.1, 0.5, 0.7]) expect(Math.abs(popcount(bernoulliMask(drawKey(42, 0, "w"), keep, 0, 100_000)) / 100_000 - keep)).toBeLessThan(5 * Math.sqrt((keep * (1 - keep)) / 100_000));
  });
  it("does not depend on slicing", () => {
    const key = drawKey(1, 2, "model.layers.0.mlp.up_proj.weight");
    const whole = bits(bernoulliMask(key, 0.3, 0, 1000), 1000);
    expect([...bits(bernoulliMask(key, 0.3, 0, 320), 320), ...bits(bernoulliMask(key, 0.3, 320, 680), 680)]).toEqual(whole);
  });
  it("differs by seed, model and tensor", () => {
    const masks = [drawKey(1, 0, "a"), drawKey(2, 0, "a"), drawKey(1, 1, "a"), drawKey(1, 0, "b")].map((key) => bits(bernoulliMask(key, 0.5, 0, 200), 200).join(""));
    expect(new Set(masks).size).toBe(4);
  });
  it("keeps all at 1 and none at 0", () => {
    expect(popcount(bernoulliMask(7, 1, 0, 70))).toBe(70);
    expect(popcount(bernoulliMask(7, 0, 0, 70))).toBe(0);
  });
});

describe("dellaMask", () => {
  it("keeps by rank: density - epsilon for the smallest, density + epsilon for the largest", () => {
    const cols = 5;
    const rows = 20_000;
    const keys = Float32Array.from({ length: rows * cols }, (_, i) => [3, 1, 5, 2, 4][i % cols]!);
    const mask = dellaMask(keys, cols, 0.5, 0.2, drawKey(3, 0, "w"), 0);
    const kept = [0, 0, 0, 0, 0];
    for (let i = 0; i < keys.length; i++) if (maskBit(mask, i)) kept[i % cols]! += 1 / rows;
    [0.5, 0.3, 0.7, 0.4, 0.6].forEach((p, i) => expect(Math.abs(kept[i]! - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / rows)));
  });
  it("does not depend on slicing at rows", () => {
    const keys = randomKeys(64 * 7, 5);
    const whole = bits(dellaMask(keys, 7, 0.6, 0.1, 9, 0), keys.length);
    const cut = 32 * 7;
    expect([...bits(dellaMask(keys.subarray(0, cut), 7, 0.6, 0.1, 9, 0), cut), ...bits(dellaMask(keys.subarray(cut), 7, 0.6, 0.1, 9, cut), keys.length - cut)]).toEqual(whole);
  });
  it("keeps a row of one entry with probability density, everything at 1", () => {
    const keys = randomKeys(50_000, 6);
    expect(Math.abs(popcount(dellaMask(keys, 1, 0.4, 0.1, 11, 0)) / keys.length - 0.4)).toBeLessThan(0.012);
    expect(popcount(dellaMask(keys.subarray(0, 100), 10, 1, 0.15, 11, 0))).toBe(100);
  });
  it("refuses probabilities outside 0 to 1", () => {
    expect(() => checkDella(0.9, 0.15)).toThrow(/from 0.75 to 1.05/);
    expect(() => checkDella(0.5, 0.15)).not.toThrow();
    expect(() => checkDella(1, 0.15)).not.toThrow();
  });
});

describe("breadcrumbs", () => {
  it.each([
    [100, 0.5, 0.1, 10, 60],
    [100, 0.95, 0.1, 5, 100], // the top cut shrinks so that 95 remain
    [100, 1, 0.1, 0, 100],
    [100, 0.5, 0, 0, 50], // a top cut of 0 drops nothing from the top
    [10, 0.5, 0.01, 0, 5],
  ])("of %i entries at density %d and gamma %d drops %i and goes down to %i", (n, density, gamma, dropped, upTo) => expect(breadcrumbsCounts(n, density, gamma)).toEqual({ top: dropped, upTo }));
  it("keeps the entries between the two ranks, equal keys by lowest index, in any slicing", () => {
    const keys = Float32Array.from([5, 1, 4, 4, 2, 4, 3, 9]);
    const { top: drop, upTo } = { top: 3, upTo: 6 }; // 9 5 4 | 4 4 3 | 2 1
    const whole = bandMask(keys, top(keys, upTo), top(keys, drop), { outer: 0, inner: 0 });
    expect(bits(whole, 8)).toEqual([0, 0, 0, 1, 0, 1, 1, 0]);
    const taken = { outer: 0, inner: 0 };
    const parts = [keys.subarray(0, 3), keys.subarray(3)].flatMap((part) => bits(bandMask(part, top(keys, upTo), top(keys, drop), taken), part.length));
    expect(parts).toEqual(bits(whole, 8));
  });
});

describe("varianceKeys", () => {
  it("is the population variance over the models", () => expect([...varianceKeys([Float32Array.of(1, 2, 0), Float32Array.of(3, 2, 0)])]).toEqual([1, 0, 0]));
});

describe("fusion", () => {
  it("weighs |change| by the divergence of its row", () => {
    const base = Float32Array.of(0, 0, 1, 1);
    const tuned = Float32Array.of(1, 0, 1, 1.5);
    const p = [Math.E / (1 + Math.E), 1 / (1 + Math.E)];
    const wanted = p.reduce((sum, x) => sum + (x + 1e-8) * Math.log((x + 1e-8) / (0.5 + 1e-8)), 0);
    const keys = fusionKeys(base, tuned, 2);
    expect(keys[0]).toBeCloseTo(wanted, 6);
    expect(keys[1]).toBe(0);
    expect(keys[2]).toBe(0);
    expect(keys[3]).toBeGreaterThan(0);
  });
  it("is zero where nothing changed", () => expect([...fusionKeys(Float32Array.of(1, 2, 3), Float32Array.of(1, 2, 3), 3)]).toEqual([0, 0, 0]));
  it("takes the lower order statistic", () => {
    expect(fusionRanks(10)).toEqual({ median: 4, q1: 2, q3: 6 });
    expect(fusionThreshold({ median: 4, q1: 2, q3: 6 })).toBe(10);
  });
});
