/**
 * Interpolation on the sphere, from inner products alone. Each method's result is a linear combination of its input tensors
 * whose coefficients depend only on their Gram matrix, so a tensor is read once for the products and once for the sum, in
 * slices of any size, and all angles are found in float64.
 *   G[i][j] = <v_i, v_j>        of whole tensors, of rows or of columns
 */
import { StudioError } from "../core/errors";

export type Gram = readonly (readonly number[])[];

/** The sine of an angle that comes from an arc cosine in float64 is known to about 1e-8: below this it is taken for 0. */
const NOISE = 1e-7;

/** |sum c_i v_i|^2 */
const squared = (G: Gram, c: readonly number[]): number => Math.max(0, c.reduce((sum, a, i) => sum + a * c.reduce((inner, b, j) => inner + b * G[i]![j]!, 0), 0));
/** <sum a_i v_i, sum b_i v_i> */
const inner = (G: Gram, a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b.reduce((s, y, j) => s + y * G[i]![j]!, 0), 0);
const clamp = (x: number): number => Math.min(1, Math.max(-1, x));
const norms = (G: Gram): number[] => G.map((row, i) => Math.sqrt(Math.max(0, row[i]!)));
const scale = (c: readonly number[], by: number): number[] => c.map((x) => x * by);
const plus = (a: readonly number[], b: readonly number[]): number[] => a.map((x, i) => x + b[i]!);

/**
 * SLERP of two tensors: sin((1-t) w) / sin w of the first and sin(t w) / sin w of the second, w the angle between them; the
 * weights apply to the tensors as they are, not to unit ones. Above |cos w| = 0.9995, and for a tensor of norm 1e-8 or less taken
 * as it is, the straight line. t = 0 gives the first.
 * Source: Shoemake 1985; limits as in mergekit (METHODS 9).
 */
export function slerp(G: Gram, t: number): [number, number] {
  const unit = norms(G).map((n) => (n > 1e-8 ? 1 / n : 1));
  const cos = G[0]![1]! * unit[0]! * unit[1]!;
  return Math.abs(cos) > 0.9995 ? [1 - t, t] : arc(Math.acos(clamp(cos)), t);
}

function arc(angle: number, t: number): [number, number] {
  const sin = Math.sin(angle);
  return [Math.sin((1 - t) * angle) / sin, Math.sin(t * angle) / sin];
}

/**
 * NuSLERP of two vectors (whole tensors, rows or columns): SLERP with norms of at least 1e-7, and the straight line only where
 * |sin w| < 1e-7, opposite vectors included: below that an arc cosine in float64 is noise.
 * Source: mergekit nuslerp (METHODS 9).
 */
export function nuslerp(G: Gram, t: number): [number, number] {
  const n = norms(G).map((x) => Math.max(x, 1e-7));
  const angle = Math.acos(clamp(G[0]![1]! / (n[0]! * n[1]!)));
  return Math.abs(Math.sin(angle)) < NOISE ? [1 - t, t] : arc(angle, t);
}

/** Share of the second of two weighted models; a half where the weights cancel (METHODS 9, nuslerp). */
export const nuslerpShare = (first: number, second: number): number => (Math.abs(first + second) < 1e-6 ? 0.5 : second / (first + second));

/**
 * Multi-SLERP: the weighted mean of the unit vectors as direction, what is left of each beside it summed and walked along
 * the sphere, times the weighted mean of the norms. Opposite directions that cancel: the straight line for two models.
 *   u_i = v_i / (|v_i| + eps),  m = sum w_i u_i / |sum w_i u_i|,  d = sum w_i (u_i - <u_i, m> m)
 *   v = (sum w_i |v_i|) (cos |d| m + sin |d| d / |d|)
 * Throws "bad-recipe" where more than two directions cancel; `where` is the tensor, in words. Source: mergekit multislerp (METHODS 9).
 */
