import { DEFAULT_CALIBRATION } from "../core/calibration";
import { StudioError, toStudioError } from "../core/errors";
import type { OutputFolder } from "../core/files";
import { pausable, pausableOutput } from "../core/pause";
import { Scratch } from "../core/scratch";
import type { Checkpoint } from "../core/tensors";
import type { TryModel } from "../core/trying";
import { preflight } from "../analysis/preflight";
import type { Gpu } from "../gpu/gpu";
import { adapterFacts, noAdapter } from "../gpu/info";
import { FAMILIES } from "../merge/methods/notes";
import { COMBOS, postInfo, POSTS } from "../merge/post";
import { inMergekit } from "../merge/mergekit/dialect";
import { METHODS, methodInfo, methodOf, resolveParams } from "../merge/methods";
import { tokeniseCalibration } from "../text/calibration";
import type { KeyValue } from "../store/keyValue";
import type { Library } from "../store/library";
import type { Locks } from "../store/locks";
import type { Budgets, EngineApi, ExportReport, ExportTarget, FinishedExport, Forecast, GpuInfo, ModelFacts, OutputJob, UnfinishedExport } from "./api";
import { createAnswering, type Answering } from "./answering";
import { Device } from "./device";
import { gpuPassOf } from "./gpuPasses";
import { exportFiles, outputJob, planFiles } from "./exporting";
import type { RandomFile } from "./fisherFile";
import { Jobs } from "./jobs";
import { KernelChoices, type TuneStore } from "./kernelChoice";
import { withLessMemory } from "./lessMemory";
import { createMerges } from "./merges";
import { requireGradients } from "./passes";
import { stageShapes } from "./stages";
import { PassStore } from "./passStore";
import type { Plan } from "./planner";
import { probeModels } from "./probing";
import { clocked, readMergeAhead } from "./reading";
import { mergekitOf, readRecipe } from "./recipes";
import { Resources } from "./resources";
import { Trying } from "./trying";

/** Where an export goes. `keep`, where the result waits for its downloads, takes it over with its report, after `finish`, and adds what can be asked for. */
export type EngineOutput = OutputFolder & { keep?(report: ExportReport): Promise<ExportReport> };

/** Results that wait for their downloads, by the id of their stage. */
export interface StagedResults {
  list(): Promise<FinishedExport[]>;
  /** Throws "bad-request" when it is gone. */
  file(id: string, path: string): Promise<File>;
  /** Where the files lie in the origin's own file system, so that they can become a model without a copy; undefined when they are gone, or packed. */
  place(id: string): Promise<{ name: string; directory: string; paths: string[] } | undefined>;
  /** From now on the files are the library's. */
  becameModel(id: string): Promise<void>;
  discard(id: string): Promise<void>;
}

/** What the engine is handed; it reaches for nothing itself. */
export interface EngineEnv {
  gpu: GPU | undefined;
  library: Library<ModelFacts>;
  /** Where finished passes are kept. */
  passes: KeyValue;
  openOutput(target: ExportTarget, job: OutputJob): Promise<EngineOutput>;
  /** Results that wait for their downloads; absent where an export ends in a folder. */
  staged?: StagedResults;
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

/** The engine: the same object in a worker of the tab, in a terminal and in tests. */
export function createEngine(env: EngineEnv): EngineApi {
  const jobs = new Jobs();
  const passes = new PassStore(env.passes);
  const resources = new Resources(env.budgets, { ingest: env.ingest ?? "copy", sliceElements: env.sliceElements, readAhead: env.readAhead });
  const device = new Device(env.gpu);
  const kernels = new KernelChoices(env.tuning?.store, env.tuning?.browser ?? "");

  const gpuFacts = async (): Promise<GpuInfo> => {
    if (!env.gpu) return noAdapter("This browser does not offer WebGPU. Use a current Chrome, Edge, Safari or Firefox, or turn it on in the browser's settings.");
    const adapter = await env.gpu.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
    return adapter ? adapterFacts(adapter) : noAdapter("WebGPU is there, but no adapter answers. Update the graphics driver, or start the browser with --enable-unsafe-webgpu.");
  };

  const { open, withHashes, keyOf, recorded, needsPass, shapeOf, stageFindings, passFor, measuredOf, checkTexts, readyMerge } = createMerges(env, { device, passes, resources, kernels, facts: gpuFacts, beforePass: () => trying.release() });

  const trying = new Trying({
    device, resources,
    answering: createAnswering(env, resources, readyMerge),
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
            return output.keep ? await output.keep(report) : report;
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
    finishedExports: async () => (await env.staged?.list()) ?? [],
    async stagedFile(stageId, path) {
      if (!env.staged) throw new StudioError("bad-request", `Downloading ${path}: nothing is kept for downloads here.`, { title: "Nothing staged", where: path });
      return env.staged.file(stageId, path);
    },
    discardStage: async (stageId) => env.staged?.discard(stageId),
    useAsInput: (jobId, stageId, onProgress) =>
      jobs.run(jobId, async (signal) => {
        const place = await env.staged?.place(stageId);
        if (!place || !env.library.adopt) throw new StudioError("bad-request", "Using the result as an input: the staged files are gone. Save again.", { title: "Not staged any more", todo: "Save again, one download per file." });
        const model = await env.library.adopt(jobId, place, { signal, onProgress });
        await env.staged!.becameModel(stageId);
        return model;
      }),
    async fisherFile(recipe) {
      return env.readFisherFile?.(await keyOf(await open(recipe)));
    },

    tryFacts: async (model) => trying.facts(await trying.host.answering(model.kind === "model" ? model : { kind: "model", id: model.recipe.base.id ?? model.recipe.base.name }, "", new AbortController().signal, () => undefined), model.kind === "merge" ? 1 + model.recipe.models.length : 1),
    generate: (jobId, model, prompts, options, onProgress, onPiece) => tried(jobId, model, onProgress, (answering, signal) => trying.generate(answering, jobId, prompts, options, signal, onProgress, onPiece)),
    evaluate: (jobId, model, problems, options, onProgress, onItem) => tried(jobId, model, onProgress, (answering, signal) => trying.evaluate(answering, jobId, problems, options, signal, onProgress, onItem)),
    probe: (jobId, models, text, onProgress) => jobs.run(jobId, (signal) => probeModels(trying, models, text, { jobId, signal, onProgress })),
    mergesTried: async () => trying.tried,
    endTrying: async () => trying.release(),

    cancel: async (jobId) => jobs.cancel(jobId),
    pause: async (jobId) => jobs.pause(jobId),
    resume: async (jobId) => jobs.resume(jobId),
  };
}
