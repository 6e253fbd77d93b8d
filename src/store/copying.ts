import { StudioError, throwIfCancelled } from "../core/errors";
import { formatBytes, isWeightFile } from "../core/modelFiles";
import type { ProgressMeter } from "../core/progress";
import type { Checkpoint } from "../core/tensors";
import { headerKey, MANIFEST, modelDatabase, stateKey, type Catalogue, type CatalogueEntry } from "./catalogue";
import type { ChunkStores } from "./chunkStores";
import { storesBlobs, type ChunkStore } from "./chunks";
import { fileChanged, isQuotaFailure, storageFull } from "./failures";
import { copyAndVerify, headerBytes, newManifest, PHASES, putChunk, refuseChanged, takeInventory, type FullError, type SourceFile } from "./ingest";
import type { LibraryEnv } from "./libraryTypes";

/** Room that a copy leaves for the browser's own bookkeeping. */
const RESERVE_BYTES = 64 * 1024 * 1024;

interface CopyTools<Facts> {
  env: LibraryEnv<Facts>;
  catalogue: Catalogue<Facts>;
  stores: ChunkStores;
  chunkBytes: number;
  /** Called when the space is there: from here on the model counts as being copied. */
  onBegin(): void;
}

/**
 * Copies a validated folder into its own database and verifies it; `entry.model` follows. What an earlier copy stored is
 * kept, and this one goes on with the first missing chunk. The model is listed once headers, manifest and small files are
 * stored, "ready" when every chunk has been read back.
 * Throws "storage-full" before the first byte or in the middle, "file-changed", "cancelled".
 */
export async function copyModel<Facts>(tools: CopyTools<Facts>, entry: CatalogueEntry<Facts>, sources: SourceFile[], checkpoint: Checkpoint, meter: ProgressMeter, signal: AbortSignal | undefined): Promise<void> {
  const { env, catalogue, stores, onBegin } = tools;
  const record = entry.model;
  const { id, name } = record;
  const found = await catalogue.get(id);
  const before = found?.model.backend === "copy" ? found : undefined;
  if (before) record.createdAt = before.model.createdAt;
  else refuseOtherVersion(entry, sources, await catalogue.all());

  meter.phase(PHASES.space);
  await env.persist?.().catch(() => false);
  // Only a model that is listed has a database: opening would make an empty one, and a refusal must leave nothing.
  const already = before ? await stores.open(id).then(async (store) => (store ? (await takeInventory(store)).storedBytes : 0)) : 0;
  const needed = record.bytes - already + RESERVE_BYTES;
  const answer = await env.probeQuota?.(needed);
  if (answer && !answer.enough) throw storageFull(`Copying ${name}`, needed, answer.freeBytes);
  meter.count(`${formatBytes(record.bytes - already)} needed${answer?.freeBytes === undefined ? "" : `, ${formatBytes(answer.freeBytes)} free`}`);
  throwIfCancelled(signal);

  /** What is free is asked anew: the answer from before the copy is what turned out to be wrong. */
  const full: FullError = async (path, copied, cause) => {
    const free = await env.freeBytes?.().catch(() => undefined);
    const kept = record.chunksDone > 0 ? `${record.chunksDone} of ${record.chunks} chunks are stored and kept` : "nothing is lost";
    return storageFull(`Copying ${path}`, record.bytes - copied, free, cause, kept);
  };
  onBegin();
  const store = await begin(tools, entry, sources, checkpoint, full).catch(async (error: unknown) => {
    // Nothing is listed yet, so nothing may stay behind.
    stores.close(id);
    if (!before && (await catalogue.get(id))?.model.backend !== "copy") await env.databases.remove(modelDatabase(id)).catch(() => undefined);
    throw isQuotaFailure(error) ? await full(name, already, error) : error;
  });
  const inventory = await takeInventory(store);
  record.chunksDone = [...inventory.chunks.keys()].filter((key) => store.manifest.files[Number(key.split("/")[1])]!.kind === "safetensors").length;
  try {
    record.hash = await copyAndVerify(store, sources, inventory, { meter, signal, full, onChunks: (done) => (record.chunksDone = done) });
    record.state = "ready";
  } catch (error) {
    // How far it came is told by the chunks themselves at the next start, so a full disk may refuse this record.
    await catalogue.put(entry).catch(() => undefined);
    throw isQuotaFailure(error) ? await full(name, (record.bytes * record.chunksDone) / Math.max(1, record.chunks), error) : error;
  }
  await catalogue.put(entry);
}

/** Throws "file-changed" when an unfinished copy of the same files, in another version, is there. */
function refuseOtherVersion<Facts>(entry: CatalogueEntry<Facts>, sources: readonly SourceFile[], all: readonly CatalogueEntry<Facts>[]): void {
  const { name, sample } = entry.model;
  for (const other of all) {
    const sameFiles = other.source.length === sources.length && other.source.every((f, i) => f.path === sources[i]!.path);
    if (other.model.backend === "copy" && other.model.state === "ingesting" && other.model.name === name && !other.model.sample && !sample && sameFiles) refuseChanged(name, other.source, sources);
  }
}

/** Headers, manifest and small files first: from here on the model is listed and survives a reload. */
async function begin<Facts>({ env, catalogue, stores, chunkBytes }: CopyTools<Facts>, entry: CatalogueEntry<Facts>, sources: SourceFile[], checkpoint: Checkpoint, full: FullError): Promise<ChunkStore> {
  const { id, name, createdAt } = entry.model;
  const headers = new Map<string, Uint8Array>();
  for (const file of checkpoint.files) if (isWeightFile(file.path)) headers.set(file.path, await headerBytes(file));
  let store = await stores.open(id);
  const keyValue = env.databases.open(modelDatabase(id));
  try {
    if (store) {
      for (const [index, file] of store.manifest.files.entries()) {
        const stored = file.kind === "safetensors" ? await keyValue.get<Uint8Array>(headerKey(index)) : undefined;
        if (stored && !sameBytes(stored, headers.get(file.path))) throw fileChanged(`${name}/${file.path}`, { found: "its header differs from the one the copy began with" });
      }
    } else {
      const manifest = newManifest(id, name, sources, chunkBytes, (await storesBlobs(catalogue.keyValue)) ? "blob" : "bytes", createdAt);
      await keyValue.setMany([[MANIFEST, manifest], ...manifest.files.flatMap((f, i): [string, unknown][] => (f.kind === "safetensors" ? [[headerKey(i), headers.get(f.path)!]] : []))], "strict");
      store = await stores.open(id);
      if (!store) throw new StudioError("internal", `Copying ${name}: what was stored a moment ago is not there. Drop the folder again.`, { title: "The stored copy is gone" });
    }
    const present = await store.present();
    for (const [index, file] of store.manifest.files.entries()) {
      const source = sources.find((s) => s.path === file.path)!;
      for (let chunk = 0; file.kind === "aux" && chunk < file.chunks; chunk++) {
        if (!present.has(stateKey(index, chunk))) await putChunk(store, index, chunk, source.file.slice(chunk * store.manifest.chunk, (chunk + 1) * store.manifest.chunk), (path, cause) => full(path, 0, cause));
      }
    }
    await catalogue.put(entry);
    return store;
  } finally {
    keyValue.close();
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((value, i) => value === b[i]);
}
