import type { Checkpoint } from "../core/tensors";
import { logitDistances } from "../fisher/logitDistance";
import { sensitivities } from "../fisher/sensitivity";
import type { TensorStats } from "../fisher/types";
import { layerAlphas, modelTaus } from "../merge/sensitivity";
import { architectureName, parseModelConfig } from "../model/config";
import { describeTensor, type TensorRole } from "../model/roles";
import { changePassBytes, runChangePass } from "./changePass";
import { blockInputBytes, panelNotes, requireText, requireWalk, textSequences, tokensIn, walkOnPaper } from "./gradientWalk";
import type { GpuPass } from "./gpuPasses";

/** Units of progress: a tensor whose change is read; a block of all texts forward, backward. */
const CHANGE = 1;
const FORWARD = 20;
const BACKWARD = 80;

/** Least bytes of block inputs for which texts are taken together. */
const MIN_INPUTS = 64 * 1024 ** 2;

/** Texts whose block inputs together take at most a quarter of the GPU's budget: each group is one walk through a model. */
function groupsOf(sequences: number[][], model: Checkpoint, gpuBytes: number): number[][][] {
  const most = Math.max(MIN_INPUTS, gpuBytes / 4);
  const groups: number[][][] = [];
  let held = Infinity;
  for (const sequence of sequences) {
    const bytes = blockInputBytes(model, sequence.length);
    if (held + bytes > most) {
      groups.push([]);
      held = 0;
    }
    groups.at(-1)!.push(sequence);
    held += bytes;
  }
  return groups;
}

const largestOf = (groups: readonly number[][][]): number[][] => groups.reduce((a, b) => (tokensIn(b) > tokensIn(a) ? b : a));

/** The layer that a tensor counts with (METHODS 6.1): its block, the embedding, the head, or what is left, the final norm. */
const layerOf = (role: TensorRole): string => (role.layer !== undefined ? String(role.layer) : role.isEmbedding ? "embedding" : role.isHead ? "head" : "norm");

/** alpha of each layer of a model from its sums by tensor. A tied embedding is the head too. */
function alphasOf({ config }: Checkpoint, sums: ReadonlyMap<string, number>, samples: number): Map<string, number> {
  const architecture = architectureName(config);
  const byLayer = new Map<string, number>();
  for (const [name, sum] of sums) {
    const layer = layerOf(describeTensor(name, architecture));
    byLayer.set(layer, (byLayer.get(layer) ?? 0) + sum / samples);
  }
  const alphas = layerAlphas([...byLayer.values()]);
  const found = new Map([...byLayer.keys()].map((layer, i) => [layer, alphas[i]!]));
  if (!found.has("head")) found.set("head", found.get("embedding") ?? 0);
  return found;
}

const walkPlan = (model: Checkpoint, texts: number[][], on: Parameters<typeof walkOnPaper>[1]) =>
  walkOnPaper([model], on, blockInputBytes(model, tokensIn(texts)), (gpu, [source], memory) => sensitivities(gpu, { source: source!, config: parseModelConfig(model.config), sequences: texts, signal: new AbortController().signal, memory }));
const distancePlan = (models: readonly Checkpoint[], texts: number[][], on: Parameters<typeof walkOnPaper>[1]) =>
  walkOnPaper(models, on, 0, (gpu, sources, memory) => logitDistances(gpu, { models: sources.map((source) => ({ source, config: parseModelConfig(source.config) })), sequences: texts, signal: new AbortController().signal, memory }));

