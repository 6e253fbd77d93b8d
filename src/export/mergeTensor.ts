import { throwIfCancelled } from "../core/errors";
import { bytesPerElement, leaseOf, rowLength, type Checkpoint, type FloatDtype, type TensorSource } from "../core/tensors";
import { Scratch } from "../core/scratch";
import { staged } from "../core/stages";
import { toFloat32 } from "../formats/dtypes";
import type { Gpu } from "../gpu/gpu";
import { makeMask, makerState, needsRows, type MakerState, type MaskMaker } from "../kernels/stats/maskMaker";
import { applyOpCpu, convert } from "../merge/cpu";
import { applyOpGpu } from "../merge/gpu";
import { holdMatrices } from "../merge/projectGpu";
import { readsOf, SLICE_ALIGN, sliceMask, takesWholeRows, type Mask, type OpSlice, type TensorOp } from "../merge/ops";
import { bodyElements, type OutputTensor } from "../model/pairing";
import type { PlannedRead } from "../store/readAhead";
import { COPY_PIECE, copiedParts, piecesOf } from "./copyTensor";
import { checkInputs, checkOperation, checkOutput } from "./finite";

/** Elements per slice: 4 Mi, a multiple of 64. Bytes do not depend on it. */
export const MERGE_SLICE = 4 * 1024 * 1024;

/** Rows [row0, row1) of a tensor that are a model's own instead, such as those of ids with two meanings. */
export interface RowOp {
  row0: number;
  row1: number;
  op: TensorOp & { kind: "copy" };
}

/** What is done to one output tensor. Masks of `op` are those of the whole tensor; `makers` make masks on the way. */
export interface TensorWork {
  op: TensorOp;
  rows?: RowOp[];
  makers?: (MaskMaker | undefined)[];
  /** Where the F of each part of a weighted mean is. */
  fishers?: { source: TensorSource; name: string }[];
  /** What comes after: each takes the result so far, as f32, in the place of the first fine-tuned model. */
  then?: TensorOp[];
}

export interface MergeSources {
  base: Checkpoint;
  experts: Checkpoint[];
}

/** Reads what a slice needs, as stored. The bytes are valid until `done`. */
export async function leaseSlice(sources: MergeSources, tensor: OutputTensor, work: TensorWork, start: number, elements: number, scratch?: Scratch): Promise<{ slice: OpSlice; done(): void }> {
  const wanted = [work.op, ...(work.rows ?? []).map((r) => r.op)].map((op) => readsOf(op, sources.experts.length));
  const held: (() => void)[] = [];
  const done = (): void => held.splice(0).forEach((give) => give());
  const side = async (source: TensorSource, name: string, key: string): Promise<{ bytes: Uint8Array; dtype: FloatDtype }> => {
    const dtype = source.tensors.get(name)!.dtype as FloatDtype;
    const width = bytesPerElement(dtype);
    const lease = await leaseOf(source, name, start * width, elements * width, scratch && ((length) => scratch.bytes(key, length)));
    held.push(() => lease.done());
    return { dtype, bytes: lease.bytes };
  };
  const reads = await Promise.allSettled([
    wanted.some((w) => w.base) || work.makers || work.then?.length ? side(sources.base, tensor.baseName, "base") : undefined,
    ...sources.experts.map((expert, k) => (wanted.some((w) => w.experts[k]) && tensor.tunedNames[k] !== undefined ? side(expert, tensor.tunedNames[k]!, `expert ${k}`) : undefined)),
    ...(work.fishers ?? []).map(({ source, name }, k) => side(source, name, `fisher ${k}`)),
  ]);
  const failed = reads.find((read) => read.status === "rejected");
  if (failed) {
    done();
    throw failed.reason;
  }
  const [base, ...others] = reads.map((read) => (read as PromiseFulfilledResult<OpSlice["base"]>).value);
  const experts = others.slice(0, sources.experts.length);
  const fishers = work.fishers && { fishers: others.slice(sources.experts.length) as NonNullable<OpSlice["base"]>[] };
  // A model that an operation does not read keeps its place with no bytes.
  return { slice: { ...(base ? { base } : {}), experts: experts.map((e) => e ?? { bytes: new Uint8Array(0), dtype: "F32" as const }), ...fishers, start, elements }, done };
}

