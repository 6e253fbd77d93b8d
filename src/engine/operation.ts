import { rowLength } from "../core/tensors";
import type { PassOutput } from "../fisher/measure";
import type { Study } from "../fisher/study";
import type { TensorOp, Mask } from "../merge/ops";
import { unstudied } from "../merge/unstudied";
import type { RecipeContext } from "./context";

/** What the method wants to read of an output tensor before it merges it. */
export function studyOf({ method, params, experts }: RecipeContext, output: PassOutput): Study | undefined {
  return output.elements > 0 ? method.study?.(params, { ...output.role, name: output.name, elements: output.elements }, experts.length) : undefined;
}

/** The operation of an output tensor as far as it is known before any pass: its kind and what it reads, not its numbers. */
export function plannedOperation(context: RecipeContext, output: PassOutput, masks?: Mask): TensorOp {
  const { method, params, weights, experts } = context;
  const cols = rowLength(output);
  const study = unstudied(studyOf(context, output), experts.length, output.elements / cols, cols);
  return method.planTensor({
    params, weights, alphas: experts.map(() => 0.5), masks: experts.map(() => masks),
    tensor: { ...output.role, name: output.name, elements: output.elements },
    majority: 0, cols, rescale: experts.map(() => 1), ...(study ? { study } : {}),
  });
}

/** Whether the masks that a study leads to are made from whole rows. */
export const masksNeedRows = (study: Study | undefined): boolean => study?.kind === "fusion" || (study?.kind === "masks" && study.masks.kind === "ranks");
