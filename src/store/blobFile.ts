import type { FileSource } from "../core/files";
import { StudioError, throwIfCancelled } from "../core/errors";
import { fileChanged, isSourceFailure } from "./failures";

const STAGING_BYTES = 4 * 1024 * 1024;
const FALLBACK_BYTES = 16 * 1024 * 1024;
const WATCHDOG_MS = 15_000;
/** Below this a message to another thread costs more than the read. */
const SMALL_BYTES = 64 * 1024;

/** Buffers that BYOB readers fill in turn. The reader detaches what it is given, so callers' arrays never go there. */
const idle: ArrayBuffer[] = [];
const takeStaging = (): ArrayBuffer => idle.pop() ?? new ArrayBuffer(STAGING_BYTES);
const giveBack = (buffer: ArrayBuffer): void => {
  if (buffer.byteLength === STAGING_BYTES && idle.length < 4) idle.push(buffer);
};

export interface StreamOptions {
  signal?: AbortSignal | undefined;
  watchdogMs?: number;
}

class Stalled extends Error {}

function withWatchdog<T>(work: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Stalled()), ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Streams by BYOB from `from`; returns how far it came. Throws Stalled when nothing arrives in time. */
async function streamByob(blob: Blob, from: number, watchdogMs: number, signal: AbortSignal | undefined, onPiece: (piece: Uint8Array, at: number) => void): Promise<number> {
  const reader = blob.slice(from).stream().getReader({ mode: "byob" });
  let staging = takeStaging();
  let at = from;
  try {
    while (at < blob.size) {
      throwIfCancelled(signal);
      const { value, done } = await withWatchdog(reader.read(new Uint8Array(staging)), watchdogMs);
      if (value) staging = value.buffer as ArrayBuffer;
      if (done || !value || value.byteLength === 0) break;
      onPiece(value, at);
      at += value.byteLength;
    }
    // The last read that says "done" lets the stream finish; a reader dropped before it may keep the Blob alive.
    const last = await withWatchdog(reader.read(new Uint8Array(staging)), watchdogMs).catch(() => undefined);
    if (last?.value) staging = last.value.buffer as ArrayBuffer;
    giveBack(staging);
    return at;
  } catch (error) {
    reader.cancel().catch(() => undefined);
    throw error;
  }
}

/**
 * Hands over the bytes of a Blob in order, in pieces that are valid only during the call.
 * BYOB into a reused buffer (no garbage); a read that makes no progress for 15 s, or a browser without BYOB on Blobs,
 * goes on with `slice().arrayBuffer()` from where it stopped.
 * Throws what the Blob throws: NotReadableError when the file behind it changed.
 */
export async function streamBlob(blob: Blob, onPiece: (piece: Uint8Array, at: number) => void, { signal, watchdogMs = WATCHDOG_MS }: StreamOptions = {}): Promise<void> {
  let at = 0;
  try {
    at = await streamByob(blob, 0, watchdogMs, signal, (piece, offset) => {
      onPiece(piece, offset);
      at = offset + piece.byteLength;
    });
  } catch (error) {
    if (!(error instanceof Stalled) && !(error instanceof TypeError)) throw error;
  }
  while (at < blob.size) {
    throwIfCancelled(signal);
    const end = Math.min(blob.size, at + FALLBACK_BYTES);
    const piece = new Uint8Array(await withWatchdog(blob.slice(at, end).arrayBuffer(), watchdogMs * 4));
    if (piece.byteLength !== end - at) throw new DOMException("The file is shorter than it was.", "NotReadableError");
    onPiece(piece, at);
    at = end;
  }
}

/** Reads Blobs in a thread of its own. The buffer is handed over, and comes back with the Blob's bytes at its beginning. */
export interface BlobReader {
  read(blob: Blob, buffer: ArrayBuffer): Promise<ArrayBuffer>;
}

/** The reader itself, as it runs in its thread. */
export const createBlobReader = (): BlobReader => ({
  read: async (blob, buffer) => {
    const target = new Uint8Array(buffer);
    await streamBlob(blob, (piece, at) => target.set(piece, at));
    return buffer;
  },
});

let reader: BlobReader | undefined;
/** Buffers that travel to the reader and back. */
const travelling: ArrayBuffer[] = [];
/** What the reader's thread has read since the start. */
export const readerCounts = { reads: 0, bytes: 0 };

/** From now on whole Blobs are read through `next`; undefined reads them in this thread. */
export function readBlobsThrough(next: BlobReader | undefined): void {
  reader = next;
}

/** Piece by piece through the reader; false when it failed, as it does when its thread is gone. */
async function readThrough(by: BlobReader, blob: Blob, target: Uint8Array): Promise<boolean> {
  try {
    for (let at = 0; at < blob.size; at += STAGING_BYTES) {
      const piece = blob.slice(at, at + STAGING_BYTES);
      const buffer = await by.read(piece, travelling.pop() ?? new ArrayBuffer(STAGING_BYTES));
      target.set(new Uint8Array(buffer, 0, piece.size), at);
      if (travelling.length < 3) travelling.push(buffer);
      readerCounts.reads++;
      readerCounts.bytes += piece.size;
    }
    return true;
  } catch {
    return false;
  }
}

/**
 * All bytes of a Blob into `into` (or a new array); returns the view that was filled. `into` is never detached. Read by the
 * reader's thread where there is one; what that cannot read is tried here once more, so that the fault has its own name.
 */
export async function readBlob(blob: Blob, into?: Uint8Array, options?: StreamOptions): Promise<Uint8Array> {
  const target = into ? into.subarray(0, blob.size) : new Uint8Array(blob.size);
  if (blob.size <= SMALL_BYTES) target.set(new Uint8Array(await blob.arrayBuffer()));
  else if (!reader || !(await readThrough(reader, blob, target))) await streamBlob(blob, (piece, at) => target.set(piece, at), options);
  return target;
}

/** A FileSource over a Blob or File. `lost` builds the error for bytes that can no longer be read. */
export function blobFile(path: string, blob: Blob, lost: (path: string, cause: unknown) => Error = (p, cause) => fileChanged(p, {}, cause)): FileSource {
  return {
    path,
    size: blob.size,
    lastModified: "lastModified" in blob ? Number(blob.lastModified) : 0,
    read: async (offset, length, into) => {
      checkRange(path, blob.size, offset, length);
      try {
        return await readBlob(blob.slice(offset, offset + length), into);
      } catch (error) {
        throw isSourceFailure(error) || error instanceof RangeError ? lost(path, error) : error;
      }
    },
  };
}

/** Throws StudioError "bad-file" when [offset, offset + length) is not inside a file of `size` bytes. */
export function checkRange(path: string, size: number, offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= size) return;
  throw new StudioError("bad-file", `Reading ${path}: bytes ${offset} to ${offset + length} were asked for but the file has ${size}. The file is incomplete; copy it again.`, {
    title: "The file is too short",
    where: path,
    found: `${size} bytes`,
    expected: `${offset + length} bytes or more`,
  });
}
