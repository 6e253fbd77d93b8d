import { DEFAULT_CALIBRATION } from "../core/calibration";
import { sha256 } from "../core/digest";
import { StudioError, throwIfCancelled, toStudioError } from "../core/errors";
import type { OutputFolder } from "../core/files";
import { pausable, pausableOutput } from "../core/pause";
import type { Recipe } from "../core/recipe";
import { Scratch } from "../core/scratch";
import type { Checkpoint } from "../core/tensors";
import type { TryModel } from "../core/trying";
import { computeShape } from "../analysis/shape";
import { preflight } from "../analysis/preflight";
import type { ArrayStore, TensorStats } from "../fisher/types";
import type { Gpu } from "../gpu/gpu";
import { smallFiles } from "../export/config";
import { kernelsText, recipeHash } from "../export/recipeFile";
import { virtualCheckpoint } from "../export/virtual";
import { adapterFacts, noAdapter } from "../gpu/info";
import { FAMILIES } from "../merge/methods/notes";
import { COMBOS, postInfo, POSTS } from "../merge/post";
import { inMergekit } from "../merge/mergekit/dialect";
import { METHODS, methodInfo, methodOf, passKey, resolveParams } from "../merge/methods";
import { tokeniseCalibration } from "../text/calibration";
import type { KeyValue } from "../store/keyValue";
import type { Library } from "../store/library";
import type { Locks } from "../store/locks";
import type { Budgets, EngineApi, ExportReport, ExportTarget, Forecast, GpuInfo, ModelFacts, OutputJob, Shape, UnfinishedExport } from "./api";
import { openRecipe, type RecipeContext } from "./context";
import { Device } from "./device";
import { gpuPassOf } from "./gpuPasses";
import { exportFiles, outputJob, planFiles } from "./exporting";
import type { RandomFile } from "./fisherFile";
import { alone, Jobs } from "./jobs";
import { KernelChoices, type TuneStore } from "./kernelChoice";
import { withLessMemory } from "./lessMemory";
import { measurePass } from "./measuring";
import { isTrimmed, studyOf } from "./operation";
import { requireGradients } from "./passes";
import { measureStage } from "./stagePass";
import { stageKey, stageShapes, stagesOf } from "./stages";
import { PassStore, type StoredPass } from "./passStore";
import type { Plan } from "./planner";
import { probeModels } from "./probing";
import { clocked, readMergeAhead } from "./reading";
import { mergekitOf, readRecipe } from "./recipes";
import { Resources } from "./resources";
import { mergeKey, Trying, type Answering } from "./trying";
import { planWork, type Measured } from "./work";

/** What the engine is handed; it reaches for nothing itself. */
export interface EngineEnv {
  gpu: GPU | undefined;
  library: Library<ModelFacts>;
  /** Where finished passes are kept. */
  passes: KeyValue;
  openOutput(target: ExportTarget, job: OutputJob): Promise<OutputFolder & { stagedFile?(path: string): Promise<File>; readonly archive?: string; readonly directory?: string }>;
  /** Exports that were cut off; absent where none outlives the program. */
  unfinished?: { list(): Promise<UnfinishedExport[]>; discard(id: string): Promise<void> };
  /** Over all that share `passes`: one of them makes a pass at a time. */
  locks?: Locks;
  /** A file for the element-wise Fisher, when the recipe asks to keep it. */
  fisherFile?(key: string, size: number): Promise<RandomFile>;
  readFisherFile?(key: string): Promise<File | undefined>;
  /** Elements per merge slice; only tests change it. */
  sliceElements?: number;
  /** Buffers that reads are made into ahead of their use, 0 for none; only tests and the bench change it. */
  readAhead?: number;
  /** Bytes of an export between two flushes; only tests change it. */
  flushBytes?: number;
  /** Where measured choices of kernels are kept, and the browser that they hold for: "Chrome 141". Not kept when absent. */
  tuning?: { store: TuneStore; browser: string };
  /** Upper ends of memory; DEFAULT_BUDGETS when absent. */
  budgets?: Partial<Budgets>;
  /** What adding a model does here: a browser copies it, a terminal reads it in place. */
  ingest?: "copy" | "in place";
}

/** Name of what a text stands for: 96 bits are enough to tell passes apart. */
const shortHash = async (text: string): Promise<string> => (await sha256(text)).slice(0, 24);

