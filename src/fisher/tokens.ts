import { StudioError } from "../core/errors";
import { drawTokens } from "../core/random";
import type { Checkpoint } from "../core/tensors";
import { parseJsonRecord } from "../formats/checkpoint";

export interface TokenOptions {
  seed: number;
  N: number;
  len: number;
  vocab: "config" | "tokenizer" | "noSpecial";
  prependBos: boolean;
}

/**
 * The random inputs of the Fisher pass: N sequences of `len` ids, uniform over the vocabulary, MT19937(seed) mod V,
 * row-major. With `prependBos` each sequence starts with the config's bos id and is one longer, so that `len` ids are
 * predicted. Source: FIM-Merging eq. 7; METHODS A9, A12, A13.
 */
export async function randomSequences(checkpoint: Checkpoint, vocabSize: number, options: TokenOptions): Promise<number[][]> {
  const vocab = options.vocab === "config" ? vocabSize : Math.min(vocabSize, await tokenizerSize(checkpoint, options.vocab));
  const drawn = drawTokens(options.seed, vocab, options.N, options.len);
  if (!options.prependBos) return drawn;
  const bos = checkpoint.config.bos_token_id;
  if (typeof bos !== "number")
    throw new StudioError("bad-recipe", `prependBos is on, but config.json of "${checkpoint.name}" has no bos_token_id. Turn prependBos off.`, { where: "params.prependBos" });
  return drawn.map((sequence) => [bos, ...sequence]);
}

/** `tokenizer`: ids up to the largest one, added tokens included. `noSpecial`: the vocabulary without added tokens. */
async function tokenizerSize(checkpoint: Checkpoint, which: "tokenizer" | "noSpecial"): Promise<number> {
  const text = await checkpoint.text("tokenizer.json");
  if (text === undefined)
    throw new StudioError("bad-recipe", `vocab is "${which}", but "${checkpoint.name}" has no tokenizer.json. Set vocab to config.`, { where: "params.vocab" });
  const tokenizer = parseJsonRecord(text, "tokenizer.json") as { model?: { vocab?: Record<string, number> | unknown[] }; added_tokens?: { id: number }[] };
  const vocab = tokenizer.model?.vocab ?? {};
  const ids = Array.isArray(vocab) ? vocab.map((_, i) => i) : Object.values(vocab);
  const added = new Set((tokenizer.added_tokens ?? []).map((t) => t.id));
  let largest = -1;
  for (const id of ids) if (id > largest && (which === "tokenizer" || !added.has(id))) largest = id;
  if (which === "tokenizer") for (const id of added) largest = Math.max(largest, id);
  if (largest < 1) throw new StudioError("bad-file", `tokenizer.json of "${checkpoint.name}" lists no vocabulary. Set vocab to config.`, { where: "tokenizer.json" });
  return largest + 1;
}
