import { temporal, type TemporalState } from "zundo";
import { createJSONStorage, persist, type StateStorage } from "zustand/middleware";
import { createStore, type StoreApi } from "zustand/vanilla";
import type { EngineApi } from "../../engine/api";
import { createAnalysis } from "./analysis";
import { createCalibration } from "./calibration";
import { createCheckpoints } from "./checkpoints";
import { frameScheduler, type SliceEnv } from "./env";
import { createForecast } from "./forecast";
import { createImporting } from "./importing";
import { createJobs } from "./jobs";
import { createProbe } from "./probe";
import { createRecipe } from "./recipe";
import { createSampleRun, takenOver } from "./sampleRun";
import { createSweep } from "./sweep";
import { createTrying } from "./trying";
import type { StudioState } from "./types";
import { createView } from "./view";

/** What is remembered between visits. */
type Remembered = Pick<StudioState, "theme" | "adding" | "baseId" | "modelIds" | "recipe" | "runs" | "prompts" | "modelScores">;
const remember = (s: StudioState): Remembered => ({ theme: s.theme, adding: s.adding, baseId: s.baseId, modelIds: s.modelIds, recipe: s.recipe, runs: s.runs, prompts: s.prompts, modelScores: s.modelScores });

export type StudioStore = StoreApi<StudioState> & { temporal: StoreApi<TemporalState<Pick<StudioState, "recipe">>> };

/**
 * The one store. The engine client is given, so that a test gives a fake; `storage` is localStorage in the tab.
 * Undo and redo cover the recipe alone, 100 steps.
 */
export function createStudioStore(engine: EngineApi, options: { storage?: StateStorage; now?: () => number; nextFrame?: SliceEnv["nextFrame"] } = {}): StudioStore {
  let jobs = 0;
  const visit = Date.now().toString(36);
  const env: SliceEnv = {
    engine,
    history: {
      undo: () => store.temporal.getState().undo(),
      redo: () => store.temporal.getState().redo(),
      pause: () => store.temporal.getState().pause(),
      resume: () => store.temporal.getState().resume(),
      clear: () => store.temporal.getState().clear(),
    },
    jobId: (kind) => `${kind}-${visit}-${++jobs}`,
    now: options.now ?? (() => performance.now()),
    nextFrame: options.nextFrame ?? frameScheduler(),
  };
  const store = createStore<StudioState>()(
    persist(
      temporal(
        (set, get) => ({
          ...createCheckpoints(set, get, env),
          ...createRecipe(set, get, env),
          ...createImporting(set, get, env),
          ...createAnalysis(set, get, env),
          ...createCalibration(set, get, env),
          ...createJobs(set, get, env),
          ...createForecast(set, get, env),
          ...createSampleRun(set, get, env),
          ...createTrying(set, get, env),
          ...createSweep(set, get, env),
          ...createProbe(set, get, env),
          ...createView(set, get, env),
        }),
        { partialize: (s) => ({ recipe: s.recipe }), equality: (past, current) => past.recipe === current.recipe, limit: 100 },
      ),
      { name: "tributary", version: 1, storage: createJSONStorage(() => options.storage ?? pageStorage()), partialize: remember },
    ),
  );
  store.temporal.getState().clear();
  store.subscribe((s) => {
    const change = takenOver(s);
    if (change) store.setState(change);
  });
  return store;
}

/** Recipes that carry much text may be more than the browser remembers; what was remembered before then stays, and the visit goes on. */
function keep(storage: Storage, key: string, value: string): void {
  try {
    storage.setItem(key, value);
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "QuotaExceededError")) throw error;
  }
}

/** localStorage, or, where the browser refuses it, memory for this visit. */
function pageStorage(): StateStorage {
  try {
    const storage = globalThis.localStorage;
    storage.getItem("tributary");
    return { getItem: (key) => storage.getItem(key), removeItem: (key) => storage.removeItem(key), setItem: (key, value) => keep(storage, key, value) };
  } catch {
    const map = new Map<string, string>();
    return { getItem: (key) => map.get(key) ?? null, setItem: (key, value) => void map.set(key, value), removeItem: (key) => void map.delete(key) };
  }
}
