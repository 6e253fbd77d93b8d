import { defineMethod } from "./defineMethod";

/**
 * Task arithmetic: the changes of the fine-tuned models, weighted and added.
 *
 *   theta = theta0 + lambda sum_k w_k (theta_k - theta0)      normalize: w_k / sum w, and 1 where |sum w| < 1e-8
 *
 * Source: Ilharco et al. 2022, arXiv:2212.04089; normalize as in mergekit (METHODS 2).
 */
export const taskArithmetic = defineMethod({
  id: "task-arithmetic",
  label: "Task arithmetic",
  kind: "data-free",
  summary: "merged = base + λ · change, the same on every layer.",
  formula: "θ = θ₀ + λ · Σ wₖ (θₖ − θ₀)",
  source: "https://arxiv.org/abs/2212.04089",
  needs: { base: true, fisher: false, minModels: 1, maxModels: 8 },
  params: {
    lambda: { kind: "number", label: "Scale λ", help: "share of the change that every layer takes", effect: "at-once", default: 1, min: -2, max: 3, step: 0.05, varies: "tensor" },
    normalize: { kind: "flag", label: "Normalize weights", help: "divide by the sum of the models’ weights", effect: "at-once", default: false },
  },
  presets: [
    { id: "l2s", label: "Long-to-Short, λ 0.7", params: { lambda: 0.7 } },
    { id: "average", label: "halfway", params: { lambda: 0.5 } },
  ],
  passValues: () => ({}),
  trimPlan: () => undefined,
  coefficients: ({ lambda, normalize }, weights) => {
    const sum = weights.reduce((a, b) => a + b, 0);
    const by = normalize && Math.abs(sum) >= 1e-8 ? sum : 1;
    return weights.map((w) => ((lambda as number) * w) / by);
  },
  planTensor: ({ alphas }) => (alphas.every((a) => a === 0) ? { kind: "copy" } : { kind: "add", coefficients: alphas }),
});
