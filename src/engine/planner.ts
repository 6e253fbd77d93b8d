import { bytesPerElement, isFloatDtype, rowLength, storedBytes, type Checkpoint, type FloatDtype } from "../core/tensors";
import { formatBytes, isWeightFile } from "../core/modelFiles";
import { maskWords } from "../kernels/stats/trim";
import { MAX_BINDING_BYTES } from "../gpu/gpu";
import type { AdapterFacts } from "../gpu/info";
import { copiedParts } from "../export/copyTensor";
import { MERGE_SLICE, sliceOf } from "../export/mergeTensor";
import { applyOpGpu } from "../merge/gpu";
import { readsOf, takesWholeRows, type OpSlice } from "../merge/ops";
import { parseModelConfig } from "../model/config";
import type { PassOutput } from "../fisher/measure";
import type { PlannedRead } from "../store/readAhead";
import type { Budgets, Forecast, PhaseForecast, Rates } from "./api";
import type { RecipeContext } from "./context";
import { gpuPassOf } from "./gpuPasses";
import { PaperGpu } from "./paperGpu";
import { changePassBytes } from "./changePass";
import { passRounds } from "./passes";
import { isTrimmed, plannedOperation } from "./operation";
import { changesHostBytes, mergeHostBytes, passHostBytes, passRing, OVERHEAD_BYTES, TAB_BYTES, verifyHostBytes } from "./planHost";
import { paperPass, type PaperPass, type PassStep } from "./planPass";

/** Half of 4 GiB, because a browser does not say how much there is; and half a gigabyte of the tab's own memory. */
export const DEFAULT_BUDGETS: Budgets = { gpuBytes: 2 * 1024 ** 3, hostBytes: 512 * 1024 ** 2 };
export const MIN_BUDGET = 16 * 1024 ** 2;

const MIN_SLICE = 64 * 1024;
const MIN_PANEL = 8 * 1024 ** 2;

export interface PlanJob {
  context: RecipeContext;
  facts: AdapterFacts;
  budgets: Budgets;
  rates?: Rates | undefined;
  /** A browser copies what is dropped and reads the copy back; a terminal reads in place, once, for the hash. */
  ingest: "copy" | "in place";
  /** Whether a pass runs before the merge, and which. */
  pass: "fisher" | "changes" | "none";
  /** Fixed by the caller; chosen from the budgets when absent. */
  sliceElements?: number | undefined;
  readAhead?: number | undefined;
}

/** A forecast, and of its Fisher pass the steps, for who shows how far it is, and the reads, for who makes them ahead. */
export interface Plan extends Forecast {
  steps: PassStep[];
  reads: PlannedRead[];
}

type Numbers = Omit<PhaseForecast, "id" | "label" | "seconds">;
const nothing: Numbers = { gpuBytes: 0, hostBytes: 0, readBytes: 0, writeBytes: 0, dispatches: 0, flops: 0 };

/**
 * What a merge will take, from headers, adapter facts and two budgets. The Fisher pass and one slice of the merge run on a
 * GPU of paper, so buffers, pool, evictions and dispatches are those of the real run; reads and writes are counted; host
 * memory follows planHost. Chooses the largest slices, then panels, that stay within the budgets; of these only smaller
 * panels can change a last bit, so they come last.
 */
