import type { Recipe } from "../../core/recipe";
import { drawProblems } from "../../core/problems";
import { usualMaxTokens, type Problem, type TryFacts } from "../../core/trying";
import type { MethodInfo } from "../../engine/api";
import { shortHash } from "../ui/format";
import { frontOptions, summarise } from "./runs";
import { optionsKey, settingsWords } from "./scores";
import { pairState } from "./steps";
import type { RunRecord, StudioState } from "./types";
import type { Contender, TryForm, TryScore } from "./tryTypes";

export const USUAL_PROBLEMS = 60;

export const DEFAULT_FORM: TryForm = { sampling: "greedy", temperature: 0.7, topP: 1, topK: 0, repetitionPenalty: 1, seed: 42, maxTokens: undefined, template: "own" };

export const sameRecipe = (a: Recipe | undefined, b: Recipe | undefined): boolean => a === b || JSON.stringify(a) === JSON.stringify(b);
export const methodLabel = (recipe: Recipe, methods: MethodInfo[]): string => methods.find((m) => m.id === recipe.method)?.label ?? recipe.method;

/** A recipe in few words beside the current one: its method, and the first two options that differ; without one, its first number. */
export function shortName(recipe: Recipe, current: Recipe | undefined, methods: MethodInfo[]): string {
  const options = frontOptions(recipe, methods);
  const now = current?.method === recipe.method ? frontOptions(current, methods) : [];
  const differing = current?.method === recipe.method ? options.filter(({ name, text }) => now.find((o) => o.name === name)?.text !== text) : [];
  const telling = differing.length > 0 ? differing.slice(0, 2) : options.filter(({ numeric }) => numeric).slice(0, 1);
  return [methodLabel(recipe, methods), ...telling.map(({ name, text, numeric }) => (numeric ? `${name} ${text}` : text))].join(", ");
}

type Facts = Pick<StudioState, "models" | "baseId" | "modelIds" | "recipe" | "exportPlan" | "methods" | "runs" | "extraColumns">;

/** Base, fine-tuned, merged, and what was added, in that order. */
export function contenders(s: Facts): Contender[] {
  const list: Contender[] = [];
  const model = (id: string | undefined, role: Contender["role"]): void => {
    const found = s.models.find((m) => m.id === id);
    if (found && !list.some((c) => c.key === `model ${found.id}`)) list.push({ key: `model ${found.id}`, role, name: found.name, detail: "", model: { kind: "model", id: found.id } });
  };
  model(s.baseId, "base");
  for (const id of s.modelIds) model(id, "tuned");
  if (s.recipe) {
    const hash = s.exportPlan?.recipeHash ?? s.runs.find((run) => !run.sweep && sameRecipe(run.recipe, s.recipe))?.recipeHash;
    list.push({ key: "merge", role: "merged", name: methodLabel(s.recipe, s.methods), detail: hash ? shortHash(hash) : summarise(s.recipe, s.methods), model: { kind: "merge", recipe: s.recipe } });
  }
  for (const column of s.extraColumns) {
    if (column.kind === "model") {
      model(column.id, "other");
      continue;
    }
    const run = s.runs.find((r) => (column.kind === "recipe" ? sameRecipe(r.recipe, column.recipe) && !r.sweep : r.id === column.id));
    const recipe = column.kind === "recipe" ? column.recipe : run?.recipe;
    if (recipe && !sameRecipe(recipe, s.recipe)) list.push({ key: `${column.kind} ${column.id}`, role: "other", name: shortName(recipe, s.recipe, s.methods), detail: run?.recipeHash ? shortHash(run.recipeHash) : "", model: { kind: "merge", recipe } });
  }
  return list;
}

/** Why nothing can be tried; undefined when it can. */
export function tryBlocked(s: Pick<StudioState, "gpu" | "preflight" | "models" | "baseId" | "modelIds">): string | undefined {
  if (!pairState(s).ready || s.preflight?.verdict !== "ok") return "two models that fit together come first";
  if (s.gpu?.state === "none") return "answers need WebGPU";
  return undefined;
}

