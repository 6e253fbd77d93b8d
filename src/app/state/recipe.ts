import { DEFAULT_CALIBRATION, withCalibration } from "../../core/calibration";
import { StudioError } from "../../core/errors";
import type { ModelRef, ParamValue, Recipe, Varying } from "../../core/recipe";
import type { MethodInfo, StoredModel } from "../../engine/api";
import { folderOf, sameModel } from "../../core/modelNames";
import type { Slice } from "./env";
import type { RecipeSlice, VaryPlace } from "./types";

/** The first method that takes this many fine-tuned models and whose needs are met. */
export function methodFor(methods: MethodInfo[], models: number, fisher: boolean): MethodInfo | undefined {
  const fits = methods.filter((m) => models >= m.needs.minModels && models <= m.needs.maxModels);
  return fits.find((m) => fisher || !m.needs.fisher) ?? fits[0] ?? methods[0];
}

/** Changes of one value that follow each other within this time are one step of undo: a drag is one change. */
const COALESCE_MS = 500;

export const createRecipe: Slice<RecipeSlice> = (set, get, env) => {
  let last = { name: "", time: -Infinity };

  /** Replaces the recipe; a change that only concerns the written file leaves the charts alone. */
  const change = (name: string, next: (recipe: Recipe) => Recipe, effect: "at-once" | "pass" | "write" = "at-once"): void => {
    const recipe = get().recipe;
    if (!recipe) return;
    const same = last.name === name && env.now() - last.time < COALESCE_MS;
    last = { name, time: env.now() };
    if (same) env.history.pause();
    set({ recipe: next(recipe), exportPlan: undefined });
    if (same) env.history.resume();
    follow(effect);
  };

  const follow = (effect: "at-once" | "pass" | "write"): void => {
    if (effect === "write") env.nextFrame("plan", () => void get().planExport());
    else env.nextFrame("shape", () => void get().refreshShape());
  };

  const spec = (name: string): { default: ParamValue; effect: "at-once" | "pass" | "write" } | undefined => {
    const { methods, recipe } = get();
    return methods.find((m) => m.id === recipe?.method)?.params[name];
  };
  const setParams = (name: string, params: Record<string, ParamValue>): void =>
    change(name, (recipe) => withCalibration({ ...recipe, params: { ...recipe.params, ...params } }, get().methods.find((m) => m.id === recipe.method)), Object.keys(params).every((key) => spec(key)?.effect === "write") ? "write" : "at-once");

  const afterUndo = (): void => {
    last = { name: "", time: -Infinity };
    set({ exportPlan: undefined });
    follow("at-once");
  };

  return {
    methods: [],
    postprocesses: { posts: [], combos: [], families: [] },
    recipe: undefined,
    setMethod: async (id) => {
      const { baseId, modelIds, recipe } = get();
      if (!recipe || baseId === undefined || (recipe.method === id && !recipe.then?.length)) return;
      try {
        const fresh = await env.engine.defaultRecipe(id, baseId, modelIds);
        // A name that nobody chose follows the method.
        const stem = fresh.output.name.slice(0, -id.length);
        const named = [...get().methods, ...get().postprocesses.combos].map((m) => stem + m.id);
        const output = (now: Recipe): Recipe["output"] => (named.includes(now.output.name) ? { ...now.output, name: fresh.output.name } : now.output);
        change("method", (now) => ({ ...fresh, ...(fresh.calibration && now.calibration ? { calibration: now.calibration } : {}), reconciliation: now.reconciliation, output: output(now), ...(now.tensors ? { tensors: now.tensors } : {}), models: fresh.models.map((m, i) => ({ ...withoutParams(now.models[i]), ...m })) }));
      } catch (error) {
        get().fail(error, "Changing the method");
      }
    },
    setParam: (name, value) => setParams(name, { [name]: value }),
    resetParam: (name) => {
      const found = spec(name);
      if (found) setParams(`reset ${name}`, { [name]: found.default });
    },
    resetAll: () => {
      const method = get().methods.find((m) => m.id === get().recipe?.method);
      if (!method) return;
      const params = Object.fromEntries(Object.entries(method.params).map(([key, value]) => [key, value.default]));
      change("reset all", ({ vary: _, ...recipe }) => withCalibration({ ...recipe, params: { ...recipe.params, ...params }, models: recipe.models.map((m) => withoutParams(m)!) }, method));
    },
    applyPreset: (id) => {
      const method = get().methods.find((m) => m.id === get().recipe?.method);
      const preset = method?.presets.find((p) => p.id === id);
      if (!method || !preset) return;
      setParams(`preset ${id}`, { ...Object.fromEntries(Object.entries(method.params).map(([key, value]) => [key, value.default])), ...preset.params });
    },
    setModelWeight: (index, weight) =>
      change(`weight ${index}`, (recipe) => ({ ...recipe, models: recipe.models.map((m, i) => (i === index ? { ...m, weight } : m)) })),
    setVarying: (place, value) =>
      change(`vary ${place.param ?? "weight"} ${place.model ?? ""}`, (recipe) => withVarying(recipe, place, value), place.param !== undefined && spec(place.param)?.effect === "write" ? "write" : "at-once"),
    setTensors: (tensors) => {
      change("tensors", ({ tensors: _, ...recipe }) => ({ ...recipe, ...(tensors ? { tensors } : {}) }));
      // What is left to the base needs no counterpart, so the check may come to another end.
      void get().runPreflight();
    },
    setCalibration: (calibration, name) => change(name, (recipe) => ({ ...recipe, calibration })),
    setThen: (then) => {
      const { recipe } = get();
      if (recipe) change("stages", ({ then: _, ...rest }) => ({ ...rest, ...(then.length > 0 ? { then, calibration: rest.calibration ?? DEFAULT_CALIBRATION } : {}) }));
    },
    setReconciliation: (part) => {
      change("reconciliation", (recipe) => {
        // The rows go with the tokenizer again: those chosen before may be too few for another.
        const { vocabulary: _, ...others } = recipe.reconciliation;
        return { ...recipe, reconciliation: { ...(part.tokenizer ? others : recipe.reconciliation), ...part } };
      });
      void get().runPreflight();
    },
    setOutput: (part) => change("output", (recipe) => ({ ...recipe, output: { ...recipe.output, ...part } }), "write"),
    loadRecipe: async (recipe) => {
      const { models } = get();
      const base = resolve(models, recipe.base);
      const tuned = recipe.models.map((ref) => resolve(models, ref));
      const missing = [...new Set([recipe.base, ...recipe.models].filter((ref) => !resolve(models, ref)))];
      if (!base || missing.length > 0) {
        const names = [...new Set(missing.map((ref) => ref.name))];
        const others = names.filter((name) => models.some((m) => sameModel(m.name, name)));
        const todo = `Drop the ${names.length === 1 ? "folder" : "folders"} ${names.map(folderOf).join(", ")} first, then the recipe again.`;
        const details = { title: names.length === 1 ? "A model of this recipe is not here" : "Models of this recipe are not here", found: `Not stored: ${names.join(", ")}.`, todo, ...(others.length > 0 ? { why: `What is stored as ${others.join(", ")} has other weights, or is not ready.` } : {}) };
        get().fail(new StudioError("bad-recipe", `Restoring a recipe: ${names.join(", ")} not stored. ${todo}`, details), "Restoring a recipe");
        return false;
      }
      const ids = tuned.map((m) => m!.id);
      const local: Recipe = { ...recipe, base: { ...recipe.base, id: base.id }, models: recipe.models.map((m, i) => ({ ...m, id: ids[i]! })) };
      const samePair = base.id === get().baseId && ids.join() === get().modelIds.join();
      last = { name: "", time: -Infinity };
      set({ baseId: base.id, modelIds: ids, recipe: local, exportPlan: undefined, ...(samePair ? {} : { preflight: undefined, shape: undefined, measured: undefined }) });
      await get().runPreflight();
      return true;
    },
    undo: () => {
      env.history.undo();
      afterUndo();
    },
    redo: () => {
      env.history.redo();
      afterUndo();
    },
  };
};

