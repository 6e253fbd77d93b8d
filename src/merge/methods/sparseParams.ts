import type { ParamSpecs, Params } from "../../core/params";

/** Parameters that the methods which draw or band their masks share. */
export const densityParam = (initial: number, help: string): ParamSpecs => ({ density: { kind: "number", label: "Kept, density", help, effect: "pass", default: initial, min: 0, max: 1, step: 0.05, varies: "model" } });
export const lambdaParam: ParamSpecs = { lambda: { kind: "number", label: "Scale λ", help: "multiplies the combined change", effect: "at-once", default: 1, min: -2, max: 3, step: 0.05, varies: "tensor" } };
export const normalizeParam = (initial: boolean): ParamSpecs => ({ normalize: { kind: "flag", label: "Normalize weights", help: "divide by the weights of the models that take part", effect: "at-once", default: initial } });
export const rescaleParam = (initial: boolean): ParamSpecs => ({ rescale: { kind: "flag", label: "Rescale", help: "what is kept gets the L1 norm of the whole change", effect: "pass", default: initial, ...(initial ? {} : { advanced: true }) } });
export const seedParam: ParamSpecs = { seed: { kind: "number", label: "Seed", help: "of what is drawn at random", effect: "pass", default: 42, min: 0, max: 4294967295, step: 1, integer: true } };

/** c_k = lambda w_k, divided by the sum of the weights where they are normalized; by 1 where that sum is nearly 0. */
export function weightedSum({ lambda, normalize }: Params, weights: readonly number[]): number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  const by = normalize && Math.abs(sum) >= 1e-8 ? sum : 1;
  return weights.map((w) => ((lambda as number) * w) / by);
}

/** The same where all models agree on an entry: divided by the sum of the weights unless it is 0. */
export const agreedSum = ({ lambda, normalize }: Params, weights: readonly number[]): number[] => {
  const by = (normalize && weights.reduce((a, b) => a + b, 0)) || 1;
  return weights.map((w) => ((lambda as number) * w) / by);
};
