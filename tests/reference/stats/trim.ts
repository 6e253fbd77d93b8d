/** Plain sort and plain loops, float64; written from METHODS A23 and 3d. */

export const percentileKeep = (w: readonly number[], r: number): boolean[] => {
  const sorted = [...w].sort((a, b) => a - b);
  const at = (1 - r) * (w.length - 1);
  const low = Math.floor(at);
  const threshold = sorted[low]! + (at - low) * ((sorted[low + 1] ?? sorted[low]!) - sorted[low]!);
  // Linear interpolation between equal neighbours is that value exactly.
  const exact = sorted[low] === sorted[Math.min(low + 1, w.length - 1)] ? sorted[low]! : threshold;
  return w.map((v) => v >= exact);
};

export const topKeep = (w: readonly number[], k: number): boolean[] => {
  const order = w.map((_, i) => i).sort((a, b) => w[b]! - w[a]! || a - b);
  const keep = w.map(() => false);
  for (const i of order.slice(0, k)) keep[i] = true;
  return keep;
};

export const atLeastKeep = (w: readonly number[], ascendingIndex: number): boolean[] => {
  const sorted = [...w].sort((a, b) => a - b);
  return w.map((v) => v >= sorted[ascendingIndex]!);
};