/** Whether a model of that name can be the one that is meant: weights that are known to be others rule it out. */
const mayBe = (model: StoredModel, { hash }: Recipe["base"]): boolean => !hash || !model.hash || model.hash === hash;

/** A model without the settings of a method; those of another mean nothing to it. */
function withoutParams(model: ModelRef | undefined): ModelRef | undefined {
  if (!model) return undefined;
  const { params: _, ...rest } = model;
  return rest;
}

const without = <T>(record: Record<string, T> | undefined, key: string): Record<string, T> => Object.fromEntries(Object.entries(record ?? {}).filter(([name]) => name !== key));
const withEntry = (record: Record<string, Varying> | undefined, key: string, value: Varying | undefined): Record<string, Varying> => ({ ...without(record, key), ...(value === undefined ? {} : { [key]: value }) });

/** Puts a varying number where it belongs, or takes it away; objects that are left empty go with it. */
function withVarying(recipe: Recipe, { param, model }: VaryPlace, value: Varying | undefined): Recipe {
  if (model === undefined) {
    const { vary, ...rest } = recipe;
    const next = withEntry(vary, param!, value);
    return { ...rest, ...(Object.keys(next).length > 0 ? { vary: next } : {}) };
  }
  const change = ({ params, weight, ...rest }: ModelRef): ModelRef => {
    if (param === undefined) return { ...rest, ...(params ? { params } : {}), ...(value === undefined ? {} : { weight: value }) };
    const next = withEntry(params, param, value);
    return { ...rest, ...(weight === undefined ? {} : { weight }), ...(Object.keys(next).length > 0 ? { params: next } : {}) };
  };
  return { ...recipe, models: recipe.models.map((m, i) => (i === model ? change(m) : m)) };
}

/** The stored model a recipe means: by content first, by id, then, where no other content is said, by name. */
function resolve(models: StoredModel[], ref: Recipe["base"]): StoredModel | undefined {
  const ready = models.filter((m) => m.state === "ready");
  return (ref.hash ? ready.find((m) => m.hash === ref.hash) : undefined) ?? ready.find((m) => m.id === ref.id) ?? ready.find((m) => m.name === ref.name && mayBe(m, ref)) ?? ready.find((m) => sameModel(m.name, ref.name) && mayBe(m, ref));
}
