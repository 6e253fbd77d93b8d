import { StudioError } from "../../core/errors";

/** Which entries of n sorted keys survive: everything from one order statistic up, or an exact number. */
export type KeepRule =
  | { kind: "all" }
  /** Keep key >= ascending[index]; entries equal to the threshold are all kept. */
  | { kind: "atLeast"; index: number }
  /** Keep exactly `count`, largest first, equal keys by lowest index. */
  | { kind: "exact"; count: number };

/**
 * Names of the published cuts (METHODS A23 and 3d). `share` is the fraction kept.
 *   numpy     key >= ascending[ceil((1 - share)(n - 1) - 1e-9)]   what np.percentile(100 (1 - share)) with >= keeps
 *   exactK    exactly floor(share n + 0.5), equal keys by lowest index
 *   official  key >= the (n - int(n share))-th smallest           int(n share) + 1 entries; TIES, Yadav et al.
 *   density   key >= the k-th largest, k = max(1, floor(share n + 1e-9))
 *   mergekit  exactly max(1, int(share n)), equal keys by lowest index
 *   l2s       key >= the int(n drop)-th smallest, drop = 1 - share   Long-to-Short; all when that is 0
 */
export type TrimRule = "numpy" | "exactK" | "official" | "density" | "mergekit" | "l2s";

/** The rule for n keys. Throws "bad-recipe" when share is outside [0, 1]. */
export function keepRule(n: number, rule: TrimRule, share: number): KeepRule {
  if (!(share >= 0 && share <= 1)) throw new StudioError("bad-recipe", `Trimming: the kept share is ${share}, it must lie between 0 and 1.`);
  if (n === 0) return { kind: "all" };
  switch (rule) {
    case "numpy":
      return atLeast(Math.ceil((1 - share) * (n - 1) - 1e-9), n);
    case "official":
      return atLeast(n - Math.trunc(n * share) - 1, n);
    case "density":
      return atLeast(n - Math.max(1, Math.floor(share * n + 1e-9)), n);
    case "l2s":
      // The source counts what is dropped: as decimals, so that 0.71 kept is 0.29 dropped, and then as its product truncates.
      return atLeast(Math.trunc(n * Number((1 - share).toFixed(12))) - 1, n);
    case "exactK":
      return exactly(Math.floor(share * n + 0.5), n);
    case "mergekit":
      return exactly(share >= 1 ? n : Math.max(1, Math.trunc(share * n)), n);
  }
}

const atLeast = (index: number, n: number): KeepRule => (index < 0 ? { kind: "all" } : { kind: "atLeast", index: Math.min(index, n - 1) });
const exactly = (count: number, n: number): KeepRule => (count >= n ? { kind: "all" } : { kind: "exact", count });

/** A cut found in the keys: keep key > threshold, and the first `equal` of the keys equal to it. */
export interface Cut {
  threshold: number;
  /** How many keys equal to the threshold are kept, in index order; Infinity keeps them all. */
  equal: number;
}

/** Rank (from the smallest, 0-based) of the threshold of a rule over n keys; undefined when everything or nothing is kept. */
export function rankOf(rule: KeepRule, n: number): number | undefined {
  if (rule.kind === "all" || n === 0) return undefined;
  if (rule.kind === "atLeast") return rule.index;
  return rule.count > 0 ? n - rule.count : undefined;
}

/** Everything, or (an exact count of 0) nothing. */
export function cutWithoutRank(rule: KeepRule): Cut {
  return rule.kind === "exact" ? { threshold: Infinity, equal: 0 } : { threshold: 0, equal: Infinity };
}

/** A selection under way, as plain data: what RankSelect.from continues. */
export interface RankState {
  counts: Uint32Array;
  low: Uint32Array;
  high: number;
  position: number;
  found: number;
  equalCount: number;
}

/**
 * An order statistic of keys that arrive in parts, and that must arrive twice: 16 high bits first, then the low ones.
 * Keys are non-negative floats, whose bits order as their values.
 *   for (const part of parts) select.add(part); select.next(); for (const part of parts) select.add(part); select.next();
 */
export class RankSelect {
  private counts = new Uint32Array(32768);
  private low = new Uint32Array(0);
  private high = -1;
  /** Position of the wanted key within the keys that share its bits so far. */
  private position: number;
  private found = -1;
  private equalCount = 0;

  /** `rank` counts from the smallest key, from 0. */
  constructor(rank: number) {
    this.position = rank;
  }

  static from({ counts, low, ...rest }: RankState): RankSelect {
    return Object.assign(new RankSelect(rest.position), rest, { counts: counts.slice(), low: low.slice() });
  }

  /** A copy of what was counted so far. */
  save(): RankState {
    const { counts, low, high, position, found, equalCount } = this;
    return { counts: counts.slice(), low: low.slice(), high, position, found, equalCount };
  }

