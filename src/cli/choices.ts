import { StudioError } from "../core/errors";
import type { ParamValue, Reconciliation, ReconciliationKey, RowChoice } from "../core/recipe";
import { parseSettings } from "./args";

const ROWS: readonly RowChoice[] = ["mix", "base", "finetuned"];
/** Keys of --set that are choices where base and fine-tuned differ, with their words. */
const CHOICES: { [K in ReconciliationKey]: readonly NonNullable<Reconciliation[K]>[] } = {
  tied: ["untie", "tie-as-base", "head-from-finetuned"], context: ["max", "base", "finetuned"], tokenizer: ["base", "finetuned"],
  chatTemplate: ["base", "finetuned"], generationConfig: ["base", "finetuned"], clashRows: ROWS,
  vocabulary: ["base", "finetuned", "common"], stopIds: ["base", "finetuned"],
};

const bad = (sentence: string): StudioError => new StudioError("bad-request", sentence);

/**
 * The choices among the pairs of --set, and those of --rows ("151648=finetuned,151649=base"), put into a reconciliation; the
 * other settings are returned. Throws "bad-request" for a word that is no option, and an id that is none.
 */
export function takeChoices(reconciliation: Reconciliation, settings: Readonly<Record<string, ParamValue>>, rows: readonly string[] = []): Record<string, ParamValue> {
  const rest = { ...settings };
  for (const [key, words] of Object.entries(CHOICES)) {
    const value = rest[key];
    if (value === undefined) continue;
    if (!(words as readonly ParamValue[]).includes(value)) throw bad(`--set ${key}=${value}: expected one of ${words.join(", ")}.`);
    Object.assign(reconciliation, { [key]: value });
    delete rest[key];
  }
  for (const pair of rows.flatMap((text) => text.split(","))) {
    const [id, choice] = Object.entries(parseSettings([pair], "rows"))[0]!;
    if (!/^\d+$/.test(id) || !(ROWS as readonly ParamValue[]).includes(choice)) throw bad(`--rows ${pair}: expected a token id and one of ${ROWS.join(", ")}, such as 151648=finetuned.`);
    reconciliation.rows = { ...reconciliation.rows, [id]: choice as RowChoice };
  }
  return rest;
}
