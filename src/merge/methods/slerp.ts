import { slerp as interpolate } from "../spherical";
import { defineMethod } from "./defineMethod";
import { studied } from "./studied";

/**
 * SLERP: from the base to one model along the arc between them, every tensor taken as one vector.
 *
 *   theta = sin((1 - t) w) / sin w theta0 + sin(t w) / sin w theta1,  w = angle(theta0, theta1)
 *
 * Nearly parallel tensors (|cos w| > 0.9995) are interpolated straight.
 * Source: Shoemake 1985; limits as in mergekit (METHODS 9).
 */
export const slerp = defineMethod({
  id: "slerp",
  label: "SLERP",
  kind: "data-free",
  summary: "merged = the point at t on the arc from the base to the other model.",
  formula: "θ = sin((1−t)ω)/sin ω · θ₀ + sin(tω)/sin ω · θ₁",
  source: "https://doi.org/10.1145/325334.325242",
  needs: { base: true, fisher: false, minModels: 1, maxModels: 1 },
  params: { t: { kind: "number", label: "Position t", help: "0 is the base, 1 the other model", effect: "at-once", default: 0.5, min: 0, max: 1, step: 0.05, varies: "tensor" } },
  presets: [{ id: "halfway", label: "halfway", params: { t: 0.5 } }],
  passValues: () => ({ gram: "models" }),
  trimPlan: () => undefined,
  study: () => ({ kind: "gram", of: "models", by: "tensor" }),
  tensorShares: ({ t }, _, { gram }) => [interpolate(gram!, t as number)[1]],
  planTensor: ({ params, study, tensor }) => {
    const t = params.t as number;
    if (t === 0) return { kind: "copy" };
    if (t === 1) return { kind: "copy", source: 0 };
    const [base, other] = interpolate(studied(study?.gram, tensor.name), t);
    return { kind: "combine", baseCoefficient: base, coefficients: [other] };
  },
});
