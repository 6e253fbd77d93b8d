import type { Gpu } from "../gpu/gpu";
import { selectThreshold, type KeyPanel } from "../kernels/stats/select";
import type { Cut } from "../kernels/stats/trim";
import type { TensorRole } from "../model/roles";
import type { PassOutput, TrimOptions } from "./types";

/** A cut with the key just below it, for the quantile that is reported. */
export interface ModelCut {
  cut: Cut;
  below: number | undefined;
}

/** Which entries of one threshold are kept, and how many. */
export type ShareRule = Pick<TrimOptions, "rule"> & { share: number };
export const shareRule = (trim: TrimOptions, output: Pick<PassOutput, "name">, expert: number): ShareRule => ({ rule: trim.rule, share: trim.shareOf(output.name, expert) });

/**
 * Rank of the key below the threshold, where numpy's percentile lies strictly between the two; undefined where it is the
 * threshold itself. The mask needs only the threshold (METHODS A23); the report shows the percentile.
 */
export function rankBelow(n: number, trim: ShareRule): number | undefined {
  const position = (1 - trim.share) * (n - 1);
  const rank = Math.ceil(position - 1e-9);
  return trim.rule === "numpy" && rank > 0 && rank - position > 1e-9 ? rank - 1 : undefined;
}

/** np.percentile(w, 100 (1 - share)) from the smallest kept key and the one below. */
export function percentile(n: number, trim: ShareRule, threshold: number, below: number | undefined): number {
  if (below === undefined) return threshold;
  const position = (1 - trim.share) * (n - 1);
  return below + (threshold - below) * (position - Math.floor(position));
}

/** Which entries share a threshold with those of this tensor; undefined: it is not trimmed. A vector always has its own. */
export function scopeOf(role: TensorRole, trim: TrimOptions | undefined): TrimOptions["scope"] | undefined {
  if (!trim) return undefined;
  if (role.inBlock2d) return trim.scope;
  return trim.vectors && (role.isNorm || role.isBias) && role.layer !== undefined ? "tensor" : undefined;
}

/** Entries that share the model's threshold. */
export const modelElements = (outputs: readonly PassOutput[], trim: TrimOptions): number => outputs.reduce((sum, o) => sum + (scopeOf(o.role, trim) === "model" ? o.elements : 0), 0);

/** The key of rankBelow, where there is one. */
export async function keyBelow(gpu: Gpu, keys: readonly KeyPanel[], n: number, trim: ShareRule): Promise<number | undefined> {
  const rank = rankBelow(n, trim);
  return rank === undefined ? undefined : selectThreshold(gpu, keys, rank);
}
