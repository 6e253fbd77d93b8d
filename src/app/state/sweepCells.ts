import type { NumberOrWordSpec, NumberSpec, ParamSpecs } from "../../core/params";
import type { ModelRef, Recipe } from "../../core/recipe";
import type { MethodInfo } from "../../engine/api";
import { optionsOf } from "./contenders";
import type { SweepAxis, SweepForm, SweepRecord } from "./sweepTypes";
import type { StudioState } from "./types";

export const MOST_VALUES = 6;
export const SWEEP_PROBLEMS = 20;

type Numeric = NumberSpec | NumberOrWordSpec;
/** Numbers that change the merge. A seed draws another mask, but is no quantity to go along. */
export const sweepable = (params: ParamSpecs): [string, Numeric][] =>
  Object.entries(params).flatMap(([name, spec]): [string, Numeric][] => ((spec.kind === "number" || spec.kind === "number-or-word") && spec.effect !== "write" && name !== "seed" ? [[name, spec]] : []));

/** What papers vary: the share that is kept, and the scale of the change. */
const KEPT = ["r", "density", "k", "keep"];
const SCALE = ["scale", "lambda", "weight", "t", "gateFactor"];

/** Values to begin with: from small to larger for a share, from the whole down to a part for a scale. */
function startValues(spec: Numeric, kept: boolean): number[] {
  const start = typeof spec.default === "number" ? spec.default : spec.min + (Math.min(spec.max, spec.min + 1) - spec.min) / 2;
  const wanted = kept ? [0.1, 0.2, 0.3, 0.4, 0.6] : [1, 0.8, 0.6].map((part) => (start === 0 ? spec.max * part : start * part));
  const whole = spec.kind === "number" && spec.integer === true;
  return [...new Set(wanted.map((v) => Math.min(spec.max, Math.max(spec.min, whole ? Math.round(v) : Number(v.toPrecision(6))))))];
}

export function defaultSweepForm(method: MethodInfo): SweepForm | undefined {
  const numbers = sweepable(method.params);
  const pick = (wanted: string[], not?: string): [string, Numeric] | undefined => wanted.flatMap((name) => numbers.filter(([n]) => n === name))[0] ?? numbers.find(([n]) => n !== not && !KEPT.includes(n));
  const kept = numbers.find(([name]) => KEPT.includes(name));
  const across = kept ?? pick(SCALE);
  if (!across) return undefined;
  const scale = kept && pick(SCALE, across[0]);
  return { across: { param: across[0], values: startValues(across[1], kept !== undefined) }, ...(scale ? { down: { param: scale[0], values: startValues(scale[1], false) } } : {}), over: "problems", problems: SWEEP_PROBLEMS };
}

export const sweepFormOf = (s: Pick<StudioState, "sweepForm" | "recipe" | "methods">): SweepForm | undefined => {
  const method = s.methods.find((m) => m.id === s.recipe?.method);
  return method && (s.sweepForm?.method === method.id ? s.sweepForm.form : defaultSweepForm(method));
};

const without = <T>(record: Record<string, T>, key: string): Record<string, T> => Object.fromEntries(Object.entries(record).filter(([name]) => name !== key));

/** One number for all tensors and models in place of whatever the recipe says of it. */
function withNumber({ vary, ...recipe }: Recipe, param: string, value: number): Recipe {
  const varying = vary && without(vary, param);
  const model = ({ params, ...rest }: ModelRef): ModelRef => {
    const own = params && without(params, param);
    return { ...rest, ...(own && Object.keys(own).length > 0 ? { params: own } : {}) };
  };
  return { ...recipe, params: { ...recipe.params, [param]: value }, models: recipe.models.map(model), ...(varying && Object.keys(varying).length > 0 ? { vary: varying } : {}) };
}

export interface SweepCell {
  row: number;
  column: number;
  recipe: Recipe;
  /** Two cells with one key are one merge, asked the same. */
  key: string;
}

type Asked = Pick<StudioState, "sweepForm" | "recipe" | "methods" | "problemSet" | "prompt" | "tryForm" | "tryFacts">;

/** How many problems there are to ask. */
export const sweepProblems = (s: Pick<StudioState, "problemSet">, form: SweepForm): number => Math.min(form.problems, s.problemSet?.problems.length ?? 0);

/** What the cells are asked: the prompt, or so many of a problem set. */
export function sweepAsked(s: Pick<StudioState, "problemSet" | "prompt">, form: SweepForm): SweepRecord["asked"] {
  if (form.over === "prompt") return { prompt: s.prompt };
  if (s.problemSet) return { set: `${s.problemSet.key}/${sweepProblems(s, form)}`, name: s.problemSet.name };
  return { set: `${form.set?.key ?? ""}/${form.problems}`, name: form.set?.name ?? "" };
}

/** The grid, row by row, from the form and the recipe as it is now. */
export function sweepCells(s: Asked): SweepCell[] {
  const form = sweepFormOf(s);
  return form && s.recipe ? gridCells(s.recipe, form, sweepAsked(s, form), optionsOf(s.tryForm, s.tryFacts, s.tryFacts.merge?.value)) : [];
}

/** The grid of a recipe. */
export function gridCells(recipe: Recipe, form: SweepForm, of: SweepRecord["asked"], options: SweepRecord["options"]): SweepCell[] {
  const asked = "set" in of ? [of.set] : of.prompt;
  return (form.down?.values ?? [undefined]).flatMap((y, row) => form.across.values.map((x, column): SweepCell => {
    const along = withNumber(recipe, form.across.param, x);
    const made = form.down && y !== undefined ? withNumber(along, form.down.param, y) : along;
    // The name and the shards of a file make no other merge.
    const { output, ...rest } = made;
    return { row, column, recipe: made, key: JSON.stringify([rest, output.dtype, asked, options]) };
  }));
}

/** Why a sweep cannot begin; undefined when it can. */
export function sweepBlocked(s: Asked): string | undefined {
  const form = sweepFormOf(s);
  if (!form) return "This method has no number to go along.";
  if (form.over === "problems" && sweepProblems(s, form) === 0) return form.set ? `Choose ${form.set.name} to go on with this sweep.` : "Choose a problem set first.";
  if (form.over === "prompt" && s.prompt.trim() === "") return "Write a prompt in Compare first.";
  return undefined;
}

/** Reads "0.1, 0.2, 0.4" within the number's range: at most six different ones. */
export function readValues(text: string, spec: Numeric): SweepAxis["values"] | string {
  const parts = text.split(/[,;\s]+/).filter(Boolean);
  const values = [...new Set(parts.map((part) => Number(part.replace("−", "-"))))];
  const range = `from ${spec.min} to ${spec.max}`;
  if (values.length === 0) return `Numbers ${range}, with commas between them.`;
  if (values.some((v) => !Number.isFinite(v) || v < spec.min || v > spec.max)) return `Every number ${range}.`;
  if (spec.kind === "number" && spec.integer && values.some((v) => !Number.isInteger(v))) return `Whole numbers ${range}.`;
  if (values.length > MOST_VALUES) return `At most ${MOST_VALUES} numbers.`;
  return values;
}
