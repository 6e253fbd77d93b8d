import { sameModel } from "../core/modelNames";
import type { Recipe } from "../core/recipe";
import type { ImportedRecipe, MergekitYaml } from "../core/recipeFinding";
import { StudioError, toStudioError } from "../core/errors";
import type { FloatDtype } from "../core/tensors";
import { located, parseRecipe } from "../export/recipeFile";
import { exportMergekit } from "../merge/mergekit/export";
import { importMergekit } from "../merge/mergekit/import";
import { checkModels, methodOf, resolveParams, settingsOf } from "../merge/methods";
import { postOf } from "../merge/post";
import type { Shape, StoredModel } from "./api";
import type { RecipeContext } from "./context";

/**
 * A recipe from the text of a recipe.json, or of a mergekit file, with what there is to say about it. Throws "bad-recipe", with
 * path, line and column, for what cannot be used; settings that a method does not have are found here, not in the merge.
 */
export function readRecipe(text: string, kind: "json" | "yaml", models: readonly StoredModel[]): ImportedRecipe {
  if (kind === "yaml") return importMergekit(text, (name) => models.find((m) => sameModel(m.name, name))?.facts.layers);
  const recipe = parseAny(text);
  checkNames(text, recipe);
  return { recipe, findings: [] };
}

/** As parseRecipe; a file that has nothing of a recipe is told to be none, whatever else is wrong with it. */
function parseAny(text: string): Recipe {
  try {
    return parseRecipe(text);
  } catch (error) {
    if (/"(?:method|base|models)"\s*:/.test(text)) throw error;
    const todo = "Drop the recipe.json of an export, a mergekit file (.yaml), or a whole model folder.";
    throw new StudioError("bad-recipe", `Reading the recipe: it names no method, no base and no models. ${todo}`, { title: "This file is not a recipe", found: "no method, base or models in it", todo }, { cause: error });
  }
}

function checkNames(text: string, recipe: Recipe): void {
  const at = <T>(path: (string | number)[], check: () => T): T => {
    try {
      return check();
    } catch (error) {
      const own = toStudioError(error).details.path;
      throw located(text, typeof own === "string" ? steps(own) : path, error);
    }
  };
  const method = at(["method"], () => methodOf(recipe.method));
  at(["models"], () => checkModels(method, recipe.models.length));
  for (const [key, value] of Object.entries(recipe.params)) at(["params", key], () => resolveParams(method, { [key]: value }));
  at([], () => settingsOf(method, recipe, resolveParams(method, recipe.params), 1));
  recipe.then?.forEach((stage, i) => {
    const post = at(["then", i, "method"], () => postOf(stage.method));
    for (const [key, value] of Object.entries(stage.params)) at(["then", i, "params", key], () => resolveParams(post, { [key]: value }));
  });
}

/** "models[0].params.density" as the steps of a path. */
const steps = (path: string): (string | number)[] => path.split(/[.[\]]+/).filter((s) => s !== "").map((s) => (/^\d+$/.test(s) ? Number(s) : s));

/** The recipe as a mergekit file, with the layer weights of its pass. */
export function mergekitOf({ recipe, base, experts, parameters }: RecipeContext, shape: Shape): MergekitYaml {
  const tied = [base, ...experts].map((model) => model.config.tie_word_embeddings === true);
  return exportMergekit(recipe, { shape, parameters, baseDtype: mainDtype(base), headsDiffer: tied.some((t) => t !== tied[0]) });
}

/** The dtype that most bytes of a model have; undefined where that is none of the three we write. */
function mainDtype({ tensors }: RecipeContext["base"]): FloatDtype | undefined {
  const bytes = new Map<string, number>();
  for (const { dtype, begin, end } of tensors.values()) bytes.set(dtype, (bytes.get(dtype) ?? 0) + end - begin);
  const [main] = [...bytes].sort((a, b) => b[1] - a[1])[0] ?? [];
  return main === "F32" || main === "F16" || main === "BF16" ? main : undefined;
}
