import { aimFactors } from "../../activations/aim";
import { definePost } from "./definePost";

/**
 * AIM, activation-informed merging: input channels that the base uses most go back to the base furthest.
 *
 *   W = W0 + (W_merged - W0) (1 - v (1 - omega)),   v = a / max(a)   per input channel,   a_c = sum over texts of the mean over tokens |x_c|
 *
 * For every linear layer (lm_head too) by column and every RMSNorm by entry; embeddings and biases stay as merged. A head that
 * is the embedding is one tensor with it, and so is treated as the head, unless `tiedHead` is "keep".
 * Source: arXiv:2502.02421 and its reference code (METHODS 5).
 */
export const aim = definePost({
  id: "aim",
  label: "AIM",
  summary: "Takes the merged model back towards the base where the base’s input channels are most active on the calibration text.",
  formula: "W = W₀ + (W′ − W₀) · (1 − v (1 − ω)), v = a / max a",
  source: "https://arxiv.org/abs/2502.02421",
  measures: "base",
  params: {
    omega: { kind: "number", label: "ω", help: "share of its change that the most active channel keeps; 1 changes nothing, recommended 0.2 to 0.6", effect: "at-once", default: 0.4, min: 0, max: 1, step: 0.05 },
    layout: {
      kind: "choice", label: "Texts", help: "each text for itself, or all in one stream cut into blocks of the token limit, as the reference does", effect: "pass", advanced: true, default: "texts",
      options: [{ value: "texts", label: "Each for itself" }, { value: "blocks", label: "Blocks of equal length" }],
    },
    tiedHead: {
      kind: "choice", label: "Tied head", help: "where the head is the embedding: treat it as the head, as the reference does, or leave it as merged", effect: "at-once", advanced: true, default: "relax",
      options: [{ value: "relax", label: "As the head" }, { value: "keep", label: "As merged" }],
    },
  },
  presets: [{ id: "l2s", label: "Long-to-Short, ω 0.4", params: { omega: 0.4 } }],
  passValues: ({ layout }) => ({ layout: layout! }),
  finding: ({ tiedHead }, tensor, tied) => {
    if (tensor.isBias) return undefined;
    if (tensor.isEmbedding) return tied && tiedHead === "relax" ? "lm_head.weight" : undefined;
    return tensor.name;
  },
  planTensor: ({ params, cols, finding }) =>
    finding && finding.length === cols ? { kind: "rows", by: "column", cols, change: true, base: new Float32Array(0), coefficients: [Float32Array.from(aimFactors(finding, params.omega as number))] } : undefined,
  share: ({ omega }, finding) => {
    const factors = aimFactors(finding, omega as number);
    return factors.reduce((sum, f) => sum + f, 0) / factors.length;
  },
});
