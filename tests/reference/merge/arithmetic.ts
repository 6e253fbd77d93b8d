/** METHODS 1 to 4 and DELLA on one whole tensor in float64: plain loops, no slices, no operations. What is drawn at random is given. */
import type { WholeTensor } from "./dataFree";

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
export const deltas = ({ base, models }: WholeTensor): number[][] => models.map((m) => m.map((v, i) => Math.fround(v - base[i]!)));

export function linear({ base, models, weights }: WholeTensor, normalize: boolean, baseWeight: number | undefined): number[] {
  const by = normalize ? sum(weights) + (baseWeight ?? 0) : 1;
  return base.map((v, i) => ((baseWeight ?? 0) * v + sum(models.map((m, k) => weights[k]! * m[i]!))) / by);
}

/** Which entries each published rule keeps of one change; `share` is the fraction kept. */
export function keptBy(rule: string, d: readonly number[], share: number): boolean[] {
  const n = d.length;
  const sizes = d.map(Math.abs);
  const ascending = [...sizes].sort((a, b) => a - b);
  const from = (threshold: number): boolean[] => sizes.map((s) => s >= threshold);
  const largest = (count: number): boolean[] => {
    const first = new Set(sizes.map((_, i) => i).sort((p, q) => sizes[q]! - sizes[p]! || p - q).slice(0, count));
    return sizes.map((_, i) => first.has(i));
  };
  switch (rule) {
    case "density":
      return from(ascending[n - Math.max(1, Math.floor(share * n + 1e-9))]!);
    case "mergekit":
      return largest(share >= 1 ? n : Math.max(1, Math.trunc(share * n)));
    case "exactK":
      return largest(Math.floor(share * n + 0.5));
    case "official":
      return from(ascending[n - Math.trunc(n * share) - 1] ?? 0);
    default:
      return from(ascending[Math.trunc(n * Number((1 - share).toFixed(12))) - 1] ?? 0);
  }
}

export interface Combining {
  lambda: number;
  /** Sum only the entries with the elected sign. */
  ties: boolean;
  elect?: "sum" | "count";
  divisor: "weights" | "count" | "none" | "largest";
}

/**
 * theta0 + lambda (sum of w_k r_k m_k d_k / by), of all or of those with the elected sign; r_k of "l1" gives back the L1 norm.
 * Whether votes cancel is a matter of the last bit, so terms and votes are rounded to f32 as METHODS 0.2 says.
 */
export function combined(t: WholeTensor, keep: readonly boolean[][], factor: number | "l1", { lambda, ties, elect = "sum", divisor }: Combining): number[] {
  const d = deltas(t);
  const x = d.map((values, k) => {
    const left = values.map((v, i) => (keep[k]![i] ? v : 0));
    const [whole, rest] = [sum(values.map(Math.abs)), sum(left.map(Math.abs))];
    const r = factor !== "l1" ? factor : whole < 1e-7 || rest < 1e-7 ? 1 : whole / rest;
    return left.map((v) => Math.fround(Math.fround(t.weights[k]! * r) * v));
  });
  return t.base.map((v, i) => {
    const values = x.map((m) => m[i]!);
    const up = (elect === "count" ? values.map(Math.sign) : values).reduce((a, b) => Math.fround(a + b), 0) >= 0;
    const agreeing = values.flatMap((value, k) => (!ties || (up ? value > 0 : value < 0) ? [k] : []));
    const weight = sum(agreeing.map((k) => (divisor === "count" ? 1 : t.weights[k]!)));
    if (divisor === "largest") return v + lambda * agreeing.reduce((most, k) => (Math.abs(values[k]!) > Math.abs(most) ? values[k]! : most), 0);
    const by = divisor === "none" || (ties ? weight === 0 : Math.abs(weight) < 1e-8) ? 1 : weight;
    return v + (lambda * sum(agreeing.map((k) => values[k]!))) / by;
  });
}

/** DELLA: rank of |d| in its row, from 0, equal sizes by index; kept where the draw lies below the probability of the rank. */
export function dellaKept(d: readonly number[], cols: number, density: number, epsilon: number, draw: (element: number) => number): boolean[] {
  return d.map((v, i) => {
    const row = Math.floor(i / cols) * cols;
    let rank = 0;
    for (let j = row; j < row + cols; j++) if (Math.abs(d[j]!) < Math.abs(v) || (Math.abs(d[j]!) === Math.abs(v) && j < i)) rank++;
    const probability = density <= 0 || density >= 1 || cols === 1 ? density : density - epsilon + (2 * epsilon * rank) / (cols - 1);
    return draw(i) < probability;
  });
}
