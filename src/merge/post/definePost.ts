import type { Params, ParamSpecs } from "../../core/params";
import type { TensorOp } from "../ops";
import type { TensorFacts } from "../methods";

/** Everything a post-process knows when it says what is done to one tensor of the model that came before it. */
export interface PostContext {
  params: Params;
  tensor: TensorFacts;
  /** Entries per row; a vector is one row. */
  cols: number;
  /** What the measuring found under the name of `finding`; undefined where it found nothing for this tensor. */
  finding: Float32Array | undefined;
}

/**
 * A method that takes a merged model and its base, runs texts through one or both, and moves each tensor some way back to the
 * base. It is measured on the model of the stages before it, which is never written.
 */
export interface PostMethod {
  id: string;
  label: string;
  summary: string;
  formula: string;
  source: string;
  /** `base`: only the base's activations, so the finding does not depend on the merge; `both`: those of base and merge, compared. */
  measures: "base" | "both";
  params: ParamSpecs;
  presets: { id: string; label: string; params: Params }[];
  aliases?: Readonly<Record<string, string>>;
  /** What the measuring depends on, out of the parameters. */
  passValues(params: Params): Params;
  /** Name of the finding that this tensor is treated by; undefined: it stays as it is. `tied`: the output has no head of its own. */
  finding(params: Params, tensor: TensorFacts, tied: boolean): string | undefined;
  /** The operation on (base, merged so far as the first fine-tuned model). */
  planTensor(context: PostContext): TensorOp | undefined;
  /** Share of the merged change that a tensor of this finding keeps on average, for the page. */
  share(params: Params, finding: Float32Array): number;
}

export const definePost = (post: PostMethod): PostMethod => post;
