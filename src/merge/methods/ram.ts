import type { Params } from "../../core/params";
import type { TensorStudy } from "../../fisher/study";
import { defineMethod } from "./defineMethod";
import { studied } from "./studied";

/** lambda_k = 1 + r clip(shared / alone, 0, alpha); a model that changes nothing alone has nothing to scale. */
const lambdas = (touched: NonNullable<TensorStudy["touched"]>, { r, alpha }: Params): number[] =>
  touched.map(({ alone, shared }) => 1 + (r as number) * (alone === 0 ? 0 : Math.min(shared / alone, alpha as number)));

const common = {
  kind: "data-free",
  source: "https://github.com/arcee-ai/mergekit",
  needs: { base: true, fisher: false, minModels: 1, maxModels: 8 },
  presets: [],
  trimPlan: () => undefined,
};
const weightless = (_: Params, weights: readonly number[]): string[] => (weights.some((w) => w !== 1) ? ["Every model counts alike; weights are not used."] : []);

/**
 * RAM: changes that one model makes alone are taken whole, those that several make are averaged over them.
 *
 *   d = sum of d_k over the models with |d_k| > 1e-5, divided by their number;  theta = theta0 + d
 *
 * Source: mergekit ram (METHODS 9).
 */
export const ram = defineMethod({
  ...common,
  id: "ram",
  label: "RAM",
  summary: "merged = base + each change made alone, and the mean of those made together.",
  formula: "θ = θ₀ + mean of dₖ over the models that change the entry",
  params: {},
  passValues: () => ({}),
  advise: weightless,
  planTensor: ({ weights }) => ({ kind: "ram", lambdas: weights.map(() => 1) }),
});

/**
 * RAM+: as RAM, and what a model changes alone is scaled by how much it shares.
 *
 *   lambda_k = 1 + r clip(shared_k / alone_k, 0, alpha), per tensor
 *
 * Source: mergekit ramplus_tl (METHODS 9).
 */
export const ramPlus = defineMethod({
  ...common,
  id: "ramplus_tl",
  label: "RAM+",
  summary: "merged = base + each change made alone, scaled up where a model shares much, and the mean of those made together.",
  formula: "θ = θ₀ + λₖ dₖ alone, or the mean of dₖ together",
  params: {
    r: { kind: "number", label: "Gain r", help: "how much a shared change adds to the scale of the others", effect: "at-once", default: 0.1, min: 0, max: 2, step: 0.05, varies: "tensor" },
    alpha: { kind: "number", label: "Limit α", help: "shared ÷ alone counts up to this", effect: "at-once", default: 0.2, min: 0, max: 10, step: 0.05, varies: "tensor" },
  },
  passValues: () => ({ touched: true }),
  study: () => ({ kind: "touched" }),
  advise: weightless,
  planTensor: ({ params, study, tensor }) => ({ kind: "ram", lambdas: lambdas(studied(study?.touched, tensor.name), params) }),
});