export async function planMerge(job: PlanJob): Promise<Plan> {
  const { context, budgets } = job;
  const notes: string[] = [];
  const copies = job.ingest === "copy";
  const tab = copies ? TAB_BYTES : 0;
  const within: PlanJob = { ...job, budgets: { ...budgets, hostBytes: budgets.hostBytes - tab } };
  const merge = await chooseSlices(within);
  const pass = job.pass === "fisher" ? await choosePass(within, merge.sliceElements) : undefined;

  const phases: PhaseForecast[] = [];
  const add = (id: PhaseForecast["id"], label: string, numbers: Partial<Numbers>): void => {
    const all = { ...nothing, ...numbers };
    if (id !== "ingest") all.hostBytes += tab;
    phases.push({ id, label, ...all, seconds: secondsOf(all, job.rates) });
  };
  const stored = [context.base, ...context.experts].reduce((sum, c) => sum + c.files.reduce((s, f) => s + (isWeightFile(f.path) ? f.size : 0), 0), 0);
  add("ingest", copies ? "Copy and verify" : "Read for the hash", { readBytes: copies ? 2 * stored : stored, writeBytes: copies ? stored : 0, hostBytes: 8 * 1024 ** 2 });
  if (pass) {
    const masks = maskBytes(context, () => true);
    // The journal: the input of each block, and the gradient below it, of every walk.
    const walk = passRounds(context) * pass.rowBytes;
    add("forward", "Forward", { ...part(pass.paper.forward), hostBytes: pass.hostBytes, writeBytes: walk * pass.layers });
    add("backward", "Loss, backward, Fisher, trim", { ...part(pass.paper.backward), hostBytes: pass.hostBytes, writeBytes: walk * (pass.layers + 1) + (trims(context) ? masks.total : 0) });
  }
  for (const { label, ...numbers } of (await gpuPassOf(context)?.forecast(context, { sliceElements: merge.sliceElements }, { facts: job.facts, gpuBytes: budgets.gpuBytes })) ?? []) add("measure", label, numbers);
  if (job.pass === "changes") add("changes", "Read every change", {
    readBytes: changePassBytes(context),
    hostBytes: changesHostBytes(largest(context).elements, ...dtypesOf(context, largest(context)), merge.sliceElements),
  });
  add("merge", "Merge and write", merge.numbers);
  add("verify", "Read back and verify", {
    readBytes: context.plan.tensorBytes,
    hostBytes: verifyHostBytes(Math.min(merge.sliceElements, largest(context).elements), 1 + context.experts.length, merge.masks),
  });

  const most = (key: "gpuBytes" | "hostBytes"): number => Math.max(...phases.map((p) => p[key]));
  const sum = (key: "readBytes" | "writeBytes" | "dispatches" | "flops"): number => phases.reduce((total, p) => total + p[key], 0);
  const gpuBytes = most("gpuBytes");
  const hostBytes = most("hostBytes");
  for (const [what, peak, budget] of [["GPU", gpuBytes, budgets.gpuBytes], ["host", hostBytes, budgets.hostBytes]] as const)
    if (peak > budget) notes.push(`${formatBytes(peak)} of ${what} memory are needed at one time, the budget is ${formatBytes(budget)}. Raise the budget${what === "GPU" && pass ? lessGpu(context) : ""}.`);
  if (pass && pass.panelBytes < MAX_BINDING_BYTES) notes.push(`To stay within the GPU budget, matrices are cut into panels of ${formatBytes(pass.panelBytes)}. Sums over panels are rounded in another order, so last bits may differ from a run with a larger budget.`);
  if (pass && pass.paper.pinnedBlocks > 0) notes.push(`${pass.paper.pinnedBlocks} of ${pass.layers} blocks stay on the GPU after the forward walk, so the backward walk need not read them again.`);
  if (pass?.inputsOnHost) notes.push("The inputs of the blocks wait in host memory for the backward pass.");
  if (job.facts.state === "software" && gpuBytes > 0) notes.push("On a software adapter the GPU's buffers lie in host memory too: the process grows by both numbers.");
  const known = phases.every((p) => p.seconds !== undefined);
  return {
    phases, budgets, gpuBytes, hostBytes, notes, steps: pass?.paper.steps ?? [], reads: pass?.paper.reads ?? [],
    readBytes: sum("readBytes"), writeBytes: sum("writeBytes"), dispatches: sum("dispatches"), flops: sum("flops"),
    seconds: known ? [phases.reduce((t, p) => t + p.seconds![0], 0), phases.reduce((t, p) => t + p.seconds![1], 0)] : undefined,
    fits: gpuBytes <= budgets.gpuBytes && hostBytes <= budgets.hostBytes,
    memory: { panelBytes: pass?.panelBytes ?? MAX_BINDING_BYTES, inputsOnHost: pass?.inputsOnHost ?? false, pinnedBlocks: pass?.paper.pinnedBlocks ?? 0, sliceElements: merge.sliceElements, readAhead: pass?.readAhead ?? 0 },
  };
}

/** What else helps when a pass does not fit the GPU. */
const lessGpu = ({ params }: RecipeContext): string =>
  params.trimScope === "block" ? ", or set trimScope to tensor: with block, the scores of all matrices of a block wait on the GPU for their common threshold" : ", or take fewer or shorter random inputs";

const part = ({ gpuBytes, readBytes, dispatches, flops }: PaperPass["forward"]): Partial<Numbers> => ({ gpuBytes, readBytes, dispatches, flops });

