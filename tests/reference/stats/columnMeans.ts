/** sum over sequences s of the mean over the rows of s of |x[r,c]|, plain loops in float64; sequence s owns rows [starts[s], starts[s+1]) * rowsPerToken. */
export function columnMeans(x: ArrayLike<number>, K: number, starts: ArrayLike<number>, rowsPerToken = 1): Float64Array {
  const sums = new Float64Array(K);
  for (let s = 0; s + 1 < starts.length; s++) {
    const [first, end] = [starts[s]! * rowsPerToken, starts[s + 1]! * rowsPerToken];
    for (let c = 0; c < K; c++) {
      let sum = 0;
      for (let r = first; r < end; r++) sum += Math.abs(x[r * K + c]!);
      sums[c]! += sum / (end - first);
    }
  }
  return sums;
}
