import { StudioError, toStudioError } from "../../core/errors";
import { drawProblems } from "../../core/problems";
import { without } from "./checkpoints";
import { optionsOf } from "./contenders";
import type { Slice } from "./env";
import { recordRun } from "./runs";
import { sweepBlocked, sweepCells, sweepFormOf, sweepProblems, type SweepCell } from "./sweepCells";
import type { SweepResult, SweepRun, SweepSlice } from "./sweepTypes";
import type { TryScore } from "./tryTypes";

/** One merge after the other over a grid of two recipe numbers. */
export const createSweep: Slice<SweepSlice> = (set, get, env) => {
  /** Recipes behind the results, for whoever adopts one after the grid has changed. */
  const recipes = new Map<string, SweepCell["recipe"]>();

  const answerCell = async ({ recipe }: SweepCell, jobId: string): Promise<SweepResult> => {
    const s = get();
    const form = sweepFormOf(s)!;
    const model = { kind: "merge" as const, recipe };
    const options = optionsOf(s.tryForm, s.tryFacts, s.tryFacts.merge?.value);
    const onProgress = (progress: Parameters<Parameters<typeof env.engine.generate>[4]>[0]): void => set((now) => (now.trying?.jobId === jobId ? { running: { ...now.running, [jobId]: progress } } : {}));
    if (form.over === "prompt") {
      const [answer] = await env.engine.generate(jobId, model, [s.prompt], options, onProgress, () => undefined);
      return { tokens: answer!.tokens, text: answer!.text };
    }
    const count = sweepProblems(s, form);
    const done = await env.engine.evaluate(jobId, model, drawProblems(s.problemSet!.problems, count), { ...options, samples: 1 }, onProgress, () => undefined);
    const score: TryScore = { time: Date.now(), set: `${s.problemSet!.key}/${count}`, problems: s.problemSet!.name, options, samples: 1, summary: done.summary, majority: [] };
    return { ...(done.recipeHash === undefined ? {} : { recipeHash: done.recipeHash }), accuracy: done.summary.accuracy.mean, tokens: done.summary.length.mean, score };
  };

  const patch = (change: Partial<SweepRun>): void => set((s) => (s.sweepRun ? { sweepRun: { ...s.sweepRun, ...change } } : {}));

  return {
    sweepForm: undefined,
    setSweepForm: (change) => {
      const s = get();
      const form = sweepFormOf(s);
      if (!form || !s.recipe || s.trying) return;
      const { down, ...next } = { ...form, ...change };
      set({ sweepForm: { method: s.recipe.method, form: { ...next, ...(down ? { down } : {}) } }, sweepRun: undefined });
    },
    sweepResults: {},
    sweepFaults: {},
    sweepRun: undefined,
    sweep: async () => {
      if (get().trying || sweepBlocked(get()) !== undefined) return;
      if (!get().tryFacts.merge?.value) await get().refreshTryFacts();
      if (get().trying) return;
      const refused = get().tryFacts.merge?.refused;
      if (refused !== undefined) return get().fail(new StudioError("bad-request", refused), "Sweeping");
      const wanted = new Map(sweepCells(get()).map((cell) => [cell.key, cell]));
      const missing = [...wanted.values()].filter(({ key }) => !get().sweepResults[key]);
      if (missing.length === 0) return;
      set({ sweepRun: { cell: 1, cells: missing.length, working: undefined, made: 0, repeated: 0, secondsLeft: undefined }, sweepFaults: {} });
      const before = await env.engine.mergesTried();
      const begun = env.now();
      for (const [i, cell] of missing.entries()) {
        if (i > 0 && get().trying?.stopping !== false) break;
        const jobId = env.jobId("try");
        set({ trying: { kind: "sweep", jobId, key: "merge", after: missing.length - i - 1, stopping: false } });
        patch({ cell: i + 1, working: cell.key, secondsLeft: i === 0 ? undefined : ((env.now() - begun) / 1000 / i) * (missing.length - i) });
        try {
          const result = await answerCell(cell, jobId);
          recipes.set(cell.key, cell.recipe);
          set((s) => ({ sweepResults: { ...s.sweepResults, [cell.key]: result } }));
        } catch (error) {
          const { code, message } = toStudioError(error);
          if (code === "cancelled") break;
          set((s) => ({ sweepFaults: { ...s.sweepFaults, [cell.key]: message } }));
        } finally {
          set((s) => ({ running: without(s.running, jobId) }));
          const made = (await env.engine.mergesTried()) - before;
          patch({ made, repeated: Math.max(0, made - (i + 1)) });
        }
      }
      patch({ working: undefined, secondsLeft: undefined });
      set({ trying: undefined });
    },
    adoptCell: async (key) => {
      const [recipe, result] = [recipes.get(key), get().sweepResults[key]];
      if (!recipe || !result || get().trying) return;
      // The name of the file is not the sweep's to choose.
      const adopted = { ...recipe, output: get().recipe?.output ?? recipe.output };
      if (!(await get().loadRecipe(adopted))) return;
      const { score, recipeHash } = result;
      const now = get().recipe;
      if (score && now) recordRun(set, get, env, now, "evaluated", { score, ...(recipeHash === undefined ? {} : { recipeHash }) });
    },
  };
};
