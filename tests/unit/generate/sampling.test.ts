import { describe, expect, test } from "vitest";
import { randomUniform } from "../../../src/core/random";
import { checkSampling, chooseToken, GREEDY, samplingKey, type SamplingOptions } from "../../../src/generate/sampling";
import { probabilities } from "../../reference/generate/sampling";
import { randomFloats } from "../../support/compare";

const none = new Set<number>();
const sampled = (options: Partial<SamplingOptions>): SamplingOptions => ({ ...GREEDY, temperature: 1, ...options });

/** Counts of each token over many steps. */
function draw(logits: Float32Array, options: SamplingOptions, seen: ReadonlySet<number>, steps: number): number[] {
  const counts = Array.from(logits, () => 0);
  for (let step = 0; step < steps; step++) counts[chooseToken(logits, options, seen, 7, step)]!++;
  return counts;
}

describe("greedy", () => {
  test("takes the largest logit, of equal ones the lowest id", () => {
    expect(chooseToken(Float32Array.of(1, 3, 3, 2), GREEDY, none, 0, 0)).toBe(1);
    expect(chooseToken(Float32Array.of(-2, -1, -1), GREEDY, none, 0, 0)).toBe(1);
    expect(chooseToken(Float32Array.of(5, 5), GREEDY, none, 0, 0)).toBe(0);
  });

  test("passes over NaN, and says when there is nothing to choose from", () => {
    expect(chooseToken(Float32Array.of(NaN, -3, 1), GREEDY, none, 0, 0)).toBe(2);
    expect(() => chooseToken(Float32Array.of(NaN, NaN), GREEDY, none, 0, 0)).toThrow("no finite numbers");
    expect(() => chooseToken(Float32Array.of(0, Infinity), sampled({}), none, 0, 0)).toThrow("no finite numbers");
  });

  test("a penalty divides positive logits of seen tokens and multiplies negative ones", () => {
    const logits = Float32Array.of(4, 3, -1);
    expect(chooseToken(logits, { ...GREEDY, repetitionPenalty: 1.3 }, new Set([0]), 0, 0)).toBe(0); // 4 / 1.3 = 3.08
    expect(chooseToken(logits, { ...GREEDY, repetitionPenalty: 1.4 }, new Set([0]), 0, 0)).toBe(1); // 4 / 1.4 = 2.86
    expect(chooseToken(Float32Array.of(-1, -1.5), { ...GREEDY, repetitionPenalty: 2 }, new Set([0]), 0, 0)).toBe(1); // -1 * 2
  });
});

describe("sampling", () => {
  test("top-k keeps the k largest and those equal to the last", () => {
    const counts = draw(Float32Array.of(1, 2, 2, 0, 3), sampled({ topK: 2 }), none, 300);
    expect(counts.map((c) => c > 0)).toEqual([false, true, true, false, true]);
  });

  test("top-p keeps the token that reaches the sum", () => {
    // Probabilities 0.5, 0.3, 0.2: 0.6 is reached by the second.
    const logits = Float32Array.from([0.5, 0.3, 0.2].map(Math.log));
    expect(draw(logits, sampled({ topP: 0.6 }), none, 300).map((c) => c > 0)).toEqual([true, true, false]);
    expect(draw(logits, sampled({ topP: 0.4 }), none, 100)).toEqual([100, 0, 0]);
  });

  test("a token is the one at which the running sum passes u", () => {
    const logits = Float32Array.from([0.25, 0.25, 0.5].map(Math.log));
    for (let step = 0; step < 20; step++) {
      const u = randomUniform(99, step);
      expect(chooseToken(logits, sampled({}), none, 99, step)).toBe(u < 0.25 ? 0 : u < 0.5 ? 1 : 2);
    }
  });

  test.each([
    { temperature: 0.7 },
    { temperature: 1.5, topK: 6 },
    { topP: 0.8 },
    { temperature: 0.9, topK: 8, topP: 0.7, repetitionPenalty: 1.3 },
  ])("frequencies follow the float64 probabilities: %o", (change) => {
    const options = sampled(change);
    const seen = [1, 4, 9];
    const logits = randomFloats(5, 12, 3);
    const want = probabilities(logits, options, seen);
    const steps = 20_000;
    const got = draw(logits, options, new Set(seen), steps);
    // Four standard deviations of a count.
    want.forEach((p, i) => expect(Math.abs(got[i]! - steps * p), `token ${i}`).toBeLessThanOrEqual(4 * Math.sqrt(steps * p * (1 - p))));
  });

  test.each([{ topK: 17 }, { topP: 0.6 }, { topP: 0.99, temperature: 3 }, { topK: 40, topP: 0.9, temperature: 0.5, repetitionPenalty: 1.2 }])("of 300 tokens the one where the float64 sum passes u: %o", (change) => {
    const options = sampled(change);
    const logits = randomFloats(8, 300, 6);
    // Equal ones too.
    logits.copyWithin(100, 0, 30);
    const p = probabilities(logits, options, [3, 50]);
    for (let step = 0; step < 200; step++) {
      const u = randomUniform(4, step);
      let sum = 0;
      const want = p.findIndex((value) => (sum += value) > u);
      if (Math.abs(sum - u) > 1e-12) expect(chooseToken(logits, options, new Set([3, 50]), 4, step)).toBe(want);
    }
  });

  test("a tiny temperature is greedy", () => {
    const logits = randomFloats(3, 50);
    expect(draw(logits, sampled({ temperature: 1e-4 }), none, 20)[chooseToken(logits, GREEDY, none, 0, 0)]).toBe(20);
  });
});

test("the key depends on seed, prompt and sample", () => {
  const keys = [samplingKey(0, [1, 2], 0), samplingKey(1, [1, 2], 0), samplingKey(2 ** 32, [1, 2], 0), samplingKey(0, [1, 3], 0), samplingKey(0, [1], 2), samplingKey(0, [1, 2], 1), samplingKey(0, [], 0)];
  expect(new Set(keys).size).toBe(keys.length);
  expect(samplingKey(5, [7, 8], 3)).toBe(samplingKey(5, [7, 8], 3));
});

test.each([
  [{ temperature: -1 }, "temperature is -1"],
  [{ temperature: NaN }, "temperature is NaN"],
  [{ topK: 1.5 }, "topK is 1.5"],
  [{ topP: 0 }, "topP is 0"],
  [{ repetitionPenalty: 0 }, "repetitionPenalty is 0"],
  [{ seed: -3 }, "seed is -3"],
])("%o is refused", (change, sentence) => {
  expect(() => checkSampling({ ...GREEDY, ...change })).toThrow(sentence);
  checkSampling(GREEDY);
});
