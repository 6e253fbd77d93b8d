import { StudioError, throwIfCancelled, toStudioError } from "../core/errors";
import { byPath, formatBytes, isModelFile, isWeightFile } from "../core/modelFiles";
import type { FileSource } from "../core/files";
import { whileRunning } from "../core/pause";
import type { ProgressMeter, StripCell } from "../core/progress";
import type { Checkpoint } from "../core/tensors";
import { openCheckpoint } from "../formats/checkpoint";
import { blobFile } from "./blobFile";
import { stateKey, type Manifest, type SourceEntry } from "./catalogue";
import { chunkCount, type ChunkStore } from "./chunks";
import { fileChanged, isQuotaFailure, isSourceFailure } from "./failures";
import { differenceOf } from "./handles";
import { combineHashes, createDigest, hashText } from "./hash";

/** A folder as the page hands it over; File objects are references, no byte has been read. */
export interface IngestFolder {
  name: string;
  files: { path: string; file: File; handle?: FileSystemFileHandle }[];
  /** The folder that holds the files, where the browser gave a handle for it. */
  directory?: FileSystemDirectoryHandle;
}

export interface SourceFile extends SourceEntry {
  file: File;
}

export const PHASES = {
  headers: "headers",
  space: "space",
  copy: "copy",
  small: "small",
} as const;

/** The files that are kept, in path order; empty of weights when the folder has none. */
export function keptSources(folder: IngestFolder): SourceFile[] {
  return folder.files
    .filter(({ path }) => isModelFile(path))
    .map(({ path, file }) => ({ path, file, size: file.size, lastModified: file.lastModified }))
    .sort(byPath);
}

/**
 * Files worth storing once the headers are known: weights that another layout repeats (`consolidated.*`, files that
 * an index or model.safetensors leaves out) stay where they are.
 */
export function worthStoring(sources: readonly SourceFile[], checkpoint: Checkpoint): SourceFile[] {
  const used = new Set([...checkpoint.tensors.values()].map((t) => t.file));
  const chosen = sources.some((f) => f.path === "model.safetensors" || f.path === "model.safetensors.index.json");
  return sources.filter((f) => !isWeightFile(f.path) || used.has(f.path) || !(chosen || f.path.startsWith("consolidated")));
}

/** The sentence for a folder without weights: what the reader says about it, and the names that were found. */
export async function refuseWithoutWeights(folder: IngestFolder): Promise<never> {
  const reason: unknown = await openCheckpoint(
    folder.name,
    folder.files.map(({ path, file }) => blobFile(path, file)),
  ).catch((error: unknown) => error);
  if (reason instanceof StudioError && reason.details.check !== "no-weights") throw reason;
  const names = folder.files.map((f) => f.path);
  const found = names.length === 0 ? "the folder is empty" : `found ${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}`;
  throw new StudioError("bad-file", `Reading ${folder.name}: ${found}, but no .safetensors file. Drop a model folder with safetensors weights.`, {
    title: "No safetensors weights",
    where: folder.name,
    found,
    expected: "one or more .safetensors files",
    todo: "Drop a model folder that holds safetensors weights.",
    check: "no-weights",
  });
}

/**
 * The id of a folder: 16 hex digits of XXH3-128 over its name and each file's path, size and modification time, so that
 * the same folder dropped again is recognised. The sample is fetched, not dropped, and has no times worth comparing.
 */
export async function folderId(name: string, files: readonly SourceEntry[], sample = false): Promise<string> {
  const list = files.map((f) => [f.path, f.size, sample ? 0 : f.lastModified]);
  return (await hashText(JSON.stringify([name, sample, list]))).slice(0, 16);
}

export function newManifest(id: string, name: string, files: readonly SourceFile[], chunk: number, records: Manifest["records"], createdAt: number): Manifest {
  return {
    v: 1,
    id,
    name,
    createdAt,
    chunk,
    records,
    files: files.map(({ path, size, lastModified }) => ({
      path,
      size,
      lastModified,
      kind: isWeightFile(path) ? "safetensors" : "aux",
      chunks: chunkCount(size, chunk),
      done: false,
    })),
    totalBytes: files.reduce((sum, f) => sum + f.size, 0),
  };
}

