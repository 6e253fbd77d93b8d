import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { StudioError } from "../core/errors";
import type { Recipe } from "../core/recipe";
import type { RecipeFinding } from "../core/recipeFinding";
import type { EngineApi, ModelFacts } from "../engine/api";
import { hashWeights } from "../store/hash";
import type { Library } from "../store/library";

/** Reads a small text file; throws "bad-request" naming it. */
export async function readText(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new StudioError("bad-request", `Reading ${what} ${path}: the file does not exist or cannot be read.`, { where: path }, { cause });
  }
}

/** "line 3 column 5, models[1].nickname: ..." */
const findingText = ({ severity, sentence, line, column, path }: RecipeFinding): string => `${severity === "warn" ? "Warning" : "Note"}${line === undefined ? "" : `, line ${line} column ${column}${path ? `, ${path}` : ""}`}: ${sentence}`;

/**
 * The recipe of a recipe.json or a mergekit file (.yaml, .yml), over the folders that were given; `say` gets a line for each
 * finding. Throws with path, line and column for what cannot be used, and when models are missing or too many.
 */
export async function recipeFromFile(engine: EngineApi, file: string, base: string, models: readonly string[], say: (line: string) => void): Promise<Recipe> {
  const kind = /\.ya?ml$/i.test(file) ? "yaml" : "json";
  const { recipe, findings } = await engine.importRecipe(await readText(file, "the recipe"), kind);
  if (recipe.models.length !== models.length) {
    const twice = recipe.models.some((m) => m.name === recipe.base.name) ? ` "${recipe.base.name}" is one of them and stands for the base too: give its folder with --base and with --model.` : "";
    throw new StudioError("bad-request", `The recipe names ${recipe.models.length} fine-tuned models, but --model was given ${models.length} times.${twice}`);
  }
  recipe.base.id = base;
  recipe.models.forEach((ref, i) => (ref.id = models[i]!));
  findings.forEach((finding) => say(findingText(finding)));
  if (kind === "yaml") for (const ref of [recipe.base, ...recipe.models]) say(`"${ref.name}" is ${ref.id}.`);
  return recipe;
}

/** Content hashes of model folders, each read once. */
export function weightHashes(library: Pick<Library<ModelFacts>, "get">): (path: string) => Promise<string> {
  const known = new Map<string, Promise<string>>();
  return (path) => {
    const hash = known.get(path) ?? library.get(path).then(({ files }) => hashWeights(files));
    known.set(path, hash);
    return hash;
  };
}

/** Names the weights in a recipe by their hashes, as a store does. Throws "bad-recipe" when it was made with others. */
export async function nameWeights(recipe: Recipe, hashOf: (path: string) => Promise<string>): Promise<void> {
  for (const ref of [recipe.base, ...recipe.models]) {
    const hash = await hashOf(ref.id!);
    if (ref.hash && ref.hash !== hash) throw new StudioError("bad-recipe", `The recipe was made with another "${ref.name}": its weights have the hash ${ref.hash}, those in ${ref.id} have ${hash}. Give the folder that the recipe was made with.`);
    ref.hash = hash;
  }
}

/** Writes the recipe as a mergekit file; a line to `say` for what mergekit cannot say. */
export async function writeMergekit(engine: EngineApi, recipe: Recipe, path: string, say: (line: string) => void): Promise<void> {
  const { text, findings } = await engine.mergekitYaml(recipe);
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  } catch (cause) {
    throw new StudioError("bad-request", `Writing the recipe for mergekit ${path}: it cannot be written.`, { where: path }, { cause });
  }
  findings.forEach((finding) => say(findingText(finding)));
}
