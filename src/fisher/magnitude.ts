import { throwIfCancelled } from "../core/errors";
import { bytesPerElement, type FloatDtype } from "../core/tensors";
import { Scratch } from "../core/scratch";
import { clockOf } from "../core/stages";
import { toFloat32 } from "../formats/dtypes";
import { magnitudes } from "../kernels/stats/maskMaker";
import { cutOf, cutWithoutRank, rankOf, RankSelect, type Cut, type KeepRule } from "../kernels/stats/trim";
import type { Change } from "./trimTensor";

/** Values per read: 4 Mi, so that both sides, as f32, take 32 MiB. */
export const SLICE_ELEMENTS = 4 * 1024 * 1024;

type Sides = Pick<Change, "base" | "tuned" | "rows" | "cols" | "sliceElements">;

/**
 * theta0 and theta of a tensor as f32, slice by slice of whole rows, in order, and room for their keys. The next slice is
 * read while this one is looked at; the arrays are used again for the one after.
 */
export async function* slicesOf(change: Sides, signal?: AbortSignal): AsyncGenerator<{ at: number; base: Float32Array; tuned: Float32Array; keys: Float32Array }> {
  const total = change.rows * change.cols;
  const scratch = Scratch.take();
  const sliceElements = Math.max(1, Math.floor((change.sliceElements ?? SLICE_ELEMENTS) / change.cols)) * change.cols;
  const side = (key: "base" | "tuned") => ({ key, ...change[key], dtype: change[key].source.tensors.get(change[key].name)!.dtype as FloatDtype });
  const sides = [side("base"), side("tuned")] as const;
  const read = (at: number): Promise<Uint8Array[]> => {
    const end = clockOf(signal)?.begin("read");
    const count = Math.min(sliceElements, total - at);
    const turn = (at / sliceElements) % 2;
    const stored = Promise.all(sides.map(({ key, source, name, dtype }) => source.read(name, at * bytesPerElement(dtype), count * bytesPerElement(dtype), scratch.bytes(`${key} ${turn}`, count * bytesPerElement(dtype)))));
    stored.then((bytes) => end?.(bytes.reduce((sum, b) => sum + b.byteLength, 0)), () => end?.());
    return stored;
  };
  let finished = false;
  let ahead = total > 0 ? read(0) : undefined;
  try {
    for (let at = 0; at < total; at += sliceElements) {
      const [base, tuned] = (await ahead!) as [Uint8Array, Uint8Array];
      ahead = at + sliceElements < total ? read(at + sliceElements) : undefined;
      ahead?.catch(() => undefined);
      throwIfCancelled(signal);
      const count = Math.min(sliceElements, total - at);
      // What the caller does with a slice is part of the same work: it ends when the next one is asked for.
      const end = clockOf(signal)?.begin("select");
      try {
        yield { at, base: toFloat32(base, sides[0].dtype, scratch.floats("base", count)), tuned: toFloat32(tuned, sides[1].dtype, scratch.floats("tuned", count)), keys: scratch.floats("keys", count) };
      } finally {
        end?.(base.byteLength + tuned.byteLength);
      }
    }
    finished = true;
  } finally {
    // A read ahead that nobody waited for may still write into its arrays: they are not handed on then.
    if (finished) scratch.give();
  }
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

/** What a cut keeps of one tensor: entries, their sum of delta^2, and sum theta0 delta. `state` counts equal keys across tensors. */
export async function keptSums(change: Sides, cut: Cut, dropZero: boolean, state: { taken: number }, signal?: AbortSignal): Promise<{ kept: number; delta2KeptSum: number; dotBaseKept: number }> {
  const sums = { kept: 0, delta2KeptSum: 0, dotBaseKept: 0 };
  for await (const { base, tuned } of slicesOf(change, signal))
    for (let i = 0; i < base.length; i++) {
      const delta = Math.fround(tuned[i]! - base[i]!);
      const key = Math.abs(delta);
      const keep = key > cut.threshold || (key === cut.threshold && state.taken < cut.equal && ++state.taken > 0);
      if (!keep || (dropZero && key === 0)) continue;
      sums.kept++;
      sums.delta2KeptSum += delta * delta;
      sums.dotBaseKept += base[i]! * delta;
    }
  return sums;
}
