import { sha256 } from "../core/digest";
import { throwIfCancelled } from "../core/errors";
import type { OnProgress } from "../core/progress";
import type { Recipe } from "../core/recipe";
import { computeShape } from "../analysis/shape";
import type { ArrayStore, TensorStats } from "../fisher/types";
import { kernelsText } from "../export/recipeFile";
import { passKey } from "../merge/methods";
import { tokeniseCalibration } from "../text/calibration";
import type { Shape } from "./api";
import { openRecipe, type RecipeContext } from "./context";
import type { EngineEnv } from "./engine";
import { alone } from "./jobs";
import { measurePass, type PassHost } from "./measuring";
import { isTrimmed, studyOf } from "./operation";
import type { StoredPass } from "./passStore";
import { measureStage } from "./stagePass";
import { stageKey, stagesOf } from "./stages";
import type { Measured } from "./work";

/** Name of what a text stands for: 96 bits are enough to tell passes apart. */
const shortHash = async (text: string): Promise<string> => (await sha256(text)).slice(0, 24);

/** What measuring needs of the engine, and what has to happen before a pass takes the GPU. */
export type MergesHost = Omit<PassHost, "shapeOf" | "fisherFile"> & { beforePass(): void };

/** Recipes on their way to a merge: opened, with the passes that they are made from, stored, awaited or run. */
export function createMerges(env: Pick<EngineEnv, "library" | "locks" | "fisherFile">, host: MergesHost) {
  const { passes } = host;
  /** Passes in work by key: a second request for the same numbers waits for the first. */
  const inWork = new Map<string, Promise<unknown>>();

  const withHashes = async (recipe: Recipe): Promise<Recipe> => {
    const stored = new Map((await env.library.list()).map((m) => [m.id, m]));
    const fill = (ref: Recipe["base"]): Recipe["base"] => {
      const hash = (ref.id === undefined ? undefined : stored.get(ref.id)?.hash) ?? ref.hash;
      return hash ? { ...ref, hash } : ref;
    };
    return { ...recipe, base: fill(recipe.base), models: recipe.models.map(fill) };
  };
  const open = async (recipe: Recipe): Promise<RecipeContext> => openRecipe(await withHashes(recipe), (id) => env.library.get(id));
  const keyOf = async (context: RecipeContext): Promise<string> => {
    const text = passKey(context.method, context.params, context.recipe, { settings: context.settings, outputs: context.outputs, leftOut: context.plan.leftOut });
    const plain = await shortHash(text);
    const record = context.recipe.kernels;
    if (!record || !context.method.needs.fisher) return plain;
    // A pass that ran as the recipe says will do, whoever asked for it.
    const known = (await passes.get(plain))?.report.kernels;
    return known && kernelsText(known) === kernelsText(record) ? plain : shortHash(`${text}\n${kernelsText(record)}`);
  };
  /** With the kernels of its pass in the recipe that is written beside the model. */
  const recorded = (context: RecipeContext, pass: StoredPass | undefined): RecipeContext => {
    if (!pass?.report.kernels) return context;
    const { source: _, ...record } = pass.report.kernels;
    return { ...context, recipe: { ...context.recipe, kernels: record } };
  };

  /** Whether a merge needs the numbers of a pass, or only the charts would. */
  const needsPass = (context: RecipeContext): boolean => {
    const { method, outputs } = context;
    return method.needs.fisher || method.gpuPass !== undefined || outputs.some((o) => isTrimmed(context, o) || studyOf(context, o) !== undefined);
  };

  const shapeOf = (context: RecipeContext, stats: readonly TensorStats[], state: { complete: boolean; needsPass: boolean; warnings?: readonly string[] }): Shape => {
    const known = new Map(stats.map((s) => [s.name, s]));
    const all = context.outputs.map((o): TensorStats => known.get(o.name) ?? { ...o.role, name: o.name, shape: o.shape, elements: o.elements, experts: context.experts.map(() => ({}) as TensorStats["experts"][number]) });
    const shape = computeShape(context.recipe, context.params, context.method, all, { ...state, settings: context.settings });
    return context.recipe.tensors ? { ...shape, leftOut: context.plan.leftOut } : shape;
  };

  /** A pass by its key: the stored one, the one in work for another job, or a new one. */
  const stored = async (key: string, signal: AbortSignal, make: () => Promise<StoredPass>): Promise<StoredPass> => {
    for (;;) {
      const known = await passes.get(key);
      if (known) return known;
      const other = inWork.get(key);
      if (!other) break;
      throwIfCancelled(signal);
      await Promise.race([other.catch(() => undefined), new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }))]);
      throwIfCancelled(signal);
    }
    const mine = alone(env.locks, `pass:${key}`, make);
    inWork.set(key, mine);
    try {
      return await mine;
    } finally {
      inWork.delete(key);
    }
  };
  const passHost = () => ({ ...host, fisherFile: env.fisherFile && ((name: string, size: number) => env.fisherFile!(name, size)) });
  const passFor = async (context: RecipeContext, jobId: string, signal: AbortSignal, onProgress: OnProgress, onPartial: (shape: Shape) => void): Promise<StoredPass> => {
    const key = await keyOf(context);
    return stored(key, signal, () => {
      // What models hold between questions is room that the pass was planned with.
      host.beforePass();
      return measurePass({ ...passHost(), shapeOf: (stats) => shapeOf(context, stats, { complete: false, needsPass: true }) }, context, { key, jobId, signal, onProgress, onPartial });
    });
  };

  /** Texts that cannot be used are found before a long pass, not after it. */
  const checkTexts = async (context: RecipeContext): Promise<void> => {
    if (stagesOf(context).length > 0) await tokeniseCalibration(context.recipe.calibration!, context.base);
  };
  const stageKeys = (context: RecipeContext): Promise<string[]> => Promise.all(stagesOf(context).map((_, i) => shortHash(stageKey(context, i))));
  /** What was found for each stage; undefined where it was not measured yet. */
  const stageFindings = async (context: RecipeContext): Promise<(ArrayStore | undefined)[]> => Promise.all((await stageKeys(context)).map(async (key) => ((await passes.get(key)) ? passes.arrays(key) : undefined)));
  /** What the merge is made from, with every stage after it measured, each on the model of those before. */
  const measuredOf = async (context: RecipeContext, pass: StoredPass | undefined, shape: Shape, jobId: string, signal: AbortSignal, onProgress: OnProgress): Promise<Measured | undefined> => {
    const key = pass?.key ?? "";
    const merge: Measured | undefined = pass && { stats: new Map(pass.stats.map((s) => [s.name, s])), masks: passes.masks(key), arrays: passes.arrays(key), run: JSON.stringify([key, pass.report.elapsedMs, pass.report.losses]) };
    const keys = await stageKeys(context);
    if (keys.length === 0) return merge;
    const measured: Measured & { stages: ArrayStore[] } = { ...(merge ?? { stats: new Map(), masks: passes.masks(key), arrays: passes.arrays(key) }), stages: [] };
    for (const [index, stage] of keys.entries()) {
      await stored(stage, signal, () => measureStage(passHost(), context, { key: stage, index, shape, measured, jobId, signal, onProgress }));
      measured.stages.push(passes.arrays(stage));
    }
    return measured;
  };

  /** A recipe with everything measured that its merge is made from. */
  const readyMerge = async (recipe: Recipe, jobId: string, signal: AbortSignal, onProgress: OnProgress) => {
    const opened = await open(recipe);
    await checkTexts(opened);
    // A pass that only the charts would need is used when it is there.
    const pass = needsPass(opened) ? await passFor(opened, jobId, signal, onProgress, () => undefined) : await passes.get(await keyOf(opened));
    const context = recorded(opened, pass);
    const shape = shapeOf(context, pass?.stats ?? [], { complete: true, needsPass: false, warnings: pass?.report.warnings ?? [] });
    return { context, pass, shape, measured: await measuredOf(context, pass, shape, jobId, signal, onProgress) };
  };

  return { open, withHashes, keyOf, recorded, needsPass, shapeOf, stageFindings, passFor, measuredOf, checkTexts, readyMerge };
}
