import { expect, test } from "vitest";
import { OutputComparison } from "../../../src/evaluate/divergence";
import * as reference from "../../reference/evaluate/divergence";
import { randomFloats } from "../../support/compare";

const [ROWS, VOCAB] = [5, 37];
const logitsOf = (seed: number, scale: number): Float32Array[] => Array.from({ length: ROWS }, (_, t) => randomFloats(seed + t, VOCAB, scale));
const targets = [3, 36, 0, 17, -1];

/** The rows shown in panels of `step` ids, rows in pieces of 2. */
function compared(models: Float32Array[][], pairs: [number, number][], step: number): OutputComparison {
  const comparison = new OutputComparison(models.length, pairs, Int32Array.from(targets));
  for (let row0 = 0; row0 < VOCAB; row0 += step)
    for (let first = 0; first < ROWS; first += 2) {
      const rows = Math.min(2, ROWS - first);
      const columns = Math.min(step, VOCAB - row0);
      comparison.add(first, rows, row0, columns, models.map((model) => {
        const values = new Float32Array(rows * step);
        for (let r = 0; r < rows; r++) values.set(model[first + r]!.subarray(row0, row0 + columns), r * step);
        return { values, stride: step };
      }));
    }
  return comparison;
}

test.each([1, 8, 37])("perplexity and divergence in panels of %i ids are those of the definition", (step) => {
  const models = [logitsOf(1, 3), logitsOf(20, 8), logitsOf(40, 60)];
  const pairs: [number, number][] = [[0, 1], [1, 0], [0, 2], [2, 1]];
  const comparison = compared(models, pairs, step);
  models.forEach((model, k) => expect(Math.abs(comparison.perplexity(k) / reference.perplexity(model, targets) - 1)).toBeLessThan(1e-12));
  pairs.forEach(([p, q], i) => expect(Math.abs(comparison.divergence(i) / reference.divergence(models[p]!, models[q]!) - 1)).toBeLessThan(1e-12));
});

test("logits beyond exp's range, and a shift of all of them, change nothing", () => {
  const plain = logitsOf(1, 3);
  const shifted = plain.map((row) => row.map((v) => Math.fround(v) + 4096));
  const comparison = compared([plain, shifted], [[0, 1]], 8);
  expect(comparison.divergence(0)).toBeLessThan(1e-6);
  expect(Math.abs(comparison.perplexity(1) / comparison.perplexity(0) - 1)).toBeLessThan(1e-3);
});

test("a model is at distance 0 from itself, and one NaN is not lost", () => {
  const model = logitsOf(7, 5);
  expect(compared([model, model], [[0, 1]], 8).divergence(0)).toBeLessThan(1e-14);
  const ill = model.map((row) => row.slice());
  ill[1]![20] = NaN;
  const comparison = compared([model, ill], [[0, 1]], 8);
  expect([comparison.perplexity(1), comparison.divergence(0)]).toEqual([NaN, NaN]);
  expect(comparison.perplexity(0)).toBeGreaterThan(1);
});
