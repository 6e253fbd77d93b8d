import type { Params } from "../../core/params";
import { multislerp as interpolate } from "../spherical";
import { defineMethod } from "./defineMethod";
import { studied, withoutBase } from "./studied";

const coefficientsOf = (gram: number[][], params: Params, weights: readonly number[], where?: string): number[] => interpolate(params.changes ? gram : withoutBase(gram), weights, params.normalize === true, params.eps as number, where);

/**
 * Multi-SLERP: the mean direction of two or more models, at their mean norm; with the base, of their changes.
 *
 *   theta = (sum w_i |v_i|) m,  m = sum w_i v_i / |v_i|, of norm 1;  v = theta, or theta - theta0 added to theta0
 *
 * Source: mergekit multislerp, with its steps along the sphere (METHODS 9).
 */
export const multislerp = defineMethod({
  id: "multislerp",
  label: "Multi-SLERP",
  kind: "data-free",
  summary: "merged = the weighted mean direction of the models, at their mean norm.",
  formula: "θ = (Σ wᵢ‖vᵢ‖) · m,  m ∝ Σ wᵢ vᵢ/‖vᵢ‖",
  source: "https://github.com/arcee-ai/mergekit",
  needs: { base: true, fisher: false, minModels: 1, maxModels: 8 },
  params: {
    changes: { kind: "flag", label: "Interpolate the changes", help: "the changes to the base, added to it; off: the models themselves", effect: "pass", default: true },
    normalize: { kind: "flag", label: "Normalize weights", help: "divide by the sum of the weights", effect: "at-once", default: true },
    eps: { kind: "number", label: "Smallest norm", help: "added to norms before dividing", effect: "at-once", default: 1e-8, min: 0, max: 1, advanced: true },
  },
  presets: [],
  aliases: { normalize_weights: "normalize" },
  passValues: ({ changes }) => ({ of: changes ? "changes" : "models" }),
  trimPlan: () => undefined,
  study: ({ changes }) => ({ kind: "gram", of: changes ? "changes" : "models", by: "tensor" }),
  tensorShares: (params, weights, { gram }) => coefficientsOf(gram!, params, weights),
  planTensor: ({ params, weights, study, tensor }) => {
    const coefficients = coefficientsOf(studied(study?.gram, tensor.name), params, weights, `"${tensor.name}"`);
    return params.changes ? { kind: "add", coefficients } : { kind: "combine", baseCoefficient: 0, coefficients };
  },
});
