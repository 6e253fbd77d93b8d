import type { EvaluatedItem, JudgedAnswer, MeanInterval } from "../../../core/trying";
import type { AccuracyPoint } from "../../charts/accuracyAxes";
import type { Column } from "../../charts/csv";
import type { ScoreRow } from "../../state/contenders";
import type { Contender, EvaluatedNow } from "../../state";
import { count, fixed, percent } from "../../ui/format";

/** Whether results of several settings stand beside each other: then each is named with its own. */
export const settingsDiffer = (rows: readonly ScoreRow[]): boolean => new Set(rows.map((r) => r.settings)).size > 1;
const sampled = (row: ScoreRow): boolean => row.score.options.temperature > 0;

/** What a label adds where greedy and sampled answers are compared. */
const addition = (row: ScoreRow, rows: readonly ScoreRow[]): { note?: string } =>
  rows.some(sampled) && !rows.every(sampled) ? { note: sampled(row) ? "sampled" : "greedy" } : {};

/** One problem gives a mean, but no interval. */
const interval = (v: MeanInterval): AccuracyPoint["accuracy"] => (Number.isFinite(v.low) ? v : { mean: v.mean });

const pointOf = (row: ScoreRow): AccuracyPoint => ({ id: row.id, role: row.role, label: row.name, accuracy: interval(row.score.summary.accuracy), length: interval(row.score.summary.length) });

/** Points of the chart, those of sweeps first and small; a contender at work has the means of what is judged so far, in place of its last result. */
export function accuracyPoints(rows: readonly ScoreRow[], live: { contender: Contender; items: readonly EvaluatedItem[]; of: number } | undefined, swept: readonly ScoreRow[] = []): AccuracyPoint[] {
  const all = [...rows, ...swept];
  const points = [...swept.map((row): AccuracyPoint => ({ ...pointOf(row), ...addition(row, all), minor: true })), ...rows.map((row): AccuracyPoint => ({ ...pointOf(row), ...addition(row, all) }))];
  const first = live?.items.flatMap((item) => item.responses[0] ?? []) ?? [];
  if (!live || first.length === 0) return points;
  const mean = (of: (r: JudgedAnswer) => number): { mean: number } => ({ mean: first.reduce((sum, r) => sum + of(r), 0) / first.length });
  return [...points, { id: `live ${live.contender.key}`, role: live.contender.role, label: live.contender.name, accuracy: mean((r) => Number(r.right)), length: mean((r) => r.tokens), progress: `${first.length} of ${live.of}` }];
}

const bound = (v: AccuracyPoint["accuracy"], end: "low" | "high"): number | undefined => ("low" in v ? v[end] : undefined);

const named = (p: AccuracyPoint): string => (p.note === undefined ? p.label : `${p.label}, ${p.note}`);

/** The numbers that are drawn. */
export const POINT_COLUMNS: Column<AccuracyPoint>[] = [
  { id: "name", label: "Model or recipe", text: true, value: (p) => named(p), show: (p) => named(p) },
  { id: "accuracy", label: "accuracy", value: (p) => p.accuracy.mean, show: (p) => percent(p.accuracy.mean, 1) },
  { id: "accuracy_low", label: "low", value: (p) => bound(p.accuracy, "low"), show: (p) => percent(bound(p.accuracy, "low"), 1) },
  { id: "accuracy_high", label: "high", value: (p) => bound(p.accuracy, "high"), show: (p) => percent(bound(p.accuracy, "high"), 1) },
  { id: "tokens", label: "tokens", value: (p) => p.length.mean, show: (p) => fixed(p.length.mean, 1) },
  { id: "tokens_low", label: "low", value: (p) => bound(p.length, "low"), show: (p) => fixed(bound(p.length, "low"), 1) },
  { id: "tokens_high", label: "high", value: (p) => bound(p.length, "high"), show: (p) => fixed(bound(p.length, "high"), 1) },
  { id: "problems_so_far", label: "so far", text: true, value: (p) => p.progress, show: (p) => p.progress ?? "all" },
];

/** Of an even number of lengths the median may be a half. */
export const median = (tokens: number): string => fixed(tokens, Number.isInteger(tokens) ? 0 : 1);

/** Every number of the table by model, and its settings. */
export const SCORE_COLUMNS: Column<ScoreRow>[] = [
  { id: "name", label: "Model or recipe", text: true, value: (r) => r.name, show: (r) => r.name },
  { id: "role", label: "role", text: true, value: (r) => r.role, show: (r) => r.role },
  { id: "problems", label: "problems", value: (r) => r.score.summary.problems, show: (r) => count(r.score.summary.problems) },
  { id: "accuracy", label: "accuracy", value: (r) => r.score.summary.accuracy.mean, show: (r) => percent(r.score.summary.accuracy.mean, 1) },
  { id: "accuracy_low", label: "low", value: (r) => r.score.summary.accuracy.low, show: (r) => percent(r.score.summary.accuracy.low, 1) },
  { id: "accuracy_high", label: "high", value: (r) => r.score.summary.accuracy.high, show: (r) => percent(r.score.summary.accuracy.high, 1) },
  { id: "tokens_mean", label: "tokens", value: (r) => r.score.summary.length.mean, show: (r) => fixed(r.score.summary.length.mean, 1) },
  { id: "tokens_low", label: "low", value: (r) => r.score.summary.length.low, show: (r) => fixed(r.score.summary.length.low, 1) },
  { id: "tokens_high", label: "high", value: (r) => r.score.summary.length.high, show: (r) => fixed(r.score.summary.length.high, 1) },
  { id: "tokens_median", label: "median", value: (r) => r.score.summary.medianLength, show: (r) => median(r.score.summary.medianLength) },
  { id: "cut", label: "cut", value: (r) => r.score.summary.truncated, show: (r) => percent(r.score.summary.truncated) },
  { id: "reflecting", label: "“wait”", value: (r) => r.score.summary.reflecting, show: (r) => percent(r.score.summary.reflecting) },
  { id: "settings", label: "settings", text: true, value: (r) => r.settings, show: (r) => r.settings },
];

export interface ItemRow {
  index: number;
  prompt: string;
  want: string;
  tier: string | undefined;
  /** By contender; undefined where it has not answered. */
  answers: (JudgedAnswer | undefined)[];
  differ: boolean;
}

/** Problems with what each contender found; `differ`: one is right where another is wrong. */
export function itemRows(problems: readonly { prompt: string; answer: string; tier?: string }[], results: readonly (Pick<EvaluatedNow, "items"> | undefined)[]): ItemRow[] {
  const found = results.map((r) => new Map(r?.items.map((item) => [item.index, item.responses[0]])));
  return problems.flatMap((problem, index): ItemRow[] => {
    const answers = found.map((of) => of.get(index));
    const judged = answers.filter((a) => a !== undefined);
    return judged.length === 0 ? [] : [{ index, prompt: problem.prompt, want: problem.answer, tier: problem.tier, answers, differ: judged.some((a) => a.right) && judged.some((a) => !a.right) }];
  });
}
