import { toStudioError } from "../../core/errors";
import { recordRun } from "./runs";
import type { Slice } from "./env";
import type { AnalysisSlice } from "./types";
import { without } from "./checkpoints";

export const createAnalysis: Slice<AnalysisSlice> = (set, get, env) => {
  let asking = false;
  let askAgain = false;

  return {
    shape: undefined,
    measured: undefined,
    measuring: undefined,
    measure: async () => {
      const { recipe, measuring } = get();
      if (!recipe || measuring !== undefined) return;
      const jobId = env.jobId("measure");
      set({ measuring: jobId, measured: undefined, exportReport: undefined });
      let done = false;
      try {
        const measured = await env.engine.measure(
          jobId, recipe,
          (progress) => set((s) => (s.measuring === jobId ? { running: { ...s.running, [jobId]: progress } } : {})),
          (shape) => { if (!done && get().measuring === jobId) set({ shape }); },
        );
        done = true;
        set((s) => ({ measured, measuring: undefined, running: without(s.running, jobId) }));
        await get().refreshShape();
        await get().planExport();
        recordRun(set, get, env, recipe, "measured");
      } catch (error) {
        done = true;
        const stopped = toStudioError(error).code === "cancelled";
        if (stopped) recordRun(set, get, env, recipe, "stopped");
        get().fail(error, "Measuring which layers matter");
        set((s) => ({ measuring: undefined, running: without(s.running, jobId) }));
        await get().refreshShape();
      }
    },
    fisherFile: async () => {
      const { recipe } = get();
      if (!recipe) return undefined;
      try {
        return await env.engine.fisherFile(recipe);
      } catch (error) {
        get().fail(error, "Fetching the Fisher");
        return undefined;
      }
    },
    refreshShape: async () => {
      if (asking) {
        askAgain = true;
        return;
      }
      asking = true;
      try {
        do {
          askAgain = false;
          const { recipe, models, measuring } = get();
          // Partial numbers of the pass in work are newer than any answer.
          if (!recipe || measuring !== undefined || ![recipe.base, ...recipe.models].every((ref) => models.find((m) => m.id === ref.id)?.state === "ready")) break;
          const shape = await env.engine.shape(recipe);
          if (get().recipe !== recipe) askAgain = true;
          else if (get().measuring === undefined) set({ shape });
        } while (askAgain);
      } catch (error) {
        get().fail(error, "Computing the layer numbers");
      } finally {
        asking = false;
      }
      const { shape, exportPlan, recipe } = get();
      if (recipe && shape?.complete && exportPlan === undefined) env.nextFrame("plan", () => void get().planExport());
    },
  };
};