/** The 8 length bytes and the JSON header of a safetensors file that has been validated. */
export async function headerBytes(file: FileSource): Promise<Uint8Array> {
  const prefix = await file.read(0, 8);
  const length = Number(new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true));
  return (await file.read(0, 8 + length)).slice();
}

/** XXH3-128 of `headerBytes`. */
export async function headerHash(file: FileSource): Promise<string> {
  const digest = await createDigest();
  digest.update(await headerBytes(file));
  return digest.finish();
}

/** What is stored already: bytes for the bar, verified hashes for the end. */
export interface Inventory {
  /** State key -> hash, or null when stored and not yet read back. */
  chunks: Map<string, string | null>;
  storedBytes: number;
  verifiedBytes: number;
}

export async function takeInventory(store: ChunkStore): Promise<Inventory> {
  const present = await store.present();
  const inventory: Inventory = { chunks: new Map(), storedBytes: 0, verifiedBytes: 0 };
  for (const [index, file] of store.manifest.files.entries()) {
    for (let chunk = 0; chunk < file.chunks; chunk++) {
      const key = stateKey(index, chunk);
      if (!present.has(key)) continue;
      const state = await store.state(index, chunk);
      if (!state) continue;
      inventory.chunks.set(key, state.x);
      inventory.storedBytes += state.n;
      if (state.x !== null) inventory.verifiedBytes += state.n;
    }
  }
  return inventory;
}

export interface CopyHooks {
  meter: ProgressMeter;
  signal: AbortSignal | undefined;
  /** Weight chunks stored so far. */
  onChunks(done: number): void;
  /** The error for a write of `path` that was refused for want of space, `copied` bytes of the whole being stored. */
  full: FullError;
}

export type FullError = (path: string, copied: number, cause: unknown) => Promise<StudioError>;

/**
 * Copies what is missing and reads every stored chunk back: chunk k + 1 is written while chunk k is read and hashed, so
 * that the hash covers what is stored. Small files are already stored; they are read back last.
 * Returns the model's content hash. Throws "cancelled", "storage-full", "file-changed"; what is stored stays.
 */
