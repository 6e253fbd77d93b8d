import { checkPass, fisherPass, type FisherPass, type PassMemory, type PassOutput } from "../fisher/measure";
import { randomSequences, type TokenOptions } from "../fisher/tokens";
import type { ArrayStore, MaskStore, TensorStats, TrimOptions } from "../fisher/types";
import { StudioError } from "../core/errors";
import type { ProgressMeter, StripCell } from "../core/progress";
import type { Gpu } from "../gpu/gpu";
import { parseModelConfig } from "../model/config";
import type { PassResult } from "../model/decoder";
import { fisherSupport } from "../model/support";
import { nextBackward, walkSteps } from "../model/walk";
import type { RecipeContext } from "./context";
import { trimPlanOf } from "./operation";
import type { PassJournalBook } from "./passJournal";

export interface PassRun {
  masks: MaskStore;
  arrays: ArrayStore;
  signal: AbortSignal;
  meter: ProgressMeter;
  onTensor(stats: TensorStats): void;
  onFisher?: FisherPass["onFisher"];
  memory?: PassMemory | undefined;
  /** Where the pass writes down its steps, and goes on from. */
  journal?: PassJournalBook | undefined;
}

/** Work units of a pass over L blocks: a forward block is 1, a backward block (recompute, dX, dW) is 3, head and embedding 2. */
export const passWork = (layers: number, rounds: number): number => rounds * (4 * layers + 2);

/** How often the pass runs: trimming over the whole model needs two counting rounds first; at the fine-tuned models, each has its own. */
export const passRounds = (context: RecipeContext): number => (trimOf(context)?.scope === "model" ? 3 : 1) * (context.params.fisherAt === "finetuned" ? context.experts.length : 1);

/** The trim of a FIM method, from what the method says of the block's matrices. */
function trimOf(context: RecipeContext): TrimOptions | undefined {
  const { params, outputs } = context;
  const matrix = outputs.find((o) => o.role.inBlock2d);
  const plan = matrix && trimPlanOf(context, matrix, 0);
  if (!plan) return undefined;
  const byName = new Map(outputs.map((o) => [o.name, o]));
  const shareOf = (output: string, expert: number): number => trimPlanOf(context, byName.get(output)!, expert)!.share;
  return { shareOf, rule: plan.rule, scope: plan.scope, key: plan.key, vectors: params.trim1D === true, dropZero: plan.dropZero };
}

/** The part of a Fisher pass that follows from the recipe alone. Throws as checkPass does. */
export function passOptions(context: RecipeContext): Pick<FisherPass, "at" | "outputs" | "trim" | "trimEmbed" | "probes" | "square" | "labels" | "seed"> {
  const { params, outputs } = context;
  const options = {
    at: params.fisherAt === "finetuned" ? "finetuned" as const : "base" as const,
    outputs,
    trim: trimOf(context),
    trimEmbed: params.trimEmbed === "magnitude",
    probes: (params.calib === "gaussian" || params.calib === "activations" ? params.calib : "none") as FisherPass["probes"],
    square: params.fisher as FisherPass["square"],
    labels: params.labels as FisherPass["labels"],
    seed: Number(params.seed),
  };
  checkPass(options);
  return options;
}

/** Sequences of the pass: the recipe's own, or random ones from its seed, of ids that every model has which reads them. */
export async function sequencesOf({ recipe, params, base, experts }: RecipeContext): Promise<number[][]> {
  if (recipe.tokens) return recipe.tokens;
  const options = { seed: params.seed, N: params.N, len: params.len, vocab: params.vocab, prependBos: params.prependBos } as TokenOptions;
  const readers = params.fisherAt === "finetuned" ? experts : [base];
  return randomSequences(base, Math.min(...readers.map((m) => parseModelConfig(m.config).vocab)), options);
}

/** Throws "unknown-architecture" naming the missing part when gradients cannot run on a model that the pass takes them at. */
export function requireGradients({ params, base, experts }: RecipeContext): void {
  for (const model of params.fisherAt === "finetuned" ? experts : [base]) {
    const support = fisherSupport(model.config, model.tensors);
    if (!support.available)
      throw new StudioError("unknown-architecture", `Fisher on "${model.name}": ${support.reason ?? "this architecture has no forward and backward pass here"}. Choose a method without Fisher, such as task arithmetic or TIES.`, { title: "No gradients for this architecture", where: model.name, ...(support.reason ? { found: support.reason } : {}), todo: "Choose a method without Fisher." });
  }
}

