import { defineMethod } from "./defineMethod";

/**
 * Arcee Fusion: the other model's value where its change matters most, the base elsewhere.
 *
 *   importance = |theta1 - theta0| KL(softmax(theta1 row) || softmax(theta0 row));  taken where importance >= median + 1.5 (q3 - q1)
 *
 * The order statistics are exact; mergekit samples a million entries of larger tensors. Source: mergekit arcee_fusion (METHODS 9).
 */
export const arceeFusion = defineMethod({
  id: "arcee_fusion",
  label: "Arcee Fusion",
  kind: "data-free",
  summary: "merged = the other model where its change stands out, the base elsewhere.",
  formula: "θ = θ₀ + [|d| · KL(row) ≥ median + 1.5 IQR] · d",
  source: "https://github.com/arcee-ai/mergekit",
  needs: { base: true, fisher: false, minModels: 1, maxModels: 1 },
  params: {},
  presets: [],
  passValues: () => ({ fusion: true }),
  trimPlan: () => undefined,
  study: () => ({ kind: "fusion" }),
  coefficients: () => [1],
  planTensor: ({ masks }) => ({ kind: "add", coefficients: [1], masks }),
});
