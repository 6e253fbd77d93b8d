import { defineMethod } from "./defineMethod";

/**
 * Passthrough: one model as it is, or scaled.
 *
 *   theta = scale theta1
 *
 * Source: mergekit passthrough (METHODS 9).
 */
export const passthrough = defineMethod({
  id: "passthrough",
  label: "Passthrough",
  kind: "data-free",
  summary: "merged = the fine-tuned model, every value times the scale.",
  formula: "θ = scale · θ₁",
  source: "https://github.com/arcee-ai/mergekit",
  needs: { base: true, fisher: false, minModels: 1, maxModels: 1 },
  params: { scale: { kind: "number", label: "Scale", help: "multiplies every value", effect: "at-once", default: 1, min: -4, max: 4, step: 0.05, varies: "tensor" } },
  presets: [],
  passValues: () => ({}),
  trimPlan: () => undefined,
  coefficients: ({ scale }) => [scale as number],
  planTensor: ({ params }) => (params.scale === 1 ? { kind: "copy", source: 0 } : { kind: "combine", baseCoefficient: 0, coefficients: [params.scale as number] }),
});
