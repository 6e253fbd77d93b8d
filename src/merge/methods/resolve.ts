import { StudioError } from "../../core/errors";
import type { NumberOrWordSpec, NumberSpec, Params, ParamSpec } from "../../core/params";
import type { ParamValue, Recipe } from "../../core/recipe";
import { suggest } from "../../core/suggest";
import type { MergeMethod } from "./defineMethod";
import type { Settings } from "./settings";

/** What has settings: a method, or what comes after one. */
type Form = Pick<MergeMethod, "label" | "params" | "aliases">;

/**
 * All parameters of a method: what was given, checked, and the defaults. Texts as from a command line are read:
 * "0.2", "true", "fixed(0.3)". Throws "bad-recipe" for a name the method does not have (with the nearest one it has), a
 * word that is no option, and a number outside its range.
 */
export function resolveParams(method: Form, given: Readonly<Record<string, unknown>>): Params {
  const params: Params = Object.fromEntries(Object.entries(method.params).map(([name, spec]) => [name, spec.default]));
  for (const [key, raw] of Object.entries(given)) {
    const alias = method.aliases && Object.hasOwn(method.aliases, key) ? method.aliases[key] : undefined;
    const [name, value] = typeof alias === "function" ? alias(raw) : [alias ?? key, raw];
    const spec = Object.hasOwn(method.params, name) ? method.params[name] : undefined;
    if (!spec) throw unknownName(method, key);
    params[name] = readValue(method, name, spec, value);
  }
  return params;
}

/** What a pass depends on beside the recipe's plain parameters. */
export interface PassTensors {
  settings: Settings;
  outputs: readonly { name: string; role: { layer: number | undefined } }[];
  /** Tensors that the recipe's patterns leave to the base. */
  leftOut: readonly string[];
}

/**
 * Canonical text of everything a measuring pass depends on: the models, the pass's own parameters, those of single tensors
 * and models where they differ, tensors that are left out, given token ids or calibration text, weights where the pass takes
 * them, and the choice for tied embeddings (it decides which head is measured). Equal texts share a pass.
 */
export function passKey(method: MergeMethod, params: Params, recipe: Pick<Recipe, "base" | "models" | "tokens" | "calibration" | "reconciliation">, tensors?: PassTensors): string {
  const values = { ...method.passValues(params) };
  // Given token ids replace the random draw; sampled labels and Gaussian probes still take the seed.
  const seeded = values.labels === "sampled" || values.calib === "gaussian";
  if (recipe.tokens) for (const name of ["N", "len", "vocab", "prependBos", ...(seeded ? [] : ["seed"])]) delete values[name];
  const ref = (m: Recipe["base"]) => m.hash ?? m.id ?? m.name;
  return JSON.stringify({
    method: method.id,
    base: ref(recipe.base),
    models: recipe.models.map(ref),
    tied: recipe.reconciliation.tied,
    params: Object.fromEntries(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1))),
    ...(recipe.tokens ? { tokens: recipe.tokens } : {}),
    ...((method.needs.calibration || values.tokens === "calibration") && !recipe.tokens ? { calibration: recipe.calibration } : {}),
    ...(method.weighsPass ? { weights: recipe.models.map((m) => m.weight ?? 1) } : {}),
    ...(tensors?.settings.varied ? ownValues(method, params, tensors) : {}),
    ...(tensors && tensors.leftOut.length > 0 ? { leftOut: tensors.leftOut } : {}),
  });
}

/** What the pass takes for single tensors, per model, where it is not what it takes for all. */
function ownValues(method: MergeMethod, params: Params, { settings, outputs }: PassTensors): { own?: [string, Params[]][] } {
  const common = method.passValues(params);
  const own = outputs.flatMap(({ name, role }): [string, Params[]][] => {
    const models = settings.at({ name, layer: role.layer }).models.map((p) => Object.fromEntries(Object.entries(method.passValues(p)).filter(([key, value]) => value !== common[key])));
    return models.some((values) => Object.keys(values).length > 0) ? [[name, models]] : [];
  });
  return own.length > 0 ? { own } : {};
}

function readValue(method: Form, name: string, spec: ParamSpec, value: unknown): ParamValue {
  const fail = (expected: string): never => {
    const found = typeof value === "string" ? `"${value}"` : JSON.stringify(value) ?? String(value);
    throw new StudioError("bad-recipe", `Reading the recipe for ${method.label}: "${name}" is ${found}, expected ${expected}.`, { title: "A setting out of range", where: name, found, expected });
  };
  switch (spec.kind) {
    case "flag":
      if (value === true || value === "true") return true;
      if (value === false || value === "false") return false;
      return fail("true or false");
    case "choice":
      return spec.options.some((o) => o.value === value) ? (value as string) : fail(oneOf(spec.options));
    case "number":
      return readNumber(spec, value) ?? fail(rangeOf(spec));
    case "number-or-word": {
      if (spec.words.some((w) => w.value === value)) return value as string;
      const inner = typeof value === "string" ? /^fixed\((.*)\)$/.exec(value.trim())?.[1] : undefined;
      return readNumber(spec, inner ?? value) ?? fail(`${oneOf(spec.words)}, or ${rangeOf(spec)}`);
    }
  }
}

export function readNumber(spec: NumberSpec | NumberOrWordSpec, value: unknown): number | undefined {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isFinite(number) || number < spec.min || number > spec.max) return undefined;
  return spec.kind === "number" && spec.integer && !Number.isInteger(number) ? undefined : number;
}

const oneOf = (options: readonly { value: string }[]): string => (options.length === 1 ? `"${options[0]!.value}"` : `one of ${options.map((o) => `"${o.value}"`).join(", ")}`);
export const rangeOf = (spec: NumberSpec | NumberOrWordSpec): string => `${spec.kind === "number" && spec.integer ? "a whole number" : "a number"} from ${spec.min} to ${spec.max}`;

/** The fault of a name that a method does not have, with the nearest one it has. */
export function unknownName(method: Form, key: string): StudioError {
  const names = [...Object.keys(method.params), ...Object.keys(method.aliases ?? {})];
  const nearest = suggest(key, names);
  const hint = nearest ? ` Did you mean "${nearest}"?` : ` It has ${Object.keys(method.params).join(", ")}.`;
  return new StudioError("bad-recipe", `Reading the recipe for ${method.label}: there is no setting "${key}".${hint}`, { title: "Unknown setting", where: key, ...(nearest ? { expected: nearest } : {}) });
}
