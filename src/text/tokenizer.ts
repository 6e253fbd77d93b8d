import { Tokenizer as Engine } from "@huggingface/tokenizers";
import { StudioError } from "../core/errors";
import type { Checkpoint } from "../core/tensors";
import { parseJsonRecord } from "../formats/checkpoint";
import { inexactPart } from "./inexact";

/** Text to token ids and back, as the model's own tokenizer.json says. */
export interface Tokenizer {
  /** Token ids of a text. `addSpecialTokens`: with what the tokenizer puts around it (a bos, say); true when absent. */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /** The text of ids; bytes that are no UTF-8 become U+FFFD, ids that no token has are left out. `skipSpecial`: without special tokens; false when absent. */
  decode(ids: readonly number[], options?: { skipSpecial?: boolean }): string;
  /** Takes ids one by one and gives out text as soon as it is certain. */
  stream(options?: { skipSpecial?: boolean }): TextStream;
  /** Largest id plus one. */
  readonly size: number;
  /** Ids of all tokens marked special. */
  readonly special: ReadonlySet<number>;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly pad: number | undefined;
  readonly unk: number | undefined;
}

/** Decoding as ids arrive. The pieces, joined, are what `decode` makes of all ids. */
export interface TextStream {
  /** The text that is certain with this id and was not given out yet; empty while a character is incomplete. */
  push(id: number): string;
  /** What is held back at the end: an incomplete character as U+FFFD. */
  flush(): string;
}

function refuse(name: string, found: string, todo: string, cause?: unknown): never {
  throw new StudioError("bad-file", `Reading tokenizer.json of "${name}": ${found}. ${todo}`, { title: "The tokenizer cannot be used", where: `${name}/tokenizer.json`, found, todo }, cause === undefined ? {} : { cause });
}

const built = new WeakMap<Checkpoint["files"], Promise<Tokenizer>>();

/**
 * The tokenizer of a model folder, from its tokenizer.json and, for the names of special tokens, tokenizer_config.json.
 * Made once per opened folder. Throws "bad-file" when tokenizer.json is missing, malformed, or has a part that cannot be
 * computed exactly as the Python library does.
 */
export async function tokenizerOf(checkpoint: Pick<Checkpoint, "name" | "text" | "files">): Promise<Tokenizer> {
  const known = built.get(checkpoint.files);
  if (known) return known;
  const made = readTokenizer(checkpoint);
  built.set(checkpoint.files, made);
  made.catch(() => built.delete(checkpoint.files));
  return made;
}

async function readTokenizer(checkpoint: Pick<Checkpoint, "name" | "text">): Promise<Tokenizer> {
  const text = await checkpoint.text("tokenizer.json");
  if (text === undefined) refuse(checkpoint.name, "there is no such file in the folder", "Copy tokenizer.json from where the model came from into the folder; text cannot be turned into tokens without it.");
  const settings = await checkpoint.text("tokenizer_config.json");
  return makeTokenizer(checkpoint.name, parseJsonRecord(text!, "tokenizer.json"), settings === undefined ? {} : parseJsonRecord(settings, "tokenizer_config.json"));
}

interface AddedToken { id: number; content: string; special: boolean }

/** A special token's text in tokenizer_config.json: a plain text or an object with `content`. */
const contentOf = (value: unknown): string | undefined => (typeof value === "string" ? value : typeof (value as { content?: unknown } | null | undefined)?.content === "string" ? (value as { content: string }).content : undefined);

/** A tokenizer from the two files' parsed contents; `name` is the model's, for error sentences. */
export function makeTokenizer(name: string, file: Readonly<Record<string, unknown>>, settings: Readonly<Record<string, unknown>>): Tokenizer {
  const model = file.model as Record<string, unknown> | undefined;
  if (typeof model !== "object" || model === null || typeof model.vocab !== "object" || model.vocab === null) refuse(name, "it has no model with a vocabulary", "Copy the file again.");
  const inexact = inexactPart(file);
  if (inexact) refuse(name, `it uses ${inexact}, which is not supported here`, "Use a method that needs no text, or a model with another tokenizer.");
  const added = (Array.isArray(file.added_tokens) ? file.added_tokens : []) as AddedToken[];
  let engine: Engine;
  try {
    engine = new Engine(
      { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, ...file, added_tokens: added },
      // A word-level model keeps the name of its unknown token with the vocabulary; the library looks for it here.
      { unk_token: model!.unk_token ?? null, eos_token: contentOf(settings.eos_token) ?? null },
    );
  } catch (error) {
    return refuse(name, `it cannot be read (${error instanceof Error ? error.message : String(error)})`, "Use a method that needs no text, or a model with another tokenizer.", error);
  }
  const vocab = model!.vocab as Record<string, number> | unknown[];
  const size = (Array.isArray(vocab) ? [vocab.length - 1] : Object.values(vocab)).concat(added.map((t) => t.id)).reduce((a, b) => Math.max(a, b), -1) + 1;
  const special = new Set(added.filter((t) => t.special).map((t) => t.id));
  const idOf = (key: string): number | undefined => {
    const content = contentOf(settings[key]);
    return content === undefined ? undefined : engine.token_to_id(content);
  };
  const decode: Tokenizer["decode"] = (ids, { skipSpecial = false } = {}) => {
    const known = ids.filter((id) => engine.id_to_token(id) !== undefined && !(skipSpecial && special.has(id)));
    // Without the cleaning of spaces before punctuation: it would change what was encoded, and what was given out already.
    return known.length === 0 ? "" : engine.decode(known, { clean_up_tokenization_spaces: false });
  };
  return {
    encode: (text, { addSpecialTokens = true } = {}) => engine.encode(text, { add_special_tokens: addSpecialTokens }).ids,
    decode,
    stream: ({ skipSpecial = false } = {}) => textStream(decode, (id) => engine.id_to_token(id) !== undefined && !(skipSpecial && special.has(id))),
    size, special,
    bos: idOf("bos_token"), eos: idOf("eos_token"), pad: idOf("pad_token"), unk: idOf("unk_token"),
  };
}

/**
 * Decodes a window of the newest ids; the window's first part was given out and is only there because a decoder treats
 * the first token differently. An incomplete character decodes to one U+FFFD at the end, which is held back.
 */
function textStream(decode: (ids: readonly number[]) => string, shows: (id: number) => boolean): TextStream {
  let context: number[] = [];
  let fresh: number[] = [];
  let given = 0;
  const take = (all: boolean): string => {
    const text = decode([...context, ...fresh]);
    const end = !all && text.endsWith("\uFFFD") ? text.length - 1 : text.length;
    const piece = text.slice(given, end);
    given = Math.max(given, end);
    if (end === text.length && fresh.length > 0) {
      context = fresh;
      fresh = [];
      given = decode(context).length;
    }
    return piece;
  };
  return {
    push: (id) => {
      if (!shows(id)) return "";
      fresh.push(id);
      return take(false);
    },
    flush: () => take(true),
  };
}
