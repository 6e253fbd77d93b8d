import { StudioError, throwIfCancelled, toStudioError } from "../core/errors";
import { jobClock, pausable } from "../core/pause";
import { ProgressMeter, type OnProgress } from "../core/progress";
import { Scratch } from "../core/scratch";
import { addClock } from "../core/stages";
import type { Checkpoint } from "../core/tensors";
import type { TensorStats } from "../fisher/types";
import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import { parseModelConfig } from "../model/config";
import type { GpuInfo, MeasureReport, Shape } from "./api";
import { changePassBytes, runChangePass } from "./changePass";
import { counted, type RecipeContext } from "./context";
import { passStretches } from "./estimate";
import type { Device } from "./device";
import { canGoOn } from "./exporting";
import { gpuPassOf } from "./gpuPasses";
import { guardedContext } from "./finite";
import { fisherWriter, type RandomFile } from "./fisherFile";
import type { KernelChoice, KernelChoices } from "./kernelChoice";
import { withLessMemory } from "./lessMemory";
import { passRounds, passWork, requireGradients, runFisherPass, type PassRun } from "./passes";
import type { PassStore, StoredPass } from "./passStore";
import type { Plan } from "./planner";
import { readPassAhead } from "./reading";
import type { Resources } from "./resources";

/** What a pass needs of the engine. */
export interface PassHost {
  device: Device;
  passes: PassStore;
  resources: Resources;
  kernels: KernelChoices;
  facts(): Promise<GpuInfo>;
  /** A file for the element-wise Fisher, where there is a place for one. */
  fisherFile?: ((key: string, size: number) => Promise<RandomFile>) | undefined;
  shapeOf(stats: readonly TensorStats[]): Shape;
}

export interface PassJob {
  key: string;
  jobId: string;
  signal: AbortSignal;
  onProgress: OnProgress;
  onPartial(shape: Shape): void;
}

/**
 * Runs the pass of a recipe and stores it. What an earlier run of the same pass finished is not done again: after a lost
 * device, a fault that does not lie in the inputs, or the end of the program it goes on at the first unfinished block. With
 * the element-wise Fisher kept that holds for lost devices only, because the half-written file ends with the program. A
 * cancelled pass leaves nothing.
 */
