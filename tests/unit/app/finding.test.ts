import { expect, test } from "vitest";
import { finding } from "../../../src/app/panels/try/findingWords";
import type { ScoreRow } from "../../../src/app/state/contenders";

const options = { maxNewTokens: 200, temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1, seed: 42, prompt: "raw" as const };
const row = (role: ScoreRow["role"], name: string, accuracy: number, tokens: number, room = 0.01, temperature = 0): ScoreRow => ({
  id: `${name} ${temperature}`, role, name, settings: "",
  score: {
    time: 0, set: "s/60", problems: "p", samples: 1, majority: [], options: { ...options, temperature },
    summary: { problems: 60, accuracy: { mean: accuracy, low: accuracy - room, high: accuracy + room }, length: { mean: tokens, low: tokens * (1 - room), high: tokens * (1 + room) }, medianLength: tokens, truncated: 0, reflecting: 0 },
  },
});
const base = row("base", "B", 0.4, 12);
const tuned = row("tuned", "T", 0.9, 100);
const lead = (accuracy: number, tokens: number): string => finding([base, tuned, row("merged", "M", accuracy, tokens)])!.lead;

test("says who wins, or what is given for what", () => {
  expect(lead(0.95, 50)).toBe("M wins: the merge takes 50% fewer tokens and is right more often, by 5.0 points.");
  expect(lead(0.9, 46)).toBe("M wins: the merge takes 54% fewer tokens and is right as often.");
  expect(lead(0.95, 100)).toBe("M wins: the merge takes as many tokens and is right more often, by 5.0 points.");
  expect(lead(0.8, 50)).toBe("A trade: the merge takes 50% fewer tokens and is right less often, by 10.0 points.");
  expect(lead(0.95, 130)).toBe("A trade: the merge takes 30% more tokens and is right more often, by 5.0 points.");
  expect(lead(0.8, 104)).toBe("T wins: the merge takes 4% more tokens and is right less often, by 10.0 points.");
  expect(lead(0.9, 100.3)).toBe("No difference: the merge takes as many tokens and is right as often.");
});

test("gives the numbers, and says where the intervals leave a difference open", () => {
  const clear = finding([base, tuned, row("merged", "M", 0.8, 50)])!;
  expect(clear).toMatchObject({ numbers: "M 80.0% in 50.0 tokens, T 90.0% in 100.0 tokens, B 40.0% in 12.0 tokens.", doubt: "" });
  const wide = (accuracy: number, tokens: number): string => finding([row("tuned", "T", 0.9, 100, 0.2), row("merged", "M", accuracy, tokens, 0.2)])!.doubt;
  expect(wide(0.8, 50)).toBe("The intervals of accuracy overlap, so more problems would tell more.");
  expect(wide(0.8, 90)).toBe("The intervals of accuracy and of length overlap, so more problems would tell more.");
  expect(wide(0.9, 50)).toBe("");
});

test("compares equal settings alone, with the most accurate fine-tuned model", () => {
  expect(finding([base, tuned])).toBeUndefined();
  expect(finding([tuned, row("merged", "M", 0.9, 50, 0.01, 0.7)])).toBeUndefined();
  const rows = [tuned, row("tuned", "U", 0.97, 200), row("merged", "M", 0.9, 50, 0.01, 0.7), row("merged", "M", 0.9, 150)];
  expect(finding(rows)!.numbers).toBe("M 90.0% in 150.0 tokens, U 97.0% in 200.0 tokens.");
});
