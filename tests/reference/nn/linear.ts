/** y[m,n] = sum_k x[m,k] W[n,k] + b[n]. */
export function linear(x: ArrayLike<number>, weight: ArrayLike<number>, bias: ArrayLike<number> | undefined, M: number, N: number, K: number): Float64Array {
  const y = new Float64Array(M * N);
  for (let m = 0; m < M; m++)
    for (let n = 0; n < N; n++) {
      let sum = bias ? bias[n]! : 0;
      for (let k = 0; k < K; k++) sum += x[m * K + k]! * weight[n * K + k]!;
      y[m * N + n] = sum;
    }
  return y;
}

/** dx[m,k] = sum_n dy[m,n] W[n,k];  dW[n,k] = sum_m dy[m,n] x[m,k];  db[n] = sum_m dy[m,n]. */
export function linearBackward(dy: ArrayLike<number>, x: ArrayLike<number>, weight: ArrayLike<number>, M: number, N: number, K: number): { dx: Float64Array; dweight: Float64Array; dbias: Float64Array } {
  const dx = new Float64Array(M * K);
  const dweight = new Float64Array(N * K);
  const dbias = new Float64Array(N);
  for (let m = 0; m < M; m++)
    for (let n = 0; n < N; n++) {
      const d = dy[m * N + n]!;
      dbias[n]! += d;
      for (let k = 0; k < K; k++) {
        dx[m * K + k]! += d * weight[n * K + k]!;
        dweight[n * K + k]! += d * x[m * K + k]!;
      }
    }
  return { dx, dweight, dbias };
}
