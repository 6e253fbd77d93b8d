import type { Params } from "../../core/params";
import type { TensorStudy } from "../../fisher/study";
import type { RowsOp } from "../ops";
import { nuslerp as interpolate, nuslerpShare } from "../spherical";
import { defineMethod } from "./defineMethod";
import { gramOfLine, studied, withoutBase } from "./studied";

const lineOf = ({ flatten, rowWise }: Params): "tensor" | "row" | "column" => (flatten ? "tensor" : rowWise ? "column" : "row");
const share = (weights: readonly number[]): number => nuslerpShare(weights[0]!, weights[1]!);

function lines(study: TensorStudy | undefined, name: string, t: number): { first: Float32Array; second: Float32Array } {
  const gram = studied(study?.lineGram, name);
  const pairs = Array.from({ length: gram[0]!.length }, (_, line) => interpolate(gramOfLine(gram, line), t));
  return { first: Float32Array.from(pairs, (p) => p[0]), second: Float32Array.from(pairs, (p) => p[1]) };
}

/**
 * NuSLERP: SLERP of two weighted models, of whole tensors, rows or columns; with the base, of their changes.
 *
 *   theta = sin((1 - t) w) / sin w v1 + sin(t w) / sin w v2,  t = w2 / (w1 + w2),  v = theta, or theta - theta0 added to theta0
 *
 * Source: mergekit nuslerp (METHODS 9).
 */
export const nuslerp = defineMethod({
  id: "nuslerp",
  label: "NuSLERP",
  kind: "data-free",
  summary: "merged = the point between two models on the arc between them, by their weights.",
  formula: "θ = sin((1−t)ω)/sin ω · v₁ + sin(tω)/sin ω · v₂,  t = w₂/(w₁+w₂)",
  source: "https://github.com/arcee-ai/mergekit",
  needs: { base: true, fisher: false, minModels: 2, maxModels: 2 },
  params: {
    changes: { kind: "flag", label: "Interpolate the changes", help: "the changes to the base, added to it; off: the models themselves", effect: "pass", default: false },
    flatten: { kind: "flag", label: "Whole tensors", help: "one angle per tensor; off: one per row", effect: "pass", default: true },
    rowWise: { kind: "flag", label: "Down the columns", help: "without whole tensors: one angle per column instead of per row", effect: "pass", default: false, advanced: true },
  },
  presets: [],
  aliases: { nuslerp_flatten: "flatten", nuslerp_row_wise: "rowWise" },
  passValues: (params) => ({ of: params.changes ? "changes" : "models", by: lineOf(params) }),
  trimPlan: () => undefined,
  study: (params) => ({ kind: "gram", of: params.changes ? "changes" : "models", by: lineOf(params) }),
  tensorShares: (params, weights, { gram }) => {
    const t = share(weights);
    // Rows have an angle each; their shares lie around the straight ones.
    return gram ? [...interpolate(models(gram, params), t)] : [1 - t, t];
  },
  advise: (_, weights) => (Math.abs(weights[0]! + weights[1]!) < 1e-6 ? ["The weights cancel, so both models count half."] : []),
  planTensor: ({ params, weights, study, tensor, cols }) => {
    const t = share(weights);
    if (lineOf(params) === "tensor") {
      const both = [...interpolate(models(studied(study?.gram, tensor.name), params), t)];
      return params.changes ? { kind: "add", coefficients: both } : { kind: "combine", baseCoefficient: 0, coefficients: both };
    }
    const { first, second } = lines(params.changes ? study : modelLines(study), tensor.name, t);
    // Columns run along the first dimension: there are as many as entries in all the others.
    return { kind: "rows", by: lineOf(params) as RowsOp["by"], cols: params.rowWise ? first.length : cols, change: params.changes === true, base: new Float32Array(first.length), coefficients: [first, second] };
  },
});

const models = (gram: number[][], params: Params): number[][] => (params.changes ? gram : withoutBase(gram));
/** Of three vectors there are pairs 00 01 02 11 12 22; the models are the last three. */
const modelLines = (study: TensorStudy | undefined): TensorStudy | undefined => study && { ...study, ...(study.lineGram ? { lineGram: study.lineGram.slice(3) } : {}) };
