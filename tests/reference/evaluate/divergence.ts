/** From the definition, in float64, over whole rows of logits: log-softmax first, then the sums. */

const logSoftmax = (logits: ArrayLike<number>): number[] => {
  const values = Array.from(logits);
  const largest = values.reduce((m, v) => Math.max(m, v), -Infinity);
  let sum = 0;
  for (const v of values) sum += Math.exp(v - largest);
  return values.map((v) => v - largest - Math.log(sum));
};

/** exp of the mean negative log-probability of each row's next token; rows without one (-1) do not count. */
export function perplexity(rows: readonly ArrayLike<number>[], targets: readonly number[]): number {
  let total = 0;
  let count = 0;
  rows.forEach((row, t) => {
    if (targets[t]! < 0) return;
    total -= logSoftmax(row)[targets[t]!]!;
    count++;
  });
  return Math.exp(total / count);
}

/** Mean over rows of sum_v P(v) (log P(v) - log Q(v)). */
export function divergence(p: readonly ArrayLike<number>[], q: readonly ArrayLike<number>[]): number {
  let total = 0;
  p.forEach((row, t) => {
    const [a, b] = [logSoftmax(row), logSoftmax(q[t]!)];
    for (let v = 0; v < a.length; v++) total += Math.exp(a[v]!) * (a[v]! - b[v]!);
  });
  return total / p.length;
}
