import { bytesPerElement, type FloatDtype } from "../core/tensors";
import { SLICE_ELEMENTS } from "../fisher/magnitude";
import { PIECE_BYTES } from "../model/weights";

/**
 * Dead arrays that have not been collected yet. V8 begins a collection once 64 MiB of array buffers were allocated since
 * the last one; until it ends, about as much again is allocated. Measured: CONTRIBUTING, performance.
 */
export const UNCOLLECTED_BYTES = 96 * 1024 * 1024;

const width = (dtype: string): number => bytesPerElement(dtype as FloatDtype);

/** Growth of host memory while a Fisher pass runs: staging, what is read back and its mapped copy, keys and masks of a tensor. */
export function passHostBytes(pass: { largestRead: number; keysOnCpu: number; largestMask: number; inputs: number; embedded: number }): number {
  const masks = 3 * pass.largestMask; // of a panel, of the tensor, and the store's copy
  return 2 * PIECE_BYTES + 2 * pass.largestRead + Math.max(0, pass.keysOnCpu - pass.largestRead) + masks + pass.inputs + pass.embedded + UNCOLLECTED_BYTES;
}

/** Growth while changes are walked on the CPU: both sides as stored and as f32, and the keys. */
export const changesHostBytes = (largest: number, baseDtype: string, tunedDtype: string, sliceElements = SLICE_ELEMENTS): number =>
  Math.min(largest, sliceElements) * (width(baseDtype) + width(tunedDtype) + 12) + UNCOLLECTED_BYTES;

/**
 * Growth while tensors are merged: a slice of every model that is computed and one that is read ahead, the merged slice and
 * its mapped copy, with cuts also both sides as f32 and the keys; whole masks of the tensor.
 */
export function mergeHostBytes(merge: { elements: number; stored: number; outDtype: string; cuts: boolean; maskBytes: number }): number {
  const { elements, stored, outDtype, cuts, maskBytes } = merge;
  return elements * (2 * stored + 2 * width(outDtype) + (cuts ? 12 : 0)) + maskBytes + UNCOLLECTED_BYTES;
}

/** Growth while the result is read back: a piece for the hash, a slice as stored and as f32, the masks of one tensor. */
export const verifyHostBytes = (elements: number, outDtype: string, maskBytes: number): number => 8 * 1024 * 1024 + elements * (width(outDtype) + 4) + maskBytes + UNCOLLECTED_BYTES;
