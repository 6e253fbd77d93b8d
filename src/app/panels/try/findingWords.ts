import type { MeanInterval } from "../../../core/trying";
import type { ScoreRow } from "../../state/contenders";
import { optionsKey } from "../../state/scores";
import { fixed, percent } from "../../ui/format";

export interface Finding {
  /** Which is better, or what is given for what. */
  lead: string;
  /** Accuracy and length of each. */
  numbers: string;
  /** What the intervals leave open; empty where nothing. */
  doubt: string;
}

/** The current merge and the fine-tuned model (the most accurate of several) in equal settings: the latest such pair. */
function rivals(rows: readonly ScoreRow[]): { merged: ScoreRow; tuned: ScoreRow } | undefined {
  for (const merged of rows.filter((r) => r.role === "merged")) {
    const alike = rows.filter((r) => r.role === "tuned" && optionsKey(r.score) === optionsKey(merged.score));
    const [tuned] = alike.sort((a, b) => b.score.summary.accuracy.mean - a.score.summary.accuracy.mean);
    if (tuned) return { merged, tuned };
  }
  return undefined;
}

/** -1, 0 or 1; what is rounded away on the page is no difference. */
const signOf = (value: number, smallest: number): number => (Math.abs(value) < smallest ? 0 : Math.sign(value));
const overlap = (a: MeanInterval, b: MeanInterval): boolean => a.low <= b.high && b.low <= a.high;

/**
 * Merged against fine-tuned in words. The merge wins when it is better in accuracy or length and worse in neither, loses the other
 * way round; otherwise one is given for the other. Undefined until both have answered the same problems in the same settings.
 */
export function finding(rows: readonly ScoreRow[]): Finding | undefined {
  const pair = rivals(rows);
  if (!pair) return undefined;
  const { merged, tuned } = pair;
  const [m, t] = [merged.score.summary, tuned.score.summary];
  const points = 100 * (m.accuracy.mean - t.accuracy.mean);
  const longer = t.length.mean > 0 ? m.length.mean / t.length.mean - 1 : 0;
  const [right, long] = [signOf(points, 0.05), signOf(longer, 0.005)];

  const lengthWords = long === 0 ? "as many tokens" : `${percent(Math.abs(longer))} ${long < 0 ? "fewer" : "more"} tokens`;
  const rightWords = right === 0 ? "is right as often" : `is right ${right > 0 ? "more" : "less"} often, by ${fixed(Math.abs(points), 1)} points`;
  const better = Number(right > 0) + Number(long < 0);
  const worse = Number(right < 0) + Number(long > 0);
  const verdict = better > 0 && worse > 0 ? "A trade" : better > 0 ? `${merged.name} wins` : worse > 0 ? `${tuned.name} wins` : "No difference";

  const base = rows.find((r) => r.role === "base" && optionsKey(r.score) === optionsKey(merged.score));
  const open = [...(right !== 0 && overlap(m.accuracy, t.accuracy) ? ["accuracy"] : []), ...(long !== 0 && overlap(m.length, t.length) ? ["length"] : [])];
  return {
    lead: `${verdict}: the merge takes ${lengthWords} and ${rightWords}.`,
    numbers: `${[merged, tuned, ...(base ? [base] : [])].map(({ name, score: { summary } }) => `${name} ${percent(summary.accuracy.mean, 1)} in ${fixed(summary.length.mean, 1)} tokens`).join(", ")}.`,
    doubt: open.length === 0 ? "" : `The intervals of ${open.join(" and of ")} overlap, so more problems would tell more.`,
  };
}
