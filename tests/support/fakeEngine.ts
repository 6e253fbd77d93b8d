import { FAMILIES } from "../../src/merge/methods/notes";
import { COMBOS, postInfo, POSTS } from "../../src/merge/post";
import { cancelled, StudioError } from "../../src/core/errors";
import type { PhaseState, Progress, StripCell } from "../../src/core/progress";
import type { Recipe } from "../../src/core/recipe";
import type { Budgets, EngineApi, FinishedExport, GpuInfo, IncomingFolder, StoredModel, UnfinishedExport } from "../../src/engine/api";
import { fakeFacts, fakeForecast, fakeGpu, fakeMethods, fakeModel, fakePlan, fakePreflight, fakeRecipe, fakeReport, fakeShape, fakeTuned } from "./fakeData";
import type { MergesTried, TryModel, WeightsBrought } from "../../src/core/trying";
import { FAKE_HASH, fakeEvaluation, fakeIds, fakeItem, fakePiece, fakeProbe, fakeText, fakeTryFacts } from "./fakeTrying";

export interface FakeOptions {
  models?: StoredModel[];
  gpu?: GpuInfo["state"];
  blocked?: boolean;
  /** A job of this kind stops at the fraction and waits to be cancelled. */
  hold?: Partial<Record<Progress["kind"], number>>;
  /** Thrown by the next call of the method. */
  failures?: Partial<Record<keyof EngineApi, unknown>>;
  /** Exports that an earlier visit left. */
  unfinished?: UnfinishedExport[];
  finished?: FinishedExport[];
  /** The weights do not fit the GPU budget. */
  streams?: boolean;
  /** A probe finds the merge broken. */
  broken?: boolean;
  /** Steps of a job; each waits one turn of the event loop. */
  steps?: number;
}

export interface FakeEngine extends EngineApi {
  /** Names of the methods called, in order. */
  calls: string[];
  options: FakeOptions;
}

