import type { Recipe } from "../../core/recipe";
import type { MethodInfo } from "../../engine/api";
import { fixed, paramValue, percent, plural } from "../ui/format";
import { ofPair, setKey, type ScoreRow } from "./contenders";
import type { SliceEnv } from "./env";
import { summarise, symbolOf, withRun } from "./runs";
import { samplingWords, settingsWords } from "./scores";
import { gridCells } from "./sweepCells";
import type { SweepForm, SweepRecord, SweepResult, SweptCell } from "./sweepTypes";
import type { RunRecord, StudioState } from "./types";

/** Sweeps as rows of the run history: what they asked, and the numbers of the finished cells. */

const sameGrid = (run: RunRecord, recipe: Recipe, sweep: SweepRecord): boolean => {
  const key = (of: Recipe, { form, asked, options }: SweepRecord): string | undefined => gridCells(of, form, asked, options)[0]?.key;
  const axes = ({ across, down }: SweepForm): string => JSON.stringify([across, down]);
  return run.sweep !== undefined && axes(run.sweep.form) === axes(sweep.form) && key(run.recipe, run.sweep) === key(recipe, sweep);
};

/** Adds a sweep to the history, or renews the one of the same grid. */
export function recordSweep(set: (part: Partial<StudioState>) => void, get: () => StudioState, env: SliceEnv, recipe: Recipe, sweep: SweepRecord): void {
  if (sweep.cells.length === 0) return;
  const { runs, methods } = get();
  const same = runs.find((run) => sameGrid(run, recipe, sweep));
  set({ runs: withRun(runs, {
    id: same?.id ?? env.jobId("run"), time: Date.now(), recipe, recipeHash: bestCell(sweep)?.recipeHash ?? "", summary: summarise(recipe, methods),
    note: same?.note ?? "", pinned: same?.pinned ?? false, alphas: [], outcome: "swept", sweep,
  }) });
}

/** What a finished cell keeps. */
export const sweptCell = ({ row, column }: Pick<SweptCell, "row" | "column">, { recipeHash, score, tokens }: SweepResult): SweptCell =>
  ({ row, column, tokens, ...(recipeHash === undefined ? {} : { recipeHash }), ...(score ? { summary: score.summary } : {}) });

/** Of a kept cell, as when it was answered. */
export function resultOf({ asked, options }: SweepRecord, time: number, { recipeHash, summary, tokens }: SweptCell): SweepResult {
  const score = summary && "set" in asked ? { time, set: asked.set, problems: asked.name, options, samples: 1, summary, majority: [] } : undefined;
  return { tokens, ...(recipeHash === undefined ? {} : { recipeHash }), ...(score ? { accuracy: score.summary.accuracy.mean, score } : {}) };
}

/** Most answers right, and of these the shortest; over a prompt there is none. */
export function bestCell({ cells }: SweepRecord): SweptCell | undefined {
  const judged = cells.filter((c) => c.summary !== undefined);
  return judged.toSorted((a, b) => b.summary!.accuracy.mean - a.summary!.accuracy.mean || a.tokens - b.tokens)[0];
}

/** "r 0.10, scale 0.80": where a cell lies. */
export const cellPlace = ({ form: { across, down } }: SweepRecord, { row, column }: Pick<SweptCell, "row" | "column">): string =>
  [`${symbolOf(across.param)} ${paramValue(across.values[column]!)}`, ...(down ? [`${symbolOf(down.param)} ${paramValue(down.values[row]!)}`] : [])].join(", ");

/** Its two numbers with their values, then how far it came, what was best and where. */
export function sweepWords(sweep: SweepRecord): { axes: string; found: string; best: string; at: string } {
  const { form: { across, down }, asked, options, cells } = sweep;
  const axes = [across, ...(down ? [down] : [])].map(({ param, values }) => `${symbolOf(param)} ${values.map(paramValue).join(", ")}`).join(" × ");
  const all = across.values.length * (down?.values.length ?? 1);
  const over = "prompt" in asked ? "one prompt" : plural(cells[0]?.summary?.problems ?? 0, "problem");
  const best = bestCell(sweep);
  const lengths = cells.map((c) => c.tokens);
  return {
    axes,
    found: `${cells.length} of ${plural(all, "cell")} on ${over}, ${samplingWords(options)}`,
    best: best ? `${percent(best.summary!.accuracy.mean, 1)} · ${fixed(best.tokens, 1)} tokens` : `${Math.min(...lengths)}–${Math.max(...lengths)} tokens`,
    at: best ? cellPlace(sweep, best) : "",
  };
}

/** Cells of pinned or chosen sweeps over these problems, each a recipe. */
export function sweptRows(s: Pick<StudioState, "runs" | "baseId" | "modelIds" | "problemSet" | "problemCount" | "overlay" | "charted">): ScoreRow[] {
  const set = setKey(s);
  return s.runs.flatMap((run) => {
    const { sweep } = run;
    if (!sweep || s.overlay === "none" || !(run.pinned || s.charted.includes(run.id)) || !ofPair(run, s)) return [];
    return sweep.cells.flatMap((cell): ScoreRow[] => {
      const { score } = resultOf(sweep, run.time, cell);
      return score?.set === set ? [{ id: `run ${run.id} ${cell.row} ${cell.column}`, role: "other", name: cellPlace(sweep, cell), settings: settingsWords(score), score }] : [];
    });
  });
}

/** A method's name and what was done with it. */
export function runTitle(run: RunRecord, methods: readonly MethodInfo[]): string {
  const label = methods.find((m) => m.id === run.recipe.method)?.label ?? run.recipe.method;
  const done: Partial<Record<RunRecord["outcome"], string>> = { stopped: "stopped", saved: "saved", swept: "sweep", tried: "tried" };
  return [label, done[run.outcome]].filter(Boolean).join(", ");
}