export async function measurePass(host: PassHost, context: RecipeContext, { key, jobId, signal, onProgress, onPartial }: PassJob): Promise<StoredPass> {
  const { passes, resources } = host;
  const fisher = context.method.needs.fisher;
  const other = gpuPassOf(context);
  if (fisher) requireGradients(context);
  other?.require(context);
  const clock = jobClock(signal);
  const started = clock();
  const stages = addClock(signal);
  const meter = passMeter(context, jobId, signal, onProgress);
  const count = (bytes: number): void => {
    meter.bytesDone += bytes;
    if (!fisher && !other) meter.emit(meter.bytesDone);
  };
  const watched = (checkpoint: Checkpoint): Checkpoint => counted(pausable(resources.timed(checkpoint), signal), count);
  const measured = { ...context, base: watched(context.base), experts: context.experts.map(watched) };
  const stats: TensorStats[] = [];
  let lastPartial = 0;
  const onTensor = (row: TensorStats): void => {
    stats.push(row);
    // A chart redrawn more often than this would only cost.
    if (performance.now() - lastPartial < 150) return;
    lastPartial = performance.now();
    onPartial(host.shapeOf(stats));
  };
  let kept: Awaited<ReturnType<typeof fisherWriter>> | undefined;

  /** One try on one device; `losses` are those before it. */
  const attempt = async (gpu: Gpu | undefined, losses: number): Promise<MeasureReport> => {
    if (gpu) gpu.clock = stages;
    meter.note = losses > 0 ? "The GPU went away and was opened again." : undefined;
    const shortages: string[] = [];
    try {
      const kernels = gpu && (await host.kernels.use(gpu, context.recipe.kernels));
      const facts = gpu?.facts ?? (await host.facts());
      const plan = async (gpuBytes = Infinity): Promise<Plan> => {
        resources.shrink(gpuBytes);
        return resources.plan(context, facts, fisher ? "fisher" : other ? "none" : "changes");
      };
      const run = (planned: Plan): Promise<MeasureReport> => walk(gpu, losses, planned, kernels, shortages);
      return gpu ? await withLessMemory(gpu, plan, run, (sentence) => void shortages.push((meter.note = sentence))) : await run(await plan());
    } finally {
      if (gpu) gpu.clock = undefined;
      // What is still on its way, after a cancel, comes to its end first.
      await gpu?.settle().catch(() => undefined);
      Scratch.clear();
    }
  };

  /** A pass of its own has no steps to go on from, and pins nothing. */
  const runOther = async (gpu: Gpu, run: PassRun): Promise<Awaited<ReturnType<typeof runFisherPass>>> => ({ ...(await other!.run(gpu, guardedContext(measured, signal), run)), pinnedBlocks: 0 });

  /** One try with one plan. */
  const walk = async (gpu: Gpu | undefined, losses: number, plan: Plan, kernels: KernelChoice | undefined, shortages: readonly string[]): Promise<MeasureReport> => {
    const { memory, notes, steps, budgets } = plan;
    const first = losses === 0 && shortages.length === 0;
    throwIfCancelled(signal);
    if (gpu && fisher && first) meter.expect(passStretches(steps, passRounds(context), { software: gpu.software, rates: resources.seen, compiled: gpu.compiled }));
    await passes.begin(key);
    if (kept && first) await passes.dropJournal(key);
    const { name = "CPU", architecture = "", description = "" } = gpu?.facts ?? {};
    const identity = JSON.stringify(gpu ? [name, architecture, description, memory.panelBytes, kernels?.forms] : ["changes"]);
    for (let again = false; ; again = true) {
      stats.length = 0;
      if (other) await passes.dropJournal(key);
      const journal = await passes.journal(key, { identity, durability: fisher ? "strict" : "relaxed", bytes: () => meter.bytesDone });
      const reading = fisher && gpu ? readPassAhead(measured, plan, signal) : undefined;
      const run = { masks: passes.masks(key), arrays: passes.arrays(key), signal, meter, memory, journal, onTensor, ...(kept ? { onFisher: kept.onFisher } : {}) };
      try {
        const nothing = { losses: [], pinnedBlocks: 0, tokens: 0, warnings: [] as string[] };
        if (gpu) gpu.peakBytes = gpu.allocatedBytes;
        const { losses: loss, pinnedBlocks, tokens, warnings } = gpu ? await resources.onGpu(gpu, clock, () => (other ? runOther(gpu, run) : runFisherPass(gpu, guardedContext(reading!.context, signal), run))) : (await runChangePass(guardedContext(measured, signal), run), nothing);
        if (memory.panelBytes < MAX_BINDING_BYTES) warnings.push(...notes);
        if (losses > 0) warnings.push(`The GPU went away ${losses === 1 ? "once" : `${losses} times`} during this pass, which then went on where it was, with less work at a time.`);
        if (journal.full) warnings.push("There was no room to write down how far the pass had come, so it could not have been continued.");
        warnings.push(...shortages, ...(kernels?.note ? [kernels.note] : []));
        return {
          key, losses: loss, tokens, elapsedMs: clock() - started, timings: {}, phases: stages.report(), ...(reading ? { reads: { ...reading.ring.counts } } : {}), adapter: name, warnings,
          ...(gpu && kernels ? { kernels: { adapter: kernels.adapter, forms: kernels.forms, panelBytes: memory.panelBytes, source: kernels.source }, gpuMemory: { budgetBytes: budgets.gpuBytes, peakBytes: gpu.peakBytes, pinnedBlocks } } : {}),
        };
      } catch (error) {
        if (again || toStudioError(error).details.journalDamaged !== true) throw error;
        await passes.dropJournal(key);
      } finally {
        void reading?.ring.end();
      }
    }
  };

  try {
    if (fisher && context.params.keepFisher === true) {
      const { fisherFile } = host;
      if (!fisherFile) throw new StudioError("bad-recipe", "keepFisher is on, but there is no place to write the Fisher file here. Turn it off, or name a file with --fisher.", { where: "params.keepFisher" });
      kept = await fisherWriter(context, (size) => fisherFile(key, size));
    }
    const report = fisher || other ? await host.device.run("Measuring", signal, attempt) : await attempt(undefined, 0);
    meter.finish();
    throwIfCancelled(signal);
    // Closing is what makes the file appear, so it comes when nothing else can fail but the last write.
    await kept?.file.close();
    report.elapsedMs = report.timings.total = clock() - started;
    const pass = { key, stats, report };
    await passes.put(pass);
    return pass;
  } catch (error) {
    await kept?.file.discard();
    // What has no steps to go on from would only take up room.
    if (kept || other || signal.aborted || !canGoOn(error)) await passes.drop(key);
    throw error;
  }
}

function passMeter(context: RecipeContext, jobId: string, signal: AbortSignal, onProgress: OnProgress): ProgressMeter {
  const { method, recipe, params, base } = context;
  const other = gpuPassOf(context);
  if (other) return new ProgressMeter(jobId, "measure", other.phases(context), other.work(context), onProgress, { signal });
  if (!method.needs.fisher) {
    const bytes = changePassBytes(context);
    return new ProgressMeter(jobId, "measure", [{ id: "changes", label: "Read every change" }, { id: "scores", label: "Sums per layer" }], bytes, onProgress, { signal });
  }
  const phases = [
    { id: "tokens", label: recipe.tokens ? "Take the given tokens" : `Draw ${String(params.N)} × ${String(params.len)} random tokens, seed ${String(params.seed)}` },
    { id: "forward", label: "Forward, keeping each block’s input" },
    { id: "backward", label: "Backward: square gradients, threshold, mask" },
    { id: "scores", label: "Scores and α" },
  ];
  return new ProgressMeter(jobId, "measure", phases, passWork(parseModelConfig(base.config).layers, passRounds(context)), onProgress, { signal });
}
