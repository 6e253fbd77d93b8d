import { memoryFile } from "../../src/core/files";
import type { Checkpoint } from "../../src/core/tensors";

/** A model folder of texts alone: a tokenizer and a config, no tensor. */
export function textFolder({ tokenizer, settings, config = {}, name = "words" }: { tokenizer?: unknown; settings?: unknown; config?: Record<string, unknown>; name?: string }): Checkpoint {
  const texts = new Map<string, string>();
  const put = (path: string, value: unknown): void => void (value !== undefined && texts.set(path, typeof value === "string" ? value : JSON.stringify(value)));
  put("tokenizer.json", tokenizer);
  put("tokenizer_config.json", settings);
  const encoder = new TextEncoder();
  return {
    name, config, tensors: new Map(), metadata: {}, warnings: [],
    files: [...texts].map(([path, text]) => memoryFile(path, encoder.encode(text))),
    text: async (path) => texts.get(path),
    read: async () => { throw new Error("there are no tensors"); },
  };
}

/** A tokenizer.json that makes one token of each word or sign. */
export const wordLevel = (words: readonly string[]): unknown => ({
  version: "1.0", added_tokens: [], normalizer: null, pre_tokenizer: { type: "Whitespace" }, post_processor: null, decoder: null,
  model: { type: "WordLevel", vocab: Object.fromEntries([...words, "[UNK]"].map((w, i) => [w, i])), unk_token: "[UNK]" },
});
