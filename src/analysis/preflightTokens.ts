import type { Checkpoint } from "../core/tensors";
import { parseJsonRecord } from "../formats/checkpoint";

/** What the small files say about text going in and out. */
export interface TokenizerFacts {
  present: boolean;
  /** "Qwen2Tokenizer", "none". */
  name: string;
  /** Special and added tokens by id. */
  added: Map<number, string>;
  /** Ordinary vocabulary of tokenizer.json, empty when it has none in the usual form. */
  vocab: Map<string, number>;
  /** One more than the largest id of any token; 0 where none is listed. */
  ids: number;
  template: string | undefined;
  generation: Record<string, unknown> | undefined;
  /** The tokenizer files as texts, to tell equal from different. */
  raw: string;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

/** Files that make up a tokenizer, in the order in which they are compared and copied. */
export const TOKENIZER_FILES = ["tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json"] as const;
export const TEMPLATE_FILES = ["chat_template.jinja", "chat_template.json"] as const;

async function record(checkpoint: Checkpoint, path: string): Promise<Record<string, unknown> | undefined> {
  const text = await checkpoint.text(path);
  return text === undefined ? undefined : parseJsonRecord(text, path);
}

/** The chat template: its own file, or the key of tokenizer_config.json (a text, or a list of which "default" is meant). */
export async function chatTemplateOf(checkpoint: Checkpoint): Promise<string | undefined> {
  const own = await checkpoint.text("chat_template.jinja");
  if (own !== undefined) return own;
  const json = await record(checkpoint, "chat_template.json");
  const value = json?.chat_template ?? (await record(checkpoint, "tokenizer_config.json"))?.chat_template;
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const list = value.filter(isRecord);
  const chosen = list.find((t) => t.name === "default") ?? list[0];
  return typeof chosen?.template === "string" ? chosen.template : undefined;
}

/** Bytes of a tokenizer.model as text, which is enough to compare two of them. */
async function rawOf(checkpoint: Checkpoint, path: string): Promise<string> {
  const file = checkpoint.files.find((f) => f.path === path);
  if (!file) return "";
  return new TextDecoder("latin1").decode(await file.read(0, file.size));
}

export async function tokenizerFacts(checkpoint: Checkpoint): Promise<TokenizerFacts> {
  const config = await record(checkpoint, "tokenizer_config.json");
  const tokenizer = await record(checkpoint, "tokenizer.json");
  const added = new Map<number, string>();
  for (const token of Array.isArray(tokenizer?.added_tokens) ? tokenizer.added_tokens.filter(isRecord) : []) {
    if (typeof token.id === "number" && typeof token.content === "string") added.set(token.id, token.content);
  }
  for (const [id, token] of Object.entries(isRecord(config?.added_tokens_decoder) ? config.added_tokens_decoder : {})) {
    if (isRecord(token) && typeof token.content === "string") added.set(Number(id), token.content);
  }
  const model = isRecord(tokenizer?.model) ? tokenizer.model : {};
  const vocab = new Map<string, number>();
  const listed = isRecord(model.vocab) || Array.isArray(model.vocab) ? model.vocab : ((await record(checkpoint, "vocab.json")) ?? {});
  // A Unigram model lists [token, score] in the order of the ids.
  if (Array.isArray(listed)) listed.forEach((entry, id) => Array.isArray(entry) && typeof entry[0] === "string" && vocab.set(entry[0], id));
  else for (const [token, id] of Object.entries(listed)) if (typeof id === "number") vocab.set(token, id);
  let ids = 0;
  for (const id of [...vocab.values(), ...added.keys()]) ids = Math.max(ids, id + 1);
  const { chat_template: _, ...rest } = config ?? {};
  const parts = [JSON.stringify(rest)];
  for (const path of TOKENIZER_FILES) if (path !== "tokenizer_config.json") parts.push(await rawOf(checkpoint, path));
  const present = TOKENIZER_FILES.some((path) => checkpoint.files.some((f) => f.path === path));
  return {
    present,
    name: typeof config?.tokenizer_class === "string" ? config.tokenizer_class : present ? "tokenizer" : "none",
    added, vocab, ids,
    template: await chatTemplateOf(checkpoint),
    generation: await record(checkpoint, "generation_config.json"),
    raw: parts.join("\u0000"),
  };
}

/** Ids below `rows` that name one token in the base and another in the fine-tuned model (METHODS 8.4). */
export function specialTokenClashes(base: TokenizerFacts, tuned: TokenizerFacts): { id: number; base: string; tuned: string }[] {
  return [...base.added].flatMap(([id, token]) => {
    const other = tuned.added.get(id);
    return other !== undefined && other !== token ? [{ id, base: token, tuned: other }] : [];
  }).sort((a, b) => a.id - b.id);
}

/** Ordinary tokens with another id, or absent, in the fine-tuned tokenizer. */
export function movedTokens(base: TokenizerFacts, tuned: TokenizerFacts): number {
  if (base.vocab.size === 0 || tuned.vocab.size === 0) return 0;
  let moved = 0;
  for (const [token, id] of base.vocab) if (tuned.vocab.get(token) !== id) moved++;
  return moved;
}

/** A template by the markers it writes, for people; a stranger is named by its length. */
export function templateName(template: string | undefined): string {
  if (template === undefined) return "none";
  if (template.includes("<｜User｜>")) return "DeepSeek-R1";
  if (template.includes("<|start_header_id|>")) return "Llama 3";
  if (template.includes("<start_of_turn>")) return "Gemma";
  if (template.includes("<|im_start|>")) return "ChatML";
  if (template.includes("[INST]")) return "Mistral";
  return `own, ${template.length.toLocaleString("en-US")} characters`;
}
