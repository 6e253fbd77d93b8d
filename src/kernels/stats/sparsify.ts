/**
 * Which entries of a change survive, for methods that draw them at random or keep a band of them. Every function is given a
 * slice and where it begins, and answers with one bit per entry, least significant first: slicing changes nothing.
 */
import { StudioError } from "../../core/errors";
import { hashName, randomBits, randomUniform } from "../../core/random";
import { maskWords, type Cut } from "./trim";

/** Key of the random numbers of one tensor of one model: (seed, model, name); the counter is the element (METHODS 0.2). */
export const drawKey = (seed: number, model: number, name: string): number => randomBits(randomBits(seed, model), hashName(name));

/**
 * DARE: every entry is kept with probability `keep`, whatever its value.
 * Source: Yu et al. 2023, arXiv:2311.03099; `keep` = 1 - p.
 */
export function bernoulliMask(key: number, keep: number, start: number, count: number): Uint32Array {
  const words = new Uint32Array(maskWords(count));
  for (let i = 0; i < count; i++) if (randomUniform(key, start + i) < keep) words[i >>> 5]! |= 1 << (i & 31);
  return words;
}

/** Norms below this are not rescaled (METHODS 4). */
const SMALLEST_NORM = 1e-7;

/** The factor that gives what a mask left of a change the L1 norm of the whole change. */
export const l1Factor = (whole: number, left: number): number => (whole < SMALLEST_NORM || left < SMALLEST_NORM ? 1 : whole / left);

/** Throws "bad-recipe" unless both ends of DELLA's probabilities lie between 0 and 1; density 1 keeps everything, 0 nothing. */
export function checkDella(density: number, epsilon: number): void {
  if (density >= 1 || density <= 0 || (density + epsilon < 1 && density - epsilon > 0)) return;
  throw new StudioError("bad-recipe", `Merging with DELLA: density ${density} and epsilon ${epsilon} give keep probabilities from ${density - epsilon} to ${density + epsilon}, expected between 0 and 1. Take a smaller epsilon.`, { title: "Keep probability out of range", found: `${density - epsilon} to ${density + epsilon}`, expected: "between 0 and 1" });
}

/**
 * DELLA: entries of a row are kept with a probability that grows with the rank of |change| in its row.
 *   p = density - epsilon + 2 epsilon rank / (cols - 1),  rank from 0 (smallest); equal keys in index order
 * A row of one entry is kept with probability `density`. `keys` are whole rows of |change|; `start` is a multiple of `cols`.
 * Source: Deep et al. 2024, arXiv:2406.11617; ranks per row as in mergekit (METHODS 9).
 */
export function dellaMask(keys: Float32Array, cols: number, density: number, epsilon: number, key: number, start: number): Uint32Array {
  const words = new Uint32Array(maskWords(keys.length));
  const ranked = rankedRow(keys, cols);
  const span = (2 * epsilon) / Math.max(1, cols - 1);
  for (let row = 0; row < keys.length; row += cols) {
    const order = ranked(row);
    for (let rank = 0; rank < cols; rank++) {
      const i = row + order[rank]!;
      const probability = density >= 1 || density <= 0 ? density : cols === 1 ? density : density - epsilon + span * rank;
      if (randomUniform(key, start + i) < probability) words[i >>> 5]! |= 1 << (i & 31);
    }
  }
  return words;
}

/** Largest index that fits beside the 31 bits of a key in the 53 of a float64. */
const MOST_PACKED = 1 << 22;

/**
 * The entries of a row from the smallest key to the largest, equal keys in index order. Keys are non-negative, so their bits
 * order as they do: with the index in the low bits a row is sorted as plain numbers, at a quarter of the time of a comparison
 * that is called.
 */
function rankedRow(keys: Float32Array, cols: number): (row: number) => ArrayLike<number> {
  const order = new Uint32Array(cols);
  if (cols > MOST_PACKED)
    return (row) => {
      for (let i = 0; i < cols; i++) order[i] = i;
      return order.sort((a, b) => keys[row + a]! - keys[row + b]! || a - b);
    };
  const bits = new Uint32Array(keys.buffer, keys.byteOffset, keys.length);
  const packed = new Float64Array(cols);
  return (row) => {
    for (let i = 0; i < cols; i++) packed[i] = bits[row + i]! * MOST_PACKED + i;
    packed.sort();
    for (let i = 0; i < cols; i++) order[i] = packed[i]! % MOST_PACKED;
    return order;
  };
}

