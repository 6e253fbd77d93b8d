interface Part {
  type?: string;
  behavior?: string;
  invert?: boolean;
  pattern?: { String?: string; Regex?: string };
  normalizers?: Part[];
  pretokenizers?: Part[];
  content?: string;
}

const flat = (part: Part | null | undefined, key: "normalizers" | "pretokenizers"): Part[] => (!part ? [] : part.type === "Sequence" ? (part[key] ?? []).flatMap((p) => flat(p, key)) : [part]);

/** Splits that come out alike: matches set apart, and matches (or all but them) thrown away. */
function splitsExactly({ behavior = "isolated", invert = false, pattern }: Part): boolean {
  const word = behavior.toLowerCase();
  return word === "isolated" ? !invert : word === "removed" && (invert || pattern?.Regex !== undefined);
}

/**
 * The first part of a tokenizer.json that the JavaScript library reads without complaint but computes differently from the
 * Python one, in words; undefined when there is none. Found by comparing ids of both over each kind of part
 * (@huggingface/tokenizers 0.2.0 and tokenizers 0.23.2).
 */
export function inexactPart(file: Readonly<Record<string, unknown>>): string | undefined {
  const normalizers = flat(file.normalizer as Part | null, "normalizers");
  if (normalizers.some((n) => n.type === "Precompiled")) return "a precompiled character map";
  for (const part of flat(file.pre_tokenizer as Part | null, "pretokenizers")) {
    if (part.type === "Punctuation" && part.behavior?.toLowerCase() !== "contiguous") return `a pre-tokenizer that splits punctuation with "${part.behavior ?? "Isolated"}"`;
    if (part.type !== "Split" || splitsExactly(part)) continue;
    // Gemma splits at spaces, of which its normalizer has left none.
    const text = part.pattern?.String;
    const gone = text !== undefined && normalizers.some((n) => n.type === "Replace" && n.pattern?.String === text && !(n.content ?? "").includes(text));
    if (!gone) return `a pre-tokenizer that splits with "${part.behavior}"${part.invert ? ", inverted" : ""}`;
  }
  const model = file.model as { type?: string; byte_fallback?: boolean } | undefined;
  if (model?.type === "Unigram" && model.byte_fallback === true) return "a unigram model that falls back to bytes";
  const added = (Array.isArray(file.added_tokens) ? file.added_tokens : []) as { content?: string; single_word?: boolean }[];
  const word = added.find((t) => t.single_word === true);
  return word ? `"${word.content}", a token that only matches whole words` : undefined;
}
