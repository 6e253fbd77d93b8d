import { StudioError } from "../core/errors";
import type { Params } from "../core/params";
import { rowLength } from "../core/tensors";
import type { ArrayStore } from "../fisher/types";
import { compactRecipe } from "../export/recipeFile";
import type { PassOutput } from "../fisher/measure";
import type { TensorOp } from "../merge/ops";
import { resolveParams } from "../merge/methods";
import { postOf, type PostMethod } from "../merge/post";
import type { StageShape } from "../analysis/types";
import type { RecipeContext } from "./context";
import { factsOf } from "./operation";

/** A stage of `recipe.then` with its parameters resolved. */
export interface Stage {
  post: PostMethod;
  params: Params;
}

/** The stages of a recipe, in their order. Throws "bad-recipe" for an unknown one, for a setting it does not have, and without calibration text. */
export function stagesOf({ recipe }: Pick<RecipeContext, "recipe">): Stage[] {
  const stages = (recipe.then ?? []).map(({ method, params }): Stage => {
    const post = postOf(method);
    return { post, params: resolveParams(post, params) };
  });
  if (stages.length > 0 && !recipe.calibration) throw new StudioError("bad-recipe", `Reading the recipe: ${stages[0]!.post.label} needs calibration text, and "calibration" is missing.`, { title: "No calibration text", where: "calibration" });
  return stages;
}

/** Canonical text of everything that the measuring of stage `index` depends on; equal texts share it. */
export function stageKey({ recipe }: RecipeContext, index: number): string {
  const { post, params } = stagesOf({ recipe })[index]!;
  const before = post.measures === "both" ? compactRecipe({ ...recipe, then: (recipe.then ?? []).slice(0, index), output: { ...recipe.output, name: "", maxShardBytes: 1 << 20 } }) : "";
  const ref = (model: typeof recipe.base): string => model.hash ?? model.id ?? model.name;
  return JSON.stringify({ post: post.id, models: [recipe.base, ...recipe.models].map(ref).slice(0, post.measures === "both" ? undefined : 1), calibration: recipe.calibration, values: post.passValues(params), before });
}

/** What a stage does to each tensor of the model before it. */
export function stageOps({ plan }: RecipeContext, { post, params }: Stage, findings: ArrayStore): (output: PassOutput) => Promise<TensorOp | undefined> {
  return async (output) => {
    if (output.elements === 0) return undefined;
    const name = post.finding(params, factsOf(output), plan.tied);
    return name === undefined ? undefined : post.planTensor({ params, tensor: factsOf(output), cols: rowLength(output), finding: await findings.get(name) });
  };
}

/** What the page shows of each stage: which share of its merged change a tensor keeps. */
export function stageShapes({ recipe, plan, outputs }: RecipeContext, findings: readonly (ArrayStore | undefined)[]): Promise<StageShape[]> {
  return Promise.all(stagesOf({ recipe }).map(async ({ post, params }, i): Promise<StageShape> => {
    const tensors: StageShape["tensors"] = [];
    const store = findings[i];
    for (const output of store ? outputs : []) {
      const name = post.finding(params, factsOf(output), plan.tied);
      const finding = name === undefined ? undefined : await store!.get(name);
      if (finding) tensors.push({ name: output.name, layer: output.role.layer, share: post.share(params, finding) });
    }
    const mean = tensors.length > 0 ? tensors.reduce((sum, t) => sum + t.share, 0) / tensors.length : undefined;
    return { id: post.id, label: post.label, mean, tensors };
  }));
}