export async function copyAndVerify(store: ChunkStore, sources: readonly SourceFile[], inventory: Inventory, hooks: CopyHooks): Promise<string> {
  const { manifest } = store;
  const { meter, signal } = hooks;
  const digest = await createDigest();
  const weights = manifest.files.flatMap((file, index) => (file.kind === "safetensors" ? [{ file, index }] : []));
  const total = weights.reduce((sum, w) => sum + w.file.chunks, 0);
  const cells: StripCell[] = [];
  meter.strips = [{ label: "chunks", cells }];
  for (const { file, index } of weights) {
    for (let chunk = 0; chunk < file.chunks; chunk++) {
      const hash = inventory.chunks.get(stateKey(index, chunk));
      cells.push(hash === undefined ? "empty" : hash === null ? "half" : "full");
    }
  }
  let stored = cells.filter((cell) => cell !== "empty").length;
  let copied = inventory.storedBytes;
  let verified = inventory.verifiedBytes;
  meter.startAt(copied + verified, copied);
  const tell = (): void => {
    meter.bytesDone = copied;
    meter.count(`${stored} of ${total}`);
    meter.strips = [{ label: "chunks", cells: [...cells] }];
    meter.emit(copied + verified);
  };

  const verify = async (index: number, chunk: number): Promise<string> => {
    let n = 0;
    await whileRunning(signal);
    digest.finish(); // a stopped read may have left bytes behind
    await store.stream(
      index,
      chunk,
      (piece) => {
        throwIfCancelled(signal);
        digest.update(piece);
        n += piece.length;
        verified += piece.length;
        meter.emit(copied + verified);
      },
      signal,
    );
    const file = manifest.files[index]!;
    const expected = Math.min(manifest.chunk, file.size - chunk * manifest.chunk);
    if (n !== expected) throw new StudioError("internal", `Verifying ${manifest.name}/${file.path}: chunk ${chunk + 1} reads back as ${n} bytes, ${expected} were stored. Delete the model and drop the folder again.`, { title: "A stored chunk is damaged" });
    const hash = digest.finish();
    await store.setHash(index, chunk, n, hash);
    inventory.chunks.set(stateKey(index, chunk), hash);
    return hash;
  };

  /** At most one verification is under way, one chunk behind the copy. */
  let behind: Promise<void> = Promise.resolve();
  const verifyLater = (index: number, chunk: number, cell: number): void => {
    behind = verify(index, chunk).then(() => {
      cells[cell] = "full";
      tell();
    });
    behind.catch(() => undefined); // awaited below; this only keeps an early failure from being "unhandled"
  };

  meter.phase(PHASES.copy, `${stored} of ${total}`);
  let cell = 0;
  try {
    for (const { file, index } of weights) {
      const source = sources.find((s) => s.path === file.path)!;
      for (let chunk = 0; chunk < file.chunks; chunk++, cell++) {
        await whileRunning(signal);
        const hash = inventory.chunks.get(stateKey(index, chunk));
        if (typeof hash === "string") continue;
        if (hash === undefined) {
          cells[cell] = "now";
          tell();
          const slice = source.file.slice(chunk * manifest.chunk, Math.min(file.size, (chunk + 1) * manifest.chunk));
          await putChunk(store, index, chunk, slice, (path, cause) => hooks.full(path, copied, cause));
          copied += slice.size;
          stored++;
          cells[cell] = "half";
          hooks.onChunks(stored);
          tell();
        }
        await behind;
        verifyLater(index, chunk, cell);
      }
      await behind;
      file.done = true;
      await store.saveManifest();
    }
  } finally {
    // Nothing of this copy is under way any more when the caller closes the database.
    await behind.catch(() => undefined);
  }

  const small = manifest.files.flatMap((file, index) => (file.kind === "aux" ? [{ file, index }] : []));
  meter.phase(PHASES.small, `${small.length} files`);
  for (const { file, index } of small) {
    for (let chunk = 0; chunk < file.chunks; chunk++) {
      await whileRunning(signal);
      if (typeof inventory.chunks.get(stateKey(index, chunk)) !== "string") await verify(index, chunk);
    }
    file.done = true;
  }
  await store.saveManifest();
  return combineHashes(weights.flatMap(({ file, index }) => Array.from({ length: file.chunks }, (_, chunk) => inventory.chunks.get(stateKey(index, chunk)) ?? "")));
}

/** Writes one chunk; failures become sentences: full, changed on disk, or what it was. */
export async function putChunk(store: ChunkStore, index: number, chunk: number, slice: Blob, full: (path: string, cause: unknown) => Promise<StudioError>): Promise<void> {
  const { manifest } = store;
  const path = `${manifest.name}/${manifest.files[index]!.path}`;
  try {
    await store.put(index, chunk, slice);
  } catch (error) {
    if (isQuotaFailure(error)) throw await full(path, error);
    if (isSourceFailure(error)) throw fileChanged(path, {}, error);
    throw toStudioError(error);
  }
}

/** Throws "file-changed" when an unfinished copy was made from other versions of these files. */
export function refuseChanged(name: string, was: readonly SourceEntry[], now: readonly SourceEntry[]): void {
  for (const file of now) {
    const before = was.find((f) => f.path === file.path);
    if (!before || !differenceOf(before, file)) continue;
    const found =
      before.size === file.size
        ? `it was modified on ${new Date(file.lastModified).toISOString()}, the unfinished copy is of ${new Date(before.lastModified).toISOString()}`
        : `it has ${formatBytes(file.size)} (${file.size} bytes), the unfinished copy is of a file of ${before.size} bytes`;
    throw fileChanged(`${name}/${file.path}`, { found, expected: "the file as it was when the copy began" });
  }
}
