import type { Params } from "../../core/params";
import { checkDella } from "../../kernels/stats/sparsify";
import { defineMethod } from "./defineMethod";
import { sparse, type SparseKind } from "./sparse";
import { densityParam, rescaleParam, seedParam } from "./sparseParams";

const kind: SparseKind = {
  params: {
    ...densityParam(0.5, "share of each model’s change that is kept, the larger the likelier"),
    epsilon: { kind: "number", label: "Spread ε", help: "the smallest of a row is kept with density − ε, the largest with density + ε", effect: "pass", default: 0.15, min: 0, max: 0.5, step: 0.05, varies: "model" },
    ...rescaleParam(true),
    ...seedParam,
  },
  passValues: ({ density, epsilon, rescale, seed }) => ({ density: density!, epsilon: epsilon!, rescale: rescale!, seed: seed! }),
  study: ({ density, epsilon, rescale, seed }) => {
    checkDella(density as number, epsilon as number);
    return density === 1 ? undefined : { kind: "masks", masks: { kind: "ranks", density: density as number, epsilon: epsilon as number, seed: seed as number }, rescale: rescale ? "l1" : "none" };
  },
  factor: () => 1,
};

const shared = { kind: "data-free", source: "https://arxiv.org/abs/2406.11617", presets: [{ id: "mergekit", label: "mergekit", params: { density: 0.5, epsilon: 0.15, rescale: true } as Params }] };

/**
 * DELLA: DARE whose keep probability grows with the rank of |change| in its row; then TIES' vote.
 *
 *   p = density - eps + 2 eps rank / (cols - 1);  theta = theta0 + lambda (sum of w_k r_k m_k d_k with the elected sign / their w_k)
 *
 * Source: Deep et al. 2024, arXiv:2406.11617; ranks, rescaling and defaults as in mergekit (METHODS 9).
 */
export const della = defineMethod({
  ...shared,
  ...sparse(kind, { ties: true, normalize: true }),
  id: "della",
  label: "DELLA",
  summary: "merged = base + λ · a random share of the changes, the larger the likelier, where the models agree.",
  formula: "θ = θ₀ + λ · mean of wₖ rₖ mₖ (θₖ − θ₀) with the elected sign",
});

/** DELLA without the vote: the changes are added. Source: as DELLA. */
export const dellaLinear = defineMethod({
  ...shared,
  ...sparse(kind, { ties: false, normalize: false }),
  id: "della_linear",
  label: "DELLA-linear",
  summary: "merged = base + λ · a random share of the changes, the larger the likelier.",
  formula: "θ = θ₀ + λ · Σ wₖ rₖ mₖ (θₖ − θ₀)",
});
