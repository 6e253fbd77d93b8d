import { defineMethod } from "./defineMethod";
import { fimAliases, fimPassValues, fimTaParams } from "./fimParams";

/**
 * FIM-TA: task arithmetic with one alpha per layer from Fisher and change; nothing is trimmed.
 *
 *   theta = theta0 + sum_k alpha_k (theta_k - theta0)        divided by rho where calibration is on and fires
 *
 * Gate factor and calibration are off, as the text lists them under FIM-TIES only (METHODS A26).
 * Source: arXiv 2603.21705, eq. 7-11.
 */
export const fimTa = defineMethod({
  id: "fim-ta",
  label: "FIM-TA",
  kind: "Fisher-weighted",
  summary: "merged = base + α · change, with one α per layer. Important layers move least; nothing is trimmed.",
  formula: "θ = θ₀ + α · (θ₁ − θ₀)",
  source: "https://arxiv.org/abs/2603.21705",
  needs: { base: true, fisher: true, minModels: 1, maxModels: 8 },
  params: fimTaParams,
  presets: [],
  aliases: fimAliases,
  passValues: fimPassValues,
  trimPlan: () => undefined,
  advise: (_, weights) => (weights.length > 1 ? ["FIM-TA with several fine-tuned models is an extension of the published method: the changes add up, and norm calibration is left out."] : []),
  planTensor: ({ alphas, rho }) => (alphas.every((a) => a === 0) ? { kind: "copy" } : { kind: "add", coefficients: alphas, ...(rho === undefined ? {} : { scale: 1 / rho }) }),
});
