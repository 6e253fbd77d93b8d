/** Diagonal Fisher as a sum over sequences of squared whole-sequence gradients, float64, straight from the definition. */

/** Gradient of sequence rows [begin, end): g[n,k] = sum_t dy[t,n] x[t,k], dy [T, N], x [T, K]. */
export function sequenceGradient(x: ArrayLike<number>, dy: ArrayLike<number>, begin: number, end: number, N: number, K: number): Float64Array {
  const g = new Float64Array(N * K);
  for (let t = begin; t < end; t++) for (let n = 0; n < N; n++) for (let k = 0; k < K; k++) g[n * K + k]! += dy[t * N + n]! * x[t * K + k]!;
  return g;
}

/** sum_s g_s^2 of a list of gradients. */
export function sumOfSquares(gradients: Float64Array[]): Float64Array {
  const out = new Float64Array(gradients[0]?.length ?? 0);
  for (const g of gradients) g.forEach((v, i) => (out[i]! += v * v));
  return out;
}

const perSequence = <T>(starts: ArrayLike<number>, gradient: (begin: number, end: number) => T): T[] =>
  Array.from({ length: starts.length - 1 }, (_, s) => gradient(starts[s]!, starts[s + 1]!));

export function fisherLinear(x: ArrayLike<number>, dy: ArrayLike<number>, starts: ArrayLike<number>, N: number, K: number): Float64Array {
  return sumOfSquares(perSequence(starts, (begin, end) => sequenceGradient(x, dy, begin, end, N, K)));
}

/** Head and embedding are one matrix [V, K]: the two gradients of a sequence add before squaring. */
export function fisherTied(x: ArrayLike<number>, dlogits: ArrayLike<number>, dx: ArrayLike<number>, tokens: ArrayLike<number>, starts: ArrayLike<number>, V: number, K: number): Float64Array {
  return sumOfSquares(
    perSequence(starts, (begin, end) => {
      const g = sequenceGradient(x, dlogits, begin, end, V, K);
      for (let t = begin; t < end; t++) for (let k = 0; k < K; k++) g[tokens[t]! * K + k]! += dx[t * K + k]!;
      return g;
    }),
  );
}

export function fisherBias(dy: ArrayLike<number>, starts: ArrayLike<number>, N: number): Float64Array {
  return fisherLinear(new Float64Array(starts[starts.length - 1]!).fill(1), dy, starts, N, 1);
}

/** Gain gradient of RMSNorm: sum over rows of dy * x * rstd. */
export function fisherNorm(x: ArrayLike<number>, rstd: ArrayLike<number>, dy: ArrayLike<number>, starts: ArrayLike<number>, C: number, rowsPerToken: number): Float64Array {
  return sumOfSquares(
    perSequence(starts, (begin, end) => {
      const g = new Float64Array(C);
      for (let r = begin * rowsPerToken; r < end * rowsPerToken; r++) for (let c = 0; c < C; c++) g[c]! += dy[r * C + c]! * x[r * C + c]! * rstd[r]!;
      return g;
    }),
  );
}

/** The whole embedding [V, C]; rows of tokens that do not occur are zero. */
export function fisherEmbedding(dx: ArrayLike<number>, tokens: ArrayLike<number>, starts: ArrayLike<number>, V: number, C: number): Float64Array {
  const T = starts[starts.length - 1]!;
  return fisherTied(new Float64Array(T * C), new Float64Array(T * V), dx, tokens, starts, V, C);
}
