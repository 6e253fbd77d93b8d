import { formatBytes } from "../core/modelFiles";
import type { Checkpoint } from "../core/tensors";
import { modelFisher, type FisherSums, type ModelFisher } from "../fisher/modelFisher";
import { FisherStore, storedFisher } from "../fisher/stored";
import { randomSequences, type TokenOptions } from "../fisher/tokens";
import type { ArrayStore, TensorStats } from "../fisher/types";
import { isQuotaFailure, storageFull } from "../store/failures";
import { averagesBase, averageWeights } from "../merge/methods/fisherAverage";
import type { WeightedOp } from "../merge/ops";
import type { PassOutput } from "../fisher/measure";
import type { TensorWork } from "../export/mergeTensor";
import { parseModelConfig } from "../model/config";
import { changePassBytes, runChangePass } from "./changePass";
import type { RecipeContext } from "./context";
import { blockInputBytes, panelNotes, requireText, requireWalk, textSequences, tokensIn, walkOnPaper } from "./gradientWalk";
import type { GpuPass } from "./gpuPasses";
import { settingsAt } from "./operation";

/** Units of progress: a tensor whose change is read, a block forward, a block backward. */
const CHANGE = 1;
const FORWARD = 5;
const BACKWARD = 15;

/** A model that takes part, and which of its tensors stands for an output. */
interface Participant {
  model: Checkpoint;
  nameOf(output: Pick<PassOutput, "baseName" | "tunedNames">): string;
}

/** The models that are averaged, in the order of averageWeights: the base last. */
const participants = ({ base, experts, params }: RecipeContext): Participant[] => [
  ...experts.map((model, k) => ({ model, nameOf: (o: Pick<PassOutput, "tunedNames">) => o.tunedNames[k]! })),
  ...(averagesBase(params, experts.length) ? [{ model: base, nameOf: (o: Pick<PassOutput, "baseName">) => o.baseName }] : []),
];

/** One draw for all models: ids that the smallest vocabulary has. */
async function sequencesFor(context: RecipeContext): Promise<number[][]> {
  const { recipe, params, base } = context;
  if (recipe.tokens || params.tokens === "calibration") return textSequences(context);
  const { seed, N, len, vocab, prependBos } = params;
  const smallest = Math.min(...participants(context).map(({ model }) => parseModelConfig(model.config).vocab));
  return randomSequences(base, smallest, { seed, N, len, vocab, prependBos } as TokenOptions);
}

const passOf = ({ params }: RecipeContext) => ({ labels: params.labels as ModelFisher["labels"], seed: Number(params.seed) });

/** Bytes that the Fisher of a model takes where it is stored: 4 for each value, and of an untied embedding the rows that occur. */
function storedBytes({ config, tensors }: Checkpoint, sequences: readonly (readonly number[])[]): number {
  const { tied, hidden, vocab } = parseModelConfig(config);
  const values = [...tensors.values()].reduce((sum, t) => sum + t.elements, 0);
  const rows = new Set(sequences.flat()).size;
  return 4 * (values - (tied ? 0 : (vocab - rows) * hidden));
}

/** Arrays whose faults for want of space say what is stored and how much of it there is. */
const roomFor = (arrays: ArrayStore, needed: number): ArrayStore => ({
  get: (name) => arrays.get(name),
  put: async (name, values) => {
    try {
      await arrays.put(name, values);
    } catch (error) {
      if (!isQuotaFailure(error) && (error as { code?: unknown } | undefined)?.code !== "ENOSPC") throw error;
      throw storageFull("Storing the Fisher of every model", needed, undefined, error, "the pass then starts over");
    }
  },
});

/**
 * Measures the Fisher of each model that takes part, at its own weights, one model after the other, and stores all of it
 * beside the pass: slices of it are read again while merging.
 */
