import type { Recipe } from "../../core/recipe";
import type { MethodInfo } from "../../engine/api";
import { paramValue } from "../ui/format";
import type { SliceEnv } from "./env";
import { withScore } from "./scores";
import type { TryScore } from "./tryTypes";
import type { RunRecord, StudioState } from "./types";

const LIMIT = 50;
const SYMBOLS: Record<string, string> = { theta: "θ", lambda: "λ", gateFactor: "gate", alpha: "α" };

/** The options in front of the form as name and value, those of the pass before the others. */
export function frontOptions(recipe: Recipe, methods: MethodInfo[]): { name: string; text: string; numeric: boolean }[] {
  const params = methods.find((m) => m.id === recipe.method)?.params ?? {};
  const front = Object.entries(params).filter(([, spec]) => !spec.advanced && spec.effect !== "write");
  const order = [...front.filter(([, spec]) => spec.effect === "pass"), ...front.filter(([, spec]) => spec.effect !== "pass")];
  return order.map(([key, spec]) => {
    const value = recipe.params[key] ?? spec.default;
    const text = spec.kind === "choice" ? (spec.options.find((option) => option.value === value)?.label ?? String(value)) : paramValue(value);
    if (recipe.vary?.[key] !== undefined || recipe.models.some((m) => m.params?.[key] !== undefined)) return { name: SYMBOLS[key] ?? key, text: "varies", numeric: true };
    return { name: SYMBOLS[key] ?? key, text, numeric: spec.kind !== "choice" };
  });
}

/** "r 0.20 · gate 0.70 · θ adaptive": the first three of them. A choice is its own word. */
export function summarise(recipe: Recipe, methods: MethodInfo[]): string {
  return frontOptions(recipe, methods).slice(0, 3).map(({ name, text, numeric }) => (numeric ? `${name} ${text}` : text)).join(" · ");
}

/** Adds a run, or, when the latest one has the same recipe, renews it. Pinned runs are dropped last. */
export function recordRun(set: (part: Partial<StudioState>) => void, get: () => StudioState, env: SliceEnv, recipe: Recipe, outcome: RunRecord["outcome"], evaluated?: { score: TryScore; recipeHash?: string }): void {
  const { runs, methods, shape, exportPlan } = get();
  const current = get().recipe === recipe;
  const alphas = (current ? (shape?.experts[0]?.layers ?? []) : []).map((row) => row.alpha).filter((a) => a !== undefined);
  const recipeHash = current ? (exportPlan?.recipeHash ?? "") : "";
  const same = runs.find((run) => JSON.stringify(run.recipe) === JSON.stringify(recipe) && (run.outcome !== "stopped" || outcome === "stopped"));
  const record: RunRecord = {
    id: same?.id ?? env.jobId("run"), time: Date.now(), recipe, recipeHash: evaluated?.recipeHash || recipeHash || same?.recipeHash || "", summary: summarise(recipe, methods),
    note: same?.note ?? "", pinned: same?.pinned ?? false, alphas: alphas.length > 0 ? alphas : (same?.alphas ?? []), outcome: same?.outcome === "saved" || (same && outcome === "evaluated") ? same.outcome : outcome,
    ...(evaluated ? { scores: withScore(same?.scores, evaluated.score) } : same?.scores ? { scores: same.scores } : {}),
  };
  const all = [record, ...runs.filter((run) => run !== same)];
  const unpinned = all.filter((run) => !run.pinned);
  const dropped = new Set(unpinned.slice(Math.max(0, LIMIT - (all.length - unpinned.length))));
  set({ runs: all.filter((run) => !dropped.has(run)).slice(0, LIMIT) });
}
