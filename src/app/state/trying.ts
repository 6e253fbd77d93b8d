import { toStudioError } from "../../core/errors";
import type { Progress } from "../../core/progress";
import { readProblems } from "../../core/problems";
import type { EvaluatedItem, TryPiece } from "../../core/trying";
import { without } from "./checkpoints";
import { chosenProblems, contenders, DEFAULT_FORM, optionsOf, problemCount, sameRecipe, samplesOf, setKey } from "./contenders";
import { recordRun } from "./runs";
import { sameSettings, withScore } from "./scores";
import { fetchSampleProblems } from "./sample";
import type { Slice } from "./env";
import type { ColumnAnswer, Contender, TryJob, TryScore, TrySlice } from "./tryTypes";

const MOST_PROMPTS = 30;
const MOST_COLUMNS = 3;
/** A rate of less time than this says more about the page than about the model. */
const RATE_SECONDS = 0.25;

/** Answers side by side, and problem sets: one model answers at a time, in the order of the columns. */
export const createTrying: Slice<TrySlice> = (set, get, env) => {
  let asking = false;

  /** The facts of one contender, as known or asked for now. Throws what makes it unable to answer. */
  const factsOf = async (c: Contender) => {
    const recipe = c.model.kind === "merge" ? { recipe: c.model.recipe } : {};
    const known = get().tryFacts[c.key];
    const gpuBytes = get().budgets?.gpuBytes;
    const asked = { ...recipe, ...(gpuBytes === undefined ? {} : { gpuBytes }) };
    if (known?.value && sameRecipe(known.recipe, recipe.recipe) && known.gpuBytes === gpuBytes) return known.value;
    try {
      const value = await env.engine.tryFacts(c.model);
      set((s) => ({ tryFacts: { ...s.tryFacts, [c.key]: { ...asked, value } } }));
      return value;
    } catch (error) {
      set((s) => ({ tryFacts: { ...s.tryFacts, [c.key]: { ...asked, refused: toStudioError(error).message } } }));
      throw error;
    }
  };

  /** Runs `work` for each contender in turn until one is stopped; a fault of one does not keep the next from answering. */
  const inTurn = async (kind: TryJob["kind"], list: Contender[], work: (c: Contender, jobId: string) => Promise<void>, ended: (c: Contender, error: unknown) => void): Promise<void> => {
    for (const [i, c] of list.entries()) {
      if (i > 0 && get().trying?.stopping !== false) break;
      const jobId = env.jobId("try");
      set({ trying: { kind, jobId, key: c.key, after: list.length - i - 1, stopping: false } });
      try {
        await work(c, jobId);
      } catch (error) {
        ended(c, error);
        if (toStudioError(error).code === "cancelled") break;
      } finally {
        set((s) => ({ running: without(s.running, jobId) }));
      }
    }
    set({ trying: undefined });
  };
  // Told once a frame: short answers to many problems end faster than a page is drawn.
  const onProgress = (jobId: string) => (progress: Progress): void =>
    env.nextFrame(`${jobId} progress`, () => set((s) => (s.trying?.jobId === jobId ? { running: { ...s.running, [jobId]: progress } } : {})));

  const patchAnswer = (key: string, change: Partial<ColumnAnswer>): void =>
    set((s) => (s.answers[key] ? { answers: { ...s.answers, [key]: { ...s.answers[key], ...change } } } : {}));

  const compareOne = async (c: Contender, jobId: string, prompt: string): Promise<void> => {
    patchAnswer(c.key, { state: "writing" });
    const options = optionsOf(get().tryForm, get().tryFacts, await factsOf(c));
    let thinkTokens = 0;
    let thought = false;
    let first: { at: number; tokens: number } | undefined;
    const onPiece = ({ text, tokens }: TryPiece): void => {
      first ??= { at: env.now(), tokens };
      const seconds = (env.now() - first.at) / 1000;
      const rate = seconds > RATE_SECONDS ? { rate: (tokens - first.tokens) / seconds } : {};
      if (!thought && /<\/?think>/.test(text)) thinkTokens = tokens;
      thought ||= text.includes("</think>");
      env.nextFrame(jobId, () => {
        if (get().trying?.jobId === jobId && get().answers[c.key]?.state === "writing") patchAnswer(c.key, { text, tokens, thinkTokens, ...rate });
      });
    };
    const [answer] = await env.engine.generate(jobId, c.model, [prompt], options, onProgress(jobId), onPiece);
    if (!answer) return;
    patchAnswer(c.key, { state: "done", text: answer.text, tokens: answer.tokens, thinkTokens, answer });
    if (c.model.kind === "merge") recordRun(set, get, env, c.model.recipe, "tried");
  };

  const evaluateOne = async (c: Contender, jobId: string): Promise<void> => {
    set({ liveItems: [] });
    const { problemSet, tryForm } = get();
    const problems = chosenProblems(get());
    const options = optionsOf(tryForm, get().tryFacts, await factsOf(c));
    const [samples, key] = [samplesOf(get()), setKey(get())];
    const items: EvaluatedItem[] = [];
    let over = false;
    // A batch of answers is judged at once: the page is told once a frame.
    const done = await env.engine.evaluate(jobId, c.model, problems, { ...options, samples }, onProgress(jobId), (item) => {
      items.push(item);
      env.nextFrame(jobId, () => {
        if (!over && get().trying?.jobId === jobId) set({ liveItems: [...items] });
      });
    }).finally(() => (over = true));
    const score: TryScore = { time: Date.now(), set: key, problems: problemSet!.name, options, samples, summary: done.summary, majority: done.majority };
    const { model } = c;
    set((s) => ({ liveItems: [], evaluated: { ...s.evaluated, [c.key]: { score, items: done.items, ...(model.kind === "merge" ? { recipe: model.recipe } : {}) } } }));
    if (model.kind === "model") set((s) => ({ modelScores: { ...s.modelScores, [model.id]: withScore(s.modelScores[model.id], score) } }));
    else recordRun(set, get, env, model.recipe, "evaluated", { score, ...(done.recipeHash === undefined ? {} : { recipeHash: done.recipeHash }) });
  };

  return {
    tryTab: "compare",
    setTryTab: (tryTab) => set({ tryTab }),
    tryForm: DEFAULT_FORM,
    setTryForm: (change) => set((s) => ({ tryForm: { ...s.tryForm, ...change } })),
    tryFacts: {},
    refreshTryFacts: async () => {
      if (asking) return;
      asking = true;
      const tried = new Set<string>();
      // A refusal stands in its column; asking for an answer asks again.
      // Asked again where the budget changed while others were asked.
      const name = (c: Contender): string => JSON.stringify([c.model, get().budgets?.gpuBytes]);
      for (let next; (next = contenders(get()).find((c) => !tried.has(name(c)))); ) {
        tried.add(name(next));
        await factsOf(next).catch(() => undefined);
      }
      asking = false;
    },
    trying: undefined,
    stopTrying: async () => {
      const { trying } = get();
      if (!trying) return;
      set({ trying: { ...trying, stopping: true } });
      await env.engine.cancel(trying.jobId);
    },
    leaveTry: async () => {
      await get().stopTrying();
      await env.engine.endTrying();
    },
    overlay: "all",
    setOverlay: (overlay) => set({ overlay }),
    charted: [],
    chartRuns: (charted) => set({ charted, overlay: "chosen" }),
    extraColumns: [],
    addColumn: (kind, id) => {
      set((s) => (s.extraColumns.some((e) => e.kind === kind && e.id === id) || s.extraColumns.length >= MOST_COLUMNS ? {} : { extraColumns: [...s.extraColumns, { kind, id }] }));
      void get().refreshTryFacts();
    },
    addMethodColumn: async (method) => {
      const { baseId, modelIds } = get();
      if (baseId === undefined) return;
      try {
        const recipe = await env.engine.defaultRecipe(method, baseId, modelIds);
        set((s) => (s.extraColumns.length >= MOST_COLUMNS ? {} : { extraColumns: [...s.extraColumns.filter((e) => e.kind !== "recipe" || e.id !== method), { kind: "recipe", id: method, recipe }] }));
        await get().refreshTryFacts();
      } catch (error) {
        get().fail(error, "Adding a column");
      }
    },
    removeColumn: (key) => set((s) => ({ extraColumns: s.extraColumns.filter((e) => `${e.kind} ${e.id}` !== key), answers: without(s.answers, key), tryFacts: without(s.tryFacts, key) })),

    prompt: "",
    setPrompt: (prompt) => set({ prompt }),
    prompts: [],
    forgetPrompt: (prompt) => set((s) => ({ prompts: s.prompts.filter((p) => p !== prompt) })),
    answers: {},
    compare: async () => {
      const { prompt, trying, prompts } = get();
      if (trying || prompt.trim() === "") return;
      const list = contenders(get());
      set({
        prompts: [prompt, ...prompts.filter((p) => p !== prompt)].slice(0, MOST_PROMPTS),
        answers: Object.fromEntries(list.map((c): [string, ColumnAnswer] => [c.key, { state: "waiting", text: "", tokens: 0, thinkTokens: 0, ...(c.model.kind === "merge" ? { recipe: c.model.recipe } : {}) }])),
      });
      await inTurn("compare", list, (c, jobId) => compareOne(c, jobId, prompt), (c, error) => {
        const { code, message } = toStudioError(error);
        patchAnswer(c.key, code === "cancelled" ? { state: "stopped" } : { state: "failed", fault: message });
      });
      set((s) => ({ answers: Object.fromEntries(Object.entries(s.answers).map(([key, a]) => [key, a.state === "waiting" ? { ...a, state: "stopped" as const } : a])) }));
    },

    problemSet: undefined,
    takeSampleProblems: async () => {
      try {
        const problemSet = await fetchSampleProblems();
        set({ problemSet, problemCount: undefined });
      } catch (error) {
        get().fail(error, "Fetching the sample's problems");
      }
    },
    giveProblems: async (file) => {
      const context = "Reading problems";
      set((s) => ({ errors: s.errors.filter((e) => e.context !== context) }));
      try {
        const problemSet = await readProblems(file);
        set({ problemSet, problemCount: undefined });
      } catch (error) {
        get().fail(error, context);
      }
    },
    problemCount: undefined,
    setProblemCount: (count) => set({ problemCount: count }),
    samples: 8,
    setSamples: (samples) => set({ samples }),
    liveItems: [],
    evaluated: {},
    modelScores: {},
    evaluate: async (wanted = () => true) => {
      if (get().trying || !get().problemSet || problemCount(get()) === 0) return;
      const all = contenders(get());
      // Facts first: how long an answer may be is one number for all of them.
      for (const c of all) await factsOf(c).catch(() => undefined);
      if (get().trying || !wanted()) return;
      const asked = { set: setKey(get()), samples: samplesOf(get()) };
      const missing = all.filter((c) => {
        const now = get().evaluated[c.key];
        const recipe = c.model.kind === "merge" ? c.model.recipe : undefined;
        return !now || !sameRecipe(now.recipe, recipe) || !sameSettings(now.score, { ...asked, options: optionsOf(get().tryForm, get().tryFacts, get().tryFacts[c.key]?.value) });
      });
      await inTurn("evaluate", missing.length > 0 ? missing : all, evaluateOne, (c, error) => get().fail(error, `Evaluating ${c.name}`));
      set({ liveItems: [] });
    },
  };
};
