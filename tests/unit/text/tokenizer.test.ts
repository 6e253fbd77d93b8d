import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { makeTokenizer, tokenizerOf, type Tokenizer } from "../../../src/text/tokenizer";
import { fixtureJson, fixturePath } from "../../support/nodeCheckpoint";
import { textFolder, wordLevel } from "../../support/textFolder";

interface Row { ids: number[]; plain: number[]; text: string; shown: string }
const golden = fixtureJson<{ texts: string[]; tokenised: Record<string, Row[]> }>("tokenizers", "golden.json");
const SAMPLE = new URL("../../../public/samples/base/", import.meta.url).pathname;

function open(name: string): Tokenizer {
  const read = (path: string): Record<string, unknown> => JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  return name === "sample" ? makeTokenizer(name, read(`${SAMPLE}tokenizer.json`), read(`${SAMPLE}tokenizer_config.json`)) : makeTokenizer(name, read(fixturePath("tokenizers", `${name}.json`)), read(fixturePath("tokenizers", `${name}.config.json`)));
}

describe.each(Object.keys(golden.tokenised))("the %s tokenizer", (name) => {
  const tokenizer = open(name);
  const rows = golden.tokenised[name]!;
  test.each(golden.texts.map((text, i) => [JSON.stringify(text), i] as const))("makes the ids of the Python library of %s", (_, i) => {
    expect(tokenizer.encode(golden.texts[i]!)).toEqual(rows[i]!.ids);
    expect(tokenizer.encode(golden.texts[i]!, { addSpecialTokens: false })).toEqual(rows[i]!.plain);
  });

  test.each(golden.texts.map((text, i) => [JSON.stringify(text), i] as const))("makes its text of the ids of %s, at once and one by one", (_, i) => {
    const { ids, text, shown } = rows[i]!;
    expect(tokenizer.decode(ids)).toBe(text);
    expect(tokenizer.decode(ids, { skipSpecial: true })).toBe(shown);
    for (const skipSpecial of [false, true]) {
      const stream = tokenizer.stream({ skipSpecial });
      const pieces = ids.map((id) => stream.push(id));
      expect(pieces.join("") + stream.flush()).toBe(skipSpecial ? shown : text);
    }
  });
});

describe("a tokenizer", () => {
  test("knows its special tokens", () => {
    const llama = open("llama2");
    expect([llama.bos, llama.eos, llama.unk, llama.pad]).toEqual([1, 2, 0, undefined]);
    expect([...llama.special].sort()).toEqual([0, 1, 2]);
    const deepseek = open("deepseek");
    expect(deepseek.decode([deepseek.bos!, deepseek.eos!])).toBe("<｜begin▁of▁sentence｜><｜end▁of▁sentence｜>");
    expect(open("sample")).toMatchObject({ size: 24, eos: 0, bos: undefined });
  });

  test("gives out text as soon as it is certain, and no half character", () => {
    const qwen = open("qwen2");
    const ids = qwen.encode("a🙂b");
    expect(ids.length).toBeGreaterThan(3);
    const stream = qwen.stream();
    const pieces = ids.map((id) => stream.push(id));
    expect(pieces.every((piece) => !piece.includes("\uFFFD"))).toBe(true);
    expect(pieces[0]).toBe("a");
    expect(pieces.join("")).toBe("a🙂b");
    expect(stream.flush()).toBe("");
  });

  test("gives out what is held back at the end, once", () => {
    const qwen = open("qwen2");
    const ids = qwen.encode("a🙂").slice(0, -1);
    const stream = qwen.stream();
    expect(ids.map((id) => stream.push(id)).join("")).toBe("a");
    expect(stream.flush()).toBe("\uFFFD");
    expect(stream.flush()).toBe("");
  });

  test("leaves out ids that no token has", () => {
    const qwen = open("qwen2");
    expect(qwen.decode([...qwen.encode("a"), 1_000_000])).toBe("a");
    const stream = qwen.stream();
    expect(stream.push(1_000_000)).toBe("");
  });

  test("is made once of an opened folder", async () => {
    const folder = textFolder({ tokenizer: wordLevel(["a"]) });
    expect(await tokenizerOf(folder)).toBe(await tokenizerOf(folder));
  });
});

describe("a tokenizer.json that cannot be used is named", () => {
  const base = (): Record<string, unknown> => wordLevel(["a", "b"]) as Record<string, unknown>;
  const split = (behavior: string, more: object = {}): unknown => ({ type: "Sequence", pretokenizers: [{ type: "Split", pattern: { String: " " }, behavior, invert: false, ...more }] });
  test.each<[string, string | Record<string, unknown> | undefined, string]>([
    ["missing", undefined, 'Reading tokenizer.json of "words": there is no such file in the folder. Copy tokenizer.json'],
    ["malformed", '{"model": ', "malformed"],
    ["empty", {}, "it has no model with a vocabulary"],
    ["of an unknown kind", { ...base(), pre_tokenizer: { type: "UnicodeScripts" } }, "it cannot be read (Unknown PreTokenizer type: UnicodeScripts)"],
    ["splitting into neighbours", { ...base(), pre_tokenizer: split("MergedWithNext") }, 'a pre-tokenizer that splits with "MergedWithNext", which is not supported here'],
    ["splitting inverted", { ...base(), pre_tokenizer: split("Isolated", { invert: true }) }, 'splits with "Isolated", inverted'],
    ["splitting punctuation one by one", { ...base(), pre_tokenizer: { type: "Punctuation", behavior: "Isolated" } }, 'splits punctuation with "Isolated"'],
    ["with a character map", { ...base(), normalizer: { type: "Precompiled" } }, "a precompiled character map"],
    ["with bytes under a unigram model", { ...base(), model: { type: "Unigram", byte_fallback: true, unk_id: 0, vocab: [["a", 0]] } }, "falls back to bytes"],
    ["with tokens for whole words", { ...base(), added_tokens: [{ id: 0, content: "a", single_word: true }] }, '"a", a token that only matches whole words'],
  ])("%s", async (_, tokenizer, sentence) => {
    await expect(tokenizerOf(textFolder({ ...(tokenizer === undefined ? {} : { tokenizer }) }))).rejects.toMatchObject({ name: "StudioError", code: "bad-file", message: expect.stringContaining(sentence) });
  });
});
