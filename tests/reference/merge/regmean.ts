/** X^T X / rows of [rows, d], in float64. */
export function gramOf(x: ArrayLike<number>, d: number): Float64Array {
  const rows = x.length / d;
  const g = new Float64Array(d * d);
  for (let t = 0; t < rows; t++) for (let i = 0; i < d; i++) for (let j = 0; j < d; j++) g[i * d + j]! += (x[t * d + i]! * x[t * d + j]!) / rows;
  return g;
}

/** Solves S z = b for every column b of B [n, m], by Gauss-Jordan elimination with the largest pivot. */
export function solve(s: Float64Array, b: Float64Array, n: number, m: number): Float64Array {
  const a = s.slice();
  const x = b.slice();
  for (let k = 0; k < n; k++) {
    let p = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(a[i * n + k]!) > Math.abs(a[p * n + k]!)) p = i;
    for (let j = 0; j < n; j++) [a[k * n + j], a[p * n + j]] = [a[p * n + j]!, a[k * n + j]!];
    for (let j = 0; j < m; j++) [x[k * m + j], x[p * m + j]] = [x[p * m + j]!, x[k * m + j]!];
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = a[i * n + k]! / a[k * n + k]!;
      for (let j = 0; j < n; j++) a[i * n + j]! -= factor * a[k * n + j]!;
      for (let j = 0; j < m; j++) x[i * m + j]! -= factor * x[k * m + j]!;
    }
  }
  for (let k = 0; k < n; k++) for (let j = 0; j < m; j++) x[k * m + j]! /= a[k * n + k]!;
  return x;
}

/** H = a G + (1 - a) diag(G) + eps tr(G) / d I. */
export function shrink(g: ArrayLike<number>, d: number, a: number, eps: number): Float64Array {
  let trace = 0;
  for (let i = 0; i < d; i++) trace += g[i * d + i]!;
  return Float64Array.from({ length: d * d }, (_, at) => (at % (d + 1) === 0 ? g[at]! + (eps * trace) / d : a * g[at]!));
}

/** W = ((sum_k c_k H_k)^-1 sum_k c_k H_k W_k^T)^T for weights [rows, d], as METHODS 10 writes it. */
export function regmean(grams: readonly ArrayLike<number>[], weights: readonly ArrayLike<number>[], c: readonly number[], d: number, a: number, eps: number): Float64Array {
  const rows = weights[0]!.length / d;
  const left = new Float64Array(d * d);
  const right = new Float64Array(d * rows);
  grams.forEach((g, k) => {
    const h = shrink(g, d, a, eps);
    for (let i = 0; i < d; i++)
      for (let j = 0; j < d; j++) {
        left[i * d + j]! += c[k]! * h[i * d + j]!;
        for (let r = 0; r < rows; r++) right[i * rows + r]! += c[k]! * h[i * d + j]! * weights[k]![r * d + j]!;
      }
  });
  const x = solve(left, right, d, rows);
  return Float64Array.from({ length: rows * d }, (_, at) => x[(at % d) * rows + Math.floor(at / d)]!);
}
