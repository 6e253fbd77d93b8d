import type { Recipe } from "../../src/core/recipe";

/** A complete FIM-TIES recipe over two folders named base and tuned, changed at the top level or one level below. */
export function tinyRecipe(change: { params?: Recipe["params"]; reconciliation?: Partial<Recipe["reconciliation"]>; output?: Partial<Recipe["output"]>; method?: string } = {}): Recipe {
  return {
    version: 1,
    method: change.method ?? "fim-ties",
    base: { id: "id-base", name: "base" },
    models: [{ id: "id-tuned", name: "tuned" }],
    params: change.params ?? { r: 0.2, calib: "frobenius", adaptive: true },
    reconciliation: { tied: "untie", context: "max", tokenizer: "base", chatTemplate: "base", generationConfig: "base", clashRows: "mix", ...change.reconciliation },
    output: { dtype: "base", maxShardBytes: 5e9, name: "merged", ...change.output },
  };
}
