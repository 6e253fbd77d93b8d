import type { Params } from "../../core/params";
import { karcher as mean } from "../spherical";
import { defineMethod } from "./defineMethod";
import { studied, withoutBase } from "./studied";

/** Coefficients of all tensors that take part: the base first, where it does. */
function coefficientsOf(gram: number[][], { includeBase, maxIter, tol }: Params): { base: number; models: number[] } {
  const taking = includeBase ? gram : withoutBase(gram);
  const all = mean(taking, maxIter as number, tol as number);
  return includeBase ? { base: all[0]!, models: all.slice(1) } : { base: 0, models: all };
}

/**
 * Karcher: the mean of the models on the sphere, every one counting alike.
 *
 *   theta = mean |theta_i| u,  u = the unit vector with the smallest sum of squared angles to all
 *
 * Source: Karcher 1977; steps and limits as in mergekit (METHODS 9).
 */
export const karcher = defineMethod({
  id: "karcher",
  label: "Karcher mean",
  kind: "data-free",
  summary: "merged = the mean of the models on the sphere, at their mean norm.",
  formula: "θ = mean ‖θᵢ‖ · argminᵤ Σ ∠(u, θᵢ)²",
  source: "https://doi.org/10.1002/cpa.3160300502",
  needs: { base: true, fisher: false, minModels: 1, maxModels: 8 },
  params: {
    includeBase: { kind: "flag", label: "Include the base", help: "the base is one of the models in the mean", effect: "at-once", default: true },
    maxIter: { kind: "number", label: "Steps, at most", help: "towards the mean", effect: "at-once", default: 10, min: 1, max: 1000, step: 1, integer: true, advanced: true },
    tol: { kind: "number", label: "Tolerance", help: "a step shorter than this is the last, in radians", effect: "at-once", default: 1e-5, min: 0, max: 1, advanced: true },
  },
  presets: [],
  aliases: { max_iter: "maxIter" },
  passValues: () => ({ of: "models" }),
  trimPlan: () => undefined,
  study: () => ({ kind: "gram", of: "models", by: "tensor" }),
  tensorShares: (params, _, { gram }) => coefficientsOf(gram!, params).models,
  advise: ({ includeBase }, weights) => [
    ...(weights.length === 1 && !includeBase ? ["With one fine-tuned model and without the base, the result is that model."] : []),
    ...(weights.some((w) => w !== 1) ? ["Every model counts alike; weights are not used."] : []),
  ],
  planTensor: ({ params, study, tensor }) => {
    const { base, models } = coefficientsOf(studied(study?.gram, tensor.name), params);
    return { kind: "combine", baseCoefficient: base, coefficients: models };
  },
});
