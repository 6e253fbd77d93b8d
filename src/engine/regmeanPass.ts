import { inputGrams, type GramWanted } from "../activations/grams";
import { StudioError } from "../core/errors";
import type { Progress } from "../core/progress";
import { rowLength, type Checkpoint } from "../core/tensors";
import type { TensorStats } from "../fisher/types";
import type { AdapterFacts } from "../gpu/info";
import { inputOf, meanShares, measuredModels, projectionName, takesDiagonal } from "../merge/methods/regmean";
import { diagonalShares, projections } from "../merge/regmean";
import { parseModelConfig } from "../model/config";
import { describeTensor } from "../model/roles";
import { fisherSupport } from "../model/support";
import { PIECE_BYTES } from "../model/weights";
import { calibrationSequences } from "../text/calibration";
import { changePassBytes, runChangePass } from "./changePass";
import type { RecipeContext } from "./context";
import type { GpuPass } from "./gpuPasses";
import { settingsAt } from "./operation";
import { paperCheckpoint, PaperGpu } from "./paperGpu";
import { OVERHEAD_BYTES } from "./planHost";
import type { PassRun } from "./passes";

/** An input that linear layers of the merge read. */
interface Input extends GramWanted {
  width: number;
  /** Coefficients of the measured models. */
  coefficients: number[];
}

/** Units of progress: a tensor whose change is read, a block of a model, an input that is solved. */
const CHANGE = 1;
const BLOCK = 20;
const SOLVE = 10;

/** Inputs by the names of the weights that read them. Throws "bad-recipe" where weights of one input have other coefficients. */
function inputsOf(context: RecipeContext): Map<string, Input> {
  const byKey = new Map<string, Input & { first: string }>();
  const byName = new Map<string, Input>();
  for (const output of context.outputs) {
    const { params, weights } = settingsAt(context, output);
    const key = inputOf(params, output.name);
    if (key === undefined) continue;
    const coefficients = measuredModels(params, weights);
    const known = byKey.get(key);
    if (known && known.coefficients.join() !== coefficients.join())
      throw new StudioError("bad-recipe", `Merging with RegMean: "${known.first}" and "${output.name}" read the same input, but their models have other weights. Give the weights of a layer's q, k and v, and of its gate and up, one value each.`, { title: "Weights that differ within an input", where: output.name, found: weights.join(", "), expected: known.coefficients.join(", ") });
    if (coefficients.length === 0) continue;
    const width = rowLength(output);
    const input = known ?? { key, width, coefficients, diagonal: takesDiagonal(params, width), first: output.name };
    byKey.set(key, input);
    byName.set(output.name, input);
  }
  return byName;
}

const distinct = (inputs: ReadonlyMap<string, Input>): Input[] => [...new Set(inputs.values())];

/** Weights that are not merged are not asked for, but a neighbour with the same input may be. */
const wantedOf = (inputs: ReadonlyMap<string, Input>) => (names: readonly string[]): Input | undefined => names.map((name) => inputs.get(name)).find(Boolean);

/** Models that walk, in their order. None where nothing is to be measured. */
function walkers(context: RecipeContext, inputs: ReadonlyMap<string, Input>): Checkpoint[] {
  const [first] = inputs.values();
  if (!first) return [];
  return first.coefficients.length > context.experts.length ? [context.base, ...context.experts] : [...context.experts];
}

/** The recipe's token ids, else its text as this model's own tokenizer, or where it has none the base's, reads it. */
async function sequencesFor({ recipe, base }: RecipeContext, model: Checkpoint, signal?: AbortSignal): Promise<number[][]> {
  if (recipe.tokens) return recipe.tokens;
  return calibrationSequences(recipe.calibration!, (await model.text("tokenizer.json")) === undefined ? base : model, signal);
}

