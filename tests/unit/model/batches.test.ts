import { expect, test } from "vitest";
import type { StudioError } from "../../../src/core/errors";
import { planBatches } from "../../../src/model/batches";

const sizes = { hidden: 8, intermediate: 20, heads: 2, kvHeads: 1, headDim: 4, vocab: 10 };
const of = (...lengths: number[]): number[][] => lengths.map((length, s) => Array.from({ length }, (_, i) => (s + i) % 10));
const refusal = (sequences: number[][], limits = {}): StudioError => {
  try {
    planBatches(sequences, sizes, limits);
  } catch (error) {
    return error as StudioError;
  }
  throw new Error("nothing was thrown");
};

test("sequences fill batches in order, and a long one stands alone", () => {
  const batches = planBatches(of(3, 4, 2, 9, 2, 2), sizes, { maxRows: 8 });
  expect(batches.map((b) => [b.firstSequence, b.sequences.length, b.rows, b.longest])).toEqual([[0, 2, 7, 4], [2, 1, 2, 2], [3, 1, 9, 9], [4, 2, 4, 2]]);
});

test("rows, starts, spans and tokens of a batch", () => {
  const [batch] = planBatches(of(2, 3), sizes);
  expect([...batch!.starts]).toEqual([0, 2, 5]);
  expect([...batch!.tokens]).toEqual([0, 1, 1, 2, 3]);
  expect([...batch!.spans]).toEqual([0, 2, 0, 2, 2, 5, 2, 5, 2, 5]);
});

test("the published pass, 8 x 64 tokens, is one batch", () => {
  expect(planBatches(of(...Array.from({ length: 8 }, () => 64)), sizes)).toHaveLength(1);
});

test("no activation exceeds the byte limit", () => {
  // 4 rows * 20 (intermediate) <= 400: five rows.
  expect(planBatches(of(2, 3, 2), sizes, { maxBytes: 400 }).map((b) => b.rows)).toEqual([5, 2]);
  expect(refusal(of(6), { maxBytes: 400 }).message).toContain("sequence 1 has 6 tokens, and with this model at most 5 fit");
});

test("unusable sequences are named by number and position", () => {
  expect(refusal([]).message).toContain("there is none");
  expect(refusal([[1, 2], [3]]).message).toContain("sequence 2 has 1 token;");
  expect(refusal([[1, 2], [3, 4, 10]]).message).toContain("sequence 2 has 10 at position 3; token ids of this model are whole numbers from 0 to 9");
  expect(refusal([[1, -1]]).message).toContain("position 2");
  expect(refusal([[0.5, 1]]).code).toBe("bad-request");
});
