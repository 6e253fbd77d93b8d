import type { Params } from "../../core/params";
import type { TrimRule } from "../trim";
import { defineMethod, type PlanContext } from "./defineMethod";
import { fimAliases, fimPassValues, fimTiesParams } from "./fimParams";

/** r of METHODS A32: the paper's 0.2 at 1.5B and 0.4 at 7B, with the line drawn at 3e9 parameters. */
export const keptShare = (params: Params, parameters: number): number => (typeof params.r === "number" ? params.r : parameters < 3e9 ? 0.2 : 0.4);

const scaleOf = ({ rho }: PlanContext) => (rho === undefined ? {} : { scale: 1 / rho });

/**
 * FIM-TIES: trim by w = F |delta| per tensor, scale what is kept by the layer's alpha, calibrate the norm.
 *
 *   theta = (theta0 + alpha m (theta1 - theta0)) / rho       rho only where the norm is off by more than eps
 *
 * Several models are an extension: F once from the base, alpha and mask per model, one sign elected per entry by the sum of
 * alpha_k m_k delta_k, and the mean of those that agree. One model gives the formula above.
 * Source: arXiv 2603.21705, Algorithm 1; open questions as METHODS 8.3, A33 for several models.
 */
export const fimTies = defineMethod({
  id: "fim-ties",
  label: "FIM-TIES",
  kind: "Fisher-weighted",
  summary: "merged = base + α · (the share r of the change that matters most, by Fisher × size). Important layers move least.",
  formula: "θ = θ₀ + α · m ⊙ (θ₁ − θ₀)",
  source: "https://arxiv.org/abs/2603.21705",
  needs: { base: true, fisher: true, minModels: 1, maxModels: 8 },
  params: fimTiesParams,
  presets: [
    { id: "paper-1.5b", label: "paper, 1.5B", params: { r: 0.2 } },
    { id: "paper-7b", label: "paper, 7B", params: { r: 0.4 } },
  ],
  aliases: fimAliases,
  passValues: fimPassValues,
  trimPlan: (params, tensor, parameters) => {
    const plan = { rule: params.percentile as TrimRule, share: keptShare(params, parameters), dropZero: params.dropZeroW === true };
    const key = params.trimScore === "magnitude" ? "magnitude" : "fisher";
    if (tensor.inBlock2d) return { ...plan, key, scope: params.trimScope as "tensor" | "block" | "model" };
    if (params.trim1D && tensor.layer !== undefined) return { ...plan, key, scope: "tensor" };
    if (params.trimEmbed === "magnitude" && (tensor.isEmbedding || tensor.isHead)) return { ...plan, key: "magnitude", scope: "tensor" };
    return undefined;
  },
  advise: (_, weights) => (weights.length > 1 ? ["FIM-TIES with several fine-tuned models is an extension of the published method; norm calibration is left out."] : []),
  planTensor: (context) => {
    const { alphas, masks } = context;
    if (alphas.every((a) => a === 0)) return { kind: "copy" };
    if (alphas.length === 1) return { kind: "add", coefficients: alphas, masks, ...scaleOf(context) };
    return { kind: "ties", weights: alphas, masks, lambda: 1, elect: "sum", zero: "plus", divisor: "count" };
  },
});
