import type { ModelRef, ParamValue, Recipe } from "../../../core/recipe";
import type { MethodInfo } from "../../../engine/api";

export type RecipeRead = { ok: true; recipe: Recipe } | { ok: false; sentence: string };

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v);
const isRef = (v: unknown): v is ModelRef => isRecord(v) && typeof v["name"] === "string";

/**
 * Reads recipe.json as text. What is not said keeps the value it has in `current`; an unknown method or a value of the
 * wrong kind is refused with a sentence that names it. The engine checks the rest when it uses the recipe.
 */
export function readRecipe(text: string, current: Recipe, methods: readonly MethodInfo[]): RecipeRead {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return { ok: false, sentence: `This is not JSON: ${(error as Error).message}. Paste the whole of recipe.json.` };
  }
  if (!isRecord(json)) return { ok: false, sentence: "This is JSON, but not a recipe. A recipe is an object with a method, a base and models." };
  if (json["version"] !== 1) return { ok: false, sentence: `This recipe has version ${JSON.stringify(json["version"]) ?? "none"}; this page reads version 1.` };
  const method = methods.find((m) => m.id === json["method"]);
  if (!method) return { ok: false, sentence: `The method ${JSON.stringify(json["method"]) ?? "is missing"} is not known here. Known: ${methods.map((m) => m.id).join(", ")}.` };
  const { base, models, params } = json;
  if (!isRef(base)) return { ok: false, sentence: "The recipe names no base model." };
  if (!Array.isArray(models) || models.length === 0 || !models.every(isRef)) return { ok: false, sentence: "The recipe names no fine-tuned model." };
  const values: Record<string, ParamValue> = Object.fromEntries(Object.entries(method.params).map(([name, spec]) => [name, spec.default]));
  for (const [name, value] of Object.entries(isRecord(params) ? params : {})) {
    if (!(name in method.params)) return { ok: false, sentence: `${method.label} has no option ${JSON.stringify(name)}. It has ${Object.keys(method.params).join(", ")}.` };
    if (typeof value !== "number" && typeof value !== "string" && typeof value !== "boolean") return { ok: false, sentence: `The option ${JSON.stringify(name)} is ${JSON.stringify(value)}; a number, a word or true/false is expected.` };
    values[name] = value;
  }
  const tokens = json["tokens"];
  const goodTokens = Array.isArray(tokens) && tokens.every((row) => Array.isArray(row) && row.every((id) => Number.isInteger(id) && (id as number) >= 0));
  if (tokens !== undefined && !goodTokens) return { ok: false, sentence: "The recipe's tokens are not lists of token ids." };
  return {
    ok: true,
    recipe: {
      version: 1,
      method: method.id,
      base,
      models,
      params: values,
      ...(goodTokens ? { tokens: tokens as number[][] } : {}),
      reconciliation: { ...current.reconciliation, ...(isRecord(json["reconciliation"]) ? json["reconciliation"] : {}) } as Recipe["reconciliation"],
      output: { ...current.output, ...(isRecord(json["output"]) ? json["output"] : {}) } as Recipe["output"],
    },
  };
}