/** An engine that answers from canned data and scripts its progress; no worker, no GPU, no storage. */
export function createFakeEngine(options: FakeOptions = {}): FakeEngine {
  const models = new Map((options.models ?? []).map((model) => [model.id, model]));
  const measuredKeys = new Set<string>();
  const cancelledJobs = new Set<string>();
  const pausedJobs = new Set<string>();
  const calls: string[] = [];
  let kept = false;
  let budgets: Budgets = { gpuBytes: 2 ** 31, hostBytes: 2 ** 29 };
  let nextId = 1;

  const note = (name: keyof EngineApi): void => {
    calls.push(name);
    const failure = options.failures?.[name];
    if (failure === undefined) return;
    delete options.failures![name];
    throw failure;
  };
  const model = (id: string): StoredModel => {
    const found = models.get(id);
    if (!found) throw new StudioError("bad-request", `No model ${id}.`);
    return found;
  };
  /** Counts merges as the engine does: one that is among the last three is at hand, and a second one differs from the first in 7 of 290 tensors. */
  const merges = {
    tried: { merges: 0, tensorsMade: 0, tensorsTaken: 0 } as MergesTried, held: [] as string[],
    tell(model: TryModel): WeightsBrought {
      const key = JSON.stringify(model);
      const [known, bytes] = [this.held.includes(key), 3_093_669_888];
      this.held = [...this.held.filter((k) => k !== key), key].slice(-3);
      if (known) return { made: 0, there: 290, bytes, seconds: 0 };
      if (model.kind === "model") return { made: 290, there: 0, bytes, seconds: 0.21 };
      const made = this.tried.merges++ === 0 ? 290 : 7;
      this.tried.tensorsMade += made;
      this.tried.tensorsTaken += 290 - made;
      return { made, there: 290 - made, bytes, seconds: made === 7 ? 0.014 : 0.48 };
    },
  };
  const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

  const waits = (jobId: string, kind: Progress["kind"], fraction: number): boolean => pausedJobs.has(jobId) || (options.hold?.[kind] !== undefined && fraction >= options.hold[kind]);
  /** Walks a job from 0 to 1, telling `at(fraction)` each step; holds and cancels as asked. */
  const walk = async (jobId: string, kind: Progress["kind"], at: (fraction: number) => void): Promise<void> => {
    const steps = options.steps ?? 8;
    for (let i = 0; i <= steps; i++) {
      const fraction = Math.min(i / steps, options.hold?.[kind] ?? 1);
      at(fraction);
      do {
        await turn();
        if (cancelledJobs.has(jobId)) throw cancelled();
        if (waits(jobId, kind, fraction)) await new Promise((resolve) => setTimeout(resolve, 20));
        at(fraction);
      } while (waits(jobId, kind, fraction));
    }
  };

  const phases = (labels: [string, string?][], fraction: number, from: number): PhaseState[] =>
    labels.map(([label, count], i) => {
      const now = fraction >= 1 ? labels.length : Math.max(from, Math.min(labels.length - 1, from + Math.floor(fraction * fraction * (labels.length - from - 0.01))));
      return { id: String(i), label, state: i < now ? "done" : i === now ? "now" : "todo", ...(count ? { count } : {}), elapsedMs: i < from ? 40 : 9000 };
    });
  const cells = (n: number, fraction: number): StripCell[] => {
    const full = Math.floor(n * fraction);
    return Array.from({ length: n }, (_, i) => (i < full - 1 ? "full" : i === full - 1 ? (fraction >= 1 ? "full" : "half") : i === full ? "now" : "empty"));
  };
  const progress = (jobId: string, kind: Progress["kind"], fraction: number, rest: Partial<Progress>): Progress => ({
    jobId, kind, fraction, ...(pausedJobs.has(jobId) ? { paused: true } : {}), phases: [], elapsedMs: 15_000 * fraction, ...(fraction > 0.1 && fraction < 1 ? { secondsLeft: [5, 8] as [number, number], bytesPerSecond: 231_000_000 } : {}), ...rest,
  });

  const engine: FakeEngine = {
    calls, options,
    gpu: async () => (note("gpu"), fakeGpu(options.gpu)),
    methods: async () => (note("methods"), fakeMethods()),
    postprocesses: async () => (note("postprocesses"), { posts: POSTS.map(postInfo), combos: [...COMBOS], families: [...FAMILIES] }),
    models: async () => (note("models"), [...models.values()]),
    storage: async () => {
      note("storage");
      const usedBytes = [...models.values()].reduce((sum, m) => sum + (m.backend === "session" || m.backend === "link" ? 0 : (m.bytes * m.chunksDone) / m.chunks), 0);
      return { usedBytes, freeBytes: 51_800_000_000, persistent: kept };
    },
    persist: async () => (note("persist"), (kept = true)),
    ingest: async (jobId, folder, { backend, sample }, onProgress) => {
      note("ingest");
      const facts = factsOf(folder);
      const resumed = [...models.values()].find((m) => m.name === folder.name && m.state === "ingesting");
      const id = resumed?.id ?? `new${nextId++}`;
      const base = fakeModel({ id, name: folder.name, facts, state: "ingesting", backend, files: folder.files.length, ...(sample ? { sample: true } : {}) });
      const { hash: _hash, ...unhashed } = base;
      await walk(jobId, "ingest", (fraction) => {
        const done = Math.floor(base.chunks * fraction);
        models.set(id, { ...unhashed, chunksDone: done });
        onProgress(progress(jobId, "ingest", fraction, {
          phases: phases([[`Headers read: ${facts.tensors} tensors, no gaps, no overlaps`], ["Space asked for: 3.55 GB needed, 51.8 GB free"], ["Copying and verifying model.safetensors", `${done} of ${base.chunks}`], ["Config, tokenizer and chat template", "6 files"]], fraction, 2),
          bytesDone: Math.round(facts.bytes * fraction), bytesTotal: facts.bytes, strips: [{ label: "chunks", cells: cells(base.chunks, fraction) }],
        }));
      });
      models.set(id, { ...base, state: "ready" });
      return models.get(id)!;
    },
    linkedHandles: async () => (note("linkedHandles"), []),
    reconnect: async (id) => {
      note("reconnect");
      models.set(id, { ...model(id), state: "ready" });
      return model(id);
    },
    deleteModel: async (id) => (note("deleteModel"), void models.delete(id)),
    preflight: async (baseId, modelIds, reconciliation) => {
      note("preflight");
      [baseId, ...modelIds].forEach(model);
      return fakePreflight(options.blocked ?? false, reconciliation);
    },
    calibration: async ({ calibration }) => (note("calibration"), { texts: 119, sequences: calibration!.samples, tokens: 50 * calibration!.samples, shortest: 20, longest: 90, median: 48, cut: 0, dropped: 0, limit: calibration!.maxTokens, notes: [], examples: [{ text: "Question: what is 2 + 2?", tokens: 9 }] }),
    defaultRecipe: async (method, baseId, modelIds) => (note("defaultRecipe"), fakeRecipe(method, model(baseId), modelIds.map(model))),
    measure: async (jobId, recipe, onProgress, onPartial) => {
      note("measure");
      await walk(jobId, "measure", (fraction) => {
        const blocks = Math.floor(Math.max(0, fraction - 0.3) * (28 / 0.7));
        onProgress(progress(jobId, "measure", fraction, { phases: phases([["Token sequences drawn", "8 × 512"], ["Forward pass", "28 of 28"], ["Backward pass", `${blocks} of 28`], ["Scores and α"]], fraction, 1), strips: [{ label: "forward", cells: cells(28, Math.min(1, fraction / 0.3)) }, { label: "backward", cells: cells(28, blocks / 28).reverse() }], gpuBytes: 1_580_000_000 }));
        onPartial(fakeShape(recipe, blocks));
      });
      measuredKeys.add(passKey(recipe.params, recipe.method));
      return { key: passKey(recipe.params, recipe.method), losses: [11.9, 12.1], tokens: 4096, elapsedMs: 19_000, timings: {}, adapter: "NVIDIA lovelace", warnings: [] };
    },
    shape: async (recipe) => (note("shape"), await turn(), fakeShape(recipe, measuredKeys.has(passKey(recipe.params, recipe.method)) ? 28 : 0)),
    plan: async (recipe, change) => (note("plan"), fakeForecast(recipe, { ...budgets, ...change })),
    kernels: async () => {
      const forms = (few: string, many: string) => Object.fromEntries(["gemm_nt", "gemm_nn", "fisher_tn"].map((kernel) => [kernel, { "few rows": few, "many rows": many }]));
      if (options.gpu === "none") return undefined;
      return options.gpu === "software" ? { source: "software" as const, forms: forms("register", "register") } : { source: "stored" as const, forms: forms("32x32/8x8", "64x64/16x16") };
    },
    budgets: async (change) => (note("budgets"), (budgets = { ...budgets, ...change })),
    importRecipe: async (text) => (note("importRecipe"), { recipe: JSON.parse(text) as Recipe, findings: [] }),
    mergekitYaml: async () => (note("mergekitYaml"), { text: "merge_method: ties\n", exact: false, findings: [{ severity: "warn", code: "trim", sentence: "mergekit can only choose by size." }] }),
    planExport: async (recipe) => (note("planExport"), fakePlan(recipe)),
    exportModel: async (jobId, recipe, target, onProgress) => {
      note("exportModel");
      await walk(jobId, "export", (fraction) => onProgress(progress(jobId, "export", fraction, { phases: phases([["Weights merged and written"], ["Read back and checked"]], fraction, 0), bytesDone: 3_554_215_465 * fraction, bytesTotal: 3_554_215_465 })));
      return { ...fakeReport(recipe), name: target.name, ...(target.kind === "folder" ? {} : { staged: { id: "stage1", paths: fakePlan(recipe).files.map((f) => f.path), bytes: fakePlan(recipe).totalBytes } }) };
    },
    unfinishedExports: async () => (note("unfinishedExports"), options.unfinished ?? []),
    discardUnfinished: async (id) => {
      note("discardUnfinished");
      options.unfinished = options.unfinished?.filter((u) => u.id !== id) ?? [];
    },
    finishedExports: async () => (note("finishedExports"), options.finished ?? []),
    stagedFile: async (_id, path) => (note("stagedFile"), new File([""], path)),
    discardStage: async (id) => {
      note("discardStage");
      options.finished = options.finished?.filter((f) => f.id !== id) ?? [];
    },
    useAsInput: async (jobId, _stage, onProgress) => {
      note("useAsInput");
      await walk(jobId, "ingest", (fraction) => onProgress(progress(jobId, "ingest", fraction, {})));
      const made = fakeModel({ id: `new${nextId++}`, name: "merged", backend: "opfs" });
      models.set(made.id, made);
      return made;
    },
    tryFacts: async () => (note("tryFacts"), fakeTryFacts(options.streams)),
    generate: async (jobId, model, prompts, _options, onProgress, onPiece) => {
      note("generate");
      const weights = merges.tell(model);
      const text = fakeText(model);
      const ids = fakeIds(text);
      await walk(jobId, "try", (fraction) => {
        const tokens = Math.floor(ids.length * fraction);
        onProgress(progress(jobId, "try", fraction, { phases: phases([["Answering"]], fraction, 0) }));
        prompts.forEach((_, index) => onPiece({ index, text: fakePiece(text, tokens), tokens }));
      });
      return prompts.map(() => ({ text, ids, tokens: ids.length + 1, promptTokens: 34, stop: "stop id" as const, seconds: 1.2, tokensPerSecond: 112, ...(model.kind === "merge" ? { recipeHash: FAKE_HASH } : {}), weights }));
    },
    evaluate: async (jobId, model, problems, options, onProgress, onItem) => {
      note("evaluate");
      merges.tell(model);
      let told = 0;
      await walk(jobId, "try", (fraction) => {
        for (const done = Math.floor(problems.length * fraction); told < done; told++) onItem(fakeItem(model, problems[told]!, told, options.samples));
        onProgress(progress(jobId, "try", fraction, { phases: phases([["Answering problems", `${told} of ${problems.length}`]], fraction, 0) }));
      });
      return fakeEvaluation(model, problems, options);
    },
    probe: async (jobId, models, text, onProgress) => {
      note("probe");
      await walk(jobId, "try", (fraction) => onProgress(progress(jobId, "try", fraction, { phases: phases([["Probing"]], fraction, 0) })));
      return fakeProbe(models, text, options.broken ?? false);
    },
    mergesTried: async () => (note("mergesTried"), { ...merges.tried }),
    endTrying: async () => note("endTrying"),
    fisherFile: async () => (note("fisherFile"), undefined),
    cancel: async (jobId) => (note("cancel"), void cancelledJobs.add(jobId)),
    pause: async (jobId) => (note("pause"), void pausedJobs.add(jobId)),
    resume: async (jobId) => (note("resume"), void pausedJobs.delete(jobId)),
  };
  return engine;
}

/** The pass depends on these alone: everything else changes the charts at once. */
const passKey = (params: Record<string, unknown>, method: string): string => `${method.startsWith("fim") ? "fim" : method}/${String(params.r)}/${String(params.seed)}`;
const factsOf = (folder: IncomingFolder): ReturnType<typeof fakeFacts> => (/distill|cot|tuned/i.test(folder.name) ? fakeTuned().facts : fakeFacts());

/** A folder as a drop hands it over. */
export const fakeFolder = (name: string): IncomingFolder => ({ name, files: ["config.json", "model.safetensors"].map((path) => ({ path, file: new File(["{}"], path) })) });
