import { bytesPerElement, type FloatDtype } from "../core/tensors";
import { SLICE_ELEMENTS } from "../fisher/slices";
import { PIECE_BYTES } from "../model/weights";

/**
 * What a process grows by whatever the job: dead arrays before V8 collects them (it begins once 64 MiB of array buffers were
 * allocated), the heap and compiled code, the driver's own copies. Measured on merges of a 300 MB pair in a terminal, on a
 * software adapter: growth was 0.75 to 1.15 times the forecast with this term.
 */
export const OVERHEAD_BYTES = 128 * 1024 * 1024;

/**
 * What a tab holds besides, in renderer and GPU process together: three pieces that come from the reader worker, four that go
 * to the writer, 4 MiB each, and the 64 MiB of uploads that may be on their way, in the memory that the two processes share and
 * once more in the driver's staging.
 */
export const TAB_BYTES = (12 + 16 + 2 * 64) * 1024 * 1024;

const width = (dtype: string): number => bytesPerElement(dtype as FloatDtype);

/** Buffers that a pass reads ahead into, from the bytes that nothing else needs: two pieces ahead keep a disk busy, four smooth its pauses. */
export const passRing = (freeBytes: number): number => Math.max(1, Math.min(4, Math.floor(freeBytes / PIECE_BYTES)));

/**
 * Growth of host memory while a Fisher pass runs: the ring of `ring` buffers that reads are made into and one for a read that
 * was not foreseen, what is read back and its mapped copy, keys and masks of a tensor.
 */
export function passHostBytes(pass: { ring: number; largestRead: number; keysOnCpu: number; largestMask: number; inputs: number; embedded: number }): number {
  const masks = 3 * pass.largestMask; // of a panel, of the tensor, and the store's copy
  return (pass.ring + 1) * PIECE_BYTES + 2 * pass.largestRead + Math.max(0, pass.keysOnCpu - pass.largestRead) + masks + pass.inputs + pass.embedded + OVERHEAD_BYTES;
}

/** Growth while changes are walked on the CPU: both sides as stored, a slice ahead, and as f32, and the keys. */
export const changesHostBytes = (largest: number, baseDtype: string, tunedDtype: string, sliceElements = SLICE_ELEMENTS): number =>
  Math.min(largest, sliceElements) * (2 * (width(baseDtype) + width(tunedDtype)) + 12) + OVERHEAD_BYTES;

/**
 * Growth while tensors are merged: the ring with a slice of every model that is computed and one that is read ahead, the merged slice and
 * its mapped copy, the driver's copy of what is uploaded, with cuts also both sides as f32 and the keys,
 * and those of the walk that found the cuts, which may not be collected yet; whole masks of the tensor.
 */
export function mergeHostBytes(merge: { elements: number; stored: number; outDtype: string; cuts: boolean; maskBytes: number }): number {
  const { elements, stored, outDtype, cuts, maskBytes } = merge;
  return elements * (3 * stored + 2 * width(outDtype) + (cuts ? 26 : 0)) + maskBytes + OVERHEAD_BYTES;
}

/** Buffers of the ring while tensors are merged and read back: a slice of every model that is computed, and one that comes. */
export const mergeRing = (models: number): number => 2 * models;

/** Growth while the result is read back: the ring of the merge, whose buffers are of 4 bytes an element at most, and the masks of one tensor. */
export const verifyHostBytes = (elements: number, models: number, maskBytes: number): number => 4 * elements * mergeRing(models) + maskBytes + OVERHEAD_BYTES;
