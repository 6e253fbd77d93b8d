import { addClock, type StageClock } from "../core/stages";
import { bytesPerElement, type FloatDtype } from "../core/tensors";
import { mergeReads } from "../export/mergeTensor";
import type { Gpu } from "../gpu/gpu";
import { readsOf, takesWholeRows } from "../merge/ops";
import { PIECE_BYTES } from "../model/weights";
import { ReadAhead, type PlannedRead } from "../store/readAhead";
import type { RecipeContext } from "./context";
import { masksNeedRows, plannedOperation, studyOf } from "./operation";
import { mergeRing } from "./planHost";
import type { Plan } from "./planner";

/** A context whose models are read through a ring. */
export interface Reading {
  context: RecipeContext;
  ring: ReadAhead;
}

function through(context: RecipeContext, ring: ReadAhead): Reading {
  return { ring, context: { ...context, base: ring.wrap(context.base, 0), experts: context.experts.map((expert, k) => ring.wrap(expert, k + 1)) } };
}

/** The reads of a Fisher pass, from those of its plan. With the Fisher taken at the fine-tuned models, each has a pass like the first one's. */
export function passReads({ params, experts, outputs }: RecipeContext, planned: readonly PlannedRead[]): readonly PlannedRead[] {
  if (params.fisherAt !== "finetuned") return planned;
  return experts.flatMap((_, k) => {
    const names = new Map(outputs.map((o) => [o.tunedNames[0], o.tunedNames[k]]));
    return k === 0 ? planned : planned.map((read) => (read.source === 0 ? read : { ...read, source: k + 1, name: names.get(read.name) ?? read.name }));
  });
}

/** A Fisher pass reads along its plan, into as many pieces as the plan allows. */
export function readPassAhead(context: RecipeContext, plan: Pick<Plan, "reads" | "memory">, signal: AbortSignal): Reading {
  const reading = through(context, new ReadAhead({ buffers: plan.memory.readAhead, bufferBytes: PIECE_BYTES, signal }));
  reading.ring.follow(passReads(context, plan.reads));
  return reading;
}

/** Which models the operation of each output tensor reads. */
function operationReads(context: RecipeContext): Parameters<typeof mergeReads>[2] {
  const { experts, outputs } = context;
  const byName = new Map(outputs.map((o) => [o.name, o]));
  return (tensor) => {
    const output = byName.get(tensor.name);
    if (!output) return { base: tensor.from === "base", experts: experts.map((_, k) => tensor.from !== "base" && k === 0) };
    const op = plannedOperation(context, output);
    const reads = readsOf(op, experts.length);
    return { ...reads, base: reads.base || (context.recipe.then ?? []).length > 0, wholeRows: takesWholeRows(op) || masksNeedRows(studyOf(context, output)) };
  };
}

/** A merge reads its slices ahead, and after them what was written; a ring of one slice of each model is in work, another comes. */
export function readMergeAhead(context: RecipeContext, merge: { sliceElements: number; buffers?: number | undefined; signal: AbortSignal }): Reading {
  const { base, experts, outputs, plan } = context;
  const models = [base, ...experts];
  // Copied tensors count too: what is written is read back through the same ring, in pieces of its size.
  const largest = Math.min(merge.sliceElements, Math.max(1, ...plan.tensors.map((t) => t.elements)));
  const widths = outputs.map((o) => Math.max(...models.map((m, i) => bytesPerElement(m.tensors.get(i === 0 ? o.baseName : o.tunedNames[i - 1]!)?.dtype as FloatDtype))));
  const ring = new ReadAhead({ buffers: merge.buffers ?? mergeRing(models.length), bufferBytes: largest * Math.max(2, ...widths), signal: merge.signal });
  const reading = through(context, ring);
  ring.follow(mergeReads(context, plan.shards.flatMap((shard) => shard.tensors), operationReads(context), merge.sliceElements));
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
