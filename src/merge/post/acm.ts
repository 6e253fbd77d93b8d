import { acmLambda } from "../../activations/acm";
import type { TensorFacts } from "../methods";
import { definePost } from "./definePost";

/** The layer whose mutual information a tensor follows: its block, or -1 embedding, -2 final norm, -3 head (METHODS 7). */
const layerOf = (tensor: TensorFacts): number | undefined => tensor.layer ?? (tensor.isEmbedding ? -1 : tensor.isNorm ? -2 : tensor.isHead ? -3 : undefined);

/**
 * ACM, activation-guided consensus merging: the more a layer's outputs in base and merge tell of each other, the further it goes
 * back to the base.
 *
 *   theta = theta0 + lambda_l (theta_merged - theta0),   lambda_l = 1 - mean_j sigma(t (m_j - max_j m_j)),   m_j = mutual information of text j
 *
 * After task arithmetic it is ACM-TA, after TIES ACM-TIES. Weights and biases alike.
 * Source: arXiv:2505.14009 and a copy of its script (METHODS 7).
 */
export const acm = definePost({
  id: "acm",
  label: "ACM",
  summary: "Takes each layer of the merged model back towards the base, the further the more its outputs still agree with the base’s on the calibration text.",
  formula: "θ = θ₀ + λₗ (θ′ − θ₀), λₗ = 1 − mean σ(t (mⱼ − max m))",
  source: "https://arxiv.org/abs/2505.14009",
  measures: "both",
  params: {
    t: { kind: "number", label: "Sharpness t", help: "how far apart texts of different agreement count; 0.5 to 0.9 in the papers", effect: "at-once", default: 0.7, min: 0, max: 10, step: 0.05 },
    shift: {
      kind: "choice", label: "Shift", help: "relative to the text that agrees most, as the script does, or the formula as it is printed", effect: "at-once", advanced: true, default: "max-over-samples",
      options: [{ value: "max-over-samples", label: "From the largest" }, { value: "literal", label: "Literal formula" }],
    },
    bins: { kind: "number", label: "Bins", help: "0: every distinct bf16 value is a category, as the script does; else so many quantiles, which is cheaper", effect: "pass", advanced: true, default: 0, min: 0, max: 4096, step: 1, integer: true },
  },
  presets: [{ id: "paper", label: "Paper, t 0.7", params: { t: 0.7 } }],
  passValues: ({ bins }) => ({ bins: bins! }),
  finding: (_, tensor) => {
    const layer = layerOf(tensor);
    return layer === undefined ? undefined : `layer ${layer}`;
  },
  planTensor: ({ params, finding }) => (finding ? { kind: "add", coefficients: [acmLambda(Array.from(finding), params.t as number, params.shift as "literal")] } : undefined),
  share: ({ t, shift }, finding) => acmLambda(Array.from(finding), t as number, shift as "literal"),
});
