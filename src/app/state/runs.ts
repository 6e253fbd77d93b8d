import type { ParamSpec } from "../../core/params";
import type { Recipe } from "../../core/recipe";
import type { MethodInfo } from "../../engine/api";
import { paramValue } from "../ui/format";
import type { SliceEnv } from "./env";
import { withScore } from "./scores";
import type { TryScore } from "./tryTypes";
import type { RunRecord, StudioState } from "./types";

const LIMIT = 50;
const SYMBOLS: Record<string, string> = { theta: "θ", lambda: "λ", gateFactor: "gate", alpha: "α" };

/** An option in few letters. */
export const symbolOf = (param: string): string => SYMBOLS[param] ?? param;

/**
 * The options in front of the form, and those behind it that were changed, as name and value: those of the pass first, but how
 * much it reads last.
 */
export function frontOptions(recipe: Recipe, methods: MethodInfo[]): { name: string; text: string; numeric: boolean }[] {
  const params = methods.find((m) => m.id === recipe.method)?.params ?? {};
  const front = Object.entries(params).filter(([key, spec]) => spec.effect !== "write" && (!spec.advanced || (recipe.params[key] ?? spec.default) !== spec.default));
  const place = (spec: ParamSpec): number => (spec.effect !== "pass" ? 1 : spec.kind === "number" && spec.integer ? 2 : 0);
  return front.toSorted(([, a], [, b]) => place(a) - place(b)).map(([key, spec]) => {
    const value = recipe.params[key] ?? spec.default;
    const text = spec.kind === "choice" ? (spec.options.find((option) => option.value === value)?.label ?? String(value)) : paramValue(value);
    if (recipe.vary?.[key] !== undefined || recipe.models.some((m) => m.params?.[key] !== undefined)) return { name: symbolOf(key), text: "varies", numeric: true };
    return { name: symbolOf(key), text, numeric: spec.kind !== "choice" };
  });
}

/** "r 0.20 · gate 0.70 · θ adaptive": the first three of them. A choice is its own word. */
export function summarise(recipe: Recipe, methods: MethodInfo[]): string {
  return frontOptions(recipe, methods).slice(0, 3).map(({ name, text, numeric }) => (numeric ? `${name} ${text}` : text)).join(" · ");
}

/** What is known of a recipe, from little to much: a run that is renewed keeps the most. */
const RANK: RunRecord["outcome"][] = ["stopped", "tried", "evaluated", "measured", "saved"];

/** Adds a run, or, when there is one of the same recipe, renews it. */
export function recordRun(set: (part: Partial<StudioState>) => void, get: () => StudioState, env: SliceEnv, recipe: Recipe, outcome: RunRecord["outcome"], evaluated?: { score: TryScore; recipeHash?: string }): void {
  const { runs, methods, shape, exportPlan } = get();
  const current = get().recipe === recipe;
  const alphas = (current ? (shape?.experts[0]?.layers ?? []) : []).map((row) => row.alpha).filter((a) => a !== undefined);
  const recipeHash = current ? (exportPlan?.recipeHash ?? "") : "";
  const same = runs.find((run) => !run.sweep && JSON.stringify(run.recipe) === JSON.stringify(recipe) && (run.outcome !== "stopped" || outcome === "stopped"));
  const record: RunRecord = {
    id: same?.id ?? env.jobId("run"), time: Date.now(), recipe, recipeHash: evaluated?.recipeHash || recipeHash || same?.recipeHash || "", summary: summarise(recipe, methods),
    note: same?.note ?? "", pinned: same?.pinned ?? false, alphas: alphas.length > 0 ? alphas : (same?.alphas ?? []), outcome: same && RANK.indexOf(same.outcome) > RANK.indexOf(outcome) ? same.outcome : outcome,
    ...(evaluated ? { scores: withScore(same?.scores, evaluated.score) } : same?.scores ? { scores: same.scores } : {}),
  };
  set({ runs: withRun(runs, record) });
}

/** With a run at the front, in the place of the one of its id. Fifty are kept: of those that are not pinned, mere trials go first, then the oldest. */
export function withRun(runs: readonly RunRecord[], record: RunRecord): RunRecord[] {
  const all = [record, ...runs.filter((run) => run.id !== record.id)];
  const going = all.slice(1).toReversed().toSorted((a, b) => Number(a.pinned) - Number(b.pinned) || Number(b.outcome === "tried") - Number(a.outcome === "tried"));
  const dropped = new Set(going.slice(0, Math.max(0, all.length - LIMIT)));
  return all.filter((run) => !dropped.has(run));
}
