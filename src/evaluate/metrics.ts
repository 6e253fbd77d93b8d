import { randomUniform, hashName } from "../core/random";
import type { EvaluationSummary, MeanInterval } from "../core/trying";
import { normaliseAnswer, type EqualityRule, type FoundAnswer } from "../text/answers";

/** One response to a problem, and how it was judged. */
export interface Response {
  text: string;
  /** Generated tokens, the stop token included where there was one. */
  tokens: number;
  /** Ran into the limit of new tokens or of the context. */
  truncated: boolean;
  answer: FoundAnswer;
  verdict: EqualityRule;
  reflects: boolean;
}

export interface JudgedProblem {
  prompt: string;
  reference: string;
  tier?: string;
  /** The first is what accuracy and length are taken from. */
  responses: Response[];
}

/** What numbers are made from. */
interface Judged extends Pick<Response, "tokens" | "truncated" | "reflects"> {
  verdict: string;
}

export const isRight = ({ verdict }: Pick<Judged, "verdict">): boolean => verdict !== "different";

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const RESAMPLES = 1000;

/**
 * Mean and percentile bootstrap over problems: 1000 resamples with a counter-based generator, so that equal inputs give equal bars.
 * One problem alone tells nothing of others: its interval is NaN.
 */
export function bootstrap(values: readonly number[], seed = 42): MeanInterval {
  const n = values.length;
  if (n < 2) return { mean: mean(values), low: NaN, high: NaN };
  const key = (hashName("bootstrap") ^ seed) >>> 0;
  const means = Float64Array.from({ length: RESAMPLES }, (_, r) => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[Math.min(n - 1, Math.floor(randomUniform(key, r * n + i) * n))]!;
    return sum / n;
  }).sort();
  return { mean: mean(values), low: means[Math.floor(0.025 * RESAMPLES)]!, high: means[Math.ceil(0.975 * RESAMPLES) - 1]! };
}

/**
 * A share of problems with its bootstrap interval. Where all or none are right every resample is alike, which says nothing of how
 * sure the share is; there it is the exact binomial interval, whose inner end is 0.025^(1/n) from the far end.
 * Source: Clopper and Pearson 1934, Biometrika 26, 404.
 */
export function shareInterval(right: readonly boolean[], seed?: number): MeanInterval {
  const n = right.length;
  const hits = right.filter(Boolean).length;
  const inner = 0.025 ** (1 / n);
  if (n > 0 && hits === n) return { mean: 1, low: inner, high: 1 };
  if (n > 0 && hits === 0) return { mean: 0, low: 0, high: 1 - inner };
  return bootstrap(right.map(Number), seed);
}

/** What a set of judged problems comes to. Source: METHODS 12 (accuracy and length of sample 0; mean over all items). */
export function summarise(problems: readonly { responses: readonly Judged[] }[], seed?: number): EvaluationSummary {
  const first = problems.flatMap((p) => p.responses.slice(0, 1));
  const lengths = first.map((r) => r.tokens);
  const share = (has: (r: Judged) => boolean): number => (first.length === 0 ? NaN : first.filter(has).length / first.length);
  return {
    problems: first.length,
    accuracy: shareInterval(first.map(isRight), seed),
    length: bootstrap(lengths, seed),
    medianLength: first.length === 0 ? NaN : median(lengths),
    truncated: share((r) => r.truncated),
    reflecting: share((r) => r.reflects),
  };
}

/** Summaries of the problems of each tier, in the order in which tiers come. */
export function byTier<P extends { tier?: string; responses: readonly Judged[] }>(problems: readonly P[]): Map<string, EvaluationSummary> {
  const tiers = new Map<string, P[]>();
  for (const problem of problems) if (problem.tier !== undefined) tiers.set(problem.tier, [...(tiers.get(problem.tier) ?? []), problem]);
  return new Map([...tiers].map(([tier, list]) => [tier, summarise(list)]));
}

/**
 * maj@n: of the first n responses the extracted answers are grouped by their normalised text, the largest group wins, of equal
 * ones the first seen; right when the group's first member is. Empty answers form no group unless `countEmpty`.
 * Source: METHODS 12, rm_maj_eval.py.
 */
export function majorityRight(responses: readonly Response[], n: number, countEmpty = false): boolean {
  const groups = new Map<string, Response[]>();
  for (const response of responses.slice(0, n)) {
    const text = normaliseAnswer(response.answer.text);
    if (countEmpty || text !== "") groups.set(text, [...(groups.get(text) ?? []), response]);
  }
  const largest = [...groups.values()].reduce<Response[]>((best, group) => (group.length > best.length ? group : best), []);
  return largest[0] !== undefined && isRight(largest[0]);
}

/** The curve of maj@n over problems that have at least n responses each. */
export const majorityCurve = (problems: readonly JudgedProblem[], counts: readonly number[], seed?: number): { n: number; accuracy: MeanInterval }[] =>
  counts.filter((n) => problems.length > 0 && problems.every((p) => p.responses.length >= n)).map((n) => ({ n, accuracy: shareInterval(problems.map((p) => majorityRight(p.responses, n)), seed) }));
