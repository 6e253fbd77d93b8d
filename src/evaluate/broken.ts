/** What a probe found of one model; `repetition` is absent where there was no text to look at. */
export interface Probed {
  perplexity: number;
  repetition: number | undefined;
}

/** A merge is taken as broken above this many times the larger perplexity of its parents. */
export const BROKEN_PERPLEXITY = 4;
/** Or when more than this share of its text repeats itself, and of no parent's. */
export const BROKEN_REPETITION = 0.5;

/** Tokens of what counts as one repetition. */
const GRAM = 4;

/**
 * Share of repeated 4-grams: 1 - (different ones) / (all of them). Undefined where the text has fewer than 4 tokens.
 */
export function repetitionRate(ids: readonly number[]): number | undefined {
  const all = ids.length - GRAM + 1;
  if (all < 1) return undefined;
  return 1 - new Set(Array.from({ length: all }, (_, i) => ids.slice(i, i + GRAM).join(" "))).size / all;
}

const number = (value: number): string => (value >= 1e6 ? value.toExponential(1) : value >= 100 ? String(Math.round(value)) : value.toFixed(1));
const percent = (share: number): string => `${Math.round(100 * share)}%`;
const list = (values: string[]): string => (values.length < 2 ? values.join("") : `${values.slice(0, -1).join(", ")} and ${values.at(-1)}`);

/** Why a merge looks broken beside its parents, in a sentence with the numbers; undefined when it does not. */
export function brokenBecause(merge: Probed, parents: readonly Probed[]): string | undefined {
  if (Number.isNaN(merge.perplexity)) return "Its predictions on your text are no finite numbers.";
  const known = parents.map((p) => p.perplexity).filter((p) => !Number.isNaN(p));
  const [have, larger] = known.length === 1 ? ["the parent has", "its"] : ["the parents have", "the larger"];
  if (known.length > 0 && merge.perplexity > BROKEN_PERPLEXITY * Math.max(...known))
    return `Perplexity on your text is ${number(merge.perplexity)}; ${have} ${list(known.map(number))}. More than ${BROKEN_PERPLEXITY} times ${larger} is taken as broken.`;
  const rates = parents.map((p) => p.repetition).filter((r) => r !== undefined);
  if (merge.repetition !== undefined && merge.repetition > BROKEN_REPETITION && rates.every((r) => r <= BROKEN_REPETITION))
    return `${percent(merge.repetition)} of its continuation of your text repeats itself${rates.length > 0 ? `; of the ${rates.length === 1 ? "parent" : "parents"} ${list(rates.map(percent))}` : ""}. More than ${percent(BROKEN_REPETITION)} is taken as broken.`;
  return undefined;
}
