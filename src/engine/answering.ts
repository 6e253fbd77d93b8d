import type { OnProgress } from "../core/progress";
import { pausable } from "../core/pause";
import type { Recipe } from "../core/recipe";
import { identified, type Checkpoint } from "../core/tensors";
import type { TryModel } from "../core/trying";
import { smallFiles } from "../export/config";
import { recipeHash } from "../export/recipeFile";
import { virtualCheckpoint } from "../export/virtual";
import type { Gpu } from "../gpu/gpu";
import type { createMerges } from "./merges";
import type { EngineEnv } from "./engine";
import type { Resources } from "./resources";
import { planWork } from "./work";

/** A model that answers: where its weights come from on a given device, and the small files beside them. */
export interface Answering {
  name: string;
  /** Two that agree here have the same weights. */
  key: string;
  recipeHash?: string;
  /** Headers and small files, without the weights. */
  files: Checkpoint;
  weights(gpu: Gpu, signal: AbortSignal): Promise<Checkpoint>;
}

/** Two recipes with one hash are one merge. */
const mergeKey = (recipe: Pick<Recipe, "base" | "models">, hash: string): string => `merge ${[recipe.base, ...recipe.models].map((m) => m.hash ?? m.id ?? m.name).join(" ")} ${hash}`;

/** Opens models that answer: stored ones, and merges, for which is measured first what they need. */
export function createAnswering({ library }: Pick<EngineEnv, "library">, resources: Resources, readyMerge: ReturnType<typeof createMerges>["readyMerge"]) {
  /** With the identity of its tensors: where a model lies in the library, and the hash of what lies there. */
  const known = async (checkpoint: Checkpoint, id: string): Promise<Checkpoint> => {
    const stored = (await library.list()).find((model) => model.id === id);
    return identified(checkpoint, JSON.stringify([id, stored?.hash]));
  };

  return async (model: TryModel, jobId: string, signal: AbortSignal, onProgress: OnProgress): Promise<Answering> => {
    if (model.kind === "model") {
      const files = await library.get(model.id);
      return { name: files.name, key: `model ${model.id}`, files, weights: async () => pausable(await known(resources.timed(files), model.id), signal) };
    }
    const { context, shape, measured } = await readyMerge(model.recipe, jobId, signal, onProgress);
    const { base, experts, plan, recipe } = context;
    const files = (await smallFiles(base, experts, recipe, plan)).map((f) => f.file);
    const at = { recipe, plan, files };
    const hash = await recipeHash(recipe);
    return {
      name: recipe.output.name, key: mergeKey(recipe, hash), recipeHash: hash,
      files: virtualCheckpoint({ ...at, gpu: undefined, sources: { base, experts }, workOf: async (tensor) => (await planWork(context, shape, measured, signal))(tensor) }),
      weights: async (gpu, of) => {
        const [from, ...others] = (await Promise.all([recipe.base, ...recipe.models].map((ref, i) => known(resources.timed(i === 0 ? base : experts[i - 1]!), ref.id ?? ref.name)))) as [Checkpoint, ...Checkpoint[]];
        return virtualCheckpoint({ ...at, gpu, sources: { base: from, experts: others }, workOf: await planWork(context, shape, measured, of), signal: of });
      },
    };
  };
}