/** The same in arrays of its own, or in those of `scratch`. */
export async function readSlice(sources: MergeSources, tensor: OutputTensor, work: TensorWork, start: number, elements: number, scratch?: Scratch): Promise<OpSlice> {
  const unleased = (source: Checkpoint): Checkpoint => ({ ...source, tensors: source.tensors, text: (path) => source.text(path), read: (...args) => source.read(...args), lease: undefined });
  return (await leaseSlice({ base: unleased(sources.base), experts: sources.experts.map(unleased) }, tensor, work, start, elements, scratch)).slice;
}

/**
 * Masks of a slice that are made on the way, from all models as f32, in arrays of `scratch` under names that leaseSlice does
 * not use; `states` count equal keys from slice to slice, per model.
 */
export function withMasks(work: TensorWork, slice: OpSlice, states: MakerState[], scratch = new Scratch()): { op: TensorOp; slice: OpSlice } {
  const { op, makers } = work;
  if (!makers || (op.kind !== "add" && op.kind !== "ties")) return { op, slice };
  const n = slice.elements;
  const base = toFloat32(slice.base!.bytes, slice.base!.dtype, scratch.floats("base as f32", n));
  const alone = makers.every((maker) => maker?.kind !== "variance");
  const value = (k: number, name: string): Float32Array => toFloat32(slice.experts[k]!.bytes, slice.experts[k]!.dtype, scratch.floats(name, n));
  const all = alone ? [] : makers.map((_, k) => value(k, `expert ${k} as f32`));
  const masks = makers.map((maker, k) => {
    if (!maker) return undefined;
    const tuned = alone ? { [k]: value(k, "expert as f32") } : all;
    return makeMask(maker, base, tuned as Float32Array[], k, slice.start, states[k]!, scratch);
  });
  return { op: { ...op, masks: masks.map((mask, k) => atStart(mask, op.masks?.[k], slice)) }, slice: { ...slice, start: 0 } };
}

/** A mask of the slice; where none was made, that part of the one that covers the tensor. */
const atStart = (made: Mask, whole: Mask, slice: OpSlice): Mask => made ?? sliceMask(whole, slice);

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** Whether the slices of a tensor have to be whole rows, for its operation or for masks that are made on the way. */
export const needsWholeRows = ({ op, makers }: TensorWork): boolean => takesWholeRows(op) || (makers?.some(needsRows) ?? false);

/** Elements per slice of a tensor; whole rows where they are needed, and then the tensor at once where rows do not fall on words. */
export function sliceOf(tensor: { shape: readonly number[]; elements: number }, sliceElements: number, wholeRows: boolean): number {
  if (!wholeRows) return sliceElements;
  const cols = rowLength(tensor);
  const unit = (cols / gcd(cols, SLICE_ALIGN)) * SLICE_ALIGN;
  return unit * Math.max(1, Math.floor(sliceElements / unit));
}

async function apply(gpu: Gpu | undefined, op: TensorOp, slice: OpSlice, dtype: FloatDtype, signal?: AbortSignal): Promise<Uint8Array> {
  if (gpu) return applyOpGpu(gpu, op, slice, dtype);
  return staged(signal, "compute", slice.elements * bytesPerElement(dtype), () => applyOpCpu(op, slice, dtype));
}

/** Stored bytes of a slice: its operation, the rows that take another, and what comes after; rounded to `dtype` once, at the end. */
export async function sliceBytes(
  apply: (op: TensorOp, slice: OpSlice, dtype: FloatDtype) => Promise<Uint8Array> | Uint8Array,
  tensor: { shape: readonly number[]; elements: number; dtype: FloatDtype },
  work: TensorWork,
  slice: OpSlice,
  masked: { op: TensorOp; slice: OpSlice },
): Promise<Uint8Array> {
  const then = work.then ?? [];
  const dtype = then.length > 0 ? "F32" : tensor.dtype;
  const width = bytesPerElement(dtype);
  const cols = tensor.shape.length >= 2 ? tensor.elements / tensor.shape[0]! : 1;
  const { start, elements } = slice;
  let bytes = await apply(masked.op, masked.slice, dtype);
  for (const { row0, row1, op } of work.rows ?? []) {
    const from = Math.max(row0 * cols, start) - start;
    const to = Math.min(row1 * cols, start + elements) - start;
    if (from >= to) continue;
    const { bytes: stored, dtype: kept } = op.source === undefined ? slice.base! : slice.experts[op.source]!;
    const own = bytesPerElement(kept);
    // In an array of their own, since words begin at multiples of their size.
    bytes.set(convert({ dtype: kept, bytes: stored.slice(from * own, to * own) }, dtype), from * width);
  }
  for (const [i, op] of then.entries()) bytes = await apply(op, { ...(slice.base ? { base: slice.base } : {}), experts: [{ bytes, dtype: "F32" }], start, elements }, i === then.length - 1 ? tensor.dtype : "F32");
  return bytes;
}

