import { StudioError } from "../../core/errors";
import type { Params } from "../../core/params";
import { defineMethod } from "./defineMethod";

function shares(params: Params, weights: readonly number[]): { base: number; models: number[] } {
  const base = params.includeBase ? (params.baseWeight as number) : 0;
  const sum = weights.reduce((a, b) => a + b, base);
  if (params.normalize && Math.abs(sum) < 1e-12)
    throw new StudioError("bad-recipe", "Merging with Linear: the weights add up to 0, so they cannot be normalized. Change a weight, or turn normalize off.", { title: "Weights add up to 0", found: `sum ${sum}`, expected: "a sum other than 0" });
  const by = params.normalize ? sum : 1;
  return { base: base / by, models: weights.map((w) => w / by) };
}

/**
 * Linear: the weighted mean of the models themselves, also called a model soup.
 *
 *   theta = sum_k c_k theta_k       c_k = w_k, or w_k / sum w when normalized; the base has a term only when included
 *
 * Source: Wortsman et al. 2022, arXiv:2203.05482; normalize as in mergekit (METHODS 1).
 */
export const linear = defineMethod({
  id: "linear",
  label: "Linear",
  kind: "data-free",
  summary: "merged = the weighted mean of the models, entry by entry.",
  formula: "θ = Σ wₖ θₖ / Σ wₖ",
  source: "https://arxiv.org/abs/2203.05482",
  needs: { base: true, fisher: false, minModels: 1, maxModels: 8 },
  params: {
    normalize: { kind: "flag", label: "Normalize weights", help: "divide by the sum of the weights", effect: "at-once", default: true },
    includeBase: { kind: "flag", label: "Include the base", help: "the base is one of the models in the mean", effect: "at-once", default: false },
    baseWeight: { kind: "number", label: "Base weight", help: "weight of the base, when it is included", effect: "at-once", default: 1, min: -4, max: 4, step: 0.05, advanced: true, varies: "tensor" },
  },
  presets: [{ id: "halves", label: "half base, half fine-tuned", params: { normalize: true, includeBase: true, baseWeight: 1 } }],
  passValues: () => ({}),
  trimPlan: () => undefined,
  coefficients: (params, weights) => shares(params, weights).models,
  advise: (params, weights) => (weights.length === 1 && !params.includeBase ? ["With one fine-tuned model and without the base, the result is that model."] : []),
  planTensor: ({ params, weights }) => {
    const { base, models } = shares(params, weights);
    return { kind: "combine", baseCoefficient: base, coefficients: models };
  },
});