const known = (facts: StudioState["tryFacts"]): TryFacts[] => Object.values(facts).flatMap((f) => f.value ?? []);

/** Tokens of an answer at most: as typed, or what the models' own files say, within every context. */
export const maxTokens = (form: TryForm, facts: StudioState["tryFacts"]): number => form.maxTokens ?? usualMaxTokens(known(facts));

/** The form for one contender. A model without a chat template takes the prompt as it is. */
export function optionsOf(form: TryForm, facts: StudioState["tryFacts"], own: TryFacts | undefined): TryScore["options"] {
  const sampled = form.sampling === "sample";
  return {
    maxNewTokens: maxTokens(form, facts), temperature: sampled ? form.temperature : 0, topK: sampled ? form.topK : 0, topP: sampled ? form.topP : 1,
    repetitionPenalty: form.repetitionPenalty, seed: form.seed, prompt: form.template === "own" && own?.chatTemplate ? "chat" : "raw",
  };
}

export const problemCount = (s: Pick<StudioState, "problemSet" | "problemCount">): number => Math.min(s.problemSet?.problems.length ?? 0, s.problemCount ?? USUAL_PROBLEMS);
/** What is asked: as many of the set as are wanted, of every tier its share. */
export const chosenProblems = (s: Pick<StudioState, "problemSet" | "problemCount">): Problem[] => drawProblems(s.problemSet?.problems ?? [], problemCount(s));
export const setKey = (s: Pick<StudioState, "problemSet" | "problemCount">): string => (s.problemSet ? `${s.problemSet.key}/${problemCount(s)}` : "");
/** The form's samples count only where there is chance in an answer. */
export const samplesOf = (s: Pick<StudioState, "samples" | "tryForm">): number => (s.tryForm.sampling === "sample" ? s.samples : 1);

/** One point of the chart, one row of the table. */
export interface ScoreRow {
  id: string;
  role: Contender["role"];
  name: string;
  /** "sampled, T 0.7": said where results of other settings stand beside it. */
  settings: string;
  score: TryScore;
}

/** Runs that the charts may draw, beside those of the current recipe. */
const drawn = (run: RunRecord, s: Pick<StudioState, "overlay" | "charted">): boolean => s.overlay === "all" || (s.overlay === "chosen" && (run.pinned || s.charted.includes(run.id)));
export const ofPair = (run: RunRecord, s: Pick<StudioState, "baseId" | "modelIds">): boolean => run.recipe.base.id === s.baseId && run.recipe.models.map((m) => m.id).join() === s.modelIds.join();

/** Whatever was measured on these problems: base, fine-tuned, the current recipe, then earlier recipes, the latest first. */
export function scoreRows(s: Facts & Pick<StudioState, "modelScores" | "problemSet" | "problemCount" | "overlay" | "charted">): ScoreRow[] {
  const set = setKey(s);
  const rows: ScoreRow[] = [];
  const add = (id: string, role: ScoreRow["role"], name: string, scores: readonly TryScore[] | undefined): void => {
    for (const score of scores ?? []) if (score.set === set) rows.push({ id: `${id} ${optionsKey(score)}`, role, name, settings: settingsWords(score), score });
  };
  const current = s.runs.find((run: RunRecord) => run.outcome !== "stopped" && !run.sweep && sameRecipe(run.recipe, s.recipe));
  for (const c of contenders(s)) {
    if (c.model.kind === "model") add(c.key, c.role, c.name, s.modelScores[c.model.id]);
    else if (c.role === "merged") add(c.key, c.role, c.name, current?.scores);
  }
  for (const run of s.runs) {
    if (run !== current && !run.sweep && drawn(run, s) && ofPair(run, s)) add(`run ${run.id}`, "other", shortName(run.recipe, s.recipe, s.methods), run.scores);
  }
  return rows;
}
