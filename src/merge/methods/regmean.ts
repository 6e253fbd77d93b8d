import { StudioError } from "../../core/errors";
import type { Params } from "../../core/params";
import { defineMethod, type TensorFacts } from "./defineMethod";

/** Linear layers of the decoders that there is a forward pass for, in the order block, attention's part, MLP's part. */
const LINEAR = /^(model\.layers\.\d+)\.(?:self_attn\.([qkvo])|mlp\.(gate|up|down))_proj\.weight$/;
const HEAD = "lm_head.weight";
const INPUTS: Readonly<Record<string, string>> = { q: "attention", k: "attention", v: "attention", o: "attention output", gate: "mlp", up: "mlp", down: "mlp output" };

/** Name of the input that a weight reads: q, k and v share one, gate and up another; undefined where RegMean takes the plain mean. */
export function inputOf(params: Params, name: string): string | undefined {
  if (name === HEAD) return params.head ? HEAD : undefined;
  const found = LINEAR.exec(name);
  return found ? `${found[1]} ${INPUTS[found[2] ?? found[3]!]}` : undefined;
}

/** Whether only the diagonal of G is taken for inputs of this width. */
export const takesDiagonal = ({ a, diagAbove }: Params, width: number): boolean => a === 0 || width > (diagAbove as number);

/** c of the base: none when it takes no part. Alone beside one fine-tuned model it does, or there would be nothing to merge. */
export const baseCoefficient = ({ includeBase, baseWeight }: Params, models: number): number => (includeBase === "yes" || (includeBase === "auto" && models === 1) ? (baseWeight as number) : 0);

/** Coefficients of the models whose inputs are measured: the base first where it takes part, then all fine-tuned ones. Empty where a single one counts. */
export function measuredModels(params: Params, weights: readonly number[]): number[] {
  const base = baseCoefficient(params, weights.length);
  const all = base > 0 ? [base, ...weights] : [...weights];
  return all.filter((c) => c > 0).length > 1 ? all : [];
}

/** Under which a pass stores the matrix, or the shares by column, of fine-tuned model k. */
export const projectionName = (input: string, k: number): string => `${input} ${k}`;

/** c_k / sum c of the fine-tuned models. Throws "bad-recipe" for weights that cannot multiply Gram matrices. */
export function meanShares(params: Params, weights: readonly number[]): number[] {
  const base = baseCoefficient(params, weights.length);
  const sum = weights.reduce((a, b) => a + b, base);
  if (weights.some((w) => !(w >= 0)) || !(sum > 0))
    throw new StudioError("bad-recipe", `Merging with RegMean: the weights are ${weights.join(", ")}${base > 0 ? ` and ${base} for the base` : ""}; they multiply Gram matrices, so none may be negative, and one must be above 0.`, { title: "Weights that cannot be used", found: weights.join(", "), expected: "0 or more, their sum above 0" });
  return weights.map((w) => w / sum);
}

/**
 * RegMean: for every linear layer the weights whose outputs come nearest to those of the models, each on its own inputs.
 *
 *   W = ((sum_k c_k H_k)^-1 sum_k c_k H_k W_k^T)^T,   H_k = a G_k + (1 - a) diag(G_k) + eps tr(G_k) / d I,   G_k = X_k^T X_k / tokens
 *
 * Row by row that is w = theta0 + sum_k A_k (w_k - theta0) with A_k = (sum_i c_i H_i)^-1 c_k H_k, because the A_k add up to I; a
 * model that takes no part has none. Layers of more than `diagAbove` inputs take the diagonal of G alone, which is a weighted mean
 * by column. All other tensors: sum c_k theta_k / sum c. The published method has neither a base nor the ridge.
 * Source: Jin et al. 2023, arXiv:2212.09849; METHODS 10.
 */