export const fisherAveragePass: GpuPass = {
  phases: (context) => [
    { id: "changes", label: "Read every change" },
    { id: "tokens", label: context.recipe.tokens ? "Take the given tokens" : context.params.tokens === "calibration" ? "Tokenize the calibration text" : `Draw ${String(context.params.N)} × ${String(context.params.len)} random tokens, seed ${String(context.params.seed)}` },
    ...participants(context).map(({ model }, k) => ({ id: `model ${k}`, label: `Fisher of ${model.name}, kept entry by entry` })),
    { id: "scores", label: "Norms" },
  ],

  work: (context) => CHANGE * context.outputs.length + participants(context).reduce((sum, { model }) => sum + (FORWARD + BACKWARD) * parseModelConfig(model.config).layers, 0),

  require(context) {
    for (const output of context.outputs) averageWeights(context.params, settingsAt(context, output).weights);
    if (context.params.tokens === "calibration") requireText("Fisher averaging on calibration text", context);
    requireWalk("Fisher averaging", participants(context).map((p) => p.model));
  },

  async forecast(context, _, on) {
    const sequences = await sequencesFor(context);
    const all = participants(context);
    const stored = all.map(({ model }) => storedBytes(model, sequences));
    const first = all[0]!.model;
    // All models are alike; the first walks on paper.
    const walk = await walkOnPaper([first], on, blockInputBytes(first, tokensIn(sequences)), (gpu, [source], memory) =>
      modelFisher(gpu, { ...passOf(context), labels: "self", source: source!, config: parseModelConfig(first.config), sequences, signal: new AbortController().signal, memory, store: { add: async () => undefined, addRows: async () => undefined } }));
    const bytes = stored.reduce((a, b) => a + b, 0);
    return [{
      label: `Fisher of ${all.length === 1 ? "one model" : `${all.length} models`}: ${formatBytes(bytes)} on disk until the pass is dropped`,
      gpuBytes: walk.gpuBytes, hostBytes: walk.hostBytes, dispatches: all.length * walk.dispatches, flops: all.length * walk.flops,
      readBytes: changePassBytes(context) + all.length * walk.readBytes, writeBytes: bytes,
    }];
  },

  async run(gpu, context, run) {
    const { meter, signal } = run;
    let work = 0;
    const changes: TensorStats[] = [];
    await runChangePass(context, { ...run, journal: undefined, onTensor: (stats) => (changes.push(stats), meter.emit((work += CHANGE))) });
    meter.phase("tokens");
    const sequences = await sequencesFor(context);
    meter.count(`${tokensIn(sequences)} tokens`);

    const all = participants(context);
    const arrays = roomFor(run.arrays, all.reduce((sum, { model }) => sum + storedBytes(model, sequences), 0));
    const sums: Map<string, FisherSums>[] = [];
    const losses: number[] = [];
    const notes = new Set<string>();
    meter.strips = all.map(({ model }) => ({ label: model.name, cells: Array.from({ length: parseModelConfig(model.config).layers }, () => "empty" as const) }));
    for (const [k, { model }] of all.entries()) {
      const config = parseModelConfig(model.config);
      const { cells } = meter.strips[k]!;
      const { memory } = await walkOnPaper([model], { facts: gpu.facts, gpuBytes: gpu.budgetBytes }, blockInputBytes(model, tokensIn(sequences)), (paper, [source], plan) =>
        modelFisher(paper, { ...passOf(context), labels: "self", source: source!, config, sequences, signal, memory: plan, store: { add: async () => undefined, addRows: async () => undefined } }));
      for (const note of panelNotes(memory)) notes.add(note);
      meter.phase(`model ${k}`, `0 of ${config.layers}`);
      const told = (layer: number, state: "half" | "full", units: number): void => {
        meter.gpuBytes = gpu.allocatedBytes;
        cells[layer] = state;
        meter.count(`block ${layer + 1} of ${config.layers}, ${state === "half" ? "forward" : "backward"}`);
        meter.emit((work += units), true);
      };
      const found = await modelFisher(gpu, {
        ...passOf(context), source: model, config, sequences, signal, memory, store: new FisherStore(arrays, k),
        onForwardBlock: (layer) => told(layer, "half", FORWARD),
        onBackwardBlock: (layer) => told(layer, "full", BACKWARD),
      });
      sums.push(found.sums);
      if (k === 0) losses.push(...found.losses);
    }
    meter.phase("scores");
    const norms = sums.map((tensors) => Math.sqrt([...tensors.values()].reduce((sum, t) => sum + t.square, 0)));
    const means = sums.map((tensors, k) => [...tensors.values()].reduce((sum, t) => sum + t.sum, 0) / [...tensors.keys()].reduce((n, name) => n + all[k]!.model.tensors.get(name)!.elements, 0));
    const changed = new Map(changes.map((stats) => [stats.name, stats]));
    const unknown: string[] = [];
    for (const output of context.outputs) {
      const own = all.map((p, k) => sums[k]!.get(p.nameOf(output)));
      if (own.some((s) => s === undefined)) unknown.push(output.name);
      const stats = changed.get(output.name)!;
      run.onTensor({ ...stats, study: { fisher: { norms, means, own: own.map((s, k) => (s ? s.sum / all[k]!.model.tensors.get(all[k]!.nameOf(output))!.elements : 0)), known: own.every((s) => s !== undefined) } }, experts: stats.experts.map((e, k) => (own[k] ? { ...e, fisherSum: own[k].sum } : e)) });
    }
    return {
      losses, tokens: tokensIn(sequences),
      warnings: [
        ...notes,
        ...(all.length > 1 ? [`The losses listed are those of ${all[0]!.model.name}.`] : []),
        ...(unknown.length > 0 ? [`${unknown.length === 1 ? `"${unknown[0]!}" has no Fisher and takes` : `${unknown.length} tensors have no Fisher, first "${unknown[0]!}", and take`} the weighted mean of the models.`] : []),
      ],
    };
  },
};

/** Where the F of each part of a weighted mean is, for an output of this recipe; `run` tells the run of the pass that stored it from all others. */
export const fishersOf = (context: RecipeContext, output: PassOutput, op: WeightedOp, arrays: ArrayStore, run: string | undefined): NonNullable<TensorWork["fishers"]> =>
  participants(context).slice(0, op.parts.length).map((p, k) => {
    const identity = async (name: string): Promise<string | undefined> => run && JSON.stringify(["Fisher", run, k, name]);
    return { source: { ...storedFisher(arrays, k, p.model), identity }, name: p.nameOf(output) };
  });
