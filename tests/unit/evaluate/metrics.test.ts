import { expect, test } from "vitest";
import { bootstrap, byTier, majorityCurve, majorityRight, median, shareInterval, summarise, type JudgedProblem, type Response } from "../../../src/evaluate/metrics";
import { compareAnswers, findAnswer, reflects } from "../../../src/text/answers";

const response = (text: string, reference: string, tokens: number, truncated = false): Response => {
  const answer = findAnswer(text);
  return { text, tokens, truncated, answer, verdict: compareAnswers(answer.text, reference), reflects: reflects(text) };
};
const problem = (reference: string, tier: string, ...texts: [string, number, boolean?][]): JudgedProblem => ({ prompt: "", reference, tier, responses: texts.map(([text, tokens, cut]) => response(text, reference, tokens, cut)) });

const problems = [
  problem("64", "easy", ["answer=64", 5]),
  problem("12", "easy", ["<think>wait, check</think>answer=13", 20]),
  problem("7", "hard", ["<think>3+4=7", 40, true]),
  problem("9", "hard", ["answer=9", 15]),
];

test("accuracy, length, truncation and reflection of the first responses", () => {
  const s = summarise(problems);
  expect([s.problems, s.accuracy.mean, s.length.mean, s.medianLength, s.truncated, s.reflecting]).toEqual([4, 0.75, 20, 17.5, 0.25, 0.25]);
  expect(s.accuracy.low).toBeLessThan(0.75);
  expect(s.accuracy.high).toBe(1);
  expect(summarise(problems.slice(0, 1)).length).toEqual({ mean: 5, low: NaN, high: NaN });
  expect([...byTier(problems)].map(([tier, t]) => [tier, t.accuracy.mean, t.length.mean])).toEqual([["easy", 0.5, 12.5], ["hard", 1, 27.5]]);
  expect(median([3, 1, 2])).toBe(2);
});

test("the interval of a bootstrap is the binomial one within its own noise, and the same every time", () => {
  const values = Array.from({ length: 400 }, (_, i) => (i % 4 === 0 ? 0 : 1));
  const found = bootstrap(values);
  const error = 1.96 * Math.sqrt((0.75 * 0.25) / 400);
  expect(found.mean).toBe(0.75);
  expect(Math.abs(found.high - found.mean - error)).toBeLessThan(0.006);
  expect(Math.abs(found.mean - found.low - error)).toBeLessThan(0.006);
  expect(bootstrap(values)).toEqual(found);
  expect(bootstrap(values, 7)).not.toEqual(found);
  expect(bootstrap([5, 5, 5])).toEqual({ mean: 5, low: 5, high: 5 });
});

test("all or none right: the exact binomial interval, as a bootstrap has no width there", () => {
  // With the low end as the true share, all n come out right with probability 2.5 %.
  const all = shareInterval(Array.from({ length: 60 }, () => true));
  expect([all.mean, all.high]).toEqual([1, 1]);
  expect(all.low ** 60).toBeCloseTo(0.025, 12);
  expect(shareInterval([false, false])).toEqual({ mean: 0, low: 0, high: 1 - Math.sqrt(0.025) });
  expect(shareInterval([true])).toEqual({ mean: 1, low: 0.025, high: 1 });
  expect(shareInterval([true, false, true])).toEqual(bootstrap([1, 0, 1]));
});

test("a majority: the largest group by text, the first seen of equal ones, empty answers aside", () => {
  const votes = (texts: string[]): Response[] => texts.map((t) => response(t, "4", 3));
  expect(majorityRight(votes(["answer=3", "answer=4", "answer=4"]), 3)).toBe(true);
  expect(majorityRight(votes(["answer=3", "answer=4"]), 2)).toBe(false);
  expect(majorityRight(votes(["no", "none", "answer=4"]), 3)).toBe(true);
  expect(majorityRight(votes(["no", "none", "answer=4"]), 3, true)).toBe(false);
  expect(majorityRight(votes(["answer=3", "answer=5", "answer=4", "answer= $4$.", "answer=3"]), 4)).toBe(true);
  expect(majorityRight(votes(["answer=4.0", "answer=3", "answer=4", "answer=3"]), 4)).toBe(false);
  const many: JudgedProblem[] = [{ prompt: "", reference: "4", responses: votes(["answer=3", "answer=4", "answer=4", "answer=1"]) }];
  expect(majorityCurve(many, [1, 2, 4, 8]).map(({ n, accuracy }) => [n, accuracy.mean])).toEqual([[1, 0], [2, 0], [4, 1]]);
});
