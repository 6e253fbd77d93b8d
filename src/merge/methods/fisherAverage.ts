import { StudioError } from "../../core/errors";
import type { Params } from "../../core/params";
import type { TensorStudy } from "../../fisher/study";
import { defineMethod } from "./defineMethod";
import { randomInputs } from "./fimParams";
import { studied } from "./studied";

/** Takes sums of w F theta clear of subnormals; a factor of all weights changes nothing. */
const SCALE = 2 ** 60;

/** Whether the base is one of the models that are averaged. */
export const averagesBase = (params: Params, models: number): boolean => params.includeBase === "yes" || (params.includeBase === "auto" && models === 1);

/** w of each model that takes part, the base last. Throws "bad-recipe" where they cannot be a mean's. */
export function averageWeights(params: Params, weights: readonly number[]): number[] {
  const all = [...weights, ...(averagesBase(params, weights.length) ? [params.baseWeight as number] : [])];
  if (all.some((w) => w < 0) || all.every((w) => w === 0))
    throw new StudioError("bad-recipe", `Merging with Fisher averaging: the weights are ${all.join(", ")}; none may be below 0, and one must be above. Change a weight.`, { title: "Weights that make no mean", found: all.join(", "), expected: "0 or more, one of them above 0" });
  return all;
}

/** Of each model that takes part: c_k up to a factor of all, the least F that counts, and its share of the plain mean. */
function partsOf(params: Params, weights: readonly number[], { norms, means }: NonNullable<TensorStudy["fisher"]>): { c: number; least: number; share: number }[] {
  const all = averageWeights(params, weights);
  const sum = all.reduce((a, b) => a + b, 0);
  const by = all.map((w, k) => (params.normalize === true && norms[k]! > 0 ? w / norms[k]! : w));
  const most = Math.max(...by);
  const floor = (k: number): number => (params.floor as number) * (params.floorUnit === "mean" ? means[k]! : 1);
  return all.map((w, k) => ({ c: by[k]! / most, least: k === 0 || params.floorOn === "all" ? floor(k) : 0, share: w / sum }));
}

/** Share of each fine-tuned model in a tensor whose entries were all the tensor's mean; single entries differ. */
function tensorShares(params: Params, weights: readonly number[], study: NonNullable<TensorStudy["fisher"]>): number[] {
  const parts = partsOf(params, weights, study);
  const by = parts.map(({ c, least }, k) => c * Math.max(study.own[k]!, least));
  const total = by.reduce((a, b) => a + b, 0);
  return weights.map((_, k) => (study.known && total > 0 ? by[k]! / total : parts[k]!.share));
}

/**
 * Fisher-weighted averaging: the mean of the models, each entry weighted by how much it matters to each model.
 *
 *   theta = sum_k c_k F_k theta_k / sum_k c_k F_k,   c_k = w_k, or w_k / |F_k|_2 over the whole model,   F_k >= floor
 *
 * F_k is the sequence-level diagonal Fisher of model k at its own weights (METHODS 8, A10), where the published code has a
 * classifier's. Where no model has a Fisher above 0, and in tensors without one: sum w_k theta_k / sum w_k. The base takes no
 * part in the published method; with one fine-tuned model it has to, or there would be nothing to average.
 * Source: Matena and Raffel 2022, arXiv:2111.09832; floor and norm as in its code (METHODS 10).
 */
