import { ProgressMeter, type OnProgress } from "../core/progress";
import { Scratch } from "../core/scratch";
import { acmInformation } from "../activations/acm";
import { inputMeans } from "../activations/aim";
import { blocksOf } from "../activations/layout";
import { virtualCheckpoint } from "../export/virtual";
import { guarded } from "../formats/finite";
import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import { parseModelConfig } from "../model/config";
import { calibrationSequences } from "../text/calibration";
import type { MeasureReport, Shape } from "./api";
import type { RecipeContext } from "./context";
import type { PassHost } from "./measuring";
import type { StoredPass } from "./passStore";
import { stagesOf } from "./stages";
import { planWork, type Measured } from "./work";

export interface StageJob {
  key: string;
  /** Of the recipe's stages. */
  index: number;
  shape: Shape;
  /** What the pass of the method left, and the findings of the stages before this one. */
  measured: Measured | undefined;
  jobId: string;
  signal: AbortSignal;
  onProgress: OnProgress;
}

/**
 * Runs the calibration text through the base, or through base and merge side by side, and stores what a stage asks for. The
 * merge is not written: its tensors are made while they are read. A cancelled measuring leaves nothing.
 */
export async function measureStage(host: Omit<PassHost, "shapeOf">, context: RecipeContext, job: StageJob): Promise<StoredPass> {
  const { passes, resources, device } = host;
  const { key, index, signal } = job;
  const { post, params } = stagesOf(context)[index]!;
  const base = guarded(resources.timed(context.base), `Measuring for ${post.label}`, "the base", signal);
  const calibration = context.recipe.calibration!;
  const sequences = await calibrationSequences(calibration, context.base, signal);
  const tokens = sequences.reduce((sum, s) => sum + s.length, 0);
  const { layers } = parseModelConfig(context.base.config);
  const both = post.measures === "both";
  const meter = new ProgressMeter(job.jobId, "measure", [
    { id: "texts", label: `Calibration text for ${post.label}` },
    { id: "forward", label: both ? "Forward through base and merge, block by block" : "Forward through the base" },
  ], layers, job.onProgress, { signal });
  const started = performance.now();
  meter.phase("texts");
  meter.count(`${sequences.length} texts, ${tokens} tokens`);

  const attempt = async (gpu: Gpu): Promise<string> => {
    const findings = passes.arrays(key);
    const kernels = await host.kernels.use(gpu, context.recipe.kernels);
    const { memory } = await resources.plan(context, gpu.facts, "none");
    gpu.budgetBytes = resources.gpuBytes;
    meter.phase("forward", `0 of ${layers}`);
    const onBlock = (before: number, total: number): void => {
      meter.gpuBytes = gpu.allocatedBytes;
      meter.count(`${before + 1} of ${total}`);
      meter.emit(((before + 1) / total) * layers, true);
    };
    const options = { signal, onBlock, panelBytes: MAX_BINDING_BYTES, inputsOnHost: memory.inputsOnHost };
    try {
      if (both) {
        const before = { ...context, recipe: { ...context.recipe, then: (context.recipe.then ?? []).slice(0, index) } };
        const sources = { base, experts: context.experts.map((expert) => resources.timed(expert)) };
        const merged = virtualCheckpoint({ gpu, sources, recipe: before.recipe, plan: context.plan, workOf: await planWork(before, job.shape, job.measured, signal), signal, sliceElements: memory.sliceElements });
        for (const [layer, information] of await acmInformation(gpu, base, merged, sequences, { ...options, bins: Number(params.bins) })) await findings.put(`layer ${layer}`, Float32Array.from(information));
      } else {
        const inputs = params.layout === "blocks" ? blocksOf(sequences, calibration.maxTokens) : sequences;
        for (const [name, means] of await inputMeans(gpu, base, inputs, options)) await findings.put(name, means);
      }
      return kernels.adapter;
    } finally {
      await gpu.settle().catch(() => undefined);
      Scratch.clear();
    }
  };

  try {
    await passes.begin(key);
    const adapter = await device.run("Measuring", signal, attempt);
    meter.finish();
    const elapsedMs = performance.now() - started;
    const report: MeasureReport = { key, losses: [], tokens, elapsedMs, timings: { total: elapsedMs }, adapter, warnings: [] };
    const pass: StoredPass = { key, stats: [], report };
    await passes.put(pass);
    return pass;
  } catch (error) {
    await passes.drop(key);
    throw error;
  }
}
