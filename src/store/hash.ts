import { createXXHash128, xxhash128 } from "hash-wasm";
import type { FileSource } from "../core/files";
import { byPath, isWeightFile } from "../core/modelFiles";
import { whileRunning } from "../core/pause";

/** Weight files are cut at multiples of this, for storage and for hashing, headers included. */
export const CHUNK_BYTES = 64 * 1024 * 1024;

export interface Digest {
  update(bytes: Uint8Array): void;
  /** The hex digest of all updates since the last call. */
  finish(): string;
}

/** XXH3-128, incremental. Source: xxHash 0.8 specification, seed 0; canonical (big endian) hex. */
export async function createDigest(): Promise<Digest> {
  const hasher = await createXXHash128();
  hasher.init();
  return {
    update: (bytes) => void hasher.update(bytes),
    finish: () => {
      const hex = hasher.digest("hex");
      hasher.init();
      return hex;
    },
  };
}

export const hashText = (text: string): Promise<string> => xxhash128(text);

/**
 * The content hash of a model: XXH3-128 over the concatenated hex digests of its chunks, weight files in path order.
 * Chunk digests exist anyway once a copy is verified, so no byte is read twice.
 */
export const combineHashes = (chunkHashes: string[]): Promise<string> => xxhash128(chunkHashes.join(""));

/**
 * The content hash of a model folder that is not stored: reads every weight file once, in pieces of 4 MiB.
 * Equals the `hash` of the stored copy of the same folder.
 */
export async function hashWeights(
  files: readonly FileSource[],
  { signal, onBytes, onChunk, chunkBytes = CHUNK_BYTES }: { signal?: AbortSignal | undefined; onBytes?: (bytes: number) => void; onChunk?: (done: number) => void; chunkBytes?: number } = {},
): Promise<string> {
  const digest = await createDigest();
  const buffer = new Uint8Array(Math.min(chunkBytes, 4 * 1024 * 1024));
  const hashes: string[] = [];
  for (const file of files.filter((f) => isWeightFile(f.path)).sort(byPath)) {
    for (let begin = 0; begin < file.size; begin += chunkBytes) {
      const end = Math.min(file.size, begin + chunkBytes);
      for (let at = begin; at < end; at += buffer.length) {
        await whileRunning(signal);
        const piece = await file.read(at, Math.min(buffer.length, end - at), buffer);
        digest.update(piece);
        onBytes?.(piece.length);
      }
      hashes.push(digest.finish());
      onChunk?.(hashes.length);
    }
  }
  return combineHashes(hashes);
}
