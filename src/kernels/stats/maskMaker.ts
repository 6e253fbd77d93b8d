import { Scratch } from "../../core/scratch";
import { bandMask, bernoulliMask, dellaMask, fusionKeys, varianceKeys } from "./sparsify";
import { maskOf, maskWords, type Cut } from "./trim";

/**
 * How the mask of one model's tensor is made again from the values, slice by slice: small data in place of a stored mask.
 *   cut       where |delta| is large: a trim by magnitude
 *   random    DARE: kept with probability `keep`
 *   ranks     DELLA: with a probability by rank within the row
 *   band      Model Breadcrumbs: inside the outer cut of |delta| and outside the inner one
 *   variance  SCE: where the changes of all models vary most
 *   fusion    Arcee Fusion: where |delta| times the divergence of the row reaches the threshold
 */
export type MaskMaker =
  | { kind: "cut"; cut: Cut; dropZero: boolean }
  | { kind: "random"; key: number; keep: number }
  | { kind: "ranks"; key: number; density: number; epsilon: number; cols: number }
  | { kind: "band"; outer: Cut; inner: Cut }
  | { kind: "variance"; cut: Cut }
  | { kind: "fusion"; threshold: number; cols: number };

/** Equal keys taken so far, from slice to slice of one tensor. */
export interface MakerState {
  outer: number;
  inner: number;
  taken: number;
}
export const makerState = (): MakerState => ({ outer: 0, inner: 0, taken: 0 });

/** Whether a mask can only be followed from the beginning of a tensor, because it keeps an exact number of equal keys. */
export const countsEquals = (maker: MaskMaker): boolean =>
  maker.kind === "band" ? Number.isFinite(maker.outer.equal) || Number.isFinite(maker.inner.equal) : (maker.kind === "cut" || maker.kind === "variance") && Number.isFinite(maker.cut.equal);

/** Whether a mask needs whole rows of `cols` entries. */
export const needsRows = (maker: MaskMaker | undefined): boolean => maker?.kind === "ranks" || maker?.kind === "fusion";

/** theta_k - theta0, each rounded to f32. */
export function changes(base: Float32Array, tuned: Float32Array, into: Float32Array = new Float32Array(base.length)): Float32Array {
  for (let i = 0; i < into.length; i++) into[i] = tuned[i]! - base[i]!;
  return into;
}

/** |theta - theta0| in f32, the key of magnitude trimming. */
export function magnitudes(base: Float32Array, tuned: Float32Array, keys: Float32Array = new Float32Array(base.length)): Float32Array {
  for (let i = 0; i < keys.length; i++) keys[i] = Math.abs(Math.fround(tuned[i]! - base[i]!));
  return keys;
}

/** The mask of model `k` for the slice of elements that begins at `start`; `tuned` are the slices of all models. */
export function makeMask(maker: MaskMaker, base: Float32Array, tuned: readonly Float32Array[], k: number, start: number, state: MakerState, scratch = new Scratch()): Uint32Array {
  const keysOf = (): Float32Array => magnitudes(base, tuned[k]!, scratch.floats("keys", base.length));
  switch (maker.kind) {
    case "cut":
      return maskOf(keysOf(), maker.cut, maker.dropZero, state);
    case "random":
      return bernoulliMask(maker.key, maker.keep, start, base.length);
    case "ranks":
      return dellaMask(keysOf(), maker.cols, maker.density, maker.epsilon, maker.key, start);
    case "band":
      return bandMask(keysOf(), maker.outer, maker.inner, state);
    case "variance":
      return maskOf(varianceKeys(tuned.map((t, j) => changes(base, t, scratch.floats(`change ${j}`, base.length))), scratch.floats("keys", base.length)), maker.cut, true, state);
    case "fusion": {
      const keys = fusionKeys(base, tuned[k]!, maker.cols, scratch.floats("keys", base.length));
      const words = new Uint32Array(maskWords(keys.length));
      for (let i = 0; i < keys.length; i++) if (keys[i]! >= maker.threshold) words[i >>> 5]! |= 1 << (i & 31);
      return words;
    }
  }
}
