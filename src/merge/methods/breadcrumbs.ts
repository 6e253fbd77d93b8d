import type { Params } from "../../core/params";
import { defineMethod } from "./defineMethod";
import { sparse, type SparseKind } from "./sparse";
import { densityParam, rescaleParam } from "./sparseParams";

const kind: SparseKind = {
  params: {
    ...densityParam(0.9, "share of each model’s change that is kept"),
    gamma: { kind: "number", label: "Largest dropped, γ", help: "share of the largest changes that is dropped; the rest of what goes is the smallest", effect: "pass", default: 0.01, min: 0, max: 1, step: 0.01, varies: "model" },
    ...rescaleParam(false),
  },
  passValues: ({ density, gamma, rescale }) => ({ density: density!, gamma: gamma!, ...(rescale ? { rescale } : {}) }),
  study: ({ density, gamma, rescale }) => (density === 1 ? undefined : { kind: "masks", masks: { kind: "band", density: density as number, gamma: gamma as number }, rescale: rescale ? "l1" : "none" }),
  factor: () => 1,
};

const shared = { kind: "data-free", source: "https://arxiv.org/abs/2312.06795", presets: [{ id: "mergekit", label: "density 0.9, γ 0.01", params: { density: 0.9, gamma: 0.01 } as Params }] };

/**
 * Model Breadcrumbs: of every change the largest and the smallest entries go, then the changes are added.
 *
 *   theta = theta0 + lambda sum_k w_k m_k (theta_k - theta0),  m_k: without int(gamma n) of the largest and all but int(density n) below
 *
 * Source: Davari & Belilovsky 2023, arXiv:2312.06795; counts as in mergekit (METHODS 9).
 */
export const breadcrumbs = defineMethod({
  ...shared,
  ...sparse(kind, { ties: false, normalize: false }),
  id: "breadcrumbs",
  label: "Breadcrumbs",
  summary: "merged = base + λ · the changes of middling size.",
  formula: "θ = θ₀ + λ · Σ wₖ mₖ (θₖ − θ₀)",
});

/** Model Breadcrumbs with TIES' vote over the sign of every entry. Source: as Breadcrumbs. */
export const breadcrumbsTies = defineMethod({
  ...shared,
  ...sparse(kind, { ties: true, normalize: false }),
  id: "breadcrumbs_ties",
  label: "Breadcrumbs-TIES",
  summary: "merged = base + λ · the changes of middling size, where the models agree on the direction.",
  formula: "θ = θ₀ + λ · Σ of wₖ mₖ (θₖ − θ₀) with the elected sign",
});
