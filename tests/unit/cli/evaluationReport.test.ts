import { expect, test } from "vitest";
import { partOf, tableCsv, tableLines, type EvaluatedModel } from "../../../src/cli/evaluationReport";
import { GREEDY_OPTIONS, type EvaluatedItem } from "../../../src/core/trying";

const problems = [{ prompt: "a", answer: "1", tier: "easy" }, { prompt: "b", answer: "2" }, { prompt: "c", answer: "3", tier: "easy" }];
const item = (index: number, tokens: number, right: boolean): EvaluatedItem => ({ index, responses: [{ text: "", tokens, truncated: false, found: "", rule: "boxed", right, verdict: right ? "same text" : "different", reflects: false }] });
// Problem 2 ended before problem 0.
const part = partOf("model", problems, { ...GREEDY_OPTIONS, samples: 1 }, [item(2, 10, false), item(0, 20, true)], 3);
const models: EvaluatedModel[] = [
  { label: 'with "quotes", and comma', complete: false, stops: [], weights: "ab12", evaluation: part },
  { label: "merge", complete: true, stops: [], evaluation: { ...part, recipeHash: "cd34", majority: [{ n: 1, accuracy: part.summary.accuracy }, { n: 4, accuracy: { mean: 1, low: 0.5, high: 1 } }] } },
];

test("of a stopped evaluation the numbers of what had ended, in the order of the problems", () => {
  expect(part.items.map((i) => i.index)).toEqual([0, 2]);
  expect(part.summary).toMatchObject({ problems: 2, accuracy: { mean: 0.5 }, length: { mean: 15 }, medianLength: 15 });
  expect([part.tiers.map((t) => [t.tier, t.summary.problems]), part.tokensPerSecond]).toEqual([[["easy", 2]], 10]);
});

test("the table says what is not whole, and maj@n where there is one", () => {
  const lines = tableLines(models).map((line) => line.split(/ {2,}/));
  expect(lines[0]!.at(-1)).toBe("maj@4");
  expect(lines[1]).toEqual(['with "quotes", and comma, 2 answered', "50.0 %", "0.0 % to 100.0 %", "15.0", "10.0 to 20.0", "15", "0.0 %", "0.0 %", "–"]);
  expect(lines[2]!.at(-1)).toBe("100.0 %");
});

test("the table as CSV: quoted names, shares from 0 to 1, nothing where nothing is known", () => {
  const one = partOf("model", problems, { ...GREEDY_OPTIONS, samples: 1 }, [item(1, 7, true)], 2);
  const rows = tableCsv([models[0]!, { label: "one", complete: true, stops: [], evaluation: one }]).split("\n");
  expect(rows.slice(1)).toEqual([
    '"with ""quotes"", and comma",,false,2,0.5,0,1,15,10,20,15,0,0,3,ab12,',
    '"with ""quotes"", and comma",easy,false,2,0.5,0,1,15,10,20,15,0,0,3,ab12,',
    "one,,true,1,1,0.025,1,7,,,7,0,0,2,,", "",
  ]);
});
