/**
 * Derivative of `loss` for each entry of `at`, by the five-point rule:
 *   f' = (f(-2h) - 8 f(-h) + 8 f(h) - f(2h)) / 12 h,   error O(h^4)
 * `at` is changed during the calls and put back.
 */
export function finiteDifference(at: Float64Array, loss: () => number, indices: Iterable<number> = at.keys(), h = 1e-3): Map<number, number> {
  const out = new Map<number, number>();
  for (const i of indices) {
    const kept = at[i]!;
    const f = (step: number): number => {
      at[i] = kept + step * h;
      return loss();
    };
    out.set(i, (f(-2) - 8 * f(-1) + 8 * f(1) - f(2)) / (12 * h));
    at[i] = kept;
  }
  return out;
}
