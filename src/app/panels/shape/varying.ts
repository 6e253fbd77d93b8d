/** Numbers of a recipe that may differ between tensors: which there are, what they say, and how they are typed. */
import type { NumberOrWordSpec, NumberSpec, ParamSpec } from "../../../core/params";
import type { ParamValue, Recipe, Varying } from "../../../core/recipe";
import { ruleFits, valueAt, varyingText, type Place } from "../../../core/varying";
import type { MethodInfo } from "../../../engine/api";
import type { VaryPlace } from "../../state/types";
import { parseNumber } from "./paramText";

export type VarySpec = NumberSpec | NumberOrWordSpec;
export type Rule = { filter?: string; value: number | number[] };

export const WEIGHT: NumberSpec = { kind: "number", label: "Weight", help: "", effect: "at-once", default: 1, min: -4, max: 4, step: 0.05, varies: "model" };

export const canVary = (spec: ParamSpec): spec is VarySpec => (spec.kind === "number" || spec.kind === "number-or-word") && spec.varies !== undefined;

/** What is set at a place; a plain weight counts as not set. */
export function varyingAt(recipe: Recipe, { param, model }: VaryPlace): Varying | undefined {
  if (model === undefined) return recipe.vary?.[param!];
  const ref = recipe.models[model];
  if (param !== undefined) return ref?.params?.[param];
  return typeof ref?.weight === "number" ? undefined : ref?.weight;
}

/** The number of a tensor, as the merge takes it: the model's own, then what all models have, then the plain setting. */
export function numberAt(recipe: Recipe, specs: MethodInfo["params"], { param, model }: VaryPlace, place: Place): number | undefined {
  if (param === undefined) return valueAt(recipe.models[model]?.weight ?? WEIGHT.default, place);
  const own = model === undefined ? undefined : recipe.models[model]?.params?.[param];
  const plain: ParamValue | undefined = recipe.params[param] ?? specs[param]?.default;
  return (own === undefined ? undefined : valueAt(own, place)) ?? (recipe.vary?.[param] === undefined ? undefined : valueAt(recipe.vary[param], place)) ?? (typeof plain === "number" ? plain : undefined);
}

/** Everything in a recipe that differs between tensors or models, with its name on the page. */
export function variedPlaces(recipe: Recipe, method: MethodInfo): { id: string; name: string; place: VaryPlace }[] {
  const label = (param: string): string => method.params[param]?.label ?? param;
  return [
    ...Object.keys(recipe.vary ?? {}).map((param) => ({ id: param, name: label(param), place: { param } })),
    ...recipe.models.flatMap((ref, model) => [
      ...Object.keys(ref.params ?? {}).map((param) => ({ id: `${model} ${param}`, name: `${label(param)}, ${ref.name}`, place: { param, model } })),
      ...(ref.weight === undefined || typeof ref.weight === "number" ? [] : [{ id: `${model}`, name: `Weight of ${ref.name}`, place: { model } }]),
    ]),
  ];
}

/** What differs for a parameter, in words: of all models, then of single ones. */
export const placeText = (recipe: Recipe, param: string): string =>
  [...(recipe.vary?.[param] === undefined ? [] : [varyingText(recipe.vary[param])]), ...recipe.models.flatMap((m) => (m.params?.[param] === undefined ? [] : [`${m.name}: ${varyingText(m.params[param])}`]))].join("; ");

export type Mode = "number" | "list" | "table" | "rules";
export function modeOf(value: Varying | undefined, layers: number): Mode {
  if (value === undefined || typeof value === "number") return "number";
  if (typeof value[0] === "number") return value.length === layers && layers > 2 ? "table" : "list";
  return "rules";
}

/** A setting of another form that begins with what one has. */
export function converted(value: Varying | undefined, to: Mode, layers: number, plain: number): Varying {
  const at = (layer: number | undefined): number => (value === undefined ? undefined : valueAt(value, { name: "", layer, layers })) ?? plain;
  switch (to) {
    case "number":
      return at(undefined);
    case "list":
      return [at(0), at(layers - 1)];
    case "table":
      return Array.from({ length: layers }, (_, layer) => at(layer));
    case "rules":
      return [{ filter: "self_attn", value: at(0) }, { filter: "mlp", value: at(0) }, { value: at(undefined) }];
  }
}

export const listText = (value: number | readonly number[]): string => (typeof value === "number" ? String(value) : value.join(", "));

/** "0.1, 0.5, 0.9" as numbers in the range of the setting; one of them is one number. */
export function parseList(text: string, spec: VarySpec): { ok: true; value: number[] } | { ok: false; sentence: string } {
  const parts = text.split(/[\s,;]+/).filter((part) => part !== "");
  if (parts.length === 0) return { ok: false, sentence: "Numbers, such as 0.1, 0.5, 0.9." };
  const values: number[] = [];
  for (const part of parts) {
    const parsed = parseNumber(part, spec);
    if (!parsed.ok) return { ok: false, sentence: `${part}: ${parsed.sentence}` };
    values.push(parsed.value);
  }
  return { ok: true, value: values };
}

/** How many of the tensors each rule decides: the first that fits has them. */
export function ruleCounts(rules: readonly Rule[], names: readonly string[]): number[] {
  const counts = rules.map(() => 0);
  for (const name of names) {
    const at = rules.findIndex((rule) => ruleFits(rule.filter, name));
    if (at >= 0) counts[at]!++;
  }
  return counts;
}

/** Filters with names for people; any other is typed. */
export const FILTERS = [
  { value: "self_attn", label: "Attention" },
  { value: "mlp", label: "MLP" },
  { value: "norm", label: "Norms" },
  { value: "embed", label: "Embedding" },
  { value: "lm_head", label: "Head" },
] as const;