export const regmean = defineMethod({
  id: "regmean",
  label: "RegMean",
  kind: "from calibration text",
  summary: "merged = every linear layer fitted to the outputs that the models give on the calibration text; all else averaged.",
  formula: "W = (Σ cₖ Gₖ)⁻¹ Σ cₖ Gₖ Wₖ, Gₖ = Xₖᵀ Xₖ",
  source: "https://arxiv.org/abs/2212.09849",
  needs: { base: true, fisher: false, calibration: true, minModels: 1, maxModels: 8 },
  gpuPass: "regmean",
  weighsPass: true,
  params: {
    a: { kind: "number", label: "Off-diagonal a", help: "how much inputs are taken together: 1 as MergeLM does, 0.1 to 0.9 in the paper, 0 takes each input column alone", effect: "pass", default: 1, min: 0, max: 1, step: 0.05 },
    includeBase: {
      kind: "choice", label: "Base as a model", help: "the published method merges fine-tuned models only; with a single one the base has to be the other", effect: "pass", default: "auto",
      options: [{ value: "auto", label: "With one fine-tuned model" }, { value: "yes", label: "Always" }, { value: "no", label: "Never" }],
    },
    baseWeight: { kind: "number", label: "Base weight", help: "weight of the base, where it takes part", effect: "pass", default: 1, min: 0, max: 4, step: 0.05, advanced: true },
    eps: { kind: "number", label: "Ridge ε", help: "this share of the mean of G’s diagonal is added to it: directions that the text never took stay near the plain mean", effect: "pass", default: 1e-4, min: 0, max: 1, advanced: true },
    diagAbove: { kind: "number", label: "Widest full layer", help: "layers with more inputs take the diagonal alone: a full matrix needs 4 d² bytes for every input, 51 MB at 3584", effect: "pass", default: 4096, min: 0, max: 8192, step: 1, integer: true, advanced: true },
    head: { kind: "flag", label: "Fit the head", help: "lm_head as a linear layer too, where it is not tied; else it is averaged", effect: "pass", default: false, advanced: true },
  },
  presets: [
    { id: "mergelm", label: "MergeLM, a 1", params: { a: 1 } },
    { id: "rm", label: "RM, a 0.1", params: { a: 0.1 } },
    { id: "diag", label: "diagonal only", params: { a: 0 } },
  ],
  passValues: (params) => ({ ...params }),
  trimPlan: () => undefined,
  tensorShares: (_, __, { shares }) => shares!,
  arrays: (params, tensor, models) => {
    const input = inputOf(params, tensor.name);
    return input === undefined ? [] : Array.from({ length: models }, (_, k) => projectionName(input, k));
  },
  advise: (params, weights, study) => [
    ...(study?.shares ? ["α of a fitted layer is the mean of the diagonal of A: how much of a change in one input column stays in that column."] : []),
    ...(measuredModels(params, weights).length === 0 ? ["Only one model takes part, so the result is that model."] : []),
    ...(params.eps === 0 && params.a === 1 ? ["Without a ridge, layers whose inputs depend on each other have no solution; the pass then takes a small ridge by itself and says so."] : []),
  ],
  planTensor: ({ params, weights, tensor, cols, arrays }) => {
    if (inputOf(params, tensor.name) === undefined || measuredModels(params, weights).length === 0) return { kind: "add", coefficients: meanShares(params, weights) };
    const found = arrays?.map((array) => array ?? gone(tensor));
    if (takesDiagonal(params, cols)) return { kind: "rows", by: "column", cols, change: true, base: new Float32Array(0), coefficients: found ?? weights.map(() => new Float32Array(cols)) };
    return { kind: "project", cols, matrices: found ?? weights.map(() => new Float32Array(0)) };
  },
});

function gone({ name }: TensorFacts): never {
  throw new StudioError("storage-full", `Merging "${name}": what the pass found of its inputs is no longer in the browser's storage. Run the pass again.`, { title: "The pass is gone", where: name, todo: "Run the pass again.", passGone: true });
}
