import { expect, test } from "vitest";
import { stopIds } from "../../../src/generate/stopIds";
import { fixturePath } from "../../support/nodeCheckpoint";
import { readFileSync } from "node:fs";

const model = (config: Record<string, unknown>, files: Record<string, unknown> = {}) => ({
  config,
  text: async (path: string) => (path in files ? JSON.stringify(files[path]) : undefined),
});

const qwen = {
  "tokenizer.json": {
    model: { vocab: { a: 0 } },
    added_tokens: [
      { id: 151643, content: "<|endoftext|>", special: true },
      { id: 151644, content: "<|im_start|>", special: true },
      { id: 151645, content: "<|im_end|>", special: true },
      { id: 151657, content: "<tool_call>", special: false },
    ],
  },
  "tokenizer_config.json": { eos_token: "<|endoftext|>" },
};

test("a Qwen2.5 base stops at both of its ends although its configuration lists one", async () => {
  expect(await stopIds(model({ eos_token_id: 151643 }, { ...qwen, "generation_config.json": { eos_token_id: 151643 } }))).toEqual([
    { id: 151643, text: "<|endoftext|>", from: ["generation_config.json", "config.json", "tokenizer_config.json", "tokenizer.json"] },
    { id: 151645, text: "<|im_end|>", from: ["tokenizer.json"] },
  ]);
});

test("a list of ids, and an end that only generation_config.json names", async () => {
  const found = await stopIds(model({ eos_token_id: null }, { ...qwen, "generation_config.json": { eos_token_id: [151645, 151643, 151657] } }));
  expect(found.map(({ id }) => id)).toEqual([151643, 151645, 151657]);
  expect(found[2]).toEqual({ id: 151657, text: "<tool_call>", from: ["generation_config.json"] });
});

test("the same numbers mean other tokens in another vocabulary", async () => {
  // In this family 151645 begins the assistant's turn.
  const files = { "tokenizer.json": { model: { vocab: {} }, added_tokens: [{ id: 151643, content: "<｜end▁of▁sentence｜>", special: true }, { id: 151645, content: "<｜Assistant｜>", special: false }] }, "tokenizer_config.json": { eos_token: { content: "<｜end▁of▁sentence｜>" } } };
  expect((await stopIds(model({ eos_token_id: 151643 }, files))).map(({ id }) => id)).toEqual([151643]);
});

test("a model without files stops nowhere; an eos that is an ordinary token is found in the vocabulary", async () => {
  expect(await stopIds(model({}))).toEqual([]);
  expect(await stopIds(model({}, { "tokenizer.json": { model: { vocab: { x: 0, "</end>": 5 } }, added_tokens: [] }, "tokenizer_config.json": { eos_token: "</end>" } }))).toEqual([{ id: 5, text: "</end>", from: ["tokenizer_config.json"] }]);
});

test("the sample pair stops at its end-of-text token", async () => {
  const folder = fixturePath("..", "..", "public", "samples", "base");
  const text = async (path: string) => readFileSync(`${folder}/${path}`, "utf8");
  expect(await stopIds({ config: JSON.parse(await text("config.json")) as Record<string, unknown>, text })).toEqual([{ id: 0, text: "<|endoftext|>", from: expect.arrayContaining(["generation_config.json", "config.json"]) as string[] }]);
});

test("a file that is no JSON is named", async () => {
  await expect(stopIds({ config: {}, text: async () => "{" })).rejects.toThrow("generation_config.json");
});
