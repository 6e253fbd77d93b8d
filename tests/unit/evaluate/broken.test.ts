import { expect, test } from "vitest";
import { brokenBecause, repetitionRate } from "../../../src/evaluate/broken";

test("repeated 4-grams are counted over all of them", () => {
  expect(repetitionRate([1, 2, 3])).toBeUndefined();
  expect(repetitionRate([1, 2, 3, 4])).toBe(0);
  // 1234 2341 3412 4123 1234: five, four of them different.
  expect(repetitionRate([1, 2, 3, 4, 1, 2, 3, 4])).toBeCloseTo(1 / 5, 15);
  expect(repetitionRate([7, 7, 7, 7, 7, 7, 7, 7, 7, 7])).toBeCloseTo(6 / 7, 15);
  // Ids that read alike when joined without a space.
  expect(repetitionRate([1, 11, 1, 1, 1, 9])).toBe(0);
});

test("a merge is called broken with the numbers that say so, and only then", () => {
  const parents = [{ perplexity: 8.91, repetition: 0.1 }, { perplexity: 11.3, repetition: undefined }];
  expect(brokenBecause({ perplexity: 412.4, repetition: 0 }, parents)).toBe("Perplexity on your text is 412; the parents have 8.9 and 11.3. More than 4 times the larger is taken as broken.");
  expect(brokenBecause({ perplexity: 45.2, repetition: 0.5 }, parents)).toBeUndefined();
  expect(brokenBecause({ perplexity: 45.3, repetition: 0 }, parents)).toMatch(/is 45\.3;/);
  expect(brokenBecause({ perplexity: Infinity, repetition: 0 }, [parents[0]!])).toMatch(/the parent has 8\.9\. More than 4 times its is/);
  expect(brokenBecause({ perplexity: 9, repetition: 0.61 }, parents)).toBe("61% of its continuation of your text repeats itself; of the parent 10%. More than 50% is taken as broken.");
  expect(brokenBecause({ perplexity: 9, repetition: 0.61 }, [{ perplexity: 9, repetition: 0.6 }])).toBeUndefined();
  expect(brokenBecause({ perplexity: NaN, repetition: undefined }, parents)).toBe("Its predictions on your text are no finite numbers.");
});