  add(keys: Float32Array): void {
    const bits = new Uint32Array(keys.buffer, keys.byteOffset, keys.length);
    if (this.high < 0) {
      const counts = this.counts;
      for (let i = 0; i < bits.length; i++) counts[(bits[i]! >>> 16) & 0x7fff]!++;
    } else {
      const { low, high } = this;
      for (let i = 0; i < bits.length; i++) {
        const b = bits[i]!;
        if (((b >>> 16) & 0x7fff) === high) low[b & 0xffff]!++;
      }
    }
  }

  /** Ends one round of parts. True when another round is needed. */
  next(): boolean {
    if (this.high < 0) {
      this.high = this.walk(this.counts);
      this.low = new Uint32Array(65536);
      return true;
    }
    const digit = this.walk(this.low);
    this.equalCount = this.low[digit]!;
    this.found = ((this.high << 16) | digit) >>> 0;
    return false;
  }

  get threshold(): number {
    return bitsToFloat(this.found);
  }

  /** Keys equal to the threshold, and how many of them a rule that keeps exactly n - rank keys takes. */
  get equals(): { count: number; fromRank: number } {
    return { count: this.equalCount, fromRank: this.equalCount - this.position };
  }

  private walk(counts: Uint32Array): number {
    let digit = 0;
    while (digit < counts.length - 1 && this.position >= counts[digit]!) this.position -= counts[digit++]!;
    return digit;
  }
}

/** The cut of a rule, given the selection at its rank. */
export function cutOf(rule: KeepRule, select: Pick<RankSelect, "threshold" | "equals">): Cut {
  return { threshold: select.threshold, equal: rule.kind === "exact" ? select.equals.fromRank : Infinity };
}

/** keys sorted ascending, entry `index`, without sorting: two counting rounds over 16 bits each. Keys are non-negative. */
export function selectKth(keys: Float32Array | readonly Float32Array[], index: number): number {
  return selectRank(keys, index).threshold;
}

export function selectRank(keys: Float32Array | readonly Float32Array[], index: number): RankSelect {
  const parts = keys instanceof Float32Array ? [keys] : keys;
  const select = new RankSelect(index);
  do for (const part of parts) select.add(part);
  while (select.next());
  return select;
}

/** The cut of a rule over keys in memory. */
export function findCut(keys: Float32Array | readonly Float32Array[], rule: KeepRule): Cut {
  const n = keys instanceof Float32Array ? keys.length : keys.reduce((sum, part) => sum + part.length, 0);
  const rank = rankOf(rule, n);
  return rank === undefined ? cutWithoutRank(rule) : cutOf(rule, selectRank(keys, rank));
}

/** Words of a mask of n bits. */
export const maskWords = (n: number): number => Math.ceil(n / 32);

/**
 * One bit per key, least significant first. `state` carries the equal keys already taken from part to part; `dropZero`
 * never keeps a key of 0 (METHODS A24). Bits past the last key are 0. A key that is not a number ranks above all others
 * and is not kept: the merged entry stays the base's.
 */
export function maskOf(keys: Float32Array, cut: Cut, dropZero = false, state: { taken: number } = { taken: 0 }): Uint32Array {
  const words = new Uint32Array(maskWords(keys.length));
  const { threshold, equal } = cut;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    let keep = key > threshold;
    if (!keep && key === threshold && state.taken < equal) {
      keep = true;
      state.taken++;
    }
    if (keep && !(dropZero && key === 0)) words[i >>> 5]! |= 1 << (i & 31);
  }
  return words;
}

/** Set bits of a mask. */
export function popcount(words: Uint32Array): number {
  let total = 0;
  for (let i = 0; i < words.length; i++) {
    let v = words[i]!;
    v -= (v >>> 1) & 0x55555555;
    v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
    total += Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return total;
}

export const maskBit = (words: Uint32Array, i: number): boolean => ((words[i >>> 5]! >>> (i & 31)) & 1) === 1;

/** Copies `count` bits of `source` to bit `offset` of `target`, whose bits there are 0: panels of any length become one mask. */
export function appendBits(target: Uint32Array, offset: number, source: Uint32Array, count: number): void {
  const shift = offset & 31;
  const at = offset >>> 5;
  const words = maskWords(count);
  for (let i = 0; i < words; i++) {
    const rest = count - 32 * i;
    const word = rest < 32 ? source[i]! & ((1 << rest) - 1) : source[i]!;
    target[at + i]! |= word << shift;
    if (shift > 0 && at + i + 1 < target.length) target[at + i + 1]! |= word >>> (32 - shift);
  }
}

function bitsToFloat(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits);
  return view.getFloat32(0);
}
