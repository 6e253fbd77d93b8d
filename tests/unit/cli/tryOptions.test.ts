import { describe, expect, test } from "vitest";
import { parseArgs } from "../../../src/cli/args";
import { optionsFor, readTryOptions, stopWords, streamedWords, TRY_FLAGS } from "../../../src/cli/tryOptions";
import type { TryFacts } from "../../../src/core/trying";

const read = (...args: string[]): ReturnType<typeof readTryOptions> => readTryOptions(parseArgs(args, TRY_FLAGS));
const facts = (given: Partial<TryFacts> = {}): TryFacts => ({ stops: [], chatTemplate: false, context: undefined, maxNewTokens: undefined, bytesPerToken: undefined, secondsPerToken: undefined, ...given });

describe("how answers are drawn, in a terminal", () => {
  test("without flags: greedy, every token, the seed of the page", () => {
    expect(read()).toEqual({ maxNewTokens: undefined, temperature: 0, topP: 1, topK: 0, repetitionPenalty: 1, seed: 42, raw: false });
    expect(read("--temperature", "0.7", "--stop", "5", "--stop=7", "--system", "s")).toMatchObject({ temperature: 0.7, stopIds: [5, 7], system: "s" });
  });

  test.each([
    [["--temperature", "x"], "--temperature x: expected a number."], [["--temperature", ""], "--temperature : expected a number."], [["--temperature", "-1"], "--temperature -1: expected a number from 0 on; 0 is greedy."],
    [["--top-p", "0"], "--top-p 0: expected a number above 0 and at most 1."], [["--top-k", "1.5"], "--top-k 1.5: expected a whole number from 0 on; 0 is all."], [["--repetition-penalty", "0"], "--repetition-penalty 0: expected a number above 0; 1 changes nothing."],
    [["--max-new-tokens", "0"], "--max-new-tokens 0: expected a whole number from 1 on."], [["--seed", "-3"], "--seed -3: expected a whole number from 0 on."], [["--stop", "eos"], "--stop eos: expected a token id, a whole number from 0 on."],
  ])("%j is refused before anything is opened", (args, sentence) => expect(() => read(...args)).toThrow(sentence));

  test("one limit for all models, the largest that they name, within every context; the template of each", () => {
    const [short, long] = [facts({ maxNewTokens: 100, chatTemplate: true }), facts({ maxNewTokens: 900, context: 4096 })];
    expect(optionsFor(read(), "a", short, [short, long])).toMatchObject({ maxNewTokens: 900, prompt: "chat" });
    expect(optionsFor(read(), "b", long, [short, long])).toMatchObject({ maxNewTokens: 900, prompt: "raw" });
    expect(optionsFor(read("--raw"), "a", short, [short])).toMatchObject({ maxNewTokens: 100, prompt: "raw" });
    expect(optionsFor(read(), "c", facts(), [facts()]).maxNewTokens).toBe(512);
    expect(optionsFor(read(), "c", facts(), [facts({ maxNewTokens: 32768 })]).maxNewTokens).toBe(2048);
    expect(optionsFor(read("--max-new-tokens", "9000"), "c", facts(), [facts({ context: 256 })]).maxNewTokens).toBe(9000);
  });

  test("a system text that no template takes is refused", () => {
    expect(optionsFor(read("--system", "s"), "a", facts({ chatTemplate: true }), [])).toMatchObject({ system: "s", prompt: "chat" });
    expect(() => optionsFor(read("--system", "s"), "a", facts(), [])).toThrow('and "a" has none');
    expect(() => optionsFor(read("--system", "s", "--raw"), "a", facts({ chatTemplate: true }), [])).toThrow("which --raw leaves out");
  });

  test("where answers end, in words", () => {
    const own = facts({ stops: [{ id: 2, text: "</s>", from: ["config.json", "tokenizer.json"] }, { id: 9, text: undefined, from: ["generation_config.json"] }] });
    expect(stopWords(optionsFor(read(), "a", own, [own]), own)).toBe("2 </s> (config.json, tokenizer.json); 9 (generation_config.json)");
    expect(stopWords(optionsFor(read("--stop", "7"), "a", own, [own]), own)).toBe("7");
    expect(stopWords(optionsFor(read(), "a", facts(), [own]), facts())).toMatch(/^nothing but the limit/);
  });

  test("weights that do not fit are told before the first token", () => {
    expect(streamedWords(facts())).toBeUndefined();
    expect(streamedWords(facts({ bytesPerToken: 2_210_000_000 }))).toMatch(/^The weights do not fit the GPU budget: 2\.21 GB are read again for every token of the answers side by side\. /);
    expect(streamedWords(facts({ bytesPerToken: 2_210_000_000, secondsPerToken: 10.93 }))).toContain("at least 11 s at the speed");
  });
});