/**
 * The merged bytes of the body of a tensor, slice by slice, in order. Sources that read ahead read the next slices meanwhile. With `gpu`
 * undefined the CPU computes; both give the same bytes on a software adapter, and on hardware up to the last bit of f32. `from` is the
 * first element, at which a slice begins.
 */
export async function* mergeTensor(
  gpu: Gpu | undefined,
  sources: MergeSources,
  tensor: OutputTensor,
  work: TensorWork,
  signal?: AbortSignal,
  sliceElements = MERGE_SLICE,
  from = 0,
): AsyncGenerator<{ start: number; elements: number; bytes: Uint8Array }> {
  const dtype = tensor.dtype as FloatDtype;
  const width = bytesPerElement(dtype);
  const total = bodyElements(tensor);
  const states = sources.experts.map(() => makerState());
  const step = sliceOf({ ...tensor, elements: total }, sliceElements, needsWholeRows(work));
  checkOperation(tensor, work);
  const scratch = Scratch.take();
  const letGo = gpu && work.op.kind === "project" ? holdMatrices(gpu, work.op) : undefined;
  try {
    for (let start = from; start < total; start += step) {
      throwIfCancelled(signal);
      const elements = Math.min(step, total - start);
      const { slice, done } = await leaseSlice(sources, tensor, work, start, elements, scratch);
      let bytes: Uint8Array;
      try {
        throwIfCancelled(signal);
        await checkInputs(sources, tensor, work, slice, signal);
        const masked = work.makers ? staged(signal, "select", elements * width, () => withMasks(work, slice, states, scratch)) : { op: work.op, slice };
        bytes = await sliceBytes((op, part, stored) => apply(gpu, op, part, stored, signal), { ...tensor, dtype }, work, slice, masked);
        checkOutput(tensor, work, slice, masked, bytes);
      } finally {
        done();
      }
      yield { start, elements, bytes };
    }
  } finally {
    letGo?.();
    scratch.give();
  }
}

/**
 * The reads of mergeTensor and copyTensor for these tensors, in their order; source 0 is the base, k + 1 expert k. `reads`
 * says which models the operation of a tensor reads.
 */
export function mergeReads(sources: MergeSources, tensors: readonly OutputTensor[], reads: (tensor: OutputTensor) => { base: boolean; experts: boolean[]; wholeRows?: boolean }, sliceElements: number, pieceBytes = COPY_PIECE): PlannedRead[] {
  const plan: PlannedRead[] = [];
  for (const tensor of tensors) {
    const copies = copiedParts(sources, tensor).flatMap(({ source, name, offset, length }) => piecesOf(length, pieceBytes).map(([at, bytes]) => ({ source, name, offset: offset + at, length: bytes })));
    if (tensor.action === "copy") {
      plan.push(...copies);
      continue;
    }
    const wanted = reads(tensor);
    const sides = [sources.base, ...sources.experts].flatMap((checkpoint, source) => {
      const name = source === 0 ? tensor.baseName : tensor.tunedNames[source - 1];
      if (name === undefined || !(source === 0 ? wanted.base : wanted.experts[source - 1])) return [];
      return [{ source, name, width: bytesPerElement(checkpoint.tensors.get(name)!.dtype as FloatDtype) }];
    });
    const total = bodyElements(tensor);
    const step = sliceOf({ ...tensor, elements: total }, sliceElements, wanted.wholeRows ?? false);
    for (let start = 0; start < total; start += step)
      for (const { source, name, width } of sides) plan.push({ source, name, offset: start * width, length: Math.min(step, total - start) * width });
    plan.push(...copies);
  }
  return plan;
}
