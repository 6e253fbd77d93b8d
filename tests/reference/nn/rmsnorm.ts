type Vec = ArrayLike<number>;

/** y = x * rstd * weight per row, rstd = 1 / sqrt(mean(x^2) + eps). float64. */
export function rmsnorm(x: Vec, weight: Vec, eps: number): { y: Float64Array; rstd: Float64Array } {
  const C = weight.length;
  const N = x.length / C;
  const y = new Float64Array(N * C);
  const rstd = new Float64Array(N);
  for (let n = 0; n < N; n++) {
    let sum = 0;
    for (let c = 0; c < C; c++) sum += x[n * C + c]! ** 2;
    rstd[n] = 1 / Math.sqrt(sum / C + eps);
    for (let c = 0; c < C; c++) y[n * C + c] = x[n * C + c]! * rstd[n]! * weight[c]!;
  }
  return { y, rstd };
}

/**
 * From y_c = w_c x_c r and dr/dx_c = -r^3 x_c / C:
 *   dx_c = w_c dy_c r - (r^3 x_c / C) sum_k dy_k w_k x_k,   dweight_c = sum over rows of dy_c x_c r
 */
export function rmsnormBackward(x: Vec, weight: Vec, eps: number, dy: Vec): { dx: Float64Array; dweight: Float64Array } {
  const C = weight.length;
  const { rstd } = rmsnorm(x, weight, eps);
  const dx = new Float64Array(x.length);
  const dweight = new Float64Array(C);
  for (let n = 0; n < rstd.length; n++) {
    const r = rstd[n]!;
    let dot = 0;
    for (let c = 0; c < C; c++) dot += dy[n * C + c]! * weight[c]! * x[n * C + c]!;
    for (let c = 0; c < C; c++) {
      dx[n * C + c] = weight[c]! * dy[n * C + c]! * r - (r ** 3 * x[n * C + c]! * dot) / C;
      dweight[c]! += dy[n * C + c]! * x[n * C + c]! * r;
    }
  }
  return { dx, dweight };
}
