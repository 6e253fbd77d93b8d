/** Rows of two models with different numbers of them, from METHODS 0.3: those in common are merged, the others stay one model's own. */
export function mergeRows(base: readonly number[], tuned: readonly number[], cols: number, rows: number, merge: (base: number[], tuned: number[]) => number[]): number[] {
  const common = Math.min(base.length, tuned.length, rows * cols);
  const merged = merge(base.slice(0, common), tuned.slice(0, common));
  const longer = base.length > tuned.length ? base : tuned;
  return Array.from({ length: rows * cols }, (_, i) => (i < common ? merged[i]! : longer[i]!));
}