/**
 * Model Breadcrumbs: how many of n entries are kept below the largest, and how many of the largest are dropped.
 *   int(gamma n) of the largest go, and as many of the smallest that int(density n) remain; where that is impossible, fewer of the largest go
 * Source: Davari & Belilovsky 2023, arXiv:2312.06795; counts as in mergekit, without its slip at a top cut of 0 (METHODS 9).
 */
export function breadcrumbsCounts(n: number, density: number, gamma: number): { top: number; upTo: number } {
  if (density >= 1) return { top: 0, upTo: n };
  const kept = Math.trunc(density * n);
  const top = Math.min(Math.trunc(gamma * n), n - kept);
  return { top, upTo: top + kept };
}

/** Entries inside `outer` and outside `inner`, both cuts of the largest keys, equal keys by lowest index; `taken` counts them from slice to slice. */
export function bandMask(keys: Float32Array, outer: Cut, inner: Cut, taken: { outer: number; inner: number }): Uint32Array {
  const words = new Uint32Array(maskWords(keys.length));
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    const inOuter = key > outer.threshold || (key === outer.threshold && taken.outer < outer.equal && ++taken.outer > 0);
    const inInner = key > inner.threshold || (key === inner.threshold && taken.inner < inner.equal && ++taken.inner > 0);
    if (inOuter && !inInner) words[i >>> 5]! |= 1 << (i & 31);
  }
  return words;
}

/**
 * SCE: variance of the changes of K models at every entry, 1/K sum (d_k - mean d)^2, in f32 as it is compared.
 * Source: Wan et al. 2024, arXiv:2408.07990.
 */
export function varianceKeys(changes: readonly Float32Array[], keys = new Float32Array(changes[0]!.length)): Float32Array {
  const count = changes.length;
  for (let i = 0; i < keys.length; i++) {
    let sum = 0;
    let squares = 0;
    for (const change of changes) sum += change[i]!;
    const mean = sum / count;
    for (const change of changes) squares += (change[i]! - mean) ** 2;
    keys[i] = squares / count;
  }
  return keys;
}

/**
 * Arcee Fusion: |change| times how far the row moved as a distribution.
 *   key = |theta - theta0| KL_row,  KL_row = sum p ln(p / q),  p = softmax(theta row) + 1e-8, q = softmax(theta0 row) + 1e-8
 * Whole rows; a vector is one row. Source: mergekit arcee_fusion (METHODS 9).
 */
export function fusionKeys(base: Float32Array, tuned: Float32Array, cols: number, keys = new Float32Array(base.length)): Float32Array {
  const p = new Float64Array(cols);
  const q = new Float64Array(cols);
  for (let row = 0; row < base.length; row += cols) {
    softmax(tuned, row, p);
    softmax(base, row, q);
    let divergence = 0;
    for (let i = 0; i < cols; i++) divergence += (p[i]! + 1e-8) * Math.log((p[i]! + 1e-8) / (q[i]! + 1e-8));
    const share = Math.max(0, divergence);
    for (let i = 0; i < cols; i++) keys[row + i] = Math.abs(Math.fround(tuned[row + i]! - base[row + i]!)) * share;
  }
  return keys;
}

function softmax(values: Float32Array, row: number, into: Float64Array): void {
  let largest = -Infinity;
  for (let i = 0; i < into.length; i++) largest = Math.max(largest, values[row + i]!);
  let sum = 0;
  for (let i = 0; i < into.length; i++) sum += into[i] = Math.exp(values[row + i]! - largest);
  for (let i = 0; i < into.length; i++) into[i]! /= sum;
}

/** Ranks, from the smallest, of the order statistics that Arcee Fusion's threshold is made of. */
export const fusionRanks = (n: number): { median: number; q1: number; q3: number } => ({ median: Math.floor((n - 1) / 2), q1: Math.floor((n - 1) / 4), q3: Math.floor((3 * (n - 1)) / 4) });

/** median + 1.5 (q3 - q1); entries from there up are taken. */
export const fusionThreshold = (at: { median: number; q1: number; q3: number }): number => at.median + 1.5 * (at.q3 - at.q1);
