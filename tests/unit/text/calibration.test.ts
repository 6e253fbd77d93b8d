import { describe, expect, test } from "vitest";
import { chooseTexts, DEFAULT_CALIBRATION } from "../../../src/core/calibration";
import type { Calibration } from "../../../src/core/recipe";
import { calibrationSequences, tokeniseCalibration } from "../../../src/text/calibration";
import { textFolder, wordLevel } from "../../support/textFolder";

const given = (texts: string[], more: Partial<Calibration> = {}): Calibration => ({ source: "given", name: "notes.txt", texts, samples: 100, maxTokens: 512, seed: 42, ...more });
const folder = textFolder({ tokenizer: wordLevel(["one", "two", "three", "four", "five"]) });

describe("choosing texts", () => {
  test("draws without replacement, the same for a seed and another for another", () => {
    const drawn = chooseTexts(50, 20, 7);
    expect(new Set(drawn).size).toBe(20);
    expect(Math.max(...drawn)).toBeLessThan(50);
    expect(chooseTexts(50, 20, 7)).toEqual(drawn);
    expect(chooseTexts(50, 20, 8)).not.toEqual(drawn);
    // Fewer samples are the first of more samples.
    expect(chooseTexts(50, 5, 7)).toEqual(drawn.slice(0, 5));
    expect(chooseTexts(3, 20, 7).sort()).toEqual([0, 1, 2]);
  });
});

describe("calibration text as tokens", () => {
  test("cuts, drops and counts", async () => {
    const texts = ["one two three four five", "one", "two three", "four five one"];
    const { sequences, facts } = await tokeniseCalibration(given(texts, { maxTokens: 3 }), folder);
    const ids: Record<string, number[]> = { "one two three four five": [0, 1, 2], "two three": [1, 2], "four five one": [3, 4, 0] };
    expect(sequences).toEqual(chooseTexts(4, 4, 42).filter((i) => i !== 1).map((i) => ids[texts[i]!]));
    expect(facts).toMatchObject({ texts: 4, sequences: 3, tokens: 8, shortest: 2, longest: 3, median: 3, cut: 1, dropped: 1, limit: 3 });
    expect(facts.notes).toEqual(["There are only 4 texts; all are used where 100 were asked for.", "1 chosen text has fewer than two tokens in this tokenizer and is left out; 3 remain."]);
    expect(await calibrationSequences(given(texts, { maxTokens: 3 }), folder)).toEqual(sequences);
  });

  test("takes the middle of two for the median", async () => {
    expect((await tokeniseCalibration(given(["one two", "one two three"]), folder)).facts.median).toBe(2.5);
  });

  test("cuts at the model's context where that is shorter", async () => {
    const { facts, sequences } = await tokeniseCalibration(given(["one two three four five"]), textFolder({ tokenizer: wordLevel(["one", "two", "three", "four", "five"]), config: { max_position_embeddings: 4 } }));
    expect(sequences[0]).toHaveLength(4);
    expect(facts).toMatchObject({ limit: 4, cut: 1 });
    expect(facts.notes.at(-1)).toContain("cut after 4 tokens, the context of");
  });

  test("says when nothing is left, when there is no text, and when the tokenizer is of another model", async () => {
    await expect(calibrationSequences(given(["one", "two"]), folder)).rejects.toMatchObject({ code: "bad-recipe", message: expect.stringContaining("none of the 2 chosen texts has two tokens or more") });
    await expect(calibrationSequences(given([]), folder)).rejects.toMatchObject({ code: "bad-recipe", message: expect.stringContaining("holds no text") });
    const small = textFolder({ tokenizer: wordLevel(["one", "two", "three"]), config: { vocab_size: 2 } });
    await expect(calibrationSequences(given(["one two three"]), small)).rejects.toMatchObject({ code: "bad-file", message: expect.stringContaining("it makes the id 2, but the model has 2 rows") });
  });

  test("stops where it is cancelled", async () => {
    const texts = Array.from({ length: 3000 }, () => "one two three four five ".repeat(100));
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 0);
    await expect(calibrationSequences(given(texts, { samples: 3000 }), folder, stop.signal)).rejects.toMatchObject({ code: "cancelled" });
  });

  test("is the built-in set by default", async () => {
    const { facts } = await tokeniseCalibration(DEFAULT_CALIBRATION, textFolder({ tokenizer: wordLevel(["Question", "Answer", ":"]) }));
    expect(facts.texts).toBeGreaterThanOrEqual(100);
    expect(facts.sequences).toBe(100);
    expect(facts.examples).toHaveLength(3);
  });
});
