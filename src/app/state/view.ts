import type { Slice } from "./env";
import { canOpen } from "./steps";
import type { ViewSlice } from "./types";

export const createView: Slice<ViewSlice> = (set, get, env) => ({
  step: "load", theme: "system", drawer: "none", gpu: undefined, storage: undefined,
  layer: 0, expert: 0, chartMode: "layer", requests: 0, requestNames: [], runs: [],
  start: async () => {
    const ask = async <T>(context: string, work: () => Promise<T>, take: (value: T) => void): Promise<void> => {
      try {
        take(await work());
      } catch (error) {
        get().fail(error, context);
      }
    };
    await Promise.all([
      ask("Asking for a GPU", () => env.engine.gpu(), (gpu) => set({ gpu })),
      ask("Listing the methods", () => env.engine.methods(), (methods) => set({ methods })),
      ask("Listing what can come after a merge", () => env.engine.postprocesses(), (postprocesses) => set({ postprocesses })),
      ask("Listing the stored models", () => get().refreshModels(), () => undefined),
      ask("Looking for unfinished work", () => get().refreshUnfinished(), () => undefined),
    ]);
    const { models, baseId, modelIds } = get();
    // A linked model keeps its role while it waits for the click that opens it again.
    const ready = (id: string | undefined): boolean => models.some((m) => m.id === id && (m.state === "ready" || m.state === "locked"));
    if (baseId === undefined && modelIds.length === 0) return;
    if (ready(baseId) && modelIds.length > 0 && modelIds.every(ready)) await get().runPreflight();
    else set({ baseId: ready(baseId) ? baseId : undefined, modelIds: modelIds.filter(ready), recipe: undefined });
  },
  noteRequests: (names) => set((s) => ({ requests: s.requests + names.length, requestNames: [...s.requestNames, ...names].slice(-50) })),
  go: (step) => {
    if (canOpen(get(), step)) set({ step, drawer: "none" });
  },
  setTheme: (theme) => set({ theme }),
  openDrawer: (drawer) => set({ drawer }),
  setLayer: (layer) => {
    const last = (get().shape?.experts[get().expert]?.layers.length ?? 1) - 1;
    const next = Math.max(0, Math.min(last, layer));
    if (next !== get().layer) set({ layer: next });
  },
  setExpert: (expert) => set({ expert }),
  setChartMode: (chartMode) => set({ chartMode }),
  noteRun: (id, note) => set((s) => ({ runs: s.runs.map((run) => (run.id === id ? { ...run, note } : run)) })),
  pinRun: (id) => set((s) => ({ runs: s.runs.map((run) => (run.id === id ? { ...run, pinned: !run.pinned } : run)) })),
  deleteRun: (id) => set((s) => ({ runs: s.runs.filter((run) => run.id !== id) })),
  restoreRun: (id) => {
    const run = get().runs.find((r) => r.id === id);
    if (run) void (run.sweep ? get().restoreSweep(run) : get().loadRecipe(run.recipe));
  },
  askPersist: async () => {
    try {
      await env.engine.persist();
      set({ storage: await env.engine.storage() });
    } catch (error) {
      get().fail(error, "Asking the browser to keep the data");
    }
  },
});
