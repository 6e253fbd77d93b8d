import type { Params } from "../../core/params";
import type { ParamValue, Recipe } from "../../core/recipe";
import { numbersIn } from "../../core/varying";

/** One setting of mergekit and the parameter of ours that it is. */
export interface Key {
  /** Absent: mergekit has a number here that is fixed with us; only `default` can be taken. */
  param?: string;
  /** What mergekit takes where nothing is said; undefined: it must be said. */
  default?: number | boolean;
  /** Our words for true and false, where ours is no flag. */
  words?: readonly [whenTrue: ParamValue, whenFalse: ParamValue];
}

/** How mergekit tells one of its methods (METHODS 0.3, 3b, 4, 9). */
export interface Dialect {
  /** `merge_method`. */
  name: string;
  /** Our id. */
  method: string;
  /**
   * `origin`: base_model is needed, and what changes are taken to, or one end of a path. `optional`: with it changes are merged,
   * without it the models. `input`: it is one of the models that are averaged.
   */
  base: "origin" | "optional" | "input";
  /** Each model has a `weight`, and must have one. */
  weights: boolean;
  /** Under `parameters` of the file, one for all models. */
  shared: Readonly<Record<string, Key>>;
  /** Under `parameters` of a model; those of the file hold where a model has none. */
  own: Readonly<Record<string, Key>>;
  /** Our switches as mergekit does it. */
  fixed: Readonly<Record<string, ParamValue>>;
  /** What it draws at random comes from a generator that nobody else has. */
  random?: boolean;
}

const rescale = (on: boolean): Record<string, Key> => ({ rescale: { param: "rescale", default: on } });
const l1 = { rescale: { param: "rescale", default: true, words: ["l1-match", "none"] } } as const;
const normalize = (on: boolean): Key => ({ param: "normalize", default: on });
const lambda: Key = { param: "lambda", default: 1 };
const density: Key = { param: "density", default: 1 };
const gamma: Key = { param: "gamma", default: 0.01 };
const epsilon: Key = { param: "epsilon", default: 0.15 };
const step: Key = { param: "t" };

const arithmetic = { base: "origin", weights: true, own: {}, fixed: {} } as const;
const plain = { base: "origin", weights: false, shared: {}, own: {}, fixed: {} } as const;

export const DIALECTS: readonly Dialect[] = [
  { name: "linear", method: "linear", base: "input", weights: true, shared: { normalize: normalize(true) }, own: {}, fixed: {} },
  { ...plain, name: "slerp", method: "slerp", shared: { t: step } },
  { name: "nuslerp", method: "nuslerp", base: "optional", weights: true, shared: { nuslerp_flatten: { param: "flatten", default: true }, nuslerp_row_wise: { param: "rowWise", default: false } }, own: {}, fixed: {} },
  { name: "multislerp", method: "multislerp", base: "optional", weights: true, shared: { normalize_weights: normalize(true), eps: { param: "eps", default: 1e-8 } }, own: {}, fixed: {} },
  { name: "karcher", method: "karcher", base: "input", weights: false, shared: { max_iter: { param: "maxIter", default: 10 }, tol: { param: "tol", default: 1e-5 } }, own: {}, fixed: {} },
  { ...arithmetic, name: "task_arithmetic", method: "task-arithmetic", shared: { normalize: normalize(false), lambda } },
  {
    ...arithmetic, name: "ties", method: "ties", own: { density },
    shared: { normalize: { param: "divisor", default: true, words: ["weights", "none"] }, lambda, ...rescale(false) },
    fixed: { scope: "tensor", keepRule: "mergekit", elect: "sum", zero: "plus", weights: "use" },
  },
  { ...arithmetic, name: "dare_linear", method: "dare_linear", own: { density }, shared: { normalize: normalize(false), lambda, ...l1 }, random: true },
  { ...arithmetic, name: "dare_ties", method: "dare_ties", own: { density }, shared: { normalize: normalize(false), lambda, ...l1 }, random: true },
  { ...arithmetic, name: "della", method: "della", own: { density, epsilon }, shared: { normalize: normalize(true), lambda, ...rescale(true) }, random: true },
  { ...arithmetic, name: "della_linear", method: "della_linear", own: { density, epsilon }, shared: { normalize: normalize(false), lambda, ...rescale(true) }, random: true },
  { ...arithmetic, name: "breadcrumbs", method: "breadcrumbs", own: { density, gamma }, shared: { normalize: normalize(false), lambda, ...rescale(false) } },
  { ...arithmetic, name: "breadcrumbs_ties", method: "breadcrumbs_ties", own: { density, gamma }, shared: { normalize: normalize(false), lambda, ...rescale(false) } },
  { ...plain, name: "sce", method: "sce", shared: { select_topk: { param: "selectTopk", default: 1 } } },
  { ...plain, name: "model_stock", method: "model_stock", shared: { filter_wise: { param: "filterWise", default: false } } },
  { ...plain, name: "nearswap", method: "nearswap", shared: { t: step } },
  { ...plain, name: "arcee_fusion", method: "arcee_fusion" },
  { ...plain, name: "ram", method: "ram", shared: { epsilon: { default: 1e-5 } } },
  { ...plain, name: "ramplus_tl", method: "ramplus_tl", shared: { r: { param: "r", default: 0.1 }, alpha: { param: "alpha", default: 0.2 }, epsilon: { default: 1e-5 } } },
  { name: "passthrough", method: "passthrough", base: "input", weights: false, shared: {}, own: { scale: { param: "scale", default: 1 } }, fixed: {} },
];

/** Whether a recipe of this method can be told without the numbers of its pass. */
export const inMergekit = (method: string): boolean => DIALECTS.some((d) => d.method === method);

/** Memory and nothing else: true or false gives the same numbers. */
export const HARMLESS: readonly string[] = ["int8_mask"];

/** Whether a density is below 1 anywhere, so that something is dropped. */
export function keepsLess({ models, vary }: Pick<Recipe, "models" | "vary">, params: Params): boolean {
  const densities = [(params.density ?? 1) as number, vary?.density ?? 1, ...models.map((m) => m.params?.density ?? 1)];
  return densities.some((density) => numbersIn(density).some((d) => d < 1));
}
