import { StudioError } from "../core/errors";
import type { Recipe, Varying } from "../core/recipe";

const bad = (sentence: string): StudioError => new StudioError("bad-request", sentence);
const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const isValue = (value: unknown): boolean => isNumber(value) || (Array.isArray(value) && value.length > 0 && value.every(isNumber));
const isRule = (value: unknown): boolean =>
  typeof value === "object" && value !== null && !Array.isArray(value) && isValue((value as { value?: unknown }).value) &&
  Object.entries(value).every(([key, inner]) => key === "value" || (key === "filter" && typeof inner === "string" && inner !== ""));

/** "0.5", "[0.1, 0.9]", or rules as JSON. Throws "bad-request" naming the flag. */
export function parseVarying(text: string, flag: string): Varying {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (isValue(value) || (Array.isArray(value) && value.length > 0 && value.every(isRule))) return value as Varying;
  throw bad(`${flag}: expected a number, a list such as [0.1,0.9], or rules such as [{"filter":"mlp","value":0.3},{"value":[0,1]}].`);
}

/**
 * The weights of --weight, in the order of the models; the settings of --vary, "density=[0.1,0.9]", or "2:density=0.7" for the
 * second model alone; the patterns of --include and --exclude. Throws "bad-request" for what cannot be read; names and ranges
 * are checked by the method.
 */
export function takeVarying(recipe: Recipe, flags: Readonly<Record<string, string[]>>): void {
  for (const [i, text] of (flags.weight ?? []).entries()) {
    const model = recipe.models[i];
    if (!model) throw bad(`--weight ${text}: at most one for each --model, of which there are ${recipe.models.length}.`);
    model.weight = parseVarying(text, `--weight ${text}`);
  }
  for (const pair of flags.vary ?? []) {
    const [, number, name, text] = /^(?:(\d+):)?([^=:]+)=(.*)$/s.exec(pair) ?? [];
    if (name === undefined || text === undefined) throw bad(`--vary ${pair}: expected name=numbers, or N:name=numbers for the Nth --model, such as density=[0.1,0.9].`);
    const value = parseVarying(text, `--vary ${pair}`);
    if (number === undefined) recipe.vary = { ...recipe.vary, [name]: value };
    else {
      const model = recipe.models[Number(number) - 1];
      if (!model) throw bad(`--vary ${pair}: there is no --model ${number}; there are ${recipe.models.length}, counted from 1.`);
      model.params = { ...model.params, [name]: value };
    }
  }
  if (flags.include || flags.exclude) recipe.tensors = { ...(flags.include ? { include: flags.include } : {}), ...(flags.exclude ? { exclude: flags.exclude } : {}) };
}
