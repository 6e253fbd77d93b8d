import { defineMethod } from "./defineMethod";
import { studied } from "./studied";

/** w_k = mean d_k^2 / sum of them; alike where that sum is below 1e-6. */
function shares(means: readonly number[]): number[] {
  const sum = means.reduce((a, b) => a + b, 0);
  return sum < 1e-6 ? means.map(() => 1 / means.length) : means.map((m) => m / sum);
}

/**
 * SCE: select the entries where the changes vary most between the models, calculate a weight per model from the size of its
 * change there, erase the changes against the elected sign.
 *
 *   theta = theta0 + (sum of w_k d_k with the elected sign) / max(sum of their w_k, 1e-6),  w_k = mean d_k^2 / sum of them
 *
 * Source: Wan et al. 2024, arXiv:2408.07990; limits as in mergekit (METHODS 9).
 */
export const sce = defineMethod({
  id: "sce",
  label: "SCE",
  kind: "data-free",
  summary: "merged = base + the changes that differ most between models, weighted by their size, where the signs agree.",
  formula: "θ = θ₀ + Σ wₖ dₖ / Σ wₖ with the elected sign,  wₖ ∝ mean dₖ²",
  source: "https://arxiv.org/abs/2408.07990",
  needs: { base: true, fisher: false, minModels: 2, maxModels: 8 },
  params: { selectTopk: { kind: "number", label: "Kept, top k", help: "share of the entries that vary between the models", effect: "pass", default: 1, min: 0, max: 1, step: 0.05, varies: "tensor" } },
  presets: [],
  aliases: { select_topk: "selectTopk" },
  passValues: ({ selectTopk }) => ({ selectTopk: selectTopk! }),
  trimPlan: () => undefined,
  study: ({ selectTopk }) => ({ kind: "variance", share: selectTopk as number }),
  tensorShares: (_, __, { delta2Means }) => shares(delta2Means!),
  advise: (_, weights) => (weights.some((w) => w !== 1) ? ["Each model’s weight comes from the size of its change; weights are not used."] : []),
  planTensor: ({ study, tensor, masks, weights }) => {
    const by = shares(studied(study?.delta2Means, tensor.name));
    return { kind: "ties", weights: weights.map(() => 1), parts: by, shares: by, floor: 1e-6, masks, lambda: 1, elect: "sum", zero: "plus", divisor: "weights" };
  },
});
