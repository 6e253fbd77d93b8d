import type { Params } from "../../core/params";
import { defineMethod, type MergeMethod } from "./defineMethod";
import { sparse, type SparseKind } from "./sparse";
import { densityParam, seedParam } from "./sparseParams";

const kind: SparseKind = {
  params: {
    ...densityParam(0.7, "share of each model’s change that is kept, drawn at random"),
    rescale: {
      kind: "choice", label: "Rescale", help: "what is kept grows to make up for what was dropped", effect: "pass", default: "inverse-keep",
      options: [{ value: "inverse-keep", label: "1 / density (paper)" }, { value: "l1-match", label: "Same L1 norm (mergekit)" }, { value: "none", label: "No" }],
    },
    ...seedParam,
  },
  passValues: ({ density, rescale, seed }) => ({ density: density!, seed: seed!, l1: rescale === "l1-match" }),
  study: ({ density, rescale, seed }) => (density === 1 ? undefined : { kind: "masks", masks: { kind: "random", keep: density as number, seed: seed as number }, rescale: rescale === "l1-match" ? "l1" : "none" }),
  factor: ({ density, rescale }) => (rescale === "inverse-keep" && (density as number) > 0 ? 1 / (density as number) : 1),
  advise: ({ density }) => ((density as number) < 0.5 ? ["Long-to-Short found that fewer than half of the changes kept fails between models as far apart as these."] : []),
};

const aliases: MergeMethod["aliases"] = {
  // The paper and MergeLM count what is dropped.
  p: (value) => ["density", 1 - Number(value)],
  weight_mask_rate: (value) => ["density", 1 - Number(value)],
};

const shared = { kind: "data-free", source: "https://arxiv.org/abs/2311.03099", aliases, presets: [{ id: "l2s", label: "Long-to-Short, drop 0.3", params: { density: 0.7, rescale: "inverse-keep" } as Params }] };

/**
 * DARE-linear: of every change a random share is kept and scaled up, then the changes are added.
 *
 *   theta = theta0 + lambda sum_k w_k r_k m_k (theta_k - theta0),  m_k ~ Bernoulli(density),  r = 1 / density
 *
 * Source: Yu et al. 2023, arXiv:2311.03099; switches as in METHODS 4.
 */
export const dareLinear = defineMethod({
  ...shared,
  ...sparse(kind, { ties: false, normalize: false }),
  id: "dare_linear",
  label: "DARE-linear",
  summary: "merged = base + λ · a random share of every change, scaled up.",
  formula: "θ = θ₀ + λ · Σ wₖ mₖ (θₖ − θ₀) / density",
});

/**
 * DARE-TIES: as DARE-linear, with TIES' vote over the sign of every entry in place of the plain sum.
 * Source: Yu et al. 2023, arXiv:2311.03099, and Yadav et al. 2023, arXiv:2306.01708 (METHODS 4).
 */
export const dareTies = defineMethod({
  ...shared,
  ...sparse(kind, { ties: true, normalize: false }),
  id: "dare_ties",
  label: "DARE-TIES",
  summary: "merged = base + λ · a random share of the changes, where the models agree on the direction.",
  formula: "θ = θ₀ + λ · Σ of wₖ mₖ (θₖ − θ₀) / density with the elected sign",
});
