import { defineMethod } from "./defineMethod";

/**
 * NearSwap: the base, with the other model's values where the two are close.
 *
 *   theta = theta0 + min(1, t / max(|d|, 1e-6)) d,  d = theta1 - theta0
 *
 * Source: mergekit nearswap (METHODS 9).
 */
export const nearswap = defineMethod({
  id: "nearswap",
  label: "NearSwap",
  kind: "data-free",
  summary: "merged = the other model where it is within t of the base, a step of t towards it elsewhere.",
  formula: "θ = θ₀ + min(1, t/|d|) · d,  d = θ₁ − θ₀",
  source: "https://github.com/arcee-ai/mergekit",
  needs: { base: true, fisher: false, minModels: 1, maxModels: 1 },
  params: { t: { kind: "number", label: "Step t", help: "changes up to this are taken whole; larger ones move by it", effect: "write", default: 0.001, min: 0, max: 1, step: 0.0005, varies: "tensor" } },
  presets: [],
  passValues: () => ({}),
  trimPlan: () => undefined,
  planTensor: ({ params }) => (params.t === 0 ? { kind: "copy" } : { kind: "nearswap", t: params.t as number }),
});