/** The engine: the same object in a worker of the tab, in a terminal and in tests. */
export function createEngine(env: EngineEnv): EngineApi {
  const jobs = new Jobs();
  const passes = new PassStore(env.passes);
  const resources = new Resources(env.budgets, { ingest: env.ingest ?? "copy", sliceElements: env.sliceElements, readAhead: env.readAhead });
  const stages = new Map<string, { output: Awaited<ReturnType<EngineEnv["openOutput"]>>; name: string; paths: string[]; adopted?: boolean }>();
  /** Passes in work by key: a second request for the same numbers waits for the first. */
  const inWork = new Map<string, Promise<unknown>>();
  const device = new Device(env.gpu);
  const kernels = new KernelChoices(env.tuning?.store, env.tuning?.browser ?? "");

  const gpuFacts = async (): Promise<GpuInfo> => {
    if (!env.gpu) return noAdapter("This browser does not offer WebGPU. Use a current Chrome, Edge, Safari or Firefox, or turn it on in the browser's settings.");
    const adapter = await env.gpu.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
    return adapter ? adapterFacts(adapter) : noAdapter("WebGPU is there, but no adapter answers. Update the graphics driver, or start the browser with --enable-unsafe-webgpu.");
  };

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
  const host = () => ({ device, passes, resources, kernels, facts: gpuFacts, fisherFile: env.fisherFile && ((name: string, size: number) => env.fisherFile!(name, size)) });
  const passFor = async (context: RecipeContext, jobId: string, signal: AbortSignal, onProgress: Parameters<EngineApi["measure"]>[2], onPartial: (shape: Shape) => void): Promise<StoredPass> => {
    const key = await keyOf(context);
    return stored(key, signal, () => {
      // What models hold between questions is room that the pass was planned with.
      trying.release();
      return measurePass({ ...host(), shapeOf: (stats) => shapeOf(context, stats, { complete: false, needsPass: true }) }, context, { key, jobId, signal, onProgress, onPartial });
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
  const measuredOf = async (context: RecipeContext, pass: StoredPass | undefined, shape: Shape, jobId: string, signal: AbortSignal, onProgress: Parameters<EngineApi["measure"]>[2]): Promise<Measured | undefined> => {
    const key = pass?.key ?? "";
    const merge: Measured | undefined = pass && { stats: new Map(pass.stats.map((s) => [s.name, s])), masks: passes.masks(key), arrays: passes.arrays(key) };
    const keys = await stageKeys(context);
    if (keys.length === 0) return merge;
    const measured: Measured & { stages: ArrayStore[] } = { ...(merge ?? { stats: new Map(), masks: passes.masks(key), arrays: passes.arrays(key) }), stages: [] };
    for (const [index, stage] of keys.entries()) {
      await stored(stage, signal, () => measureStage(host(), context, { key: stage, index, shape, measured, jobId, signal, onProgress }));
      measured.stages.push(passes.arrays(stage));
    }
    return measured;
  };

  /** A recipe with everything measured that its merge is made from. */
  const readyMerge = async (recipe: Recipe, jobId: string, signal: AbortSignal, onProgress: Parameters<EngineApi["measure"]>[2]) => {
    const opened = await open(recipe);
    await checkTexts(opened);
    // A pass that only the charts would need is used when it is there.
    const pass = needsPass(opened) ? await passFor(opened, jobId, signal, onProgress, () => undefined) : await passes.get(await keyOf(opened));
    const context = recorded(opened, pass);
    const shape = shapeOf(context, pass?.stats ?? [], { complete: true, needsPass: false, warnings: pass?.report.warnings ?? [] });
    return { context, pass, shape, measured: await measuredOf(context, pass, shape, jobId, signal, onProgress) };
  };

  const trying = new Trying({
    device, resources,
    async answering(model, jobId, signal, onProgress) {
      if (model.kind === "model") {
        const files = await env.library.get(model.id);
        return { name: files.name, key: `model ${model.id}`, files, weights: async () => pausable(files, signal) };
      }
      const { context, shape, measured } = await readyMerge(model.recipe, jobId, signal, onProgress);
      const { base, experts, plan, recipe } = context;
      const merged = async (gpu: Gpu | undefined, of: AbortSignal): Promise<Checkpoint> => virtualCheckpoint({
        gpu, sources: { base, experts }, recipe, plan, workOf: await planWork(context, shape, measured, of), signal: of,
        files: (await smallFiles(base, experts, recipe, plan)).map((f) => f.file),
      });
      const hash = await recipeHash(recipe);
      return { name: recipe.output.name, key: mergeKey(recipe, hash), recipeHash: hash, files: await merged(undefined, signal), weights: merged };
    },
  });
  const tried = <T>(jobId: string, model: TryModel, onProgress: Parameters<EngineApi["measure"]>[2], work: (answering: Answering, signal: AbortSignal) => Promise<T>): Promise<T> =>
    jobs.run(jobId, async (signal) => work(await trying.host.answering(model, jobId, signal, onProgress), signal));

  return {
    gpu: gpuFacts,
    methods: async () => METHODS.map(methodInfo),
    postprocesses: async () => ({ posts: POSTS.map(postInfo), combos: [...COMBOS], families: [...FAMILIES] }),

    models: () => env.library.list(),
    ingest: (jobId, folder, options, onProgress) => jobs.run(jobId, (signal) => env.library.ingest(jobId, folder, { ...options, signal, onProgress })),
    linkedHandles: async (id) => (await env.library.handles?.(id)) ?? [],
    async reconnect(id) {
      if (!env.library.reconnect) throw new StudioError("bad-request", "Opening a linked model: models are not linked here.", { title: "Not linked" });
      return env.library.reconnect(id);
    },
    deleteModel: (id) => env.library.remove(id),
    storage: () => env.library.storage(),
    persist: () => env.library.persist(),

    preflight: async (baseId, modelIds, reconciliation, tensors) => preflight(await env.library.get(baseId), await Promise.all(modelIds.map((id) => env.library.get(id))), reconciliation, tensors),

    async defaultRecipe(methodId, baseId, modelIds) {
      const combo = COMBOS.find((c) => c.id === methodId);
      const method = methodOf(combo?.method ?? methodId);
      const [base, ...experts] = (await Promise.all([baseId, ...modelIds].map((id) => env.library.get(id)))) as [Checkpoint, ...Checkpoint[]];
      const { reconciliation } = await preflight(base, experts);
      const name = `${base.name}-${methodId}`.toLowerCase().replace(/[^a-z0-9._-]+/g, "-");
      return withHashes({
        version: 1, method: method.id,
        base: { id: baseId, name: base.name },
        models: experts.map((e, i) => ({ id: modelIds[i]!, name: e.name })),
        params: resolveParams(method, combo?.params ?? {}),
        ...(combo ? { then: combo.then } : {}),
        ...(combo || method.needs.calibration ? { calibration: DEFAULT_CALIBRATION } : {}),
        reconciliation,
        output: { dtype: "base", maxShardBytes: 5_000_000_000, name },
      });
    },

    async calibration(recipe) {
      return (await tokeniseCalibration(recipe.calibration ?? DEFAULT_CALIBRATION, await env.library.get(recipe.base.id ?? recipe.base.name))).facts;
    },

    measure: (jobId, recipe, onProgress, onPartial) =>
      jobs.run(jobId, async (signal) => {
        const context = await open(recipe);
        await checkTexts(context);
        const pass = await passFor(context, jobId, signal, onProgress, onPartial);
        await measuredOf(context, pass, shapeOf(context, pass.stats, { complete: true, needsPass: false }), jobId, signal, onProgress);
        return pass.report;
      }),

    async shape(recipe) {
      const context = await open(recipe);
      const pass = await passes.get(await keyOf(context));
      const findings = await stageFindings(context);
      const missing = (pass === undefined && needsPass(context)) || findings.includes(undefined);
      const shape = shapeOf(context, pass?.stats ?? [], { complete: !missing, needsPass: missing, warnings: pass?.report.warnings ?? [] });
      return findings.length > 0 ? { ...shape, stages: await stageShapes(context, findings) } : shape;
    },

    async plan(recipe, budgets, rates) {
      const context = await open(recipe);
      if (context.method.needs.fisher) requireGradients(context);
      gpuPassOf(context)?.require(context);
      const plan: Partial<Plan> = await resources.plan(context, await gpuFacts(), context.method.needs.fisher ? "fisher" : context.method.gpuPass === undefined && needsPass(context) ? "changes" : "none", budgets, rates);
      delete plan.steps; // thousands of rows that nobody reads
      delete plan.reads;
      return plan as Forecast;
    },
    budgets: async (change) => resources.set(change),
    async kernels() {
      const facts = await gpuFacts();
      return facts.state === "none" ? undefined : kernels.inUse(facts);
    },

    importRecipe: async (text, kind) => readRecipe(text, kind, await env.library.list()),
    async mergekitYaml(recipe) {
      const context = await open(recipe);
      const pass = await passes.get(await keyOf(context));
      if (!pass && needsPass(context) && !inMergekit(recipe.method)) throw new StudioError("bad-request", "Writing the recipe for mergekit: what each layer takes is not measured yet. Run the pass first.", { title: "Not measured yet", todo: "Run the pass first." });
      return mergekitOf(context, shapeOf(context, pass?.stats ?? [], { complete: true, needsPass: false }));
    },

    async planExport(recipe) {
      const context = await open(recipe);
      const pass = await passes.get(await keyOf(context));
      const shape = pass || !needsPass(context) ? shapeOf(context, pass?.stats ?? [], { complete: true, needsPass: false }) : undefined;
      return planFiles(recorded(context, pass), shape, pass?.report.adapter);
    },

    exportModel: (jobId, recipe, target, onProgress) =>
      jobs.run(jobId, async (signal) => {
        trying.release();
        const { context, pass, shape, measured } = await readyMerge(recipe, jobId, signal, onProgress);
        const once = async (gpu: Gpu | undefined, { memory }: Plan): Promise<ExportReport> => {
          const adapter = gpu?.facts.name ?? "CPU";
          const output = await env.openOutput(target, await outputJob(context, shape, adapter));
          try {
            if (gpu) gpu.budgetBytes = resources.gpuBytes;
            const models = { ...context, base: pausable(resources.timed(context.base), signal), experts: context.experts.map((e) => pausable(resources.timed(e), signal)) };
            const report = await clocked(signal, gpu, async (clock) => {
              const { context: ahead, ring } = readMergeAhead(models, { sliceElements: memory.sliceElements, buffers: env.readAhead, signal });
              try {
                const done = await exportFiles({ gpu, adapter, context: ahead, ahead: ring, shape, measured, output: pausableOutput(output, signal), signal, jobId, onProgress, sliceElements: memory.sliceElements, flushBytes: env.flushBytes });
                return { ...done, phases: clock.report(), reads: { ...ring.counts } };
              } finally {
                void ring.end();
              }
            });
            resources.wrote(report.stages ?? []);
            if (output.stagedFile) {
              const id = crypto.randomUUID();
              stages.set(id, { output, name: report.name, paths: report.files.map((f) => f.path) });
              report.staged = { id, paths: output.archive ? [output.archive] : report.files.map((f) => f.path) };
            }
            return report;
          } catch (error) {
            // What is left of such a pass is of no use; the next request makes it anew.
            if (pass && toStudioError(error).details.passGone === true) await passes.drop(pass.key);
            throw error;
          } finally {
            await gpu?.settle().catch(() => undefined);
            Scratch.clear();
          }
        };
        const gpu = env.gpu ? await device.open().catch((error: unknown) => (context.method.needs.fisher ? Promise.reject(error as Error) : undefined)) : undefined;
        const plan = async (facts: GpuInfo, gpuBytes = Infinity): Promise<Plan> => {
          resources.shrink(gpuBytes);
          return resources.plan(context, facts, "none");
        };
        return gpu ? device.run("Merging", signal, (held) => withLessMemory(held, (gpuBytes) => plan(held.facts, gpuBytes), (planned) => once(held, planned))) : once(undefined, await plan(noAdapter("")));
      }),

    unfinishedExports: async () => (await env.unfinished?.list()) ?? [],
    discardUnfinished: async (id) => env.unfinished?.discard(id),
    async stagedFile(stageId, path) {
      const file = await stages.get(stageId)?.output.stagedFile?.(path);
      if (!file) throw new StudioError("bad-request", `Downloading ${path}: the staged files are gone. Save again.`, { title: "Not staged any more", where: path });
      return file;
    },
    async discardStage(stageId) {
      const stage = stages.get(stageId);
      stages.delete(stageId);
      // What has become a model is deleted with the model.
      if (!stage?.adopted) await stage?.output.discard();
    },
    useAsInput: (jobId, stageId, onProgress) =>
      jobs.run(jobId, async (signal) => {
        const stage = stages.get(stageId);
        const directory = stage?.output.directory;
        if (!stage || directory === undefined || !env.library.adopt) throw new StudioError("bad-request", "Using the result as an input: the staged files are gone. Save again.", { title: "Not staged any more", todo: "Save again, one download per file." });
        const model = await env.library.adopt(jobId, { name: stage.name, directory, paths: stage.paths }, { signal, onProgress });
        stage.adopted = true;
        return model;
      }),
    async fisherFile(recipe) {
      return env.readFisherFile?.(await keyOf(await open(recipe)));
    },

    tryFacts: async (model) => trying.facts(await trying.host.answering(model.kind === "model" ? model : { kind: "model", id: model.recipe.base.id ?? model.recipe.base.name }, "", new AbortController().signal, () => undefined)),
    generate: (jobId, model, prompts, options, onProgress, onPiece) => tried(jobId, model, onProgress, (answering, signal) => trying.generate(answering, jobId, prompts, options, signal, onProgress, onPiece)),
    evaluate: (jobId, model, problems, options, onProgress, onItem) => tried(jobId, model, onProgress, (answering, signal) => trying.evaluate(answering, jobId, problems, options, signal, onProgress, onItem)),
    probe: (jobId, models, text, onProgress) => jobs.run(jobId, (signal) => probeModels(trying, models, text, { jobId, signal, onProgress })),
    mergesTried: async () => trying.merges,
    endTrying: async () => trying.release(),

    cancel: async (jobId) => jobs.cancel(jobId),
    pause: async (jobId) => jobs.pause(jobId),
    resume: async (jobId) => jobs.resume(jobId),
  };
}
