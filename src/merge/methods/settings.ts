import { StudioError } from "../../core/errors";
import type { Params } from "../../core/params";
import type { Recipe, Varying } from "../../core/recipe";
import { numbersIn, valueAt, type Place } from "../../core/varying";
import type { MergeMethod } from "./defineMethod";
import { rangeOf, readNumber, unknownName } from "./resolve";

/** What a method is told of one tensor. */
export interface TensorSettings {
  params: Params;
  weights: number[];
  /** `params` with what each model has for itself; the very same object where it has nothing. */
  models: readonly Params[];
}

export interface Settings {
  /** Whether tensors or models have numbers of their own; else all are told the same. */
  varied: boolean;
  /** Throws "bad-recipe" where no rule of a weight fits the tensor. */
  at(tensor: { name: string; layer: number | undefined }): TensorSettings;
}

/** A parameter's values, for tensors and models. */
type Varied = { name: string; values: Varying }[];

/**
 * Parameters and weights by tensor and model (METHODS 0.3). A model's own setting comes first, then the recipe's `vary`, then
 * its `params`; the next is asked where there is none, or none of its rules fits the tensor. A weight has nothing behind it:
 * where it has rules, one of them must fit, as in mergekit. Throws "bad-recipe" for names that the method does not have, for
 * settings that cannot vary, and for numbers outside their range.
 */
export function settingsOf(method: MergeMethod, recipe: Pick<Recipe, "models" | "vary">, params: Params, layers: number): Settings {
  const vary = readVaried(method, recipe.vary ?? {}, "vary", "tensor");
  const own = recipe.models.map((model, k) => readVaried(method, model.params ?? {}, `models[${k}].params`, "model"));
  recipe.models.forEach((model, k) => checkWeight(model.weight, model.name, k));
  const byModel = own.some((o) => o.length > 0);
  const weighted = recipe.models.some((m) => m.weight !== undefined && typeof m.weight !== "number");

  const withValues = (from: Params, varied: Varied, place: Place): Params => {
    const values = varied.flatMap(({ name, values }): [string, number][] => {
      const value = valueAt(values, place);
      return value === undefined ? [] : [[name, value]];
    });
    return values.length > 0 ? { ...from, ...Object.fromEntries(values) } : from;
  };
  const weightAt = ({ weight, name }: Recipe["models"][number], place: Place): number => {
    const value = valueAt(weight ?? 1, place);
    if (value === undefined) throw new StudioError("bad-recipe", `Reading the recipe: no rule for the weight of "${name}" fits the tensor "${place.name}". Add a rule without a filter, which holds for all others.`, { title: "A tensor without a weight", where: place.name, found: "no rule that fits", expected: "a rule without a filter at the end" });
    return value;
  };
  const make = (tensor: Pick<Place, "name" | "layer">): TensorSettings => {
    const place = { name: tensor.name, layer: tensor.layer, layers };
    const common = withValues(params, vary, place);
    return { params: common, weights: recipe.models.map((model) => weightAt(model, place)), models: own.map((o) => withValues(common, o, place)) };
  };

  const varied = vary.length > 0 || byModel || weighted;
  if (!varied) {
    const same = make({ name: "", layer: undefined });
    return { varied, at: () => same };
  }
  const known = new Map<string, TensorSettings>();
  return {
    varied,
    at: (tensor) => {
      let settings = known.get(tensor.name);
      if (!settings) known.set(tensor.name, (settings = make(tensor)));
      return settings;
    },
  };
}

function readVaried(method: MergeMethod, given: Readonly<Record<string, Varying>>, where: string, level: "tensor" | "model"): Varied {
  return Object.entries(given).map(([key, values]) => {
    const alias = method.aliases && Object.hasOwn(method.aliases, key) ? method.aliases[key] : undefined;
    const name = typeof alias === "function" ? alias(0)[0] : (alias ?? key);
    const spec = Object.hasOwn(method.params, name) ? method.params[name] : undefined;
    if (!spec) throw unknownName(method, key);
    const path = `${where}.${key}`;
    const refuse = (problem: string, details: Record<string, string>): never => {
      throw new StudioError("bad-recipe", `Reading the recipe for ${method.label}: ${path} ${problem}.`, { title: "A setting that cannot be used", where: path, path, ...details });
    };
    const varies = spec.kind === "number" || spec.kind === "number-or-word" ? spec.varies : undefined;
    if ((spec.kind !== "number" && spec.kind !== "number-or-word") || varies === undefined || (level === "model" && varies !== "model")) {
      const can = Object.entries(method.params).filter(([, s]) => "varies" in s && (level === "tensor" ? s.varies !== undefined : s.varies === "model")).map(([n]) => n);
      const between = level === "model" ? "models" : "tensors";
      return refuse(`is one value for all ${between}. ${can.length === 0 ? `No setting of this method differs between ${between}` : `Those that may differ are ${can.join(", ")}`}`, { expected: can.join(", ") });
    }
    const read = (value: number): number => readNumber(spec, typeof alias === "function" ? alias(value)[1] : value) ?? refuse(`holds ${JSON.stringify(value)}, expected ${rangeOf(spec)}`, { found: JSON.stringify(value), expected: rangeOf(spec) });
    checkLists(values, (problem) => refuse(problem, {}));
    return { name, values: mapped(values, read) };
  });
}

function checkWeight(weight: Varying | undefined, model: string, k: number): void {
  if (weight === undefined) return;
  const refuse = (problem: string): never => {
    throw new StudioError("bad-recipe", `Reading the recipe: the weight of "${model}" ${problem}.`, { title: "A weight that cannot be used", where: `models[${k}].weight`, path: `models[${k}].weight` });
  };
  if (typeof weight !== "number" && !Array.isArray(weight)) refuse(`is ${JSON.stringify(weight)}, expected a number, a list of numbers, or a list of rules`);
  checkLists(weight, refuse);
  for (const value of numbersIn(weight)) if (typeof value !== "number" || !Number.isFinite(value)) refuse(`is ${JSON.stringify(weight)}, expected numbers`);
}

/** A list without a number has no value anywhere. */
function checkLists(values: Varying, refuse: (problem: string) => never): void {
  if (typeof values === "number") return;
  const empty = values.length === 0 || values.some((entry) => typeof entry === "object" && Array.isArray(entry.value) && entry.value.length === 0);
  if (empty) refuse("is an empty list, expected at least one number");
}

const each = (value: number | number[], read: (value: number) => number): number | number[] => (typeof value === "number" ? read(value) : value.map(read));
function mapped(values: Varying, read: (value: number) => number): Varying {
  if (typeof values === "number") return read(values);
  return values.map((entry) => (typeof entry === "number" ? read(entry) : { ...entry, value: each(entry.value, read) })) as Varying;
}
