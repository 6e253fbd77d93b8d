import { contenders, DEFAULT_FORM, sameRecipe, setKey } from "./contenders";
import { fetchSample, SAMPLE_NAMES } from "./sample";
import type { Slice } from "./env";
import type { SampleRun, SampleSlice } from "./sampleTypes";
import type { StudioState } from "./types";

/** The stored models of the sample pair, base first. */
const stored = (s: StudioState) => SAMPLE_NAMES.map((name) => s.models.find((m) => m.sample && m.name === name && m.state === "ready"));

export const createSampleRun: Slice<SampleSlice> = (set, get, env) => {
  const busy = (): boolean => get().queue.some((item) => item.state === "reading" || item.state === "waiting");

  /** Puts the pair into both roles, copying what is not here, with the default recipe. False where it does not get there. */
  const takePair = async (wanted: () => boolean): Promise<boolean> => {
    const [base, tuned] = stored(get());
    set({ baseId: undefined, modelIds: [], preflight: undefined, recipe: undefined, shape: undefined, measured: undefined });
    if (base && tuned) {
      get().chooseBase(base.id);
      get().chooseModels([tuned.id]);
    } else {
      const folders = await fetchSample();
      if (!wanted()) return false;
      await get().addFolders(folders, { backend: "copy", sample: true });
    }
    const pair = stored(get());
    return pair.every((m) => m !== undefined) && get().baseId === pair[0]!.id && get().modelIds.join() === pair[1]!.id;
  };

  const checked = async (): Promise<boolean> => {
    await get().runPreflight();
    return get().preflight?.verdict === "ok" && get().recipe !== undefined;
  };
  const measurable = (): boolean => get().gpu?.state !== "none" || get().methods.find((m) => m.id === get().recipe?.method)?.needs.fisher !== true;
  const isMeasured = (): boolean => get().shape?.complete === true && !get().shape!.needsPass;
  const isEvaluated = (): boolean => contenders(get()).every((c) => c.role === "other" || get().evaluated[c.key]?.score.set === setKey(get()));

  /** The run that was begun last; an earlier one that still waits for something finds that it is over. */
  let latest = 0;

  return {
    sampleRun: undefined,
    loadSample: async () => {
      if (busy()) return;
      try {
        if (!(await takePair(() => true)) || !(await checked())) return;
        set({ step: "shape" });
        if (measurable()) await get().measure();
        else await get().refreshShape();
      } catch (error) {
        get().fail(error, "Loading the sample pair");
      }
    },
    runSample: async () => {
      if (busy() || get().sampleRun?.state === "running" || get().measuring !== undefined || get().trying) return;
      const own = ++latest;
      const began = env.now();
      const before = new Set(get().errors.map((e) => e.id));
      const running = (): boolean => own === latest && get().sampleRun?.state === "running";
      const patch = (change: Partial<SampleRun>): void => set((s) => (own === latest && s.sampleRun ? { sampleRun: { ...s.sampleRun, ...change } } : {}));
      const end = (state: Exclude<SampleRun["state"], "running">): void => {
        if (running()) patch({ state, tookMs: env.now() - began });
      };
      /** True where the run is to go on; otherwise it has ended, and is told so. */
      const goesOn = (reached: boolean): boolean => {
        if (!reached) end(get().errors.some((e) => !before.has(e.id)) ? "failed" : "stopped");
        return reached && running();
      };
      /** The next part; the page goes along unless the person went elsewhere or reads a drawer. */
      const proceed = (part: SampleRun["part"], at: SampleRun["at"]): void =>
        set((s) => {
          const follows = s.sampleRun!.follows && s.drawer === "none";
          return { sampleRun: { ...s.sampleRun!, part, follows, at: follows ? at : s.step }, ...(follows ? { step: at, ...(at === "try" ? { tryTab: "evaluate" as const } : {}) } : {}) };
        });
      set({ step: "load", sampleRun: { part: "copy", state: "running", follows: true, at: "load" } });
      try {
        if (!goesOn(await takePair(running))) return;
        proceed("check", "load");
        if (!goesOn(await checked())) return;
        patch({ recipe: get().recipe! });
        proceed("measure", "shape");
        if (get().gpu?.state === "none") return end("no-gpu");
        await get().measure();
        if (!goesOn(isMeasured())) return;
        set({ problemCount: undefined, tryForm: DEFAULT_FORM });
        proceed("evaluate", "try");
        await get().takeSampleProblems();
        if (!goesOn(get().problemSet !== undefined)) return;
        await get().evaluate(running);
        if (goesOn(isEvaluated())) end("done");
      } catch (error) {
        get().fail(error, "Running the sample pair");
        end("failed");
      }
    },
    stopSample: async () => {
      const run = get().sampleRun;
      if (run?.state !== "running") return;
      set({ sampleRun: { ...run, state: "stopped" } });
      const { measuring, queue } = get();
      const copies = queue.filter((item) => SAMPLE_NAMES.includes(item.name) && (item.state === "waiting" || item.state === "reading"));
      // Those that wait first, or one of them would begin where the one in work ends.
      const open = [...copies.filter((item) => item.state === "waiting"), ...copies.filter((item) => item.state === "reading")];
      await Promise.all([...open.map((item) => get().cancel(item.jobId)), ...(measuring === undefined ? [] : [get().cancel(measuring)]), get().stopTrying()]);
    },
    dismissSample: () => set((s) => (s.sampleRun?.state === "running" ? {} : { sampleRun: undefined })),
  };
};

/**
 * What a person's hand changes in the sample run: on another page it goes on behind it, and moves the page no more; with another
 * recipe it is over, since its numbers would be those of something else; with another pair there is nothing left to say of it, nor
 * when its results were seen and left.
 * Undefined: no change.
 */
export function takenOver(s: StudioState): Pick<StudioState, "sampleRun"> | undefined {
  const run = s.sampleRun;
  if (!run) return undefined;
  if (run.state !== "running") {
    const samePair = run.recipe === undefined || [s.baseId, ...s.modelIds].join() === [run.recipe.base, ...run.recipe.models].map((m) => m.id).join();
    if (!samePair) return { sampleRun: undefined };
    const there = s.step === "try" && s.tryTab === "evaluate";
    if (run.state !== "done" || there === (run.seen ?? false)) return undefined;
    return { sampleRun: there ? { ...run, seen: true } : undefined };
  }
  if (run.recipe !== undefined && !sameRecipe(s.recipe, run.recipe)) return { sampleRun: { ...run, state: "left" } };
  const moved = s.step !== run.at || (run.part === "evaluate" && s.tryTab !== "evaluate");
  return run.follows && moved ? { sampleRun: { ...run, follows: false } } : undefined;
}
