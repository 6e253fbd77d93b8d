import type { Params, ParamSpecs } from "../../core/params";
import type { Study } from "../../fisher/study";
import type { MergeMethod, TensorFacts } from "./defineMethod";
import { agreedSum, lambdaParam, normalizeParam, weightedSum } from "./sparseParams";

/** What tells the methods with masks of their own apart: how a change is thinned out. */
export interface SparseKind {
  params: ParamSpecs;
  passValues(params: Params): Params;
  study(params: Params, tensor: TensorFacts): Study | undefined;
  /** Factor of what is kept, where it does not come from the study. */
  factor(params: Params): number;
  advise?(params: Params, weights: readonly number[]): string[];
}

type Part = "params" | "needs" | "passValues" | "trimPlan" | "study" | "coefficients" | "advise" | "planTensor";

/**
 * The common half of DARE, DELLA and Breadcrumbs: changes thinned by masks that are made again while merging, then added or,
 * with `ties`, summed where they have the elected sign.
 *   theta = theta0 + lambda sum_k w_k r_k m_k (theta_k - theta0)                            normalize: / sum w
 *   theta = theta0 + lambda (sum of w_k r_k m_k (theta_k - theta0) with the elected sign)   normalize: / sum of their w
 */
export function sparse(kind: SparseKind, { ties, normalize }: { ties: boolean; normalize: boolean }): Pick<MergeMethod, Part> {
  return {
    needs: { base: true, fisher: false, minModels: 1, maxModels: 8 },
    params: { ...kind.params, ...lambdaParam, ...normalizeParam(normalize) },
    passValues: kind.passValues,
    trimPlan: () => undefined,
    study: kind.study,
    coefficients: ties ? agreedSum : weightedSum,
    advise: (params, weights) => [
      ...(kind.advise?.(params, weights) ?? []),
      ...(ties && weights.length === 1 ? ["With one fine-tuned model there is no sign to elect."] : []),
      ...(params.normalize === true && weights.length === 1 && weights[0] !== 1 ? ["With one fine-tuned model its weight cancels in the division by weights; use the scale λ."] : []),
    ],
    planTensor: ({ params, models, weights, alphas, masks, rescale }) => {
      const factors = weights.map((_, k) => kind.factor(models?.[k] ?? params) * rescale[k]!);
      if (!ties || weights.length === 1) {
        if (alphas.every((a) => a === 0)) return { kind: "copy" };
        return { kind: "add", coefficients: alphas.map((a, k) => a * factors[k]!), masks };
      }
      return { kind: "ties", weights: weights.map((w, k) => w * factors[k]!), shares: weights, masks, lambda: params.lambda as number, elect: "sum", zero: "plus", divisor: params.normalize ? "weights" : "none" };
    },
  };
}
