import { StudioError, throwIfCancelled } from "../core/errors";
import { bytesPerElement, type Checkpoint, type FloatDtype } from "../core/tensors";
import { Scratch } from "../core/scratch";
import { toFloat32 } from "../formats/dtypes";
import type { Gpu } from "../gpu/gpu";
import { magnitudes } from "../fisher/magnitude";
import { maskOf, type Cut } from "../kernels/stats/trim";
import { applyOpCpu } from "../merge/cpu";
import { applyOpGpu } from "../merge/gpu";
import { readsOf, type OpSlice, type TensorOp } from "../merge/ops";
import type { OutputTensor } from "../model/pairing";

/** Elements per slice: 4 Mi, a multiple of 64. Bytes do not depend on it. */
export const MERGE_SLICE = 4 * 1024 * 1024;

/** Another operation for rows [row0, row1) of a tensor, such as those of ids with two meanings; it takes no cuts. */
export interface RowOp {
  row0: number;
  row1: number;
  op: TensorOp;
}

/** What is done to one output tensor. Masks of `op` are those of the whole tensor; `cuts` make masks from |delta| on the way. */
export interface TensorWork {
  op: TensorOp;
  rows?: RowOp[];
  cuts?: (Cut | undefined)[];
  dropZero?: boolean;
}

export interface MergeSources {
  base: Checkpoint;
  experts: Checkpoint[];
}

/** Reads what a slice needs, as stored. The arrays are those of `scratch` where one is given. */
export async function readSlice(sources: MergeSources, tensor: OutputTensor, work: TensorWork, start: number, elements: number, scratch?: Scratch): Promise<OpSlice> {
  const ops = [work.op, ...(work.rows ?? []).map((r) => r.op)];
  const wanted = ops.map((op) => readsOf(op, sources.experts.length));
  const side = async (source: Checkpoint, name: string, key: string): Promise<{ bytes: Uint8Array; dtype: FloatDtype }> => {
    const dtype = source.tensors.get(name)!.dtype as FloatDtype;
    const width = bytesPerElement(dtype);
    return { dtype, bytes: await source.read(name, start * width, elements * width, scratch?.bytes(key, elements * width)) };
  };
  const slice: OpSlice = { experts: [], start, elements };
  const [base, ...experts] = await Promise.all([
    wanted.some((w) => w.base) || work.cuts ? side(sources.base, tensor.baseName, "base") : undefined,
    ...sources.experts.map((expert, k) => (wanted.some((w) => w.experts[k]) && tensor.tunedNames[k] !== undefined ? side(expert, tensor.tunedNames[k]!, `expert ${k}`) : undefined)),
  ]);
  if (base) slice.base = base;
  // A model that an operation does not read keeps its place with no bytes.
  slice.experts = experts.map((e) => e ?? { bytes: new Uint8Array(0), dtype: "F32" as const });
  return slice;
}

/** Masks of a slice from the cuts on |delta|; `taken` counts equal keys from slice to slice, per model. */
export function withCuts(work: TensorWork, slice: OpSlice, taken: { taken: number }[], scratch = new Scratch()): { op: TensorOp; slice: OpSlice } {
  const { op, cuts } = work;
  if (!cuts || (op.kind !== "add" && op.kind !== "ties")) return { op, slice };
  const n = slice.elements;
  const base = toFloat32(slice.base!.bytes, slice.base!.dtype, scratch.floats("base", n));
  const masks = cuts.map((cut, k) => (cut ? maskOf(magnitudes(base, toFloat32(slice.experts[k]!.bytes, slice.experts[k]!.dtype, scratch.floats("tuned", n)), scratch.floats("keys", n)), cut, work.dropZero ?? false, taken[k]!) : undefined));
  return { op: { ...op, masks }, slice: { ...slice, start: 0 } };
}

async function apply(gpu: Gpu | undefined, op: TensorOp, slice: OpSlice, dtype: FloatDtype): Promise<Uint8Array> {
  return gpu ? applyOpGpu(gpu, op, slice, dtype) : applyOpCpu(op, slice, dtype);
}

/**
 * The merged bytes of a tensor, slice by slice, in order. The next slice is read while this one is computed. With `gpu`
 * undefined the CPU computes; both give the same bytes on a software adapter, and on hardware up to the last bit of f32.
 */
export async function* mergeTensor(
  gpu: Gpu | undefined,
  sources: MergeSources,
  tensor: OutputTensor,
  work: TensorWork,
  signal?: AbortSignal,
  sliceElements = MERGE_SLICE,
): AsyncGenerator<{ start: number; elements: number; bytes: Uint8Array }> {
  const dtype = tensor.dtype as FloatDtype;
  const cols = tensor.shape.length >= 2 ? tensor.elements / tensor.shape[0]! : 1;
  const taken = sources.experts.map(() => ({ taken: 0 }));
  // One slice is computed while the next is read.
  const turns = [Scratch.take(), Scratch.take()];
  const floats = Scratch.take();
  const read = (start: number): Promise<OpSlice> => readSlice(sources, tensor, work, start, Math.min(sliceElements, tensor.elements - start), turns[(start / sliceElements) % 2]);
  let finished = false;
  let ahead: Promise<OpSlice> | undefined = tensor.elements > 0 ? read(0) : undefined;
  try {
    for (let start = 0; start < tensor.elements; start += sliceElements) {
      const slice = await ahead!;
      ahead = start + sliceElements < tensor.elements ? read(start + sliceElements) : undefined;
      ahead?.catch(() => undefined);
      throwIfCancelled(signal);
      const cut = withCuts(work, slice, taken, floats);
      const bytes = await apply(gpu, cut.op, cut.slice, dtype);
      for (const { row0, row1, op } of work.rows ?? []) {
        const from = Math.max(row0 * cols, start);
        const to = Math.min(row1 * cols, start + slice.elements);
        if (from >= to) continue;
        const other = await apply(gpu, op, slice, dtype);
        const width = bytesPerElement(dtype);
        bytes.set(other.subarray((from - start) * width, (to - start) * width), (from - start) * width);
      }
      yield { start, elements: slice.elements, bytes };
    }
    finished = true;
  } finally {
    // A read ahead that nobody waited for may still write into its arrays: they are not handed on then.
    if (finished) for (const scratch of [...turns, floats]) scratch.give();
  }
}

/** Stored bytes of a tensor that is copied as it is, in pieces. */
export async function* copyTensor(sources: MergeSources, tensor: OutputTensor, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const [source, name] = tensor.from === "base" ? [sources.base, tensor.baseName] : [sources.experts[0]!, tensor.tunedNames[0]!];
  const info = source.tensors.get(name);
  if (!info) throw new StudioError("internal", `Copying "${tensor.name}": the source has no tensor "${name}".`);
  const piece = 16 * 1024 * 1024;
  for (let at = 0; at < info.end - info.begin; at += piece) {
    throwIfCancelled(signal);
    yield source.read(name, at, Math.min(piece, info.end - info.begin - at));
  }
}
