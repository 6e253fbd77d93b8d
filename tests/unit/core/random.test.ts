import { describe, expect, test } from "vitest";
import { drawTokens, hashName, MT19937, randomBits, randomNormal, randomUniform } from "../../../src/core/random";

describe("MT19937", () => {
  test("seed 5489: the first outputs and the 10000th, as the authors and the C++ standard print them", () => {
    const rng = new MT19937(5489);
    expect([rng.next(), rng.next(), rng.next(), rng.next(), rng.next()]).toEqual([3499211612, 581869302, 3890346734, 3586334585, 545404204]);
    for (let i = 5; i < 9999; i++) rng.next();
    expect(rng.next()).toBe(4123659995);
  });

  test("a seed above 31 bits is the same number unsigned", () => {
    expect(new MT19937(4294967295).next()).toBe(new MT19937(-1).next());
  });
});

describe("drawTokens, the listed draws of seed 42", () => {
  test.each([
    [151936, [91110, 135091, 6876, 58254, 30314, 77895]],
    [152064, [104550, 142259, 64348, 2830, 118890, 145991]],
    [151643, [8598, 59987, 147458, 61029, 27350, 14966]],
  ])("a vocabulary of %i", (vocab, first) => {
    expect(drawTokens(42, vocab, 8, 64)[0]!.slice(0, 6)).toEqual(first);
    // Row-major: eight rows of 64 are one stream.
    expect(drawTokens(42, vocab, 8, 64).flat()).toEqual(drawTokens(42, vocab, 1, 512)[0]);
  });
});

describe("counter-based numbers", () => {
  test("uniform: inside (0, 1), mean 1/2, variance 1/12, and no two keys alike", () => {
    const n = 20_000;
    const values = Array.from({ length: n }, (_, i) => randomUniform(7, i));
    const mean = values.reduce((a, v) => a + v, 0) / n;
    const variance = values.reduce((a, v) => a + (v - mean) ** 2, 0) / n;
    expect(Math.min(...values)).toBeGreaterThan(0);
    expect(Math.max(...values)).toBeLessThan(1);
    expect(Math.abs(mean - 0.5)).toBeLessThan(4 * Math.sqrt(1 / 12 / n));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.002);
    expect(randomBits(7, 1)).not.toBe(randomBits(8, 1));
  });

  test("normal: mean 0, variance 1, kurtosis 3, neighbours independent", () => {
    const n = 20_000;
    const values = Array.from({ length: n }, (_, i) => randomNormal(3, i));
    const moment = (k: number) => values.reduce((a, v) => a + v ** k, 0) / n;
    expect(Math.abs(moment(1))).toBeLessThan(4 / Math.sqrt(n));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(4 * Math.sqrt(96 / n));
    const lag = values.slice(1).reduce((a, v, i) => a + v * values[i]!, 0) / n;
    expect(Math.abs(lag)).toBeLessThan(4 / Math.sqrt(n));
  });

  test("hashName is FNV-1a of 32 bits", () => {
    expect([hashName(""), hashName("a"), hashName("foobar")]).toEqual([0x811c9dc5, 0xe40c292c, 0xbf9cf968]);
  });
});