/** Finds the projections of every linear layer: one model after the other, block by block; of earlier models only the Gram matrices wait. */
export const regmeanPass: GpuPass = {
  phases: (context) => [
    { id: "changes", label: "Read every change" },
    { id: "texts", label: "Calibration text" },
    { id: "forward", label: `Forward through ${walkers(context, inputsOf(context)).length} models, inputs of the linear layers` },
    { id: "scores", label: "Sums per layer" },
  ],

  work(context) {
    const inputs = inputsOf(context);
    return CHANGE * context.outputs.length + BLOCK * walkers(context, inputs).reduce((sum, model) => sum + parseModelConfig(model.config).layers, 0) + SOLVE * distinct(inputs).length;
  },

  require(context) {
    for (const output of context.outputs) {
      const { params, weights } = settingsAt(context, output);
      meanShares(params, weights);
    }
    const inputs = inputsOf(context);
    for (const model of walkers(context, inputs)) {
      const { available, reason } = fisherSupport(model.config, model.tensors);
      if (!available) throw new StudioError("unknown-architecture", `RegMean on "${model.name}": ${reason ?? "this architecture has no forward pass here"}. Choose a method without calibration text, such as task arithmetic or TIES.`, { title: "No forward for this architecture", where: model.name, ...(reason ? { found: reason } : {}), todo: "Choose a method without calibration text." });
    }
    if (inputs.size > 0 && !context.recipe.calibration && !context.recipe.tokens)
      throw new StudioError("bad-recipe", `Reading the recipe: RegMean needs calibration text, and "calibration" is missing.`, { title: "No calibration text", where: "calibration" });
  },

  async forecast(context, _, { facts, gpuBytes }) {
    const inputs = inputsOf(context);
    const models = walkers(context, inputs);
    if (models.length === 0) return [{ label: "Read every change", readBytes: changePassBytes(context) }];
    const walk = await paperWalk(models[0]!, await sequencesFor(context, models[0]!), inputs, { facts, gpuBytes });
    const stored = distinct(inputs).reduce((sum, input) => sum + sizeOf(input), 0);
    const widest = distinct(inputs).reduce((most, input) => Math.max(most, sizeOf(input)), 0);
    return [{
      label: `Forward of ${models.length} models, Gram matrices`,
      gpuBytes: walk.gpuBytes, dispatches: models.length * walk.dispatches, flops: models.length * walk.flops,
      readBytes: changePassBytes(context) + models.length * walk.readBytes + (models.length - 1) * stored,
      // Matrices of the models and their projections as f32, the sum as f64; one more that was read back meanwhile, and the store's copy.
      hostBytes: (models.length + context.experts.length + 4) * widest + 2 * PIECE_BYTES + OVERHEAD_BYTES,
      writeBytes: models.length * walk.writeBytes + (models.length - 1 + context.experts.length) * stored,
    }];
  },

  async run(gpu, context, run) {
    const { meter, signal } = run;
    let work = 0;
    const inputs = inputsOf(context);
    const models = walkers(context, inputs);
    // A fitted tensor is told of when its projection is known.
    const waiting = new Map<Input, TensorStats[]>();
    const tell = (stats: TensorStats): void => {
      const input = inputs.get(stats.name);
      if (input) waiting.set(input, [...(waiting.get(input) ?? []), stats]);
      else {
        const { params, weights } = settingsAt(context, { name: stats.name, role: stats });
        run.onTensor({ ...stats, study: { shares: meanShares(params, weights) } });
      }
      meter.emit((work += CHANGE));
    };
    await runChangePass(context, { ...run, journal: undefined, onTensor: tell });
    meter.phase("texts");
    const texts: number[][][] = [];
    for (const model of models) texts.push(await sequencesFor(context, model, signal));
    const tokens = texts.reduce((sum, sequences) => sum + sequences.reduce((s, q) => s + q.length, 0), 0);
    meter.count(`${texts[0]?.length ?? 0} texts, ${tokens} tokens over ${models.length} models`);

    const strips: NonNullable<Progress["strips"]> = models.map((model) => ({ label: model.name, cells: Array.from({ length: parseModelConfig(model.config).layers }, () => "empty" as const) }));
    meter.strips = strips;
    meter.phase("forward");
    const raised = new Map<string, number>();
    // The CPU solves for one input while the GPU walks on to the next.
    let solving: Promise<void> = Promise.resolve();
    const solveNext = async (input: Input, gram: Float32Array): Promise<void> => {
      const { ridge, shares } = await solve(input, gram, context, run);
      if (ridge > Number(context.params.eps)) raised.set(input.key, ridge);
      for (const stats of waiting.get(input) ?? []) run.onTensor({ ...stats, study: { shares } });
      meter.emit((work += SOLVE));
    };
    const walkModel = async (m: number, model: Checkpoint): Promise<void> => {
      const { cells } = strips[m]!;
      const found = async (wanted: GramWanted, gram: Float32Array): Promise<void> => {
        // Of the last model nothing waits: its matrix is the last that an input lacks.
        if (m < models.length - 1) return run.arrays.put(projectionName(wanted.key, m), gram);
        await solving;
        solving = solveNext(wanted as Input, gram);
        solving.catch(() => undefined);
      };
      await inputGrams(gpu, model, texts[m]!, {
        want: wantedOf(inputs),
        found,
        sums: { put: (key, values) => run.arrays.put(`${key} sum`, values), get: (key) => run.arrays.get(`${key} sum`) },
      }, {
        signal, panelBytes: run.memory?.panelBytes, inputsOnHost: run.memory?.inputsOnHost,
        onBlock: (before, total) => {
          meter.gpuBytes = gpu.allocatedBytes;
          cells[before % cells.length] = "full";
          meter.count(`model ${m + 1} of ${models.length}, block ${before + 1} of ${total}`);
          meter.emit((work += (BLOCK * cells.length) / total), true);
        },
      });
    };
    try {
      for (const [m, model] of models.entries()) await walkModel(m, model);
      await solving;
    } finally {
      await solving.catch(() => undefined);
    }
    meter.phase("scores");
    return { losses: [], tokens, warnings: warningsOf(distinct(inputs), raised) };
  },
};

