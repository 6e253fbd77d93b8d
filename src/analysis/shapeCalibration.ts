import type { Params } from "../core/params";
import type { TensorStats } from "./types";

export interface Calibration {
  /** |merged| / |base|, and whether the tensor is divided by it. */
  byTensor: Map<string, { rho: number; fired: boolean }>;
  tested: number;
  moved: number;
}

/**
 * Norm of a merged matrix from three sums, for any alpha:
 *   |W0 + a m delta|^2 = base2 + 2 a dot + a^2 kept2
 * over the entries themselves (frobenius, the expectation over Gaussian probes) or over W A for a probe matrix A.
 */
export const mergedNorm2 = (sums: { base2: number; dot: number; kept2: number }, a: number): number => sums.base2 + 2 * a * sums.dot + a * a * sums.kept2;

/**
 * Norm calibration of one fine-tuned model (METHODS A27-A30): rho = sqrt(merged2 / base2) per matrix, or once over a block's
 * matrices; where |rho - 1| > eps the whole merged matrix is divided by rho. Only linear weights of the blocks; biases stay.
 * Tensors whose sums are unknown, or whose base is all zero, are not tested.
 */
export function calibrate(tensors: readonly TensorStats[], alpha: (tensor: TensorStats) => number | undefined, params: Params): Calibration {
  const result: Calibration = { byTensor: new Map(), tested: 0, moved: 0 };
  const mode = params.calib;
  if (mode === undefined || mode === "off") return result;
  const groups = new Map<string, TensorStats[]>();
  for (const tensor of tensors) {
    if (!tensor.inBlock2d) continue;
    const key = params.calibScope === "block" ? `block ${tensor.layer}` : tensor.name;
    groups.set(key, [...(groups.get(key) ?? []), tensor]);
  }
  for (const group of groups.values()) {
    let merged2 = 0;
    let base2 = 0;
    const complete = group.every((tensor) => {
      const a = alpha(tensor);
      const sums = sumsOf(tensor, mode === "frobenius");
      if (a === undefined || !sums) return false;
      merged2 += mergedNorm2(sums, a);
      base2 += sums.base2;
      return true;
    });
    if (!complete || !(base2 > 0)) continue;
    const rho = Math.sqrt(Math.max(0, merged2) / base2);
    // A merged matrix of norm 0 cannot be scaled back.
    const fired = Math.abs(rho - 1) > (params.eps as number) && rho > 0;
    for (const tensor of group) result.byTensor.set(tensor.name, { rho, fired });
    result.tested += group.length;
    if (fired) result.moved += group.length;
  }
  return result;
}

function sumsOf(tensor: TensorStats, frobenius: boolean): { base2: number; dot: number; kept2: number } | undefined {
  const expert = tensor.experts[0];
  if (!frobenius) return expert?.probe;
  if (tensor.base2Sum === undefined || expert?.dotBaseKept === undefined || expert.delta2KeptSum === undefined) return undefined;
  return { base2: tensor.base2Sum, dot: expert.dotBaseKept, kept2: expert.delta2KeptSum };
}
