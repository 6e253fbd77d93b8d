import { modelStockShare } from "../spherical";
import { defineMethod } from "./defineMethod";
import { gramOfLine, studied } from "./studied";

/**
 * Model Stock: from the base towards the mean of the models, as far as the angle between their changes allows.
 *
 *   theta = t mean(theta_k) + (1 - t) theta0,  t = N cos / (1 + (N - 1) cos),  cos = mean over pairs of cos(d_i, d_j)
 *
 * Source: Jang et al. 2024, arXiv:2403.19522; limits as in mergekit (METHODS 9).
 */
export const modelStock = defineMethod({
  id: "model_stock",
  label: "Model Stock",
  kind: "data-free",
  summary: "merged = base + t · mean change; t is large where the models agree on the direction.",
  formula: "θ = t · mean θₖ + (1−t) · θ₀,  t = N cos / (1 + (N−1) cos)",
  source: "https://arxiv.org/abs/2403.19522",
  needs: { base: true, fisher: false, minModels: 2, maxModels: 8 },
  params: { filterWise: { kind: "flag", label: "One share per row", help: "off: one per tensor", effect: "pass", default: false } },
  presets: [],
  aliases: { filter_wise: "filterWise" },
  passValues: ({ filterWise }) => ({ by: filterWise ? "row" : "tensor" }),
  trimPlan: () => undefined,
  study: ({ filterWise }) => ({ kind: "gram", of: "changes", by: filterWise ? "row" : "tensor" }),
  tensorShares: (_, weights, { gram, lineGram }) => {
    const count = weights.length;
    if (gram) return weights.map(() => modelStockShare(gram) / count);
    const rows = lineGram![0]!.length;
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += modelStockShare(gramOfLine(lineGram!, row));
    return weights.map(() => sum / rows / count);
  },
  advise: (_, weights) => (weights.some((w) => w !== 1) ? ["Every model counts alike; weights are not used."] : []),
  planTensor: ({ params, weights, study, tensor, cols }) => {
    const count = weights.length;
    if (!params.filterWise) {
      const share = modelStockShare(studied(study?.gram, tensor.name)) / count;
      return { kind: "add", coefficients: weights.map(() => share) };
    }
    const gram = studied(study?.lineGram, tensor.name);
    const share = Float32Array.from({ length: gram[0]!.length }, (_, row) => modelStockShare(gramOfLine(gram, row)) / count);
    return { kind: "rows", by: "row", cols, change: true, base: new Float32Array(0), coefficients: weights.map(() => share) };
  },
});
