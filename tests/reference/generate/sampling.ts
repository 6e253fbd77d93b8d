/** Probabilities of all tokens after penalty, temperature, top-k and top-p, each written from its definition, in float64. */
export function probabilities(logits: ArrayLike<number>, o: { temperature: number; topK: number; topP: number; repetitionPenalty: number }, seen: readonly number[]): number[] {
  let l = Array.from(logits);
  l = l.map((v, i) => (seen.includes(i) ? (v > 0 ? v / o.repetitionPenalty : v * o.repetitionPenalty) : v));
  l = l.map((v) => v / o.temperature);
  if (o.topK > 0) {
    const kth = [...l].sort((a, b) => b - a)[Math.min(o.topK, l.length) - 1]!;
    l = l.map((v) => (v < kth ? -Infinity : v));
  }
  const softmax = (values: number[]): number[] => {
    const top = Math.max(...values);
    const exps = values.map((v) => Math.exp(v - top));
    const sum = exps.reduce((a, b) => a + b, 0);
    return exps.map((e) => e / sum);
  };
  if (o.topP < 1) {
    const p = softmax(l);
    const order = p.map((_, i) => i).sort((a, b) => p[b]! - p[a]! || a - b);
    l = l.map((v, i) => {
      const before = order.slice(0, order.indexOf(i)).reduce((sum, j) => sum + p[j]!, 0);
      return before < o.topP || order[0] === i ? v : -Infinity;
    });
  }
  return softmax(l);
}
