import type { FloatDtype } from "./tensors";

export type ParamValue = number | string | boolean;

/**
 * A number that may differ from tensor to tensor (METHODS 0.3): one for all; a list, which is a gradient over depth and, with as
 * many values as there are layers, a table; or rules, of which the first whose filter is absent, "*", or part of the tensor's
 * name holds.
 */
export type Varying = number | number[] | { filter?: string; value: number | number[] }[];

/** One input model of a recipe. `id` is the store's; `hash` is the XXH3-128 over its weight files, so that a replay can tell. */
export interface ModelRef {
  id?: string;
  name: string;
  hash?: string;
  /** Coefficient of this model, in methods that have one (METHODS `w_k`); 1 when absent. */
  weight?: Varying;
  /** Settings of the method that this model has for itself: `density`, `gamma`, `epsilon`. */
  params?: Record<string, Varying>;
}

/** A method that takes the merged model as its input and moves it back towards the base (AIM, ACM), in the order of the list. */
export interface PostStage {
  method: string;
  params: Record<string, ParamValue>;
}

/** Texts that activations and gradients are taken on, where a method asks for them. */
export interface Calibration {
  /** `builtin`: the project's own prompts; `given`: `texts`, which travel with the recipe. */
  source: "builtin" | "given";
  /** Of the file, or of the built-in set. */
  name: string;
  texts?: string[];
  /** Texts that are used, drawn without replacement with `seed`. */
  samples: number;
  /** Longer texts are cut after so many tokens. */
  maxTokens: number;
  seed: number;
}

/** Which tensors are merged: names that fit `include` (all where absent) and not `exclude`; `*` stands for any text. The others are the base's. */
export interface TensorChoice {
  include?: string[];
  exclude?: string[];
}

/** What an embedding row takes: merged as any row, or as it is in one of the models. */
export type RowChoice = "mix" | "base" | "finetuned";

/** Choices where base and fine-tuned differ (METHODS 8.4). Also recipe keys of `--set`. */
export interface Reconciliation {
  /** `untie`: H = E0 + alpha (H1 - E0), lm_head written. `tie-as-base`: the fine-tuned head is dropped. `head-from-finetuned`: its head is copied. */
  tied: "untie" | "tie-as-base" | "head-from-finetuned";
  /** max_position_embeddings of the output. */
  context: "max" | "base" | "finetuned";
  tokenizer: "base" | "finetuned";
  chatTemplate: "base" | "finetuned";
  generationConfig: "base" | "finetuned";
  /** Embedding rows of ids that mean different things in the two tokenizers: `mix` merges them as any row. */
  clashRows: RowChoice;
  /** Ids whose rows take another choice than `clashRows`. */
  rows?: Record<string, RowChoice>;
  /** Rows of the output where the vocabularies differ in size: those of the base, of the fine-tuned model, or those that both have. Those of the tokenizer's model when absent. */
  vocabulary?: "base" | "finetuned" | "common";
  /** eos_token_id of the output's config.json. Those of the tokenizer's model when absent. */
  stopIds?: "base" | "finetuned";
}

/** The choices that are one word. */
export type ReconciliationKey = Exclude<keyof Reconciliation, "rows">;

/** Those of them that every recipe has. */
export type ReconciliationWord = Exclude<ReconciliationKey, "vocabulary" | "stopIds">;

export interface OutputOptions {
  dtype: "base" | FloatDtype;
  maxShardBytes: number;
  name: string;
}

/**
 * How the kernels of a Fisher pass ran: forms and panels order their sums differently, which can move a last bit. A record
 * of a run and no part of what is merged: it is not in the recipe's hash. Where a recipe has it, the run is repeated so.
 */
export interface KernelRecord {
  /** The adapter that it ran on, in words. */
  adapter: string;
  /** Form of a kernel by class of shapes: `forms.gemm_nt["many rows"]`. */
  forms: Record<string, Record<string, string>>;
  /** No panel of a matrix was larger. */
  panelBytes: number;
}

/** A merge is a function of its recipe: same recipe and adapter, same bytes. */
export interface Recipe {
  version: 1;
  method: string;
  base: ModelRef;
  models: ModelRef[];
  params: Record<string, ParamValue>;
  /** Numbers of `params` that differ from tensor to tensor. */
  vary?: Record<string, Varying>;
  tensors?: TensorChoice;
  /** Post-processes, each on the result of what comes before it. */
  then?: PostStage[];
  calibration?: Calibration;
  /** Token ids of the Fisher pass in place of random ones. */
  tokens?: number[][];
  reconciliation: Reconciliation;
  output: OutputOptions;
  kernels?: KernelRecord;
}
