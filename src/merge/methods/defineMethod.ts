import type { Params, ParamSpecs } from "../../core/params";
import type { Study, TensorStudy } from "../../fisher/study";
import type { TensorRole } from "../../model/roles";
import type { Mask, TensorOp } from "../ops";
import type { TrimRule } from "../trim";

/** What a method may ask of a tensor: `describeTensor` of its name, and its size. */
export interface TensorFacts extends TensorRole {
  name: string;
  elements: number;
}

/** How the entries of a tensor are trimmed; keys are F |delta| or |delta|. */
export interface TrimPlan {
  key: "fisher" | "magnitude";
  rule: TrimRule;
  /** Fraction kept. */
  share: number;
  /** Which entries share one threshold: of this tensor, of all trimmed tensors of its block, or of the model. */
  scope: "tensor" | "block" | "model";
  /** Never keep an entry whose key is 0. */
  dropZero: boolean;
  /** What is kept of a tensor gets the L1 norm of its whole change. */
  l1?: boolean;
}

/** Everything a method knows when it says what is done to one output tensor. */
export interface PlanContext {
  params: Params;
  /** What each model has for itself, `params` otherwise; absent where that is so for all. */
  models?: readonly Params[];
  /** Weight of each fine-tuned model for this tensor, 1 where the recipe gives none. */
  weights: number[];
  tensor: TensorFacts;
  /** Coefficient of each model for this tensor, from the shape: gate factor, scale and policy outside the blocks included. */
  alphas: number[];
  /** Mask of each model, undefined where it is not trimmed. */
  masks: Mask[];
  /** Norm ratio to divide by, when calibration fired. */
  rho?: number;
  /** Sum over the model of the signs of the votes; only asked for when `needsMajority`. */
  majority?: number;
  /** Entries per row; a vector is one row. */
  cols: number;
  /** What `study` found. */
  study?: TensorStudy;
  /** What the method's GPU pass stored under the names of `arrays`, in their order; undefined where it stored nothing. */
  arrays?: (Float32Array | undefined)[];
  /** Factor of each model's masked change; 1 where nothing is given back. */
  rescale: number[];
}

export interface MergeMethod {
  id: string;
  label: string;
  /** The word after the name. */
  kind: string;
  summary: string;
  formula: string;
  source: string;
  /** `calibration`: texts, from the recipe's `calibration`. */
  needs: { base: boolean; fisher: boolean; calibration?: boolean; minModels: number; maxModels: number };
  /** The pass on the GPU that it measures with, where that is not the Fisher pass of FIM (engine/gpuPasses). */
  gpuPass?: string;
  /** The pass depends on the models' weights. */
  weighsPass?: boolean;
  /** Names of what that pass stored for this tensor, for planTensor. */
  arrays?(params: Params, tensor: TensorFacts, models: number): string[];
  params: ParamSpecs;
  presets: { id: string; label: string; params: Params }[];
  /** Other spellings of parameter names. */
  aliases?: Readonly<Record<string, string | ((value: unknown) => [name: string, value: unknown])>>;
  /** What a measuring pass depends on, out of the parameters; two sets that agree here share the pass. */
  passValues(params: Params): Params;
  /** How this tensor of a model is trimmed, by the model's own `params`; undefined: not at all. `parameters` is the size of the base model. */
  trimPlan(params: Params, tensor: TensorFacts, parameters: number): TrimPlan | undefined;
  /**
   * Share of each model's change that every tensor takes, for methods that need no measuring; undefined: alpha comes from
   * the Fisher. Throws "bad-recipe" when the weights cannot be used.
   */
  coefficients?(params: Params, weights: readonly number[]): number[];
  /**
   * What must be read of a tensor before it can be merged; the finding is kept with the pass and given to planTensor. Asked
   * with each model's own `params`, which only the masks of that model may depend on.
   */
  study?(params: Params, tensor: TensorFacts, models: number): Study | undefined;
  /** Share of each model's change that a tensor takes once it was studied, in place of `coefficients`; for the page. */
  tensorShares?(params: Params, weights: readonly number[], study: TensorStudy): number[];
  /** Warnings about these parameters and weights, in sentences; `study` is what was found of any one tensor, once it was. */
  advise?(params: Params, weights: readonly number[], study?: TensorStudy): string[];
  /** Whether planTensor wants `majority`, which takes a walk over all tensors first. */
  needsMajority?(params: Params, models: number): boolean;
  planTensor(context: PlanContext): TensorOp;
}

/** Declares a merge method; the panel draws its form from `params` and the engine lists it. */
export const defineMethod = (method: MergeMethod): MergeMethod => method;
