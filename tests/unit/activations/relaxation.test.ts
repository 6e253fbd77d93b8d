import { expect, test } from "vitest";
import { acmLambda } from "../../../src/activations/acm";
import { aimFactors, channelImportance } from "../../../src/activations/aim";
import { blocksOf, runsOf } from "../../../src/activations/layout";
import { expectClose } from "../../support/compare";
import { fixtureJson, fixtureTensors } from "../../support/nodeCheckpoint";
import { readFloatTensor } from "../../../src/model/weights";

test("AIM: the worked example, and a module that nothing goes into", () => {
  expect([...channelImportance([2, 1, 4])]).toEqual([0.5, 0.25, 1]);
  expectClose(aimFactors([2, 1, 4]), [0.7, 0.85, 0.4], { rtol: 1e-15 });
  expect([...aimFactors([0, 0])]).toEqual([1, 1]);
  expect([...aimFactors([3, 1], 1)]).toEqual([1, 1]);
  expect([...aimFactors([3, 1.5], 0)]).toEqual([0, 0.5]);
});

test("AIM: the golden relaxation", async () => {
  const tensors = await fixtureTensors("mergekit-golden", "golden.safetensors");
  const { cases } = fixtureJson<{ cases: { id: string; inputs: string[]; output: string; extra: string[]; shape: number[] }[] }>("mergekit-golden", "golden.json");
  const { inputs, output, extra, shape } = cases.find((c) => c.id === "aim_omega0.4")!;
  const [base, merged, a, want] = await Promise.all([...inputs, ...extra, output].map((name) => readFloatTensor(tensors, name)));
  const factors = aimFactors(a!, 0.4);
  expect(factors.length).toBe(shape[1]);
  expectClose(base!.map((w, i) => w + (merged![i]! - w) * factors[i % shape[1]!]!), want!, { atol: 3e-7 });
});

test("ACM: the worked examples", () => {
  expect(acmLambda([2, 1, 1.5])).toBeCloseTo(0.584935, 6);
  expect(acmLambda([3, 3, 3])).toBe(0.5);
  expect(acmLambda([1.7])).toBe(0.5);
  expect(acmLambda([1.5], 0.7, "literal")).toBeCloseTo(0.259225, 6);
  expect(acmLambda([2], 0.7, "literal")).toBeCloseTo(0.197816, 6);
  expect(acmLambda([2, 1, 1.5], 0.7, "literal")).toBeCloseTo(0.259225, 6);
});

test("texts are joined and cut into blocks, the rest dropped", () => {
  expect(blocksOf([[1, 2, 3], [4], [5, 6, 7]], 3)).toEqual([[1, 2, 3], [4, 5, 6]]);
  expect(() => blocksOf([[1, 2], [3]], 4)).toThrow(/together they have 3 tokens, and a block takes 4/);
});

test("runs hold so many tokens, a long sequence alone", () => {
  const of = (...lengths: number[]): number[][] => lengths.map((n) => Array.from({ length: n }, () => 0));
  expect(runsOf(of(2, 3, 9, 1, 4, 1), 5).map((r) => [r.first, ...r.sequences.map((s) => s.length)])).toEqual([[0, 2, 3], [2, 9], [3, 1, 4], [5, 1]]);
});
