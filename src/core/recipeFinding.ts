import type { Recipe } from "./recipe";

/** What reading or writing a recipe in another tool's words has to say: nothing is dropped or changed without one of these. */
export interface RecipeFinding {
  /** `warn`: the merge may not be what the file's writer expects. */
  severity: "info" | "warn";
  /** "unknown-key", "weight-cancels": stable and searchable. */
  code: string;
  sentence: string;
  /** Where in the file: "models[1].parameters.weight". */
  path?: string;
  line?: number;
  column?: number;
}

/** A recipe as mergekit's configuration file. */
export interface MergekitYaml {
  text: string;
  /** Whether mergekit's definition of this merge is ours; random masks are drawn anew even so. */
  exact: boolean;
  findings: RecipeFinding[];
}

/** A recipe that was read from a file, and what there is to say about it. */
export interface ImportedRecipe {
  recipe: Recipe;
  findings: RecipeFinding[];
}
