import type { ComboInfo, MethodInfo } from "../../../engine/api";
import type { Recipe } from "../../../core/recipe";
import { plural } from "../../ui/format";

export interface MethodOption {
  value: string;
  label: string;
  disabled?: boolean;
  group?: string;
}

/** Why a method cannot take this many fine-tuned models, as the end of a sentence. */
export function methodProblem({ needs: { minModels, maxModels } }: MethodInfo, models: number): string | undefined {
  if (models < minModels) return `needs ${plural(minModels, "fine-tuned model")}`;
  return models > maxModels ? `takes ${plural(maxModels, "fine-tuned model")}` : undefined;
}

/** The pair of method and later stages that a recipe is, by name. */
export const comboOf = (recipe: Pick<Recipe, "method" | "then">, combos: readonly ComboInfo[]): ComboInfo | undefined =>
  combos.find((combo) => combo.method === recipe.method && combo.then.map((s) => s.method).join() === (recipe.then ?? []).map((s) => s.method).join());

/** The list of methods in its groups, then the pairs that papers name. */
export function methodOptions(methods: readonly MethodInfo[], combos: readonly ComboInfo[], families: readonly string[], models: number): MethodOption[] {
  const option = (m: MethodInfo, value: string, label: string, group: string): MethodOption => {
    const problem = methodProblem(m, models);
    return { value, label: problem ? `${label}, ${problem}` : label, disabled: problem !== undefined, group };
  };
  const grouped = families.flatMap((family) => methods.filter((m) => m.note?.family === family).map((m) => option(m, m.id, m.label, family)));
  const others = methods.filter((m) => !families.includes(m.note?.family ?? "")).map((m) => option(m, m.id, m.label, "Others"));
  const pairs = combos.flatMap((combo) => methods.filter((m) => m.id === combo.method).map((m) => option(m, combo.id, combo.label, "Pairs that papers name")));
  return [...grouped, ...others, ...pairs];
}

/** "TIES, then ACM against the base": the recipe's stages in words. */
export function stagesSentence(recipe: Pick<Recipe, "method" | "then" | "base" | "models">, nameOf: (id: string) => string): string | undefined {
  if (!recipe.then?.length) return undefined;
  const names = recipe.models.map((m) => m.name);
  const of = names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : (names[0] ?? "");
  return `${nameOf(recipe.method)} of ${of}, then ${recipe.then.map((s) => nameOf(s.method)).join(", then ")} against ${recipe.base.name}.`;
}
