import { bytesPerElement, storedBytes, type Checkpoint, type FloatDtype } from "../core/tensors";
import { fisherPass, type PassMemory } from "../fisher/measure";
import { parseModelConfig } from "../model/config";
import type { AdapterFacts } from "../gpu/info";
import type { PlannedRead } from "../store/readAhead";
import type { RecipeContext } from "./context";
import { paperCheckpoint, PaperGpu } from "./paperGpu";
import { passOptions, sequencesOf } from "./passes";

/** What one half of a Fisher pass takes: peaks over its rounds, sums of everything else. */
export interface PassPart {
  gpuBytes: number;
  /** Peak of what is held: what no smaller budget can save. */
  liveBytes: number;
  readBytes: number;
  dispatches: number;
  flops: number;
  largestRead: number;
}

export interface PaperPass {
  forward: PassPart;
  backward: PassPart;
  /** Rows of all sequences, those of token-level squares included. */
  rows: number;
  /** The pass of one model after the other, in the order in which it is told. */
  steps: PassStep[];
  /** Every read in its order, of the first fine-tuned model where each has a pass of its own: of the base 0, of expert k as k + 1. */
  reads: PlannedRead[];
  /** Blocks that stay on the GPU between the walks, and are read once. */
  pinnedBlocks: number;
}

/** What lies between two calls that tell of a finished block, or behind the last of them. */
export interface PassStep {
  kind: "forward" | "backward" | "end";
  /** With other work before the block: embedding rows, loss and head. */
  mixed: boolean;
  flops: number;
  dispatches: number;
  readBytes: number;
  /** Kernels that it is the first to use. */
  compiled: number;
}

const empty = (): PassPart => ({ gpuBytes: 0, liveBytes: 0, readBytes: 0, dispatches: 0, flops: 0, largestRead: 0 });

/**
 * Runs the Fisher pass of a recipe on a GPU of paper, over checkpoints that read as zeros. The parts whose work depends on
 * values or walks every value on the CPU are added by formula: the sums and cuts of an embedding whose Fisher is sparse, the
 * extra sweep of sampled labels, the products of probes.
 */
export async function paperPass(context: RecipeContext, facts: AdapterFacts, budgetBytes: number, memory: PassMemory): Promise<PaperPass> {
  const gpu = await PaperGpu.on(facts);
  gpu.budgetBytes = budgetBytes;
  const options = passOptions(context);
  const atTuned = options.at === "finetuned";
  const config = parseModelConfig((atTuned ? context.experts[0]! : context.base).config);
  const sequences = await sequencesOf(context);
  const parts = { forward: empty(), backward: empty() };
  const reads: PlannedRead[] = [];
  let read = 0;
  const record = (part: PassPart): void => {
    part.gpuBytes = Math.max(part.gpuBytes, gpu.peakBytes);
    part.liveBytes = Math.max(part.liveBytes, gpu.peakLiveBytes);
    part.largestRead = Math.max(part.largestRead, gpu.largestRead);
    part.readBytes += read;
    part.dispatches += gpu.dispatches;
    part.flops += gpu.flops;
    read = 0;
    gpu.mark();
    seen = { flops: 0, dispatches: 0, readBytes: 0 };
  };
  const steps: PassStep[] = [];
  let seen = { flops: 0, dispatches: 0, readBytes: 0 };
  let compiled = 0;
  const step = (kind: PassStep["kind"], mixed: boolean): void => {
    const now = { flops: gpu.flops, dispatches: gpu.dispatches, readBytes: read };
    steps.push({ kind, mixed, flops: now.flops - seen.flops, dispatches: now.dispatches - seen.dispatches, readBytes: now.readBytes - seen.readBytes, compiled: gpu.compiled - compiled });
    seen = now;
    compiled = gpu.compiled;
  };
  const paper = (checkpoint: Checkpoint, source: number): Checkpoint =>
    paperCheckpoint(checkpoint, (length, name, offset) => {
      read += length;
      reads.push({ source, name, offset, length });
    });
  // With the Fisher taken at the fine-tuned models, each has a pass of its own, and all are alike.
  const experts = (atTuned ? context.experts.slice(0, 1) : context.experts).map((expert, k) => paper(expert, k + 1));
  const sparse = (role: { isEmbedding: boolean }): boolean => role.isEmbedding && !config.tied;
  const outputs = context.outputs.filter((o) => !sparse(o.role)).map((o) => (atTuned ? { ...o, tunedNames: o.tunedNames.slice(0, 1) } : o));
  let rows = 0;
  const { pinnedBlocks } = await fisherPass(gpu, {
    ...options, outputs, trimEmbed: false, probes: "none", labels: "self",
    base: paper(context.base, 0), experts, config, sequences, memory,
    masks: { put: async () => undefined, get: async () => undefined },
    // What is written down is read back first.
    journal: { state: undefined, stats: [], require: async () => undefined, read: async () => new Float32Array(), put: async () => undefined, commit: async () => undefined },
    signal: new AbortController().signal,
    onTensor: () => undefined,
    onForwardBlock: (layer) => {
      step("forward", layer === 0);
      if (layer === config.layers - 1) record(parts.forward);
    },
    onBackwardBlock: (layer) => {
      step("backward", layer === config.layers - 1);
      if (layer === 0) record(parts.backward);
    },
  });
  step("end", true);
  record(parts.backward);
  for (const sequence of sequences) rows += options.square === "token" ? ((sequence.length - 1) * (sequence.length + 2)) / 2 : sequence.length;

  for (const output of context.outputs) {
    const pair = context.experts.slice(0, experts.length).reduce((sum, e, k) => sum + storedBytes(context.base, output.baseName, output.elements) + storedBytes(e, output.tunedNames[k]!, output.elements), 0);
    if (sparse(output.role)) parts.backward.readBytes += pair;
    // A magnitude cut walks the change twice, and once more for what it keeps.
    if (options.trim && options.trimEmbed && (output.role.isEmbedding || output.role.isHead)) parts.backward.readBytes += 3 * pair;
    if (options.probes !== "none" && output.role.inBlock2d) {
      const probes = options.probes === "gaussian" ? 16 : rows;
      parts.backward.flops += 4 * probes * output.elements * experts.length;
    }
  }
  if (options.probes !== "none") {
    // The masked change of a panel as f32, the two products, and their readback.
    const panel = Math.min(memory.panelBytes ?? 2 ** 27, 4 * Math.max(...context.outputs.filter((o) => o.role.inBlock2d).map((o) => o.elements), 1));
    const products = 8 * (options.probes === "gaussian" ? 16 : rows) * Math.max(config.intermediate, config.hidden);
    parts.backward.gpuBytes = Math.min(Math.max(parts.backward.liveBytes + panel + products, Math.min(budgetBytes, parts.backward.gpuBytes + panel + products)), parts.backward.gpuBytes + panel + products);
    parts.backward.liveBytes += panel + products;
  }
  if (options.labels === "sampled") {
    const head = config.vocab * config.hidden;
    parts.backward.readBytes += head * bytesPerElement((atTuned ? context.experts[0]! : context.base).tensors.values().next().value!.dtype as FloatDtype);
    parts.backward.flops += 2 * rows * head;
  }
  if (atTuned)
    for (const part of [parts.forward, parts.backward]) for (const key of ["readBytes", "dispatches", "flops"] as const) part[key] *= context.experts.length;
  const models = atTuned ? context.experts.length : 1;
  return { ...parts, rows, pinnedBlocks, reads, steps: Array.from({ length: models }, (_, k) => (k === 0 ? steps : steps.map((s) => ({ ...s, compiled: 0 })))).flat() };
}
