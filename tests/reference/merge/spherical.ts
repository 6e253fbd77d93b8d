/** Spherical methods on whole vectors in float64, from the formulas: no Gram matrix, no coefficients. */
type Vector = readonly number[];

const dot = (a: Vector, b: Vector): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const norm = (a: Vector): number => Math.sqrt(dot(a, a));
const times = (a: Vector, by: number): number[] => a.map((x) => x * by);
const add = (...vectors: Vector[]): number[] => vectors[0]!.map((_, i) => vectors.reduce((sum, v) => sum + v[i]!, 0));
const cosine = (x: number): number => Math.min(1, Math.max(-1, x));

export const gramOf = (vectors: readonly Vector[]): number[][] => vectors.map((a) => vectors.map((b) => dot(a, b)));
export const combine = (coefficients: Vector, vectors: readonly Vector[]): number[] => add(...vectors.map((v, i) => times(v, coefficients[i]!)));

export function slerpReference(a: Vector, b: Vector, t: number): number[] {
  const unit = (v: Vector) => (norm(v) > 1e-8 ? times(v, 1 / norm(v)) : v);
  const cos = dot(unit(a), unit(b));
  if (Math.abs(cos) > 0.9995) return add(times(a, 1 - t), times(b, t));
  const w = Math.acos(cos);
  return add(times(a, Math.sin((1 - t) * w) / Math.sin(w)), times(b, Math.sin(t * w) / Math.sin(w)));
}

export function nuslerpReference(a: Vector, b: Vector, t: number): number[] {
  const cos = cosine(dot(times(a, 1 / Math.max(norm(a), 1e-7)), times(b, 1 / Math.max(norm(b), 1e-7))));
  const w = Math.acos(cos);
  if (Math.abs(Math.sin(w)) < 1e-7) return add(times(a, 1 - t), times(b, t));
  return add(times(a, Math.sin((1 - t) * w) / Math.sin(w)), times(b, Math.sin(t * w) / Math.sin(w)));
}

export function multislerpReference(vectors: readonly Vector[], weights: Vector, eps = 1e-8): number[] {
  const w = times(weights, 1 / weights.reduce((a, b) => a + b, 0));
  const units = vectors.map((v) => times(v, 1 / (norm(v) + eps)));
  const sum = combine(w, units);
  if (norm(sum) < eps) return combine(w, vectors);
  const mean = times(sum, 1 / norm(sum));
  const tangent = combine(w, units.map((u) => add(u, times(mean, -dot(u, mean)))));
  const angle = norm(tangent) + eps;
  const direction = add(times(mean, Math.cos(angle)), times(tangent, Math.sin(angle) / angle));
  return times(direction, w.reduce((total, x, i) => total + x * norm(vectors[i]!), 0));
}

/** The mean on the sphere by its definition: no tangent is left over. Plain gradient steps, many of them. */
export function karcherReference(vectors: readonly Vector[], steps = 500): number[] {
  const units = vectors.filter((v) => norm(v) > 0).map((v) => times(v, 1 / norm(v)));
  if (units.length === 0) return vectors[0]!.map(() => 0);
  let u = times(add(...units), 1 / units.length);
  u = norm(u) < 1e-5 ? [...units[0]!] : times(u, 1 / norm(u));
  for (let step = 0; step < steps; step++) {
    const logs = units.map((v) => {
      const w = Math.acos(cosine(dot(u, v)));
      // Opposite to the mean all ways are equally short.
      return w < 1e-12 || Math.sin(w) < 1e-7 ? v.map(() => 0) : times(add(v, times(u, -dot(u, v))), w / Math.sin(w));
    });
    u = add(u, times(add(...logs), 1 / units.length));
    u = times(u, 1 / norm(u));
  }
  return times(u, vectors.reduce((sum, v) => sum + norm(v), 0) / vectors.length);
}

export function modelStockReference(base: Vector, models: readonly Vector[]): number[] {
  const offsets = models.map((m) => add(m, times(base, -1)));
  const cosines = offsets.flatMap((a, i) => offsets.slice(i + 1).map((b) => cosine(dot(a, b) / Math.max(norm(a) * norm(b), 1e-6))));
  const cos = cosines.reduce((a, b) => a + b, 0) / cosines.length;
  const t = (models.length * cos) / (1 + (models.length - 1) * cos);
  return add(times(base, 1 - t), times(add(...models), t / models.length));
}