/** The longest stage alone, and all stages one after another; undefined when a stage's speed is not known. */
function secondsOf({ flops, readBytes, writeBytes }: Numbers, rates: Rates = {}): [number, number] | undefined {
  const stages: number[] = [];
  for (const [amount, rate] of [[flops, rates.gpuFlops], [readBytes, rates.readBytes], [writeBytes, rates.writeBytes]] as const) {
    if (amount === 0) continue;
    if (rate === undefined || !(rate > 0)) return undefined;
    stages.push(amount / rate);
  }
  return [Math.max(0, ...stages), stages.reduce((a, b) => a + b, 0)];
}

const dtypesOf = (context: RecipeContext, o: PassOutput): [string, string] => [context.base.tensors.get(o.baseName)!.dtype, context.experts[0]!.tensors.get(o.tunedNames[0]!)!.dtype];
const none: PassOutput = { name: "", role: {} as PassOutput["role"], shape: [], elements: 0, baseName: "", tunedNames: [] };
const largest = (context: RecipeContext): PassOutput => context.outputs.reduce((a, b) => (b.elements > a.elements ? b : a), context.outputs[0] ?? none);

const trims = (context: RecipeContext): boolean => context.outputs.some((o) => isTrimmed(context, o));

/** Bytes of the masks that a Fisher pass leaves: of all tensors, and of the largest one. */
function maskBytes(context: RecipeContext, want: (o: PassOutput) => boolean): { total: number; largest: number } {
  const sizes = context.outputs.filter((o) => o.role.inBlock2d && want(o)).map((o) => 4 * maskWords(o.elements) * context.experts.length);
  return { total: sizes.reduce((a, b) => a + b, 0), largest: Math.max(0, ...sizes) };
}

/** The panels, and where block inputs wait, for a pass within the budgets: the first of a list that gives least away first. */
async function choosePass({ context, facts, budgets, readAhead }: PlanJob, sliceElements: number) {
  const config = parseModelConfig((context.params.fisherAt === "finetuned" ? context.experts[0]! : context.base).config);
  const most = Math.min(context.recipe.kernels?.panelBytes ?? MAX_BINDING_BYTES, MAX_BINDING_BYTES);
  const tries = [{ panelBytes: most, inputsOnHost: false }, { panelBytes: most, inputsOnHost: true }];
  // A recipe that says how its run was made is not run otherwise.
  if (!context.recipe.kernels) for (let panelBytes = most / 2; panelBytes >= MIN_PANEL; panelBytes /= 2) tries.push({ panelBytes, inputsOnHost: true });
  const matrix = Math.max(0, ...context.outputs.filter((o) => o.role.inBlock2d).map((o) => o.elements));
  let best;
  for (const memory of tries) {
    const paper = await paperPass(context, facts, budgets.gpuBytes, { ...memory, sliceElements });
    const rowBytes = 4 * paper.rows * config.hidden;
    const held = {
      largestRead: Math.max(paper.forward.largestRead, paper.backward.largestRead),
      keysOnCpu: facts.state === "software" && trims(context) ? Math.min(4 * matrix, 64 * 1024 ** 2) : 0,
      largestMask: trims(context) ? maskBytes(context, () => true).largest : 0,
      inputs: memory.inputsOnHost ? config.layers * rowBytes : 0,
      embedded: 2 * rowBytes,
    };
    const ring = readAhead ?? passRing(budgets.hostBytes - passHostBytes({ ...held, ring: 0 }));
    const hostBytes = Math.max(passHostBytes({ ...held, ring }), changesHostBytes(largest(context).elements, ...dtypesOf(context, largest(context)), sliceElements));
    const live = Math.max(paper.forward.gpuBytes, paper.backward.gpuBytes);
    best = !best || live < Math.max(best.paper.forward.gpuBytes, best.paper.backward.gpuBytes) ? { ...memory, paper, hostBytes, rowBytes, layers: config.layers, readAhead: ring } : best;
    if (live <= budgets.gpuBytes && hostBytes <= budgets.hostBytes) return { ...memory, paper, hostBytes, rowBytes, layers: config.layers, readAhead: ring };
  }
  return best!;
}

/** The slice size of the merge, halved until it is within both budgets, and what the merge then takes. */
async function chooseSlices(job: PlanJob): Promise<{ sliceElements: number; numbers: Numbers; masks: number }> {
  const { budgets } = job;
  for (let slice = job.sliceElements ?? MERGE_SLICE; ; slice /= 2) {
    const merge = await mergeNumbers(job, slice);
    const { gpuBytes, hostBytes } = merge.numbers;
    if (job.sliceElements || slice / 2 < MIN_SLICE || (gpuBytes <= budgets.gpuBytes && hostBytes - OVERHEAD_BYTES <= Math.max(budgets.hostBytes - OVERHEAD_BYTES, budgets.hostBytes / 4))) return { ...merge, sliceElements: slice };
  }
}

