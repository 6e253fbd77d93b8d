import { StudioError } from "../core/errors";
import type { FileSource } from "../core/files";
import { checkRange, readBlob, streamBlob } from "./blobFile";
import { chunkKey, headerKey, MANIFEST, partKey, stateKey, type ChunkState, type Manifest } from "./catalogue";
import type { KeyValue } from "./keyValue";

/** ArrayBuffer records stay small: a browser holds about three times the value while it writes one. */
const PART_BYTES = 16 * 1024 * 1024;
const CACHED_BLOBS = 64;

/** The chunks of one model in its own database, and the files made of them. */
export interface ChunkStore {
  readonly manifest: Manifest;
  /** Chunk and bookkeeping record in one transaction. */
  put(file: number, chunk: number, source: Blob): Promise<void>;
  /** Reads a stored chunk in order, in pieces valid during the call. Throws "file-changed" when it is gone. */
  stream(file: number, chunk: number, onPiece: (piece: Uint8Array) => void, signal?: AbortSignal): Promise<void>;
  state(file: number, chunk: number): Promise<ChunkState | undefined>;
  setHash(file: number, chunk: number, n: number, hash: string): Promise<void>;
  /** State keys whose data is there too, from the key list alone. */
  present(): Promise<Set<string>>;
  file(index: number): FileSource;
  saveManifest(): Promise<void>;
  close(): void;
}

/** Whether this browser stores Blobs (Safari's private windows throw DataCloneError). Asked once, kept by the caller. */
export async function storesBlobs(keyValue: KeyValue): Promise<boolean> {
  const key = "probe/blob";
  try {
    await keyValue.set(key, new Blob([new Uint8Array([1])]));
    const stored = await keyValue.get(key);
    await keyValue.del(key);
    return stored instanceof Blob && stored.size === 1;
  } catch (error) {
    if (error instanceof Error && error.name === "DataCloneError") return false;
    throw error;
  }
}

export function chunkCount(size: number, chunk: number): number {
  return Math.ceil(size / chunk);
}

export function openChunks(keyValue: KeyValue, manifest: Manifest): ChunkStore {
  const cache = new Map<string, Blob>();
  const headers = new Map<number, Promise<Uint8Array | undefined>>();
  const sizeOf = (file: number, chunk: number): number => Math.min(manifest.chunk, manifest.files[file]!.size - chunk * manifest.chunk);

  const missing = (file: number, cause?: unknown): StudioError => {
    const path = manifest.files[file]!.path;
    return new StudioError(
      "file-changed",
      `Reading ${manifest.name}/${path}: part of the stored copy is not there. Drop the folder again to complete it.`,
      { title: "The stored copy is incomplete", where: `${manifest.name}/${path}`, todo: "Drop the folder again; what is stored is kept." },
      { cause },
    );
  };

  /** The stored chunk as a Blob; Blob objects are only references, so a few dozen stay at hand. */
  const blobOf = async (file: number, chunk: number): Promise<Blob> => {
    const key = chunkKey(file, chunk);
    let blob = cache.get(key);
    if (blob) cache.delete(key);
    else blob = await keyValue.get<Blob>(key);
    if (!blob) throw missing(file);
    cache.set(key, blob);
    if (cache.size > CACHED_BLOBS) cache.delete(cache.keys().next().value!);
    return blob;
  };

  /** Bytes [from, to) of one chunk into `into`. */
  const readChunk = async (file: number, chunk: number, from: number, to: number, into: Uint8Array): Promise<void> => {
    if (manifest.records === "blob") {
      const blob = await blobOf(file, chunk);
      await readBlob(blob.slice(from, to), into).catch((cause: unknown) => {
        cache.delete(chunkKey(file, chunk));
        throw missing(file, cause);
      });
      return;
    }
    for (let part = Math.floor(from / PART_BYTES); part * PART_BYTES < to; part++) {
      const bytes = await keyValue.get<ArrayBuffer>(partKey(file, chunk, part));
      if (!bytes) throw missing(file);
      const begin = Math.max(from, part * PART_BYTES);
      const end = Math.min(to, part * PART_BYTES + bytes.byteLength);
      into.set(new Uint8Array(bytes, begin - part * PART_BYTES, end - begin), begin - from);
    }
  };

  const headerOf = (file: number): Promise<Uint8Array | undefined> => {
    let header = headers.get(file);
    if (!header) headers.set(file, (header = keyValue.get<Uint8Array>(headerKey(file))));
    return header;
  };

  return {
    manifest,
    put: async (file, chunk, source) => {
      const state: ChunkState = { n: source.size, x: null };
      if (manifest.records === "blob") return keyValue.setMany([[chunkKey(file, chunk), source], [stateKey(file, chunk), state]]);
      for (let at = 0, part = 0; at < source.size; at += PART_BYTES, part++) {
        const bytes = await source.slice(at, at + PART_BYTES).arrayBuffer();
        const entries: [string, unknown][] = [[partKey(file, chunk, part), bytes]];
        if (at + PART_BYTES >= source.size) entries.push([stateKey(file, chunk), state]);
        await keyValue.setMany(entries);
      }
    },
    stream: async (file, chunk, onPiece, signal) => {
      if (manifest.records === "blob") {
        const blob = await blobOf(file, chunk);
        return streamBlob(blob, onPiece, { signal });
      }
      const size = sizeOf(file, chunk);
      for (let at = 0; at < size; at += PART_BYTES) {
        const piece = new Uint8Array(Math.min(PART_BYTES, size - at));
        await readChunk(file, chunk, at, at + piece.length, piece);
        onPiece(piece);
      }
    },
    state: (file, chunk) => keyValue.get<ChunkState>(stateKey(file, chunk)),
    setHash: (file, chunk, n, hash) => keyValue.set(stateKey(file, chunk), { n, x: hash } satisfies ChunkState),
    present: async () => {
      const keys = new Set(await keyValue.keys());
      const complete = new Set<string>();
      manifest.files.forEach((entry, file) => {
        for (let chunk = 0; chunk < entry.chunks; chunk++) {
          const parts = Math.ceil(sizeOf(file, chunk) / PART_BYTES);
          const data = manifest.records === "blob" ? [chunkKey(file, chunk)] : Array.from({ length: parts }, (_, part) => partKey(file, chunk, part));
          if (keys.has(stateKey(file, chunk)) && data.every((key) => keys.has(key))) complete.add(stateKey(file, chunk));
        }
      });
      return complete;
    },
    file: (index) => {
      const entry = manifest.files[index]!;
      return {
        path: entry.path,
        size: entry.size,
        lastModified: entry.lastModified,
        read: async (offset, length, into) => {
          checkRange(`${manifest.name}/${entry.path}`, entry.size, offset, length);
          const target = into ? into.subarray(0, length) : new Uint8Array(length);
          // Headers are stored on their own first, so that a model can be checked before its copy is complete.
          const header = entry.kind === "safetensors" ? await headerOf(index) : undefined;
          if (header && offset + length <= header.length) {
            target.set(header.subarray(offset, offset + length));
            return target;
          }
          for (let at = offset; at < offset + length; ) {
            const chunk = Math.floor(at / manifest.chunk);
            const from = at - chunk * manifest.chunk;
            const to = Math.min(manifest.chunk, offset + length - chunk * manifest.chunk);
            await readChunk(index, chunk, from, to, target.subarray(at - offset, at - offset + to - from));
            at += to - from;
          }
          return target;
        },
      };
    },
    saveManifest: () => keyValue.set(MANIFEST, manifest, "strict"),
    close: () => {
      cache.clear();
      headers.clear();
      keyValue.close();
    },
  };
}
