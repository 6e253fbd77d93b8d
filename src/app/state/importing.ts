import type { Slice } from "./env";
import type { ImportSlice } from "./types";

/** Recipes from files and pasted text, and the recipe in mergekit's words. */
export const createImporting: Slice<ImportSlice> = (set, get, env) => ({
  imported: undefined,
  readRecipe: async (text, file) => {
    set({ imported: undefined });
    const { recipe, findings } = await env.engine.importRecipe(text, /^\s*\{/.test(text) ? "json" : "yaml");
    if (!(await get().loadRecipe(recipe))) return;
    set({ imported: { file, findings } });
    get().go("shape");
    if (get().step !== "shape") get().go("check");
  },
  dropRecipe: async (file) => {
    try {
      await get().readRecipe(await file.text(), file.name);
    } catch (error) {
      get().fail(error, `Reading ${file.name}`);
    }
  },
  dismissImported: () => set({ imported: undefined }),
  mergekitYaml: async () => {
    const { recipe } = get();
    return recipe && env.engine.mergekitYaml(recipe);
  },
});
