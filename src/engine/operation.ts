import type { Params } from "../core/params";
import { rowLength } from "../core/tensors";
import type { PassOutput } from "../fisher/measure";
import type { Study } from "../fisher/study";
import type { TensorFacts, TensorSettings, TrimPlan } from "../merge/methods";
import type { TensorOp, Mask } from "../merge/ops";
import { unmeasured, unstudied } from "../merge/unstudied";
import type { RecipeContext } from "./context";

export const factsOf = (output: PassOutput): TensorFacts => ({ ...output.role, name: output.name, elements: output.elements });

/** What the method is told of an output tensor: its own numbers, and those of each model. */
export const settingsAt = ({ settings }: Pick<RecipeContext, "settings">, { name, role }: Pick<PassOutput, "name" | "role">): TensorSettings => settings.at({ name, layer: role.layer });

/** How an output tensor of one model is trimmed. */
export const trimPlanOf = (context: RecipeContext, output: PassOutput, expert: number): TrimPlan | undefined =>
  context.method.trimPlan(settingsAt(context, output).models[expert]!, factsOf(output), context.parameters);

/** Whether an output tensor of any model is trimmed. */
export const isTrimmed = (context: RecipeContext, output: PassOutput): boolean => context.experts.some((_, k) => trimPlanOf(context, output, k) !== undefined);

/** What the method wants to read of an output tensor before it merges it; masks by each model's own settings. */
export function studyOf(context: RecipeContext, output: PassOutput): Study | undefined {
  const { method, experts } = context;
  if (output.elements === 0 || !method.study) return undefined;
  const { models } = settingsAt(context, output);
  const ask = (params: Params): Study | undefined => method.study!(params, factsOf(output), experts.length);
  const first = ask(models[0]!);
  if (models.every((params) => params === models[0])) return first;
  const all = models.map(ask);
  const masked = all.find((study) => study?.kind === "masks");
  return masked?.kind === "masks" ? { ...masked, models: all.map((study) => (study?.kind === "masks" ? study.masks : undefined)) } : first;
}

/** The operation of an output tensor as far as it is known before any pass: its kind and what it reads, not its numbers. */
export function plannedOperation(context: RecipeContext, output: PassOutput, masks?: Mask): TensorOp {
  const { method, experts } = context;
  const cols = rowLength(output);
  const study = method.gpuPass === undefined ? unstudied(studyOf(context, output), experts.length, output.elements / cols, cols) : unmeasured(experts.length);
  return method.planTensor({
    ...settingsAt(context, output), alphas: experts.map(() => 0.5), masks: experts.map(() => masks),
    tensor: factsOf(output),
    majority: 0, cols, rescale: experts.map(() => 1), ...(study ? { study } : {}),
  });
}

/** Whether the masks that a study leads to are made from whole rows. */
export const masksNeedRows = (study: Study | undefined): boolean => study?.kind === "fusion" || (study?.kind === "masks" && study.masks.kind === "ranks");
