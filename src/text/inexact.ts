interface Part {
  type?: string;
  behavior?: string;
  pattern?: { String?: string; Regex?: string };
  normalizers?: Part[];
  pretokenizers?: Part[];
  split?: boolean;
  content?: string;
}

const flat = (part: Part | null | undefined, key: "normalizers" | "pretokenizers"): Part[] => (!part ? [] : part.type === "Sequence" ? (part[key] ?? []).flatMap((p) => flat(p, key)) : [part]);

/**
 * The first part of a tokenizer.json that the JavaScript library reads without complaint but computes differently from the
 * Python one, in words; undefined when there is none.
 */
export function inexactPart(file: Readonly<Record<string, unknown>>): string | undefined {
  const normalizers = flat(file.normalizer as Part | null, "normalizers");
  for (const part of flat(file.pre_tokenizer as Part | null, "pretokenizers")) {
    const behavior = part.behavior?.toLowerCase();
    if (part.type === "Split" && behavior !== undefined && behavior !== "isolated" && behavior !== "removed") {
      // Gemma splits at spaces, of which its normalizer has left none.
      const gone = normalizers.some((n) => n.type === "Replace" && n.pattern?.String !== undefined && n.pattern.String === part.pattern?.String && !(n.content ?? "").includes(n.pattern.String));
      if (!gone) return `a pre-tokenizer that splits with "${part.behavior}"`;
    }
  }
  return undefined;
}
