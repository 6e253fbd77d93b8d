import { describe, expect, test } from "vitest";
import type { Checkpoint } from "../../../src/core/tensors";
import { randomSequences } from "../../../src/fisher/tokens";

const checkpoint = (tokenizer: unknown, config: Record<string, unknown> = {}): Checkpoint =>
  ({ name: "model", config, text: async (path: string) => (path === "tokenizer.json" && tokenizer !== undefined ? (typeof tokenizer === "string" ? tokenizer : JSON.stringify(tokenizer)) : undefined) }) as unknown as Checkpoint;
const options = { seed: 42, N: 8, len: 64, vocab: "config", prependBos: false } as const;
/** Ids 0 .. 151642 are words, 151643 .. 151664 were added, as in Qwen2.5; config.json says 151936. */
const qwen = { model: { vocab: Object.fromEntries(Array.from({ length: 151643 }, (_, i) => [`w${i}`, i])) }, added_tokens: Array.from({ length: 22 }, (_, i) => ({ id: 151643 + i })) };

describe("the random inputs of the pass", () => {
  test.each([
    ["config", 151936, [91110, 135091, 6876]],
    ["noSpecial", 151643, [8598, 59987, 147458]],
  ] as const)("vocab %s draws below %i", async (vocab, size, first) => {
    const sequences = await randomSequences(checkpoint(qwen), 151936, { ...options, vocab });
    expect(sequences[0]!.slice(0, 3)).toEqual(first);
    expect(sequences).toHaveLength(8);
    expect(sequences.every((s) => s.length === 64 && s.every((id) => id < size))).toBe(true);
  });

  test("vocab tokenizer counts added tokens, and leaves the padding rows of the config out", async () => {
    const small = { model: { vocab: { a: 0, b: 1, c: 2 } }, added_tokens: [{ id: 4 }] };
    const ids = async (vocab: "tokenizer" | "noSpecial") => new Set((await randomSequences(checkpoint(small), 100, { ...options, vocab })).flat());
    expect(Math.max(...(await ids("tokenizer")))).toBe(4);
    expect(Math.max(...(await ids("noSpecial")))).toBe(2);
  });

  test("an added token inside the vocabulary is not special by its place, but by its list; a Unigram list works too", async () => {
    const inside = { model: { vocab: [["<s>", 0], ["a", -1], ["b", -2], ["<end>", -3]] }, added_tokens: [{ id: 3 }] };
    expect(Math.max(...(await randomSequences(checkpoint(inside), 100, { ...options, vocab: "noSpecial" })).flat())).toBe(2);
  });

  test("prependBos", async () => {
    const plain = await randomSequences(checkpoint(undefined), 100, options);
    expect(await randomSequences(checkpoint(undefined, { bos_token_id: 7 }), 100, { ...options, prependBos: true })).toEqual(plain.map((s) => [7, ...s]));
    await expect(randomSequences(checkpoint(undefined), 100, { ...options, prependBos: true })).rejects.toMatchObject({ code: "bad-recipe", message: expect.stringContaining("bos_token_id") as string });
  });

  test.each([
    ["no tokenizer.json", undefined, "bad-recipe"],
    ["an empty vocabulary", { model: {} }, "bad-file"],
    ["a broken tokenizer.json", "{ broken", "bad-file"],
  ])("%s", async (_, tokenizer, code) => {
    await expect(randomSequences(checkpoint(tokenizer), 100, { ...options, vocab: "tokenizer" })).rejects.toMatchObject({ code, message: expect.stringContaining("tokenizer.json") as string });
  });
});
