import { magnitudes } from "../kernels/stats/maskMaker";
import { cutOf, cutWithoutRank, rankOf, RankSelect, type Cut, type KeepRule } from "../kernels/stats/trim";
import { l1Factor } from "../kernels/stats/sparsify";
import { modelSlices, SLICE_ELEMENTS } from "./slices";
import type { Change } from "./trimTensor";

type Sides = Pick<Change, "base" | "tuned" | "rows" | "cols" | "sliceElements">;

/** theta0 and theta of a tensor as f32, slice by slice of whole rows, in order, and room for their keys. */
export async function* slicesOf(change: Sides, signal?: AbortSignal): AsyncGenerator<{ at: number; base: Float32Array; tuned: Float32Array; keys: Float32Array }> {
  const { base, tuned, rows, cols, sliceElements = SLICE_ELEMENTS } = change;
  for await (const { at, values, scratch } of modelSlices([base, tuned], { elements: rows * cols, cols, sliceElements }, signal))
    yield { at, base: values[0]!, tuned: values[1]!, keys: scratch.floats("keys", values[0]!.length) };
}

/** sum theta0^2 and sum delta^2 in float64. `add` sees every slice's keys, which are overwritten after it. */
export async function changeSums(change: Sides, signal?: AbortSignal, add?: (keys: Float32Array) => void): Promise<{ base2: number; delta2: number }> {
  const sums = { base2: 0, delta2: 0 };
  for await (const { base, tuned, keys: room } of slicesOf(change, signal)) {
    const keys = magnitudes(base, tuned, room);
    for (let i = 0; i < keys.length; i++) {
      sums.base2 += base[i]! * base[i]!;
      sums.delta2 += keys[i]! * keys[i]!;
    }
    add?.(keys);
  }
  return sums;
}

/**
 * The cut of a rule over |delta| of one tensor, or of many together (TIES over the whole model). Every tensor is read
 * twice, a slice at a time: 16 high bits, then the low ones. Nothing larger than a slice is held.
 */
export async function magnitudeCut(changes: readonly Sides[], rule: KeepRule, signal?: AbortSignal): Promise<Cut> {
  const n = changes.reduce((sum, c) => sum + c.rows * c.cols, 0);
  const rank = rankOf(rule, n);
  if (rank === undefined) return cutWithoutRank(rule);
  const select = new RankSelect(rank);
  do for (const change of changes) for await (const { base, tuned, keys } of slicesOf(change, signal)) select.add(magnitudes(base, tuned, keys));
  while (select.next());
  return cutOf(rule, select);
}

/**
 * What a cut keeps of one tensor: entries, their sum of delta^2, and sum theta0 delta. `state` counts equal keys across tensors.
 * With `l1` also the factor that gives back the L1 norm that the cut takes.
 */
export async function keptSums(change: Sides, cut: Cut, dropZero: boolean, state: { taken: number }, signal?: AbortSignal, l1 = false): Promise<{ kept: number; delta2KeptSum: number; dotBaseKept: number; rescale?: number }> {
  const sums = { kept: 0, delta2KeptSum: 0, dotBaseKept: 0 };
  let whole = 0;
  let left = 0;
  for await (const { base, tuned } of slicesOf(change, signal))
    for (let i = 0; i < base.length; i++) {
      const delta = Math.fround(tuned[i]! - base[i]!);
      const key = Math.abs(delta);
      whole += key;
      const keep = key > cut.threshold || (key === cut.threshold && state.taken < cut.equal && ++state.taken > 0);
      if (!keep || (dropZero && key === 0)) continue;
      left += key;
      sums.kept++;
      sums.delta2KeptSum += delta * delta;
      sums.dotBaseKept += base[i]! * delta;
    }
  return l1 ? { ...sums, rescale: l1Factor(whole, left) } : sums;
}
