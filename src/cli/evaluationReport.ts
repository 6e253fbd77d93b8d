import type { Recipe } from "../core/recipe";
import type { EvaluatedItem, Evaluation, MeanInterval, Problem, TryFacts, TryOptions } from "../core/trying";
import type { GpuInfo } from "../engine/api";
import { byTier, summarise } from "../evaluate/metrics";

/** A model that was asked, and what came of it. */
export interface EvaluatedModel {
  label: string;
  /** Of a stored model; a merge has its recipe, which names the folders. */
  folder?: string;
  /** XXH3-128 of the weights, as in recipes. */
  weights?: string;
  recipe?: Recipe;
  /** Where its answers end. */
  stops: TryFacts["stops"] | number[];
  /** False: stopped in the middle; items and numbers are of the answers that had ended, the shorter ones more often. */
  complete: boolean;
  evaluation: Evaluation;
}

export interface EvaluatedSet {
  file: string;
  sha256: string;
  /** Problems in the file. */
  of: number;
  asked: readonly Problem[];
}

/** What a stopped evaluation comes to. */
export function partOf(name: string, problems: readonly Problem[], options: TryOptions & { samples: number }, items: readonly EvaluatedItem[], seconds: number): Evaluation {
  const sorted = [...items].sort((a, b) => a.index - b.index);
  const tokens = sorted.reduce((sum, item) => sum + item.responses.reduce((all, r) => all + r.tokens, 0), 0);
  const tiered = sorted.map((item) => ({ ...item, ...(problems[item.index]!.tier === undefined ? {} : { tier: problems[item.index]!.tier! }) }));
  return { name, options, samples: options.samples, summary: summarise(sorted), tiers: [...byTier(tiered)].map(([tier, summary]) => ({ tier, summary })), majority: [], items: sorted, seconds, tokensPerSecond: tokens / seconds };
}

/** Everything that a table in a paper needs, and every response with why it counts: item i answers problem `items[i].index`. */
export const evaluationReport = (set: EvaluatedSet, options: Record<string, unknown>, adapter: GpuInfo, models: readonly EvaluatedModel[], wanted: number): Record<string, unknown> => ({
  made: new Date().toISOString(),
  complete: models.length === wanted && models.every((m) => m.complete),
  problems: { file: set.file, sha256: set.sha256, of: set.of, count: set.asked.length, items: set.asked },
  options,
  adapter: { name: adapter.name, state: adapter.state, vendor: adapter.vendor, architecture: adapter.architecture, description: adapter.description },
  models,
});

const known = (x: number, text: (x: number) => string): string => (Number.isFinite(x) ? text(x) : "–");
export const percent = (x: number): string => known(x, (v) => `${(100 * v).toFixed(1)} %`);
const decimal = (x: number): string => known(x, (v) => v.toFixed(1));
const range = ({ low, high }: MeanInterval, text: (x: number) => string): string => (Number.isFinite(low) ? `${text(low)} to ${text(high)}` : "–");

/** The table as lines of text, columns in line; with maj@n where several answers were drawn. */
export function tableLines(models: readonly EvaluatedModel[]): string[] {
  const counts = [...new Set(models.flatMap((m) => m.evaluation.majority.map(({ n }) => n)))].sort((a, b) => a - b).filter((n) => n > 1);
  const rows = [["model", "accuracy", "95 %", "mean tokens", "95 %", "median", "cut", "reflecting", ...counts.map((n) => `maj@${n}`)]];
  for (const { label, complete, evaluation: { summary: s, majority } } of models)
    rows.push([complete ? label : `${label}, ${s.problems} answered`, percent(s.accuracy.mean), range(s.accuracy, percent), decimal(s.length.mean), range(s.length, decimal), known(s.medianLength, String), percent(s.truncated), percent(s.reflecting), ...counts.map((n) => percent(majority.find((m) => m.n === n)?.accuracy.mean ?? NaN))]);
  const widths = rows[0]!.map((_, c) => Math.max(...rows.map((row) => row[c]!.length)));
  return rows.map((row) => row.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!))).join("  ").trimEnd());
}

const quoted = (text: string): string => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** A line for each model and for each of its tiers; shares from 0 to 1. */
export function tableCsv(models: readonly EvaluatedModel[]): string {
  const head = ["name", "tier", "complete", "problems", "accuracy", "accuracy_low", "accuracy_high", "tokens_mean", "tokens_low", "tokens_high", "tokens_median", "cut", "reflecting", "seconds", "weights", "recipe"];
  const lines = models.flatMap(({ label, complete, weights, evaluation: e }) =>
    [{ tier: "", summary: e.summary }, ...e.tiers].map(({ tier, summary: s }) => [quoted(label), quoted(tier), String(complete), ...[s.problems, s.accuracy.mean, s.accuracy.low, s.accuracy.high, s.length.mean, s.length.low, s.length.high, s.medianLength, s.truncated, s.reflecting, e.seconds].map((x) => known(x, String).replace("–", "")), weights ?? "", e.recipeHash ?? ""].join(",")));
  return `${[head.join(","), ...lines].join("\n")}\n`;
}
