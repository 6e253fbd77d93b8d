/** What the score of a block (or tensor) is made of (METHODS A5). */
export type ScoreMode = "product" | "joint" | "fimOnly" | "normOnly";

export interface AlphaOptions {
  scoreMode: ScoreMode;
  /** Steepness: 1 / range of the scores, or a fixed number (METHODS A31). */
  theta: "adaptive" | number;
  /** mean(F * delta^2) of each member; needed by scoreMode "joint". */
  joint?: readonly number[];
}

export interface LayerAlphas {
  /** Natural log of the signal; -Infinity where the signal is zero. */
  s: number[];
  /** Over the members of T; NaN when T is empty. */
  median: number;
  sTilde: number[];
  /** max s - min s over T. */
  range: number;
  theta: number;
  alpha: number[];
  /** Members left out of T because their signal is zero. They take the largest alpha of T. */
  dropped: number[];
  /** Largest score of T, the reference point of alpha; NaN when T is empty. */
  maxS: number;
  /** Largest alpha of T; 0.5 when T is empty. */
  maxAlpha: number;
}

/**
 * Mixing coefficient of each member of T from its mean Fisher F and mean squared task vector D, in float64:
 *   s       = ln(F D)            product; ln mean(F delta^2) joint; ln F fimOnly; ln D normOnly
 *   s~      = s - median(s)      mean of the middle two for even counts; display only, it cancels below
 *   theta   = 1 / (max s~ - min s~), or the fixed number; 0 when the range is 0
 *   alpha   = 1 - sigmoid(theta (s~ - max s~))
 * Adaptive theta puts the highest score at 0.5 and the lowest at 0.731059, whatever the scale. A member whose signal is
 * zero has no score; it is left out of T and takes the largest alpha of T.
 * Source: arXiv 2603.21705 eq. 8-11; METHODS 8.1, A5, A15-A18, A31.
 */
export function layerAlphas(members: { fisher: readonly number[]; delta2: readonly number[] }, options: AlphaOptions): LayerAlphas {
  const count = Math.max(members.fisher.length, members.delta2.length);
  const s = Array.from({ length: count }, (_, i) => score({ fisher: members.fisher[i], delta2: members.delta2[i], joint: options.joint?.[i] }, options.scoreMode));
  const inT = s.filter((v) => Number.isFinite(v));
  const dropped = s.flatMap((v, i) => (Number.isFinite(v) ? [] : [i]));
  const median = middle(inT);
  const maxS = inT.length > 0 ? Math.max(...inT) : NaN;
  const range = inT.length > 0 ? maxS - Math.min(...inT) : 0;
  const theta = range === 0 ? 0 : options.theta === "adaptive" ? 1 / range : options.theta;
  const mapped = s.map((v) => (Number.isFinite(v) ? alphaOfScore(v, { theta, maxS }) : NaN));
  const maxAlpha = inT.length > 0 ? Math.max(...mapped.filter((v) => !Number.isNaN(v))) : 0.5;
  return {
    s,
    median,
    sTilde: s.map((v) => (Number.isFinite(v) ? v - median : NaN)),
    range,
    theta,
    alpha: mapped.map((v) => (Number.isNaN(v) ? maxAlpha : v)),
    dropped,
    maxS,
    maxAlpha,
  };
}

/** ln of the signal of one member; -Infinity when it is zero or unknown. */
export function score(member: { fisher?: number | undefined; delta2?: number | undefined; joint?: number | undefined }, mode: ScoreMode): number {
  const { fisher = 0, delta2 = 0, joint = 0 } = member;
  if (mode === "joint") return joint > 0 ? Math.log(joint) : -Infinity;
  if (mode === "fimOnly") return fisher > 0 ? Math.log(fisher) : -Infinity;
  if (mode === "normOnly") return delta2 > 0 ? Math.log(delta2) : -Infinity;
  // A sum of logs, because the product of two tiny means may leave the range of a double.
  return fisher > 0 && delta2 > 0 ? Math.log(fisher) + Math.log(delta2) : -Infinity;
}

/** alpha of a score under the statistics of T: 1 - sigmoid(theta (s - max s)). Also for tensors outside T (METHODS A19, reading i). */
export function alphaOfScore(s: number, statistics: { theta: number; maxS: number }): number {
  if (Number.isNaN(statistics.maxS)) return 0.5;
  return 1 / (1 + Math.exp(statistics.theta * (s - statistics.maxS)));
}

/** Mean of the middle two for even counts; NaN for none. */
export function middle(values: readonly number[]): number {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
