import { addClock, type StageClock } from "../core/stages";
import { bytesPerElement, type FloatDtype } from "../core/tensors";
import { mergeReads } from "../export/mergeTensor";
import type { PassMemory } from "../fisher/measure";
import type { Gpu } from "../gpu/gpu";
import type { AdapterFacts } from "../gpu/info";
import { readsOf } from "../merge/ops";
import { PIECE_BYTES } from "../model/weights";
import { ReadAhead, type PlannedRead } from "../store/readAhead";
import type { RecipeContext } from "./context";
import { mergeRing } from "./planHost";
import { paperPass } from "./planPass";

/** A context whose models are read through a ring. */
export interface Reading {
  context: RecipeContext;
  ahead: ReadAhead;
}

function through(context: RecipeContext, ahead: ReadAhead): Reading {
  return { ahead, context: { ...context, base: ahead.wrap(context.base, 0), experts: context.experts.map((expert, k) => ahead.wrap(expert, k + 1)) } };
}

/**
 * The reads of a Fisher pass, in their order: those that the same pass makes on a GPU of paper. With the Fisher taken at the
 * fine-tuned models, each has a pass like the first one's.
 */
export async function passReads(context: RecipeContext, facts: AdapterFacts, budgetBytes: number, memory: PassMemory): Promise<PlannedRead[]> {
  const first: PlannedRead[] = [];
  await paperPass(context, facts, budgetBytes, memory, (read) => void first.push(read));
  if (context.params.fisherAt !== "finetuned") return first;
  return context.experts.flatMap((_, k) => {
    const names = new Map(context.outputs.map((o) => [o.tunedNames[0], o.tunedNames[k]]));
    return k === 0 ? first : first.map((read) => (read.source === 0 ? read : { ...read, source: k + 1, name: names.get(read.name) ?? read.name }));
  });
}

/** A Fisher pass reads ahead into `buffers` pieces; 0 turns it off. */
export async function readPassAhead(context: RecipeContext, pass: { facts: AdapterFacts; budgetBytes: number; memory: PassMemory; buffers: number; signal: AbortSignal }): Promise<Reading> {
  const ahead = new ReadAhead({ buffers: pass.buffers, bufferBytes: PIECE_BYTES, signal: pass.signal });
  // From the models themselves: on paper nothing is read.
  if (pass.buffers > 0) ahead.follow(await passReads(context, pass.facts, pass.budgetBytes, pass.memory));
  return through(context, ahead);
}

/** Which models the operation of each output tensor reads. */
function operationReads(context: RecipeContext): Parameters<typeof mergeReads>[2] {
  const { method, params, weights, experts, outputs } = context;
  const byName = new Map(outputs.map((o) => [o.name, o]));
  return (tensor) => {
    const output = byName.get(tensor.name);
    if (!output) return { base: tensor.from === "base", experts: experts.map((_, k) => tensor.from !== "base" && k === 0) };
    return readsOf(method.planTensor({ params, weights, alphas: experts.map(() => 0.5), masks: experts.map(() => undefined), tensor: { ...output.role, name: output.name, elements: output.elements }, majority: 0 }), experts.length);
  };
}

/** A merge reads its slices ahead, and after them what was written; a ring of one slice of each model is in work, another comes. */
export function readMergeAhead(context: RecipeContext, merge: { sliceElements: number; buffers?: number | undefined; signal: AbortSignal }): Reading {
  const { base, experts, outputs, plan } = context;
  const models = [base, ...experts];
  const largest = Math.min(merge.sliceElements, Math.max(1, ...outputs.map((o) => o.elements)));
  const widths = outputs.map((o) => Math.max(...models.map((m, i) => bytesPerElement(m.tensors.get(i === 0 ? o.baseName : o.tunedNames[i - 1]!)?.dtype as FloatDtype))));
  const ahead = new ReadAhead({ buffers: merge.buffers ?? mergeRing(models.length), bufferBytes: largest * Math.max(2, ...widths), signal: merge.signal });
  const reading = through(context, ahead);
  if (ahead.buffers > 0) ahead.follow(mergeReads(context, plan.shards.flatMap((shard) => shard.tensors), operationReads(context), merge.sliceElements));
  return reading;
}

/** Runs a job whose stages are measured by a clock of its own, the GPU's among them. */
export async function clocked<T>(signal: AbortSignal, gpu: Gpu | undefined, work: (clock: StageClock) => Promise<T>): Promise<T> {
  const clock = addClock(signal);
  if (gpu) gpu.clock = clock;
  try {
    return await work(clock);
  } finally {
    clock.stop();
    if (gpu) gpu.clock = undefined;
  }
}
