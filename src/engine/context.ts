import { StudioError } from "../core/errors";
import type { Params } from "../core/params";
import type { Recipe } from "../core/recipe";
import type { Checkpoint } from "../core/tensors";
import { countParameters, layerCount } from "../analysis/facts";
import { preflight } from "../analysis/preflight";
import type { Preflight } from "../core/check";
import type { PassOutput } from "../fisher/measure";
import { planOutput, type OutputPlan } from "../export/plan";
import { checkModels, methodOf, resolveParams, settingsOf, type MergeMethod, type Settings } from "../merge/methods";
import { architectureName } from "../model/config";
import { bodyElements, bodyShape } from "../model/pairing";
import { describeTensor } from "../model/roles";
import { checkRows } from "./rows";
import { checkSettings } from "./checkSettings";

/** A recipe with everything it names opened and checked. */
export interface RecipeContext {
  recipe: Recipe;
  method: MergeMethod;
  params: Params;
  /** Parameters and weights of single tensors and models. */
  settings: Settings;
  base: Checkpoint;
  experts: Checkpoint[];
  plan: OutputPlan;
  /** The merged tensors of the plan; the others are copied. */
  outputs: PassOutput[];
  /** Parameters of the base, which some defaults depend on. */
  parameters: number;
  check: Preflight;
}

/** A copy of a checkpoint that reports how many bytes it reads. */
export function counted(checkpoint: Checkpoint, onBytes: (bytes: number) => void): Checkpoint {
  return {
    ...checkpoint,
    tensors: checkpoint.tensors,
    text: (path) => checkpoint.text(path),
    read: async (name, offset, length, into) => {
      const bytes = await checkpoint.read(name, offset, length, into);
      onBytes(length);
      return bytes;
    },
  };
}

/**
 * Opens the models of a recipe and checks everything that can be checked from headers. Throws "bad-recipe" for the
 * recipe's own faults, settings of single tensors among them, and the first blocking finding as "shape-mismatch" when the models cannot be merged.
 */
export async function openRecipe(recipe: Recipe, open: (id: string) => Promise<Checkpoint>): Promise<RecipeContext> {
  const method = methodOf(recipe.method);
  checkModels(method, recipe.models.length);
  const params = resolveParams(method, recipe.params);
  const opened = await Promise.all([recipe.base, ...recipe.models].map((ref) => open(ref.id ?? ref.name)));
  const [base, ...experts] = opened as [Checkpoint, ...Checkpoint[]];
  const check = await preflight(base, experts, recipe.reconciliation, recipe.tensors);
  const blocker = check.findings.find((f) => f.severity === "block");
  if (blocker) {
    const sentence = [blocker.title, blocker.found, blocker.why, blocker.todo].filter(Boolean).map((s) => s!.replace(/\.?$/, ".")).join(" ");
    throw new StudioError("shape-mismatch", `These models cannot be merged. ${sentence}`, { title: blocker.title, where: blocker.where, found: blocker.found, why: blocker.why, todo: blocker.todo, finding: blocker.code });
  }
  const plan = planOutput(base, experts, recipe);
  if (plan.parameters !== check.parameters) throw new StudioError("internal", `Planning the output: it has ${plan.parameters} parameters, the check said ${check.parameters}. This is a fault of the planner, not of the models.`);
  const architecture = architectureName(base.config);
  const outputs = plan.tensors
    .filter((t) => t.action === "merge")
    .map((t): PassOutput => ({ name: t.name, role: describeTensor(t.name, architecture), shape: bodyShape(t), elements: bodyElements(t), baseName: t.baseName, tunedNames: t.tunedNames as string[] }));
  checkRows(recipe, outputs);
  const settings = settingsOf(method, recipe, params, layerCount(base, plan.tensors.map((t) => describeTensor(t.name, architecture).layer)));
  const context = { recipe, method, params, settings, base, experts, plan, outputs, parameters: countParameters(base), check };
  if (settings.varied) checkSettings(context);
  return context;
}
