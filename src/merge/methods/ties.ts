import { StudioError } from "../../core/errors";
import type { Params } from "../../core/params";
import type { TiesOp } from "../ops";
import type { TrimRule } from "../trim";
import { defineMethod } from "./defineMethod";
import { rescaleParam } from "./sparseParams";

const weightsFor = (params: Params, weights: readonly number[]): number[] => weights.map((w) => (params.weights === "use" ? w : 1));

/**
 * TIES: trim each change, elect one sign per entry, combine the changes that agree.
 *
 *   x_k   = w_k r_k m_k (theta_k - theta0)    m_k keeps the `density` largest |theta_k - theta0|; r_k = 1, or |d_k|_1 / |m_k d_k|_1
 *   s     = sign(sum x_k), or of the sum of sign(x_k)
 *   theta = theta0 + lambda * (sum of x_k with sign s) / (their weights | their number | 1), or lambda * (the largest of them)
 *
 * The published codes differ in every step; presets name them, and the default is their common ground made deterministic:
 * per tensor, the k-th largest and all equal to it, k = max(1, floor(density n)).
 * Source: Yadav et al. 2023, arXiv:2306.01708, Algorithm 1; variants as METHODS 3d.
 */
export const ties = defineMethod({
  id: "ties",
  label: "TIES",
  kind: "data-free",
  summary: "merged = base + λ · (the largest changes, where the models agree on the direction).",
  formula: "θ = θ₀ + λ · mean of trimmed (θₖ − θ₀) with the elected sign",
  source: "https://arxiv.org/abs/2306.01708",
  needs: { base: true, fisher: false, minModels: 1, maxModels: 8 },
  params: {
    density: { kind: "number", label: "Kept after trim", help: "share of each model’s change that is kept", effect: "pass", default: 0.2, min: 0, max: 1, step: 0.05, varies: "model" },
    lambda: { kind: "number", label: "Scale λ", help: "multiplies the combined change", effect: "at-once", default: 1, min: -2, max: 3, step: 0.05, varies: "tensor" },
    scope: { kind: "choice", label: "Trim within", help: "which entries share one threshold", effect: "pass", default: "tensor", options: [{ value: "tensor", label: "Tensor" }, { value: "model", label: "Model" }] },
    divisor: { kind: "choice", label: "Divide by", help: "what the sum of agreeing changes is divided by", effect: "write", default: "weights", options: [{ value: "weights", label: "Their weights" }, { value: "count", label: "Their number" }, { value: "none", label: "Nothing" }, { value: "largest", label: "Nothing: the largest alone" }] },
    elect: { kind: "choice", label: "Elect by", help: "what decides the sign", effect: "write", default: "sum", advanced: true, options: [{ value: "sum", label: "Sum" }, { value: "count", label: "Count" }] },
    zero: { kind: "choice", label: "Undecided sign", help: "where the votes cancel", effect: "write", default: "plus", advanced: true, options: [{ value: "plus", label: "Plus" }, { value: "majority", label: "The model’s majority" }] },
    weights: { kind: "choice", label: "Model weights", help: "multiply the changes before the vote", effect: "write", default: "use", advanced: true, options: [{ value: "use", label: "Use" }, { value: "ignore", label: "Ignore" }] },
    keepRule: {
      kind: "choice", label: "Keep rule", help: "how many entries the share means, and ties at the threshold", effect: "pass", default: "density", advanced: true,
      options: [{ value: "density", label: "k largest, ties kept" }, { value: "exactK", label: "Exact count" }, { value: "official", label: "TIES, official" }, { value: "mergekit", label: "mergekit" }, { value: "l2s", label: "Long-to-Short" }],
    },
    ...rescaleParam(false),
  },
  presets: [
    { id: "official", label: "official", params: { density: 0.2, lambda: 1, scope: "model", keepRule: "official", elect: "sum", zero: "majority", divisor: "count", weights: "ignore" } },
    { id: "mergekit", label: "mergekit", params: { density: 0.2, lambda: 1, scope: "tensor", keepRule: "mergekit", elect: "sum", zero: "plus", divisor: "weights", weights: "use" } },
    { id: "l2s", label: "Long-to-Short", params: { density: 0.2, lambda: 1, scope: "tensor", keepRule: "l2s", elect: "sum", zero: "plus", divisor: "count", weights: "ignore" } },
  ],
  aliases: {
    normalize: (value) => {
      if (value === true || value === "true") return ["divisor", "weights"];
      if (value === false || value === "false") return ["divisor", "none"];
      throw new StudioError("bad-recipe", `Reading the recipe for TIES: "normalize" is ${JSON.stringify(value)}, expected true or false.`);
    },
  },
  passValues: ({ density, scope, keepRule, rescale }) => ({ density: density!, scope: scope!, keepRule: keepRule!, ...(rescale ? { rescale } : {}) }),
  trimPlan: ({ density, scope, keepRule, rescale }) => ({ key: "magnitude", rule: keepRule as TrimRule, share: density as number, scope: scope as "tensor" | "model", dropZero: false, ...(rescale ? { l1: true } : {}) }),
  /** Where all models agree on an entry; with `count` divided by all of them. */
  coefficients: (params, given) => {
    const weights = weightsFor(params, given);
    const sum = weights.reduce((a, b) => a + b, 0);
    const by = params.divisor === "none" || params.divisor === "largest" ? 1 : params.divisor === "count" ? weights.length : sum || 1;
    return weights.map((w) => ((params.lambda as number) * w) / by);
  },
  advise: (params, weights) => {
    const notes: string[] = [];
    if (weights.length === 1) {
      notes.push("With one fine-tuned model there is no sign to elect: TIES only trims.");
      if (params.divisor === "weights" && params.weights === "use" && weights[0] !== 1) notes.push("With one fine-tuned model its weight cancels in the division by weights; use the scale λ.");
    }
    return notes;
  },
  needsMajority: (params, models) => params.zero === "majority" && models > 1,
  planTensor: ({ params, weights: given, masks, majority, rescale }) => {
    const weights = weightsFor(params, given);
    // One model agrees with itself: no vote, and dividing by its weight undoes the weight.
    if (weights.length === 1) return { kind: "add", coefficients: [(params.lambda as number) * (params.divisor === "weights" && weights[0] !== 0 ? 1 : weights[0]!) * rescale[0]!], masks };
    return {
      kind: "ties",
      weights: weights.map((w, k) => w * rescale[k]!),
      ...(rescale.some((factor) => factor !== 1) ? { shares: weights } : {}),
      masks,
      lambda: params.lambda as number,
      elect: params.elect as "sum" | "count",
      zero: params.zero as "plus" | "majority",
      divisor: params.divisor as TiesOp["divisor"],
      ...(majority === undefined ? {} : { majority }),
    };
  },
});