/** Takes the gradients of every model on the calibration text, then the distance of their logits. With one model there is nothing to share, and only its change is read. */
export const sensitivityPass: GpuPass = {
  phases: ({ experts }) => [
    { id: "changes", label: "Read every change" },
    ...(experts.length > 1 ? [
      { id: "texts", label: "Tokenize the calibration text" },
      ...experts.map((model, k) => ({ id: `model ${k}`, label: `Forward and backward of ${model.name}, |θ · gradient| per layer` })),
      { id: "distances", label: `Forward of ${experts.length} models side by side, distance of their logits` },
    ] : []),
    { id: "scores", label: "Shares per layer" },
  ],

  work: ({ outputs, experts }) => CHANGE * outputs.length + (experts.length > 1 ? experts.reduce((sum, e) => sum + (2 * FORWARD + BACKWARD) * parseModelConfig(e.config).layers, 0) : 0),

  require(context) {
    if (context.experts.length < 2) return;
    requireText("Sens-Merging", context);
    requireWalk("Sens-Merging", context.experts);
  },

  async forecast(context, _, on) {
    const { experts } = context;
    const changes = { label: "Read every change", readBytes: changePassBytes(context) };
    if (experts.length < 2) return [changes];
    const groups = groupsOf(await textSequences(context), experts[0]!, on.gpuBytes);
    // All models are alike, and so are the groups of texts: the largest walks on paper.
    const texts = largestOf(groups);
    const walk = await walkPlan(experts[0]!, texts, on);
    const apart = await distancePlan(experts, texts, on);
    const tokens = tokensIn(groups.flat());
    const times = experts.length * groups.length;
    const share = tokens / tokensIn(texts);
    return [
      changes,
      { label: `Gradients of ${experts.length} models on ${tokens.toLocaleString("en-US")} tokens`, gpuBytes: walk.gpuBytes, hostBytes: walk.hostBytes, readBytes: times * walk.readBytes, dispatches: Math.round(experts.length * share * walk.dispatches), flops: experts.length * share * walk.flops },
      { label: `Logits of ${experts.length} models side by side`, gpuBytes: apart.gpuBytes, hostBytes: apart.hostBytes, readBytes: groups.length * apart.readBytes, dispatches: Math.round(share * apart.dispatches), flops: share * apart.flops },
    ];
  },

  async run(gpu, context, run) {
    const { meter, signal } = run;
    const { experts } = context;
    let work = 0;
    const changes: TensorStats[] = [];
    await runChangePass(context, { ...run, journal: undefined, onTensor: (stats) => (changes.push(stats), meter.emit((work += CHANGE))) });
    if (experts.length < 2) {
      meter.phase("scores");
      for (const stats of changes) run.onTensor({ ...stats, study: { sensitivity: { alphas: [1], taus: [1] } } });
      return { losses: [], tokens: 0, warnings: [] };
    }
    meter.phase("texts");
    const sequences = await textSequences(context, signal);
    const tokens = tokensIn(sequences);
    meter.count(`${sequences.length} texts, ${tokens} tokens`);
    const on = { facts: gpu.facts, gpuBytes: gpu.budgetBytes };
    const step = (units: number, texts: number[][]): void => {
      meter.gpuBytes = gpu.allocatedBytes;
      meter.emit((work += (units * tokensIn(texts)) / tokens), true);
    };

    meter.strips = experts.map((model) => ({ label: model.name, cells: Array.from({ length: parseModelConfig(model.config).layers }, () => "empty" as const) }));
    const losses: number[] = [];
    const alphas: Map<string, number>[] = [];
    const notes = new Set<string>();
    for (const [k, model] of experts.entries()) {
      const config = parseModelConfig(model.config);
      const { cells } = meter.strips[k]!;
      const groups = groupsOf(sequences, model, gpu.budgetBytes);
      const { memory } = await walkPlan(model, largestOf(groups), on);
      for (const note of panelNotes(memory)) notes.add(note);
      let sums: ReadonlyMap<string, number> = new Map();
      meter.phase(`model ${k}`);
      for (const [g, texts] of groups.entries()) {
        const place = groups.length > 1 ? `, texts ${g + 1} of ${groups.length}` : "";
        const result = await sensitivities(gpu, {
          source: model, config, sequences: texts, signal, memory, before: sums,
          onForwardBlock: (layer) => {
            if (layer === 0) cells.fill("empty");
            cells[layer] = "half";
            meter.count(`block ${layer + 1} of ${config.layers}, forward${place}`);
            step(FORWARD, texts);
          },
          onBackwardBlock: (layer) => {
            cells[layer] = "full";
            meter.count(`block ${layer + 1} of ${config.layers}, backward${place}`);
            step(BACKWARD, texts);
          },
        });
        sums = result.sums;
        if (k === 0) losses.push(...result.losses);
      }
      alphas.push(alphasOf(model, sums, sequences.length));
    }

    meter.phase("distances");
    const distance = experts.map(() => experts.map(() => 0));
    const groups = groupsOf(sequences, experts[0]!, gpu.budgetBytes);
    const { memory } = await distancePlan(experts, largestOf(groups), on);
    for (const texts of groups) {
      const found = await logitDistances(gpu, { models: experts.map((source) => ({ source, config: parseModelConfig(source.config) })), sequences: texts, signal, memory, onBlock: () => step(FORWARD, texts) });
      found.forEach((row, i) => row.forEach((g, j) => (distance[i]![j]! += g / sequences.length)));
    }
    meter.phase("scores");
    const taus = modelTaus(distance);
    for (const stats of changes) run.onTensor({ ...stats, study: { sensitivity: { alphas: alphas.map((byLayer) => byLayer.get(layerOf(stats)) ?? 0), taus } } });
    return {
      losses, tokens,
      warnings: [
        ...notes,
        `The losses listed are those of ${experts[0]!.name}.`,
        `τ per model, from the distance of the logits: ${experts.map((e, i) => `${e.name} ${taus[i]!.toFixed(4)}`).join(", ")}.`,
      ],
    };
  },
};