/** Runs the Fisher pass of a context whose models have gradients. */
export async function runFisherPass(gpu: Gpu, context: RecipeContext, run: PassRun): Promise<PassResult & { tokens: number; warnings: string[] }> {
  const { base, experts } = context;
  const options = passOptions(context);
  const { at } = options;
  const { meter } = run;
  meter.phase("tokens");
  const sequences = await sequencesOf(context);
  const tokens = sequences.reduce((sum, s) => sum + s.length, 0);
  meter.count(`${tokens} tokens`);

  const layers = parseModelConfig((at === "base" ? base : experts[0]!).config).layers;
  const forward: StripCell[] = Array.from({ length: layers }, () => "empty");
  const backward: StripCell[] = Array.from({ length: layers }, () => "empty");
  meter.strips = [{ label: "forward", cells: forward }, { label: "backward", cells: backward }];
  const reached = run.journal?.reached;
  let work = 0;
  if (reached) {
    const { stage, state } = reached;
    const steps = walkSteps(layers);
    const next = nextBackward(layers, state.done);
    forward.fill("half", 0, Math.min(state.done, layers));
    backward.fill("full", next + 1);
    if (state.done < layers) forward[state.done] = "now";
    else if (next >= 0) backward[next] = "now";
    // As much as the blocks counted when they were finished.
    work = (stage * (passRounds(context) / (at === "base" ? 1 : experts.length)) + state.walk) * 4 * layers + Math.min(state.done, layers) + 3 * (layers - 1 - next);
    meter.startAt(work, Math.max(reached.bytes, meter.bytesDone));
    const place = state.done < layers ? `block ${state.done}` : state.done < steps.firstBackward ? "the head" : next >= 0 ? `block ${next}` : "the embedding";
    meter.note = [meter.note, `Continues at ${place}, ${state.done < layers ? "forward" : "backward"}.`].filter(Boolean).join(" ");
    meter.phase(state.done < layers ? "forward" : "backward", `continues at ${place}`);
  } else meter.phase("forward", `0 of ${layers}`);
  const shared = {
    ...options,
    memory: run.memory,
    signal: run.signal,
    ...(run.onFisher ? { onFisher: run.onFisher } : {}),
    onForwardBlock: (layer: number) => {
      if (layer === 0 && backward[0] !== "empty") {
        // Another round of the same walk.
        forward.fill("empty");
        backward.fill("empty");
        meter.phase("forward");
      }
      meter.gpuBytes = gpu.allocatedBytes;
      forward[layer] = "half";
      if (layer + 1 < layers) forward[layer + 1] = "now";
      meter.count(`${layer + 1} of ${layers}`);
      meter.emit((work += 1), true);
      if (layer + 1 === layers) meter.phase("backward", `0 of ${layers}`);
    },
    onBackwardBlock: (layer: number) => {
      meter.gpuBytes = gpu.allocatedBytes;
      backward[layer] = "full";
      if (layer > 0) backward[layer - 1] = "now";
      meter.count(`${layers - layer} of ${layers}`);
      meter.emit((work += 3), true);
    },
  };
  const result = at === "base" ? await fisherPass(gpu, { ...shared, base, experts, config: parseModelConfig(base.config), sequences, masks: run.masks, journal: run.journal?.stage(0), onTensor: run.onTensor }) : await passPerExpert(gpu, context, shared, sequences, run);
  meter.phase("scores");
  const warnings = experts.length > 1 && at === "finetuned" ? [`The losses listed${run.onFisher ? " and the Fisher kept" : ""} are those of the first fine-tuned model.`] : [];
  return { ...result, tokens, warnings };
}

/** With the Fisher taken at the fine-tuned models, each has a pass of its own; their stats are joined by tensor. */
async function passPerExpert(gpu: Gpu, context: RecipeContext, shared: Omit<FisherPass, "base" | "experts" | "config" | "sequences" | "masks" | "journal" | "onTensor">, sequences: number[][], run: PassRun): Promise<PassResult> {
  const { base, experts } = context;
  const joined = new Map<string, TensorStats>();
  let first: PassResult = { losses: [], pinnedBlocks: 0 };
  for (const [k, expert] of experts.entries()) {
    const masks: MaskStore = { put: (name, _, words) => run.masks.put(name, k, words), get: (name) => run.masks.get(name, k) };
    const outputs = shared.outputs.map((o): PassOutput => ({ ...o, tunedNames: [o.tunedNames[k]!] }));
    const { onFisher, trim, ...others } = shared;
    const result = await fisherPass(gpu, {
      ...others, trim: trim && { ...trim, shareOf: (output) => trim.shareOf(output, k) }, ...(k === 0 && onFisher ? { onFisher } : {}), base, experts: [expert], outputs, config: parseModelConfig(expert.config), sequences, masks, journal: run.journal?.stage(k),
      onTensor: (stats) => {
        const known = joined.get(stats.name) ?? { ...stats, experts: [] };
        known.experts[k] = { ...stats.experts[0]!, fisherSum: stats.fisherSum };
        joined.set(stats.name, known);
        if (k === experts.length - 1) run.onTensor(known);
      },
    });
    if (k === 0) first = result;
  }
  return first;
}
