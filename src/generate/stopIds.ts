import type { Checkpoint } from "../core/tensors";
import { parseJsonRecord } from "../formats/checkpoint";

/** A token at which generation ends, its text where the tokenizer tells it, and the files that name it. */
export interface StopId {
  id: number;
  text: string | undefined;
  /** "generation_config.json", "config.json", "tokenizer_config.json", "tokenizer.json". */
  from: string[];
}

/** Special tokens that end a turn or a text in the supported families, whatever the configuration lists. */
const ENDS = new Set(["</s>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>"]);

interface AddedToken { id: number; content: string; special?: boolean }

const contentOf = (value: unknown): string | undefined => (typeof value === "string" ? value : typeof (value as { content?: unknown } | null | undefined)?.content === "string" ? (value as { content: string }).content : undefined);

/**
 * Where a model stops: eos_token_id (a number or a list) of generation_config.json and of config.json, the eos_token of
 * tokenizer_config.json, and the special tokens of tokenizer.json that end a turn or a text. The union, by id; a base model
 * whose configuration lists one of two ends would else run on to the limit, and count as long (METHODS 12: 151643 and 151645
 * of Qwen2.5). Throws "bad-file" when one of the files is no JSON.
 */
export async function stopIds(checkpoint: Pick<Checkpoint, "config" | "text">): Promise<StopId[]> {
  const read = async (path: string): Promise<Record<string, unknown>> => {
    const text = await checkpoint.text(path);
    return text === undefined ? {} : parseJsonRecord(text, path);
  };
  const found = new Map<number, Set<string>>();
  const add = (id: unknown, from: string): void => {
    if (typeof id === "number" && Number.isInteger(id) && id >= 0) found.set(id, (found.get(id) ?? new Set()).add(from));
  };
  const generation = await read("generation_config.json");
  for (const [file, config] of [["generation_config.json", generation], ["config.json", checkpoint.config]] as const) for (const id of [config.eos_token_id].flat()) add(id, file);

  const tokenizer = await read("tokenizer.json");
  const settings = await read("tokenizer_config.json");
  const vocab = (tokenizer.model as { vocab?: Record<string, unknown> } | undefined)?.vocab ?? {};
  const declared = Object.entries((settings.added_tokens_decoder ?? {}) as Record<string, Omit<AddedToken, "id">>).map(([id, token]) => ({ ...token, id: Number(id) }));
  const added = [...((Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : []) as AddedToken[]), ...declared];
  const eos = contentOf(settings.eos_token);
  if (eos !== undefined) add(added.find(({ content }) => content === eos)?.id ?? vocab[eos], "tokenizer_config.json");
  for (const { id, content, special } of added) if (special && ENDS.has(content)) add(id, "tokenizer.json");

  const textOf = (id: number): string | undefined => added.find((token) => token.id === id)?.content ?? Object.keys(vocab).find((text) => vocab[text] === id);
  return [...found].sort(([a], [b]) => a - b).map(([id, from]) => ({ id, text: textOf(id), from: [...from] }));
}
