import { StudioError, toStudioError } from "../../core/errors";
import { drawProblems } from "../../core/problems";
import type { Progress } from "../../core/progress";
import type { Problem } from "../../core/trying";
import { without } from "./checkpoints";
import { optionsOf } from "./contenders";
import type { Slice } from "./env";
import { recordRun } from "./runs";
import { gridCells, sweepAsked, sweepBlocked, sweepFormOf, sweepProblems, type SweepCell } from "./sweepCells";
import type { SweepRecord, SweepResult, SweepRun, SweepSlice } from "./sweepTypes";
import { recordSweep, resultOf, sweptCell } from "./swept";
import type { TryScore } from "./tryTypes";

/** One merge after the other over a grid of two recipe numbers. */
export const createSweep: Slice<SweepSlice> = (set, get, env) => {
  /** Recipes behind the results, for whoever adopts one after the grid has changed. */
  const recipes = new Map<string, SweepCell["recipe"]>();

  const answerCell = async ({ recipe }: SweepCell, { asked, options }: SweepRecord, problems: Problem[], jobId: string): Promise<SweepResult> => {
    const model = { kind: "merge" as const, recipe };
    const onProgress = (progress: Progress): void => set((now) => (now.trying?.jobId === jobId ? { running: { ...now.running, [jobId]: progress } } : {}));
    if ("prompt" in asked) {
      const [answer] = await env.engine.generate(jobId, model, [asked.prompt], options, onProgress, () => undefined);
      return { tokens: answer!.tokens, text: answer!.text };
    }
    const done = await env.engine.evaluate(jobId, model, problems, { ...options, samples: 1 }, onProgress, () => undefined);
    const score: TryScore = { time: Date.now(), set: asked.set, problems: asked.name, options, samples: 1, summary: done.summary, majority: [] };
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
      // The page may change while it runs: everything is what it was at the click.
      const s = get();
      const [recipe, form] = [s.recipe!, sweepFormOf(s)!];
      const job: SweepRecord = { form, asked: sweepAsked(s, form), options: optionsOf(s.tryForm, s.tryFacts, s.tryFacts.merge?.value), cells: [] };
      const problems = form.over === "problems" ? drawProblems(s.problemSet!.problems, sweepProblems(s, form)) : [];
      const grid = gridCells(recipe, form, job.asked, job.options);
      const missing = [...new Map(grid.map((cell) => [cell.key, cell])).values()].filter(({ key }) => !s.sweepResults[key]);
      if (missing.length === 0) return;
      set({ sweepRun: { cell: 1, cells: missing.length, working: undefined, made: 0, repeated: 0, tensorsMade: 0, tensorsTaken: 0, secondsLeft: undefined }, sweepFaults: {} });
      const before = await env.engine.mergesTried();
      const begun = env.now();
      for (const [i, cell] of missing.entries()) {
        if (i > 0 && get().trying?.stopping !== false) break;
        const jobId = env.jobId("try");
        set({ trying: { kind: "sweep", jobId, key: "merge", after: missing.length - i - 1, stopping: false } });
        patch({ cell: i + 1, working: cell.key, secondsLeft: i === 0 ? undefined : ((env.now() - begun) / 1000 / i) * (missing.length - i) });
        try {
          const result = await answerCell(cell, job, problems, jobId);
          recipes.set(cell.key, cell.recipe);
          set((now) => ({ sweepResults: { ...now.sweepResults, [cell.key]: result } }));
        } catch (error) {
          const { code, message } = toStudioError(error);
          if (code === "cancelled") break;
          set((now) => ({ sweepFaults: { ...now.sweepFaults, [cell.key]: message } }));
        } finally {
          set((now) => ({ running: without(now.running, jobId) }));
          const tried = await env.engine.mergesTried();
          const made = tried.merges - before.merges;
          patch({ made, repeated: Math.max(0, made - (i + 1)), tensorsMade: tried.tensorsMade - before.tensorsMade, tensorsTaken: tried.tensorsTaken - before.tensorsTaken });
        }
      }
      patch({ working: undefined, secondsLeft: undefined });
      set({ trying: undefined });
      const results = get().sweepResults;
      recordSweep(set, get, env, recipe, { ...job, cells: grid.flatMap((cell) => (results[cell.key] ? [sweptCell(cell, results[cell.key]!)] : [])) });
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
    restoreSweep: async ({ recipe: swept, sweep, time }) => {
      if (!sweep || !(await get().loadRecipe(swept))) return;
      const recipe = get().recipe!;
      const { form, asked, options } = sweep;
      const cells = gridCells(recipe, form, asked, options);
      const kept = sweep.cells.flatMap((cell) => {
        const at = cells.find((c) => c.row === cell.row && c.column === cell.column);
        if (!at) return [];
        recipes.set(at.key, at.recipe);
        return [[at.key, resultOf(sweep, time, cell)] as const];
      });
      const { maxNewTokens: maxTokens, prompt, temperature, ...drawn } = options;
      set((s) => ({
        // Longer texts of this visit stay.
        sweepResults: { ...Object.fromEntries(kept), ...s.sweepResults },
        sweepForm: { method: recipe.method, form: "set" in asked ? { ...form, problems: Number(asked.set.split("/").at(-1)), set: { key: asked.set.slice(0, asked.set.lastIndexOf("/")), name: asked.name } } : form },
        tryForm: { ...s.tryForm, maxTokens, sampling: temperature > 0 ? "sample" : "greedy", repetitionPenalty: drawn.repetitionPenalty, seed: drawn.seed, ...(temperature > 0 ? { temperature, topK: drawn.topK, topP: drawn.topP } : {}), ...(prompt === "chat" ? { template: "own" } : s.tryFacts.merge?.value?.chatTemplate ? { template: "raw" } : {}) },
        ...("prompt" in asked ? { prompt: asked.prompt } : {}),
        sweepRun: undefined, sweepFaults: {}, tryTab: "evaluate",
      }));
      get().go("try");
    },
  };
};
