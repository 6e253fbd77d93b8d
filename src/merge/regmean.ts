import { breather, cholesky, solveRows } from "./cholesky";

/** What takes part in a layer's regression, in the order of the recipe: the base first where it does. */
export interface GramPart {
  /** X^T X / tokens of the layer's inputs in this model: [d, d], symmetric, or its diagonal [d]. */
  gram: ArrayLike<number>;
  /** c_k, at least 0. */
  coefficient: number;
}

export interface RegMeanOptions {
  /** a: the off-diagonal entries of every G_k are multiplied by it, 0 .. 1. */
  offDiagonal: number;
  /** eps: eps tr(G_k) / d is added to the diagonal of every G_k. */
  ridge: number;
}

/** Right-hand sides that are solved at a time. */
const ROWS = 64;
/** Tries with ten times the ridge before a layer is given up. */
const MOST_RAISES = 12;

/**
 * How much each model's row goes into the merged row:
 *   w = sum_k A_k w_k,   A_k = (sum_i c_i H_i)^-1 c_k H_k,   H = a G + (1 - a) diag(G) + eps tr(G) / d I
 * The ridge is part of every H_k, so that sum_k A_k = I: models that agree keep their weights, and where no model has seen
 * an input the result is their mean. Returns A_k row-major [d, d] in f32 for k of `wanted`, and the ridge that was used: ten
 * times as much, and again, where rounding left the sum without a Cholesky factor. With one part, or where all c H are 0, A_k
 * is c_k / sum c. float64; d^3 / 3 + 2 d^3 operations for every wanted model but one (the last part is what the others
 * leave of I). Holds d^2 float64 beside the matrices and the results. Throws "cancelled".
 * Source: Jin et al. 2023, arXiv:2212.09849, eq. 2, with the ridge of METHODS 10.
 */
export async function projections(parts: readonly GramPart[], d: number, wanted: readonly number[], { offDiagonal, ridge }: RegMeanOptions, signal?: AbortSignal): Promise<{ matrices: Float32Array[]; ridge: number }> {
  const breathe = breather(signal);
  const shares = parts.map((p) => p.coefficient);
  const total = shares.reduce((a, b) => a + b, 0);
  const traces = parts.map(({ gram }) => traceOf(gram, d));
  const plain = () => ({ matrices: wanted.map((k) => identity(d, shares[k]! / total)), ridge });
  if (parts.length === 1 || parts.every((p, k) => p.coefficient * traces[k]! === 0)) return plain();

  const sum = new Float64Array(d * d);
  let used = ridge;
  for (let raises = 0; ; raises++) {
    sum.fill(0);
    for (const [k, part] of parts.entries()) addPart(sum, part, d, offDiagonal, (used * traces[k]!) / d);
    await breathe();
    if ((await cholesky(sum, d, breathe)) === undefined) break;
    if (raises === MOST_RAISES) return plain();
    used = used === 0 ? 1e-8 : used * 10;
  }
  // The last of the wanted is what the others leave of I, when all parts but one are known by then.
  const rest = wanted.length === parts.length ? wanted.length - 1 : undefined;
  const matrices: Float32Array[] = [];
  for (const [at, k] of wanted.entries()) {
    if (at === rest) {
      matrices.push(leftOf(matrices, d));
      break;
    }
    const a = new Float32Array(d * d);
    const { gram, coefficient: c } = parts[k]!;
    const added = (used * traces[k]!) / d;
    for (let r0 = 0; r0 < d; r0 += ROWS) {
      const rows = Math.min(ROWS, d - r0);
      // Rows of c H S^-1: columns of A, since H and S are symmetric.
      const x = new Float64Array(rows * d);
      for (let r = 0; r < rows; r++) for (let j = 0; j < d; j++) x[r * d + j] = r0 + r === j ? c * (gram[j * d + j]! + added) : c * offDiagonal * gram[(r0 + r) * d + j]!;
      await solveRows(sum, d, x, breathe);
      for (let i = 0; i < d; i++) for (let r = 0; r < rows; r++) a[i * d + r0 + r] = x[r * d + i]!;
    }
    matrices.push(a);
  }
  return { matrices, ridge: used };
}

/**
 * The same with every off-diagonal entry 0: each input column has shares of its own, A_k[j] = c_k g_k[j] / sum_i c_i g_i[j],
 * g = diag(G) + eps tr(G) / d. [d] for k of `wanted`; a column where the sum is 0 is shared by c alone.
 */
export function diagonalShares(parts: readonly GramPart[], d: number, wanted: readonly number[], ridge: number): Float32Array[] {
  const diagonals = parts.map(({ gram }) => diagonalOf(gram, d));
  const added = diagonals.map((g) => (ridge * g.reduce((a, b) => a + b, 0)) / d);
  const total = parts.reduce((a, p) => a + p.coefficient, 0);
  return wanted.map((k) =>
    Float32Array.from({ length: d }, (_, j) => {
      const sum = parts.reduce((a, p, i) => a + p.coefficient * (diagonals[i]![j]! + added[i]!), 0);
      return sum > 0 ? (parts[k]!.coefficient * (diagonals[k]![j]! + added[k]!)) / sum : parts[k]!.coefficient / total;
    }),
  );
}

/** I minus the others. */
function leftOf(others: readonly Float32Array[], d: number): Float32Array {
  const a = identity(d, 1);
  for (const other of others) for (let i = 0; i < a.length; i++) a[i] = a[i]! - other[i]!;
  return a;
}

/** sum += c H, lower triangle. */
function addPart(sum: Float64Array, { gram, coefficient: c }: GramPart, d: number, a: number, ridge: number): void {
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < i; j++) sum[i * d + j]! += c * a * gram[i * d + j]!;
    sum[i * d + i]! += c * (gram[i * d + i]! + ridge);
  }
}

const diagonalOf = (gram: ArrayLike<number>, d: number): Float64Array => Float64Array.from({ length: d }, (_, i) => gram[gram.length === d ? i : i * d + i]!);

function traceOf(gram: ArrayLike<number>, d: number): number {
  let trace = 0;
  for (let i = 0; i < d; i++) trace += gram[i * d + i]!;
  return trace;
}

function identity(d: number, scale: number): Float32Array {
  const a = new Float32Array(d * d);
  for (let i = 0; i < d; i++) a[i * d + i] = scale;
  return a;
}
