import type { Params } from "../../core/params";
import type { TensorStudy } from "../../fisher/study";
import { layerShares } from "../sensitivity";
import { defineMethod } from "./defineMethod";
import { studied } from "./studied";

/** lambda K sigma_i of one layer; with one model lambda, whatever was measured. */
function shares(params: Params, models: number, name: string, study: TensorStudy | undefined): number[] {
  const lambda = params.lambda as number;
  if (models === 1) return [lambda];
  const { alphas, taus } = studied(study?.sensitivity, name);
  return layerShares(alphas, taus, params.temperature as number).map((share) => lambda * share);
}

/**
 * Sens-Merging: task arithmetic whose coefficients follow how much each layer matters to each model, and how far the models'
 * answers are apart, both on calibration text.
 *
 *   theta = theta0 + lambda sum_i K sigma_i^l (theta_i - theta0),   sigma_i^l = softmax over i of alpha_i^l tau_i / T
 *   alpha_i = S_i / |S_i|_2 over the layers,   S_i^l = mean over samples of the sum over layer l of |theta dL_i/dtheta|
 *   tau_i ~ sum over j of the mean |logits_i - logits_j|_2,   adding up to 1
 *
 * A layer is a block, the embedding, the final norm or the head. The formulas are those of a third party's code; the paper's own
 * could not be read, neither could how lambda enters and what theta0 is where the base is merged too (METHODS 6). The
 * references take other texts for each model; here one text serves all, so that with two models tau is one half each.
 * Source: arXiv:2502.12420.
 */
export const sensMerging = defineMethod({
  id: "sens-merging",
  label: "Sens-Merging",
  kind: "from calibration text",
  summary: "merged = base + the changes, each layer’s shares after how much the layer matters to each model and how far the models’ answers are apart.",
  formula: "θ = θ₀ + λ · Σ K σᵢ (θᵢ − θ₀),  σ = softmax(αᵢ τᵢ / T)",
  source: "https://arxiv.org/abs/2502.12420",
  needs: { base: true, fisher: false, calibration: true, minModels: 1, maxModels: 8 },
  gpuPass: "sensitivity",
  params: {
    lambda: { kind: "number", label: "Scale λ", help: "multiplies every share, as in task arithmetic; how the paper lets it enter is unverified", effect: "at-once", default: 0.7, min: -2, max: 3, step: 0.05, varies: "tensor" },
    temperature: { kind: "number", label: "Temperature T", help: "a larger T makes the shares more alike; below 0.1 they begin to differ much", effect: "at-once", default: 2, min: 0.001, max: 20, step: 0.1 },
  },
  presets: [
    { id: "l2s-1.5b", label: "Long-to-Short, 1.5B: λ 0.4, T 3", params: { lambda: 0.4, temperature: 3 } },
    { id: "l2s-7b", label: "Long-to-Short, 7B: λ 0.7, T 2", params: { lambda: 0.7, temperature: 2 } },
    { id: "l2s-14b", label: "Long-to-Short, 14B: λ 0.8, T 6", params: { lambda: 0.8, temperature: 6 } },
  ],
  aliases: { T: "temperature" },
  passValues: () => ({ sensitivity: true }),
  trimPlan: () => undefined,
  tensorShares: (params, weights, study) => shares(params, weights.length, "", study),
  advise: (params, weights) => [
    ...(weights.length === 1 ? [`With one fine-tuned model there is nothing to share: this is task arithmetic with λ ${String(params.lambda)}.`] : []),
    ...(weights.length > 1 && weights.some((w) => w !== 1) ? ["Each model’s shares come from the calibration text; weights are not used."] : []),
    ...(weights.length > 1 && (params.temperature as number) >= 1 ? ["At this temperature the shares stay near λ for every model: αᵢ τᵢ is at most 1, so the result is close to task arithmetic with λ."] : []),
    ...(weights.length === 2 ? ["Both models read one calibration text, so they are equally far from each other and τ is one half each."] : []),
  ],
  planTensor: ({ params, study, tensor, weights }) => {
    const coefficients = shares(params, weights.length, tensor.name, study);
    return coefficients.every((c) => c === 0) ? { kind: "copy" } : { kind: "add", coefficients };
  },
});