export function multislerp(G: Gram, weights: readonly number[], normalize: boolean, eps = 1e-8, where = "a tensor"): number[] {
  const count = weights.length;
  if (count === 1) return [1];
  const sum = weights.reduce((a, b) => a + b, 0);
  if (normalize && Math.abs(sum) < 1e-12) throw new StudioError("bad-recipe", "Merging with Multi-SLERP: the weights sum to 0 and cannot be normalised. Change a weight, or turn normalisation off.", { title: "Weights cancel" });
  const w = normalize ? weights.map((x) => x / sum) : [...weights];
  const length = norms(G);
  const unit = length.map((n) => 1 / (n + eps));
  const mean = w.map((x, i) => x * unit[i]!);
  const meanNorm = Math.sqrt(squared(G, mean));
  if (meanNorm < eps) {
    // Tensors of zeros have no directions that could cancel: what no model changes stays.
    if (count === 2 || length.every((n) => n === 0)) return w;
    throw new StudioError("bad-recipe", `Merging with Multi-SLERP: the directions of ${count} models cancel in ${where}, so there is no mean direction. Change a weight.`, { title: "Directions cancel", where });
  }
  const m = scale(mean, 1 / meanNorm);
  const beside = w.reduce<number[]>((total, x, i) => {
    const u = w.map((_, j) => (i === j ? unit[i]! : 0));
    return plus(total, scale(plus(u, scale(m, -inner(G, u, m))), x));
  }, w.map(() => 0));
  const angle = Math.sqrt(squared(G, beside)) + eps;
  const norm = w.reduce((total, x, i) => total + x * length[i]!, 0);
  return scale(plus(scale(m, Math.cos(angle)), scale(beside, Math.sin(angle) / angle)), norm);
}

/**
 * Karcher mean: the point on the unit sphere with the smallest sum of squared angles to all, times the mean of the norms.
 * From the normalised average (the first where it vanishes), steps along the mean of the log maps
 *   log_u(u_i) = w / sin w (u_i - cos w u),  w = angle(u, u_i)
 * until one is shorter than `tolerance`, at most `steps`. Zero tensors have no direction, but count in the mean norm.
 * Source: Karcher 1977; starting point and limits as in mergekit (METHODS 9).
 */
export function karcher(G: Gram, steps = 10, tolerance = 1e-5): number[] {
  const count = G.length;
  const length = norms(G);
  const directions = length.flatMap((n, i) => (n > 0 ? [G.map((_, j) => (i === j ? 1 / n : 0))] : []));
  const none = G.map(() => 0);
  if (directions.length === 0) return none;
  const share = 1 / directions.length;
  let u = scale(directions.reduce(plus, none), share);
  const start = Math.sqrt(squared(G, u));
  u = start < tolerance ? directions[0]! : scale(u, 1 / start);
  for (let step = 0; step < steps; step++) {
    let tangent = none;
    for (const direction of directions) {
      const cos = clamp(inner(G, u, direction));
      const angle = Math.acos(cos);
      // From a direction opposite to the mean all ways are equally short: it pulls nowhere.
      if (angle < tolerance || Math.sin(angle) < NOISE) continue;
      tangent = plus(tangent, scale(plus(direction, scale(u, -cos)), (share * angle) / Math.sin(angle)));
    }
    const size = Math.sqrt(squared(G, tangent));
    if (!(size >= tolerance)) break;
    u = plus(scale(u, Math.cos(size)), scale(tangent, Math.sin(size) / size));
    const again = Math.sqrt(squared(G, u));
    if (again > 0) u = scale(u, 1 / again);
  }
  return scale(u, length.reduce((a, b) => a + b, 0) / count);
}

/**
 * Model Stock: how far to go from the base towards the mean of the models, by the angle between their changes.
 *   t = N cos / (1 + (N - 1) cos),  cos = mean over pairs of <d_i, d_j> / max(|d_i| |d_j|, 1e-6), each in [-1, 1]
 * `G` is the Gram matrix of the changes d_i = theta_i - theta0. theta = theta0 + t mean(d).
 * Source: Jang et al. 2024, arXiv:2403.19522; limits as in mergekit (METHODS 9).
 */
export function modelStockShare(G: Gram): number {
  const count = G.length;
  const length = norms(G);
  let sum = 0;
  let pairs = 0;
  for (let i = 0; i < count; i++)
    for (let j = i + 1; j < count; j++, pairs++) sum += clamp(G[i]![j]! / Math.max(length[i]! * length[j]!, 1e-6));
  const cos = sum / pairs;
  return (count * cos) / (1 + (count - 1) * cos);
}