/**
 * The walk of a model on a GPU of paper. Blocks are alike, so one and two of them tell what all take: sums grow by the same
 * for every block, peaks no more.
 */
async function paperWalk(model: Checkpoint, sequences: number[][], inputs: ReadonlyMap<string, Input>, { facts, gpuBytes }: { facts: AdapterFacts; gpuBytes: number }): Promise<{ gpuBytes: number; dispatches: number; flops: number; readBytes: number; writeBytes: number }> {
  const { layers, architecture } = parseModelConfig(model.config);
  const walk = async (blocks: number) => {
    const gpu = await PaperGpu.on(facts);
    gpu.budgetBytes = gpuBytes;
    let readBytes = 0;
    const tensors = new Map([...model.tensors].filter(([name]) => (describeTensor(name, architecture).layer ?? 0) < blocks));
    const paper = { ...paperCheckpoint(model, (bytes) => void (readBytes += bytes)), tensors, config: { ...model.config, num_hidden_layers: blocks } };
    let writeBytes = 0;
    const sums = { put: async (_: string, values: Float32Array) => void (writeBytes += values.byteLength), get: async () => new Float32Array(0) };
    await inputGrams(gpu, paper, sequences, { want: wantedOf(inputs), found: async () => undefined, sums });
    return { gpuBytes: gpu.peakBytes, dispatches: gpu.dispatches, flops: gpu.flops, readBytes: readBytes + writeBytes, writeBytes };
  };
  const one = await walk(1);
  if (layers === 1) return one;
  const two = await walk(2);
  const all = (key: keyof typeof one): number => one[key] + (layers - 1) * (two[key] - one[key]);
  return { gpuBytes: two.gpuBytes, dispatches: all("dispatches"), flops: all("flops"), readBytes: all("readBytes"), writeBytes: all("writeBytes") };
}

const sizeOf = ({ width, diagonal }: Input): number => 4 * width * (diagonal ? 1 : width);

/** Projections of an input, stored for each fine-tuned model. Returns the ridge that was used, and the mean of each diagonal. */
async function solve(input: Input, last: Float32Array, { experts, params }: RecipeContext, { arrays, signal }: PassRun): Promise<{ ridge: number; shares: number[] }> {
  const { key, width, coefficients, diagonal } = input;
  const ridge = Number(params.eps);
  const grams: Float32Array[] = [];
  for (let m = 0; m < coefficients.length - 1; m++) {
    const gram = await arrays.get(projectionName(key, m));
    if (!gram) throw new StudioError("storage-full", `Solving for ${key}: the Gram matrix of an earlier model is no longer in the browser's storage. Make room and run the pass again.`, { title: "The pass is gone", where: key, todo: "Make room and run the pass again.", passGone: true });
    grams.push(gram);
  }
  grams.push(last);
  const parts = grams.map((gram, m) => ({ gram, coefficient: coefficients[m]! }));
  const wanted = experts.map((_, k) => k + coefficients.length - experts.length);
  const solved = diagonal ? { matrices: diagonalShares(parts, width, wanted, ridge), ridge } : await projections(parts, width, wanted, { offDiagonal: Number(params.a), ridge }, signal);
  for (const [k, matrix] of solved.matrices.entries()) await arrays.put(projectionName(key, k), matrix);
  const step = diagonal ? 1 : width + 1;
  return { ridge: solved.ridge, shares: solved.matrices.map((a) => Array.from({ length: width }, (_, i) => a[i * step]!).reduce((x, y) => x + y, 0) / width) };
}

function warningsOf(inputs: readonly Input[], raised: ReadonlyMap<string, number>): string[] {
  const warnings: string[] = [];
  const wide = inputs.filter((i) => i.diagonal && !inputs.every((j) => j.diagonal));
  if (wide.length > 0) warnings.push(`${wide.length} of ${inputs.length} inputs are too wide for a full matrix (${[...new Set(wide.map((i) => i.width))].join(", ")} channels) and take the diagonal alone.`);
  const [first] = raised;
  if (first) warnings.push(`For ${raised.size} of ${inputs.length} inputs the ridge had to be raised before there was a solution, first for ${first[0]}, to ε = ${first[1].toPrecision(1)}.`);
  return warnings;
}
