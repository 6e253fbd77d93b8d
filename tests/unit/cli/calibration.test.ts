import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { calibrationLines, withCalibrationFlags } from "../../../src/cli/calibration";
import { DEFAULT_CALIBRATION } from "../../../src/core/calibration";
import type { Recipe } from "../../../src/core/recipe";

const folder = mkdtempSync(join(tmpdir(), "tributary-text-"));
afterAll(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, "notes.txt"), "one\ntwo\nthree\n");
writeFileSync(join(folder, "set.jsonl"), '{"answer": "4", "question": "2 + 2?"}\n{"answer": "6", "question": "3 + 3?"}\n');

const recipe = { method: "m", params: {} } as Recipe;
const takes = { label: "Takes", needs: { calibration: true } };
const plain = { label: "Plain", needs: {} };
const read = async (flags: Record<string, string[]>, method = takes) => (await withCalibrationFlags(recipe, method, flags, folder)).calibration;

test("without flags a method that takes text gets the built-in one, another none", async () => {
  expect(await read({})).toEqual(DEFAULT_CALIBRATION);
  expect(await withCalibrationFlags(recipe, plain, {}, folder)).toBe(recipe);
});

test("flags say file, field and draw", async () => {
  expect(await read({ calibration: ["notes.txt"], "calibration-samples": ["2"] })).toMatchObject({ source: "given", name: "notes.txt", samples: 2, maxTokens: 512, seed: 42 });
  expect((await read({ calibration: ["notes.txt"] }))!.texts!.sort()).toEqual(["one", "three", "two"]);
  expect(await read({ calibration: ["set.jsonl"] })).toMatchObject({ name: "set.jsonl, field question" });
  expect((await read({ calibration: ["set.jsonl"], "calibration-field": ["answer"] }))!.texts!.sort()).toEqual(["4", "6"]);
  expect(await read({ "calibration-tokens": ["64"], "calibration-seed": ["7"] })).toEqual({ ...DEFAULT_CALIBRATION, maxTokens: 64, seed: 7 });
});

test.each<[Record<string, string[]>, typeof takes | typeof plain, string]>([
  [{ "calibration-seed": ["1"] }, plain, "--calibration-seed: Plain takes no calibration text. Leave it out."],
  [{ calibration: ["absent.txt"] }, takes, "absent.txt: the file does not exist or cannot be read."],
  [{ calibration: ["set.jsonl"], "calibration-field": ["reply"] }, takes, 'it has no text in a field "reply". There is text in question, answer.'],
  [{ "calibration-field": ["text"] }, takes, "--calibration-field names a field of a file; it needs --calibration."],
  [{ "calibration-samples": ["0"] }, takes, "--calibration-samples 0: expected a whole number of at least 1."],
  [{ "calibration-tokens": ["many"] }, takes, "--calibration-tokens many: expected a whole number of at least 2."],
])("%j is refused for %j", async (flags, method, sentence) => {
  await expect(read(flags, method as typeof takes)).rejects.toThrow(sentence);
});

test("what is left of the text is told before it is used", () => {
  const facts = { texts: 3, sequences: 1200, tokens: 45678, shortest: 2, longest: 512, median: 40, cut: 7, dropped: 1, limit: 512, notes: ["A note."], examples: [] };
  expect(calibrationLines(facts)).toEqual(["Calibration text: 45,678 tokens in 1,200 texts, 2 to 512 each, 7 cut.", "A note."]);
});