export const fisherAverage = defineMethod({
  id: "fisher-average",
  label: "Fisher averaging",
  kind: "Fisher-weighted",
  summary: "merged = the mean of the models, entry by entry, each weighted by its own sequence-level Fisher.",
  formula: "θ = Σ cₖ Fₖ θₖ / Σ cₖ Fₖ",
  source: "https://arxiv.org/abs/2111.09832",
  needs: { base: true, fisher: false, minModels: 1, maxModels: 8 },
  gpuPass: "fisher-average",
  params: {
    includeBase: {
      kind: "choice", label: "Base as a model", help: "the published method averages fine-tuned models only; with a single one the base has to be the other", effect: "pass", default: "auto",
      options: [{ value: "auto", label: "With one fine-tuned model" }, { value: "yes", label: "Always" }, { value: "no", label: "Never" }],
    },
    baseWeight: { kind: "number", label: "Base weight", help: "weight of the base, where it takes part", effect: "at-once", default: 1, min: 0, max: 4, step: 0.05, varies: "tensor" },
    normalize: { kind: "flag", label: "Normalize the Fishers", help: "divide each model’s weight by the norm of its Fisher, so that no model wins by larger gradients alone", effect: "at-once", default: true },
    floor: { kind: "number", label: "Floor", help: "a smaller Fisher counts as this much; the published 1e-6 is made for the Fisher of classifiers", effect: "at-once", default: 1e-6, min: 0, max: 1, step: 1e-6 },
    floorOn: {
      kind: "choice", label: "Floor holds for", help: "the first model alone wins where no model has a Fisher; with all, the models are averaged there", effect: "at-once", default: "target",
      options: [{ value: "target", label: "First model" }, { value: "all", label: "All models" }],
    },
    floorUnit: {
      kind: "choice", label: "Unit of the floor", help: "the number itself, as published, or a share of each model’s mean Fisher, which fits models of any size", effect: "at-once", default: "absolute", advanced: true,
      options: [{ value: "absolute", label: "The number" }, { value: "mean", label: "Mean Fisher" }],
    },
    tokens: {
      kind: "choice", label: "Fisher taken on", help: "random tokens, as FIM does, or the recipe’s calibration text", effect: "pass", default: "random",
      options: [{ value: "random", label: "Random tokens" }, { value: "calibration", label: "Calibration text" }],
    },
    ...randomInputs,
    labels: {
      kind: "choice", label: "Labels", help: "the tokens themselves, or tokens drawn from each model", effect: "pass", default: "self", advanced: true,
      options: [{ value: "self", label: "Same tokens" }, { value: "sampled", label: "Sampled" }],
    },
  },
  presets: [],
  passValues: (params) => {
    const drawn = params.tokens === "random" ? Object.keys(randomInputs) : params.labels === "sampled" ? ["seed"] : [];
    return Object.fromEntries(["includeBase", "tokens", "labels", ...drawn].map((name) => [name, params[name]!]));
  },
  trimPlan: () => undefined,
  advise: (params, weights, study) => {
    const all = averageWeights(params, weights);
    const mean = study?.fisher?.means[0];
    return [
      "The Fisher is the sequence-level one: the gradient of a whole sequence, squared. The published method has a classifier’s.",
      ...(study?.fisher ? ["α is the share that a tensor’s mean Fisher would give; every entry has a share of its own."] : []),
      ...(all.length === 1 ? ["Only one model takes part, so the result is that model."] : []),
      ...(mean !== undefined && params.floorUnit === "absolute" && (params.floor as number) > mean ? [`The floor ${String(params.floor)} is above the mean Fisher of the first model, ${mean.toPrecision(2)}, so ${params.floorOn === "target" ? "most entries stay those of that model" : "most entries are averaged alike"}. Lower it, or take it as a share of the mean.`] : []),
      ...(params.floor === 0 ? ["Without a floor, entries in which no model has a Fisher take the plain mean of the models."] : []),
    ];
  },
  tensorShares: (params, weights, { fisher }) => tensorShares(params, weights, fisher!),
  planTensor: ({ params, weights, tensor, study }) => {
    const fisher = studied(study?.fisher, tensor.name);
    const parts = partsOf(params, weights, fisher);
    const of = (k: number): number => parts[k]?.share ?? 0;
    if (!fisher.known) return { kind: "combine", baseCoefficient: of(weights.length), coefficients: weights.map((_, k) => of(k)) };
    return { kind: "weighted", parts: parts.map(({ c, least, share }, k) => ({ ...(k < weights.length ? { source: k } : {}), coefficient: c * SCALE, least, share })) };
  },
});
