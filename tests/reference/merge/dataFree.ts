/** Data-free methods on one whole tensor in float64, from METHODS 3, 4 and 9: plain loops, no slices, no Gram matrices, no operations. */
import { karcherReference, modelStockReference, multislerpReference, nuslerpReference, slerpReference } from "./spherical";

export interface WholeTensor {
  base: number[];
  models: number[][];
  weights: number[];
  /** Entries per row; a vector is one row. */
  cols: number;
  /** Lines along the first dimension; a vector is one. */
  columns: number;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const delta = ({ base, models }: WholeTensor): number[][] => models.map((m) => m.map((v, i) => Math.fround(v - base[i]!)));
const add = (a: readonly number[], b: readonly number[]): number[] => a.map((v, i) => v + b[i]!);
const zeros = ({ base }: WholeTensor): number[] => base.map(() => 0);

/** The elected sum: entries of x_k with the sign of their sum, a vote of 0 counting as plus. */
function elected(x: readonly number[][], part: (k: number) => number, divisor: (agreeing: number[]) => number): number[] {
  return x[0]!.map((_, i) => {
    const values = x.map((m) => m[i]!);
    const up = sum(values) >= 0;
    const agreeing = values.flatMap((v, k) => ((up ? v > 0 : v < 0) ? [k] : []));
    return agreeing.length === 0 ? 0 : sum(agreeing.map((k) => part(k) * values[k]!)) / divisor(agreeing);
  });
}

export const slerp = (t: WholeTensor, at: number): number[] => slerpReference(t.base, t.models[0]!, at);

export function nuslerp(t: WholeTensor, how: "tensor" | "row" | "column", changes: boolean): number[] {
  const both = t.weights[0]! + t.weights[1]!;
  const share = Math.abs(both) < 1e-6 ? 0.5 : t.weights[1]! / both;
  const [a, b] = (changes ? delta(t) : t.models) as [number[], number[]];
  const out = zeros(t);
  const lines = how === "tensor" ? [a.map((_, i) => i)] : how === "row" ? Array.from({ length: a.length / t.cols }, (_, r) => Array.from({ length: t.cols }, (_, c) => r * t.cols + c)) : Array.from({ length: t.columns }, (_, c) => Array.from({ length: a.length / t.columns }, (_, r) => r * t.columns + c));
  for (const line of lines) nuslerpReference(line.map((i) => a[i]!), line.map((i) => b[i]!), share).forEach((v, j) => (out[line[j]!] = v));
  return changes ? add(t.base, out) : out;
}

export const multislerp = (t: WholeTensor, changes: boolean): number[] => (changes ? add(t.base, multislerpReference(delta(t), t.weights)) : multislerpReference(t.models, t.weights));
export const karcher = (t: WholeTensor, includeBase: boolean): number[] => karcherReference(includeBase ? [t.base, ...t.models] : t.models, 12);

export function modelStock(t: WholeTensor, byRow: boolean): number[] {
  if (!byRow) return modelStockReference(t.base, t.models);
  return Array.from({ length: t.base.length / t.cols }, (_, r) => {
    const row = (v: readonly number[]) => v.slice(r * t.cols, (r + 1) * t.cols);
    return modelStockReference(row(t.base), t.models.map(row));
  }).flat();
}

/** Breadcrumbs: largest first, equal sizes by lowest index; the largest gamma n go, and as many of the smallest that density n stay. */
export function breadcrumbsKept(t: WholeTensor, density: number, gamma: number): boolean[][] {
  const n = t.base.length;
  const kept = density >= 1 ? n : Math.trunc(density * n);
  const top = Math.min(Math.trunc(gamma * n), n - kept);
  return delta(t).map((d) => {
    const order = d.map((_, i) => i).sort((p, q) => Math.abs(d[q]!) - Math.abs(d[p]!) || p - q);
    const keep = new Set(order.slice(top, top + kept));
    return d.map((_, i) => keep.has(i));
  });
}

export function sce(t: WholeTensor, share: number): number[] {
  let d = delta(t);
  if (share < 1) {
    const variance = t.base.map((_, i) => {
      const values = d.map((m) => m[i]!);
      const mean = sum(values) / values.length;
      return Math.fround(sum(values.map((v) => (v - mean) ** 2)) / values.length);
    });
    const count = Math.trunc(variance.filter((v) => v > 0).length * share);
    const keep = new Set(variance.map((_, i) => i).sort((p, q) => variance[q]! - variance[p]! || p - q).slice(0, count));
    d = d.map((m) => m.map((v, i) => (keep.has(i) ? v : 0)));
  }
  const squares = d.map((m) => sum(m.map((v) => v * v)) / m.length);
  const w = sum(squares) < 1e-6 ? squares.map(() => 1 / squares.length) : squares.map((s) => s / sum(squares));
  return add(t.base, elected(d, (k) => w[k]!, (agreeing) => Math.max(sum(agreeing.map((k) => w[k]!)), 1e-6)));
}

export const nearswap = (t: WholeTensor, step: number): number[] => t.base.map((v, i) => v + Math.min(1, step / Math.max(Math.abs(t.models[0]![i]! - v), 1e-6)) * (t.models[0]![i]! - v));

export function ram(t: WholeTensor, plus: { r: number; alpha: number } | undefined): number[] {
  const d = delta(t).map((m) => m.map((v) => (Math.abs(v) > 1e-5 ? v : 0)));
  const by = t.base.map((_, i) => d.filter((m) => m[i] !== 0).length);
  const gain = d.map((m) => {
    const alone = m.filter((v, i) => v !== 0 && by[i] === 1).length;
    const shared = m.filter((v, i) => v !== 0 && by[i]! > 1).length;
    return plus && alone > 0 ? 1 + plus.r * Math.min(shared / alone, plus.alpha) : 1;
  });
  return t.base.map((v, i) => v + (by[i]! > 1 ? sum(d.map((m) => m[i]!)) / by[i]! : sum(d.map((m, k) => gain[k]! * m[i]!))));
}

export function fusion(t: WholeTensor): number[] {
  const [d] = delta(t);
  const softmax = (row: number[]): number[] => {
    const top = Math.max(...row);
    const e = row.map((v) => Math.exp(v - top));
    return e.map((v) => v / sum(e) + 1e-8);
  };
  const keys = Array.from({ length: t.base.length / t.cols }, (_, r) => {
    const row = (v: readonly number[]) => v.slice(r * t.cols, (r + 1) * t.cols);
    const [p, q] = [softmax(row(t.models[0]!)), softmax(row(t.base))];
    const divergence = Math.max(0, sum(p.map((x, i) => x * Math.log(x / q[i]!))));
    return row(d!).map((v) => Math.fround(Math.abs(v) * divergence));
  }).flat();
  const sorted = Float64Array.from(keys).sort();
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))]!;
  const threshold = at(0.5) + 1.5 * (at(0.75) - at(0.25));
  return t.base.map((v, i) => v + (keys[i]! >= threshold ? d![i]! : 0));
}