async function mergeNumbers({ context, facts, budgets, pass }: PlanJob, sliceElements: number): Promise<{ numbers: Numbers; masks: number }> {
  const { plan, outputs, base, experts, method, params } = context;
  const byName = new Map(outputs.map((o) => [o.name, o]));
  const numbers = { ...nothing, writeBytes: plan.shards.reduce((sum, s) => sum + s.bytes, 0) };
  const withMasks = pass === "fisher" && trims(context);
  let masks = 0;
  for (const tensor of plan.tensors) {
    const output = byName.get(tensor.name);
    const copied = copiedParts(context, tensor).reduce((sum, part) => sum + part.length, 0);
    if (!output) {
      numbers.readBytes += copied;
      continue;
    }
    const op = plannedOperation(context, output);
    const reads = readsOf(op, experts.length);
    const bytes = (reads.base ? storedBytes(base, output.baseName, output.elements) : 0) + experts.reduce((sum, e, k) => sum + (reads.experts[k] ? storedBytes(e, output.tunedNames[k]!, output.elements) : 0), 0);
    numbers.readBytes += copied + bytes * (method.needsMajority?.(params, experts.length) ? 2 : 1);
    if (op.kind === "weighted") numbers.readBytes += 4 * op.parts.length * output.elements;
    const mask = withMasks && isTrimmed(context, output) ? 4 * maskWords(output.elements) * experts.length : 0;
    masks = Math.max(masks, mask);
    const elements = Math.min(sliceElements, output.elements);
    numbers.hostBytes = Math.max(numbers.hostBytes, mergeHostBytes({ elements, stored: output.elements > 0 ? bytes / output.elements + (op.kind === "weighted" ? 4 * op.parts.length : 0) : 0, outDtype: tensor.dtype, cuts: pass === "changes" && isTrimmed(context, output), maskBytes: mask }));
  }
  if (facts.state === "none" || outputs.length === 0) return { numbers, masks };

  // One slice of the largest tensor on paper, and of the widest that is projected: all others are alike or smaller.
  const widest = outputs.filter((o) => takesWholeRows(plannedOperation(context, o))).reduce<PassOutput | undefined>((a, b) => (a && rowLength(a) >= rowLength(b) ? a : b), undefined);
  for (const output of new Set([largest(context), ...(widest ? [widest] : [])])) {
    const gpu = await paperSlice(context, output, facts, budgets.gpuBytes, sliceElements, withMasks);
    numbers.gpuBytes = Math.max(numbers.gpuBytes, gpu.peakBytes);
    numbers.dispatches ||= gpu.dispatches * outputs.reduce((sum, o) => sum + Math.ceil(o.elements / sliceElements), 0);
  }
  // The matrices of a projection, as they are kept and as they come from there.
  if (widest) numbers.hostBytes += 2 * experts.length * 4 * rowLength(widest) ** 2;
  return { numbers, masks };
}

/** One slice of an output tensor on a GPU of paper. */
async function paperSlice(context: RecipeContext, output: PassOutput, facts: AdapterFacts, gpuBytes: number, sliceElements: number, withMasks: boolean): Promise<PaperGpu> {
  const { plan, base, experts } = context;
  const gpu = await PaperGpu.on(facts);
  gpu.budgetBytes = gpuBytes;
  const wholeRows = takesWholeRows(plannedOperation(context, output));
  const elements = Math.min(sliceOf(output, sliceElements, wholeRows), output.elements);
  const bits = isTrimmed(context, output) || withMasks ? new Uint32Array(maskWords(elements)) : undefined;
  const op = plannedOperation(context, output, bits);
  const side = (checkpoint: Checkpoint, name: string): { bytes: Uint8Array; dtype: FloatDtype } => {
    const dtype = checkpoint.tensors.get(name)!.dtype as FloatDtype;
    return { dtype, bytes: new Uint8Array(elements * bytesPerElement(dtype)) };
  };
  const slice: OpSlice = { base: side(base, output.baseName), experts: experts.map((e, k) => side(e, output.tunedNames[k]!)), start: 0, elements, ...(op.kind === "weighted" ? { fishers: op.parts.map(() => ({ bytes: new Uint8Array(4 * elements), dtype: "F32" as const })) } : {}) };
  const outDtype = plan.tensors.find((t) => t.name === output.name)!.dtype;
  if (isFloatDtype(outDtype)) await applyOpGpu(gpu, op, slice, outDtype);
  return gpu;
}
