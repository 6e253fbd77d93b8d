import { throwIfCancelled } from "../core/errors";

/** Columns that are finished together, and right-hand sides that are solved together: 64 rows of 4096 values stay in a cache. */
const BLOCK = 64;
/** Reduction lengths per call of the product, so that what it reads stays near. */
const DEPTH = 512;
/** Longest stretch of work between two looks at the signal: short, because what feeds the GPU meanwhile wants its turn too. */
const BREATH_MS = 25;

/** Lets the thread answer others every now and then; throws "cancelled". */
export function breather(signal?: AbortSignal): () => Promise<void> {
  let last = performance.now();
  return async () => {
    throwIfCancelled(signal);
    if (performance.now() - last < BREATH_MS) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    throwIfCancelled(signal);
    last = performance.now();
  };
}

/**
 * Replaces a symmetric matrix S [n, n] by its Cholesky factor: S = L L^T, L in the lower triangle and its mirror image L^T in
 * the upper one, so that the rows of both lie together. Only the lower triangle of S is read. Returns the first row whose
 * pivot is not above 0 (the matrix is then half done and of no use), or undefined.
 * n^3 / 3 floating-point operations in float64, blocks of 64 columns, left-looking.
 * Source: Golub and Van Loan, Matrix Computations, 4.2.
 */
export async function cholesky(s: Float64Array, n: number, breathe: () => Promise<void>): Promise<number | undefined> {
  for (let j0 = 0; j0 < n; j0 += BLOCK) {
    const j1 = Math.min(j0 + BLOCK, n);
    for (let i0 = j0; i0 < n; i0 += BLOCK) {
      const i1 = Math.min(i0 + BLOCK, n);
      for (let k0 = 0; k0 < j0; k0 += DEPTH) subtractProducts(s, s, s, n, i0, i1, j0, j1, k0, Math.min(k0 + DEPTH, j0));
      if (i0 === j0) {
        const failed = factorBlock(s, n, j0, j1);
        if (failed !== undefined) return failed;
      } else solveBlock(s, s, n, i0, i1, j0, j1);
      await breathe();
    }
    // The mirror image of the finished columns.
    for (let i = j0; i < n; i++) for (let j = j0; j < Math.min(i, j1); j++) s[j * n + i] = s[i * n + j]!;
  }
  return undefined;
}

/**
 * Rows of X replaced by X S^-1, for the factor that `cholesky` left: `x` is [rows, n], every row a right-hand side of its
 * own. 2 n^2 operations a row.
 */
export async function solveRows(factor: Float64Array, n: number, x: Float64Array, breathe: () => Promise<void>): Promise<void> {
  const rows = x.length / n;
  for (let i0 = 0; i0 < rows; i0 += BLOCK) {
    const i1 = Math.min(i0 + BLOCK, rows);
    // L z = x, block by block downwards.
    for (let j0 = 0; j0 < n; j0 += BLOCK) {
      const j1 = Math.min(j0 + BLOCK, n);
      for (let k0 = 0; k0 < j0; k0 += DEPTH) subtractProducts(x, x, factor, n, i0, i1, j0, j1, k0, Math.min(k0 + DEPTH, j0));
      solveBlock(x, factor, n, i0, i1, j0, j1);
      await breathe();
    }
    // L^T y = z, upwards.
    for (let j0 = Math.floor((n - 1) / BLOCK) * BLOCK; j0 >= 0; j0 -= BLOCK) {
      const j1 = Math.min(j0 + BLOCK, n);
      for (let k0 = j1; k0 < n; k0 += DEPTH) subtractProducts(x, x, factor, n, i0, i1, j0, j1, k0, Math.min(k0 + DEPTH, n));
      for (let i = i0; i < i1; i++)
        for (let j = j1 - 1; j >= j0; j--) {
          let sum = x[i * n + j]!;
          for (let k = j + 1; k < j1; k++) sum -= factor[j * n + k]! * x[i * n + k]!;
          x[i * n + j] = sum / factor[j * n + j]!;
        }
      await breathe();
    }
  }
}

/** The factor of one block on the diagonal, once the columns before it are subtracted. */
function factorBlock(s: Float64Array, n: number, j0: number, j1: number): number | undefined {
  for (let j = j0; j < j1; j++) {
    let pivot = s[j * n + j]!;
    for (let k = j0; k < j; k++) pivot -= s[j * n + k]! ** 2;
    if (!(pivot > 0)) return j;
    const root = Math.sqrt(pivot);
    s[j * n + j] = root;
    for (let i = j + 1; i < j1; i++) {
      let sum = s[i * n + j]!;
      for (let k = j0; k < j; k++) sum -= s[i * n + k]! * s[j * n + k]!;
      s[i * n + j] = sum / root;
    }
  }
  return undefined;
}

/** Columns [j0, j1) of rows [i0, i1) of x against the block of the factor on the diagonal, from left to right. */
function solveBlock(x: Float64Array, factor: Float64Array, n: number, i0: number, i1: number, j0: number, j1: number): void {
  for (let i = i0; i < i1; i++)
    for (let j = j0; j < j1; j++) {
      let sum = x[i * n + j]!;
      for (let k = j0; k < j; k++) sum -= factor[j * n + k]! * x[i * n + k]!;
      x[i * n + j] = sum / factor[j * n + j]!;
    }
}

/**
 * c[i, j] -= sum over k in [k0, k1) of a[i, k] b[j, k], all of rows of n values. Two rows by four columns at a time: as many
 * sums as stay in registers.
 */
function subtractProducts(c: Float64Array, a: Float64Array, b: Float64Array, n: number, i0: number, i1: number, j0: number, j1: number, k0: number, k1: number): void {
  const wholeI = i0 + ((i1 - i0) & ~1);
  const wholeJ = j0 + ((j1 - j0) & ~3);
  for (let i = i0; i < wholeI; i += 2) {
    const [a0, a1] = [i * n, (i + 1) * n];
    for (let j = j0; j < wholeJ; j += 4) {
      const [b0, b1, b2, b3] = [j * n, (j + 1) * n, (j + 2) * n, (j + 3) * n];
      let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
      for (let k = k0; k < k1; k++) {
        const x0 = a[a0 + k]!, x1 = a[a1 + k]!;
        const y0 = b[b0 + k]!, y1 = b[b1 + k]!, y2 = b[b2 + k]!, y3 = b[b3 + k]!;
        s00 += x0 * y0; s01 += x0 * y1; s02 += x0 * y2; s03 += x0 * y3;
        s10 += x1 * y0; s11 += x1 * y1; s12 += x1 * y2; s13 += x1 * y3;
      }
      c[a0 + j]! -= s00; c[a0 + j + 1]! -= s01; c[a0 + j + 2]! -= s02; c[a0 + j + 3]! -= s03;
      c[a1 + j]! -= s10; c[a1 + j + 1]! -= s11; c[a1 + j + 2]! -= s12; c[a1 + j + 3]! -= s13;
    }
    edge(c, a, b, n, i, i + 2, wholeJ, j1, k0, k1);
  }
  edge(c, a, b, n, wholeI, i1, j0, j1, k0, k1);
}

/** The same in plain loops, for the rows and columns that are left over. */
function edge(c: Float64Array, a: Float64Array, b: Float64Array, n: number, i0: number, i1: number, j0: number, j1: number, k0: number, k1: number): void {
  for (let i = i0; i < i1; i++)
    for (let j = j0; j < j1; j++) {
      let sum = 0;
      for (let k = k0; k < k1; k++) sum += a[i * n + k]! * b[j * n + k]!;
      c[i * n + j]! -= sum;
    }
}
