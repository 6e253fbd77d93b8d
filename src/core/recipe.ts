import type { FloatDtype } from "./tensors";

export type ParamValue = number | string | boolean;

/** One input model of a recipe. `id` is the store's; `hash` is the XXH3-128 over its weight files, so that a replay can tell. */
export interface ModelRef {
  id?: string;
  name: string;
  hash?: string;
  /** Coefficient of this model, in methods that have one (METHODS `w_k`); 1 when absent. */
  weight?: number;
}

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
  clashRows: "mix" | "base" | "finetuned";
}

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
  /** Token ids of the Fisher pass in place of random ones. */
  tokens?: number[][];
  reconciliation: Reconciliation;
  output: OutputOptions;
  kernels?: KernelRecord;
}
