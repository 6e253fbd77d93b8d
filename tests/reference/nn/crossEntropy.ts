/** nll[r] = log sum_v exp(logits[r,v]) - logits[r, target]; 0 where the weight is 0. */
export function crossEntropy(logits: ArrayLike<number>, targets: ArrayLike<number>, weights: ArrayLike<number>, R: number, V: number): Float64Array {
  return Float64Array.from({ length: R }, (_, r) => {
    if (weights[r] === 0) return 0;
    let max = -Infinity;
    for (let v = 0; v < V; v++) max = Math.max(max, logits[r * V + v]!);
    let sum = 0;
    for (let v = 0; v < V; v++) sum += Math.exp(logits[r * V + v]! - max);
    return Math.log(sum) + max - logits[r * V + targets[r]!]!;
  });
}

/** Gradient of sum_r weights[r] * nll[r]: weights[r] * (softmax(logits[r])[v] - [v = target]). */
export function crossEntropyBackward(logits: ArrayLike<number>, targets: ArrayLike<number>, weights: ArrayLike<number>, R: number, V: number): Float64Array {
  const out = new Float64Array(R * V);
  for (let r = 0; r < R; r++) {
    let max = -Infinity;
    for (let v = 0; v < V; v++) max = Math.max(max, logits[r * V + v]!);
    let sum = 0;
    for (let v = 0; v < V; v++) sum += Math.exp(logits[r * V + v]! - max);
    for (let v = 0; v < V; v++) out[r * V + v] = weights[r]! * (Math.exp(logits[r * V + v]! - max) / sum - (v === targets[r] ? 1 : 0));
  }
  return out;
}
