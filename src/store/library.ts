import { cancelled, StudioError, throwIfCancelled, toStudioError } from "../core/errors";
import { formatBytes, isWeightFile } from "../core/modelFiles";
import { ProgressMeter, type OnProgress, type StripCell } from "../core/progress";
import type { Checkpoint } from "../core/tensors";
import { openCheckpoint } from "../formats/checkpoint";
import { blobFile } from "./blobFile";
import { MANIFEST, headerKey, modelDatabase, openCatalogue, stateKey, type CatalogueEntry, type Manifest, type StoredRecord } from "./catalogue";
import { chunkCount, openChunks, storesBlobs, type ChunkStore } from "./chunks";
import { busyElsewhere, fileChanged, storageFull } from "./failures";
import { CHUNK_BYTES, hashWeights } from "./hash";
import { copyAndVerify, folderId, headerBytes, keptSources, newManifest, PHASES, putChunk, refuseChanged, refuseWithoutWeights, takeInventory, worthStoring, type IngestFolder, type SourceFile } from "./ingest";
import type { Databases } from "./keyValue";
import type { Locks } from "./locks";
import type { QuotaAnswer } from "./quota";

/** What the library is handed. Nothing in it reaches for the browser itself. */
export interface LibraryEnv<Facts> {
  databases: Databases;
  locks: Locks;
  /** What a folder is, from config and headers alone. */
  describe(checkpoint: Checkpoint): Promise<Facts> | Facts;
  /** Whether so many bytes more would be granted; without it, the write itself tells. */
  probeQuota?(bytes: number): Promise<QuotaAnswer>;
  freeBytes?(): Promise<number | undefined>;
  usedBytes?(): Promise<number | undefined>;
  /** Asks the browser not to evict; may be refused. */
  persist?(): Promise<boolean>;
  persisted?(): Promise<boolean>;
  chunkBytes?: number;
  now?(): number;
}

export interface IngestOptions {
  /** `copy`: chunks in the database. `session`: the files are read in place and forgotten on reload. */
  backend: "copy" | "session";
  sample?: boolean;
  signal?: AbortSignal;
  onProgress?: OnProgress;
}

/** The stored models. `Facts` is ModelFacts in the studio. */
export interface Library<Facts = unknown> {
  list(): Promise<StoredRecord<Facts>[]>;
  /** The model as a checkpoint. While it is being copied, headers and small files can be read already. */
  get(id: string): Promise<Checkpoint>;
  ingest(jobId: string, folder: IngestFolder, options: IngestOptions): Promise<StoredRecord<Facts>>;
  remove(id: string): Promise<void>;
  storage(): Promise<{ usedBytes: number; freeBytes: number | undefined; persistent: boolean }>;
  persist(): Promise<boolean>;
}

interface Active<Facts> {
  /** Undefined until the folder has been validated. */
  record: StoredRecord<Facts> | undefined;
  checkpoint: Checkpoint;
}

const RESERVE_BYTES = 64 * 1024 * 1024;

/**
 * Models in IndexedDB, one database each, and models read in place.
 * At the start, stored models are compared with their keys: what the browser evicted is listed as "evicted".
 */
export function createLibrary<Facts>(env: LibraryEnv<Facts>): Library<Facts> {
  const chunkBytes = env.chunkBytes ?? CHUNK_BYTES;
  const now = env.now ?? Date.now;
  const catalogue = openCatalogue<Facts>(env.databases);
  const sessions = new Map<string, Active<Facts>>();
  const active = new Map<string, Active<Facts>>();
  /** Ingests of this process, also cancelled ones that still put their tools away. */
  const running = new Map<string, { stopped: boolean; done: Promise<unknown> }>();
  const opened = new Map<string, { store: ChunkStore; checkpoint: Promise<Checkpoint> | undefined }>();
  let blobs: Promise<boolean> | undefined;

  const openStore = async (id: string): Promise<ChunkStore | undefined> => {
    const known = opened.get(id);
    if (known) return known.store;
    const keyValue = env.databases.open(modelDatabase(id));
    const manifest = await keyValue.get<Manifest>(MANIFEST);
    if (!manifest) {
      keyValue.close();
      return undefined;
    }
    const store = openChunks(keyValue, manifest);
    opened.set(id, { store, checkpoint: undefined });
    return store;
  };
  const closeStore = (id: string): void => {
    opened.get(id)?.store.close();
    opened.delete(id);
  };

  /** Marks evicted models and removes databases that a crash left without a record. */
  const start = async (): Promise<void> => {
    for (const entry of await catalogue.all()) {
      const release = await env.locks.acquire(`model:${entry.model.id}`);
      if (!release) continue; // another tab is copying it
      try {
        const store = await openStore(entry.model.id);
        const present = await store?.present();
        const weights = store ? [...present!].filter((key) => store.manifest.files[Number(key.split("/")[1])]?.kind === "safetensors").length : 0;
        const expected = store?.manifest.files.reduce((sum, f) => sum + f.chunks, 0) ?? Infinity;
        const state = !store || (entry.model.state !== "ingesting" && present!.size < expected) ? "evicted" : entry.model.state;
        if (state !== entry.model.state || weights !== entry.model.chunksDone) {
          entry.model = { ...entry.model, state, chunksDone: weights };
          await catalogue.put(entry);
        }
      } finally {
        closeStore(entry.model.id);
        release();
      }
    }
    for (const id of await catalogue.orphans()) {
      const release = await env.locks.acquire(`model:${id}`);
      if (!release) continue;
      await env.databases.remove(modelDatabase(id)).catch(() => undefined);
      release();
    }
  };
  /** A browser that refuses IndexedDB can still read folders in place; a copy then says why it cannot be made. */
  let refused: unknown;
  const ready = start().catch((error: unknown) => {
    refused = error;
  });

  const list = async (): Promise<StoredRecord<Facts>[]> => {
    await ready;
    const stored = refused ? [] : (await catalogue.all()).filter((entry) => !sessions.has(entry.model.id)).map((entry) => active.get(entry.model.id)?.record ?? entry.model);
    return [...stored, ...[...sessions.values()].flatMap((s) => (s.record ? [s.record] : []))].map((record) => ({ ...record }));
  };

  const get = async (id: string): Promise<Checkpoint> => {
    await ready;
    const live = active.get(id) ?? sessions.get(id);
    if (live) return live.checkpoint;
    const entry = refused ? undefined : await catalogue.get(id);
    const store = entry ? await openStore(id) : undefined;
    if (!entry || !store) {
      throw new StudioError("bad-request", `Opening model ${entry?.model.name ?? id}: it is not stored${entry ? " any more" : ""}. Drop its folder again.`, { title: "Not stored", where: entry?.model.name ?? id, todo: "Drop the folder again." });
    }
    const slot = opened.get(id)!;
    if (slot.checkpoint) return slot.checkpoint;
    const checkpoint = openCheckpoint(
      entry.model.name,
      store.manifest.files.map((_, index) => store.file(index)),
    );
    slot.checkpoint = checkpoint;
    checkpoint.catch(() => {
      slot.checkpoint = undefined;
    });
    return checkpoint;
  };

  const meterFor = (jobId: string, sources: SourceFile[], session: boolean, onProgress: OnProgress): ProgressMeter => {
    const weights = sources.filter((f) => isWeightFile(f.path));
    const what = weights.length === 1 ? weights[0]!.path : `${weights.length} weight files`;
    const total = sources.reduce((sum, f) => sum + f.size, 0);
    const phases = session
      ? [
          { id: PHASES.headers, label: "Headers read" },
          { id: PHASES.copy, label: `Reading and hashing ${what}` },
        ]
      : [
          { id: PHASES.headers, label: "Headers read" },
          { id: PHASES.space, label: "Space asked for" },
          { id: PHASES.copy, label: `Copying and verifying ${what}` },
          { id: PHASES.small, label: "Config, tokenizer and chat template" },
        ];
    // A copied byte is worked on twice: written, then read back.
    const meter = new ProgressMeter(jobId, "ingest", phases, session ? weights.reduce((sum, f) => sum + f.size, 0) : total * 2, onProgress);
    meter.bytesTotal = total;
    return meter;
  };

  const readInPlace = async (slot: Active<Facts>, record: StoredRecord<Facts>, meter: ProgressMeter, signal: AbortSignal | undefined): Promise<StoredRecord<Facts>> => {
    const cells: StripCell[] = Array.from({ length: record.chunks }, () => "empty");
    meter.phase(PHASES.copy, `0 of ${record.chunks}`);
    record.hash = await hashWeights(slot.checkpoint.files, {
      signal,
      chunkBytes,
      onBytes: (bytes) => {
        meter.bytesDone += bytes;
        meter.emit(meter.bytesDone);
      },
      onChunk: (done) => {
        record.chunksDone = done;
        cells[done - 1] = "full";
        meter.strips = [{ label: "chunks", cells: [...cells] }];
        meter.count(`${done} of ${record.chunks}`);
      },
    });
    record.state = "ready";
    meter.finish();
    return record;
  };

  /** Headers, manifest and small files first: from here on the model is listed and survives a reload. */
  const begin = async (entry: CatalogueEntry<Facts>, sources: SourceFile[], checkpoint: Checkpoint, free: number | undefined): Promise<ChunkStore> => {
    const { id, name, createdAt } = entry.model;
    const headers = new Map<string, Uint8Array>();
    for (const file of checkpoint.files) if (isWeightFile(file.path)) headers.set(file.path, await headerBytes(file));
    let store = await openStore(id);
    const keyValue = env.databases.open(modelDatabase(id));
    try {
      if (store) {
        for (const [index, file] of store.manifest.files.entries()) {
          const stored = file.kind === "safetensors" ? await keyValue.get<Uint8Array>(headerKey(index)) : undefined;
          if (stored && !sameBytes(stored, headers.get(file.path))) throw fileChanged(`${name}/${file.path}`, { found: "its header differs from the one the copy began with" });
        }
      } else {
        blobs ??= storesBlobs(catalogue.keyValue);
        const manifest = newManifest(id, name, sources, chunkBytes, (await blobs) ? "blob" : "bytes", createdAt);
        await keyValue.setMany([[MANIFEST, manifest], ...manifest.files.flatMap((f, i): [string, unknown][] => (f.kind === "safetensors" ? [[headerKey(i), headers.get(f.path)!]] : []))], "strict");
        store = (await openStore(id))!;
      }
      const present = await store.present();
      for (const [index, file] of store.manifest.files.entries()) {
        const source = sources.find((s) => s.path === file.path)!;
        for (let chunk = 0; file.kind === "aux" && chunk < file.chunks; chunk++) {
          if (!present.has(stateKey(index, chunk))) await putChunk(store, index, chunk, source.file.slice(chunk * store.manifest.chunk, (chunk + 1) * store.manifest.chunk), free);
        }
      }
      await catalogue.put(entry);
      return store;
    } finally {
      keyValue.close();
    }
  };

  const work = async (id: string, jobId: string, folder: IngestFolder, dropped: SourceFile[], options: IngestOptions): Promise<StoredRecord<Facts>> => {
    const { signal } = options;
    const session = options.backend === "session";
    const open = (files: SourceFile[]): Promise<Checkpoint> =>
      openCheckpoint(
        folder.name,
        files.map((s) => blobFile(s.path, s.file, (path, cause) => fileChanged(`${folder.name}/${path}`, {}, cause))),
      );
    const onProgress = options.onProgress ?? (() => undefined);
    let meter = meterFor(jobId, dropped, session, onProgress);
    meter.phase(PHASES.headers);
    let checkpoint = await open(dropped);
    const sources = worthStoring(dropped, checkpoint);
    if (sources.length < dropped.length) {
      checkpoint = await open(sources);
      meter = meterFor(jobId, sources, session, onProgress);
      meter.phase(PHASES.headers);
    }
    throwIfCancelled(signal);
    meter.count(`${checkpoint.tensors.size} tensors, no gaps, no overlaps`);
    const weights = sources.filter((f) => isWeightFile(f.path));
    const record: StoredRecord<Facts> = {
      id,
      name: folder.name,
      state: "ingesting",
      backend: options.backend,
      createdAt: now(),
      bytes: sources.reduce((sum, f) => sum + f.size, 0),
      files: sources.length,
      chunks: weights.reduce((sum, f) => sum + chunkCount(f.size, chunkBytes), 0),
      chunksDone: 0,
      ...(options.sample ? { sample: true } : {}),
      facts: await env.describe(checkpoint),
    };
    const slot: Active<Facts> = { record, checkpoint };
    if (session) {
      sessions.set(id, slot);
      return readInPlace(slot, record, meter, signal).catch((error: unknown) => {
        sessions.delete(id);
        throw error;
      });
    }
    if (refused) throw new StudioError("permission", `Copying ${folder.name}: this browser does not let the page store data. Use the files in place instead.`, { title: "No storage", where: folder.name, todo: "Use the files in place without copying, or leave private browsing." }, { cause: refused });
    const before = await catalogue.get(id);
    if (before) record.createdAt = before.model.createdAt;
    else {
      for (const other of await catalogue.all()) {
        const sameFiles = other.source.length === sources.length && other.source.every((f, i) => f.path === sources[i]!.path);
        if (other.model.state === "ingesting" && other.model.name === folder.name && !other.model.sample && !options.sample && sameFiles) refuseChanged(folder.name, other.source, sources);
      }
    }

    meter.phase(PHASES.space);
    await env.persist?.().catch(() => false);
    // Only a model that is listed has a database: opening would make an empty one, and a refusal must leave nothing.
    const already = before ? await openStore(id).then(async (store) => (store ? (await takeInventory(store)).storedBytes : 0)) : 0;
    const needed = record.bytes - already + RESERVE_BYTES;
    const answer = await env.probeQuota?.(needed);
    if (answer && !answer.enough) throw storageFull(`Copying ${folder.name}`, needed, answer.freeBytes);
    meter.count(`${formatBytes(record.bytes - already)} needed${answer?.freeBytes === undefined ? "" : `, ${formatBytes(answer.freeBytes)} free`}`);
    throwIfCancelled(signal);

    const entry: CatalogueEntry<Facts> = { v: 1, model: record, source: sources.map(({ path, size, lastModified }) => ({ path, size, lastModified })) };
    active.set(id, slot);
    sessions.delete(id);
    const store = await begin(entry, sources, checkpoint, answer?.freeBytes).catch(async (error: unknown) => {
      // Nothing is listed yet, so nothing may stay behind.
      closeStore(id);
      if (!before && !(await catalogue.get(id))) await env.databases.remove(modelDatabase(id)).catch(() => undefined);
      throw error;
    });
    const inventory = await takeInventory(store);
    record.chunksDone = [...inventory.chunks.keys()].filter((key) => store.manifest.files[Number(key.split("/")[1])]!.kind === "safetensors").length;
    try {
      record.hash = await copyAndVerify(store, sources, inventory, { meter, signal, free: answer?.freeBytes, onChunks: (done) => (record.chunksDone = done) });
      record.state = "ready";
    } finally {
      await catalogue.put(entry);
    }
    meter.finish();
    return record;
  };

  /** Waits for a cancelled ingest to put its tools away; throws "busy" for one that is still at work. */
  const settled = async (id: string, name: string): Promise<void> => {
    const job = running.get(id);
    if (job && !job.stopped) throw new StudioError("busy", `"${name}" is being copied right now. Wait for it or cancel it first.`, { title: "Busy", where: name, todo: "Wait for the copy, or cancel it." });
    await job?.done;
  };

  const ingest = async (jobId: string, folder: IngestFolder, options: IngestOptions): Promise<StoredRecord<Facts>> => {
    await ready;
    throwIfCancelled(options.signal);
    const sources = keptSources(folder);
    if (!sources.some((f) => isWeightFile(f.path))) await refuseWithoutWeights(folder);
    const id = await folderId(folder.name, sources, options.sample);
    await settled(id, folder.name);
    const known = sessions.get(id)?.record ?? (refused ? undefined : (await catalogue.get(id))?.model);
    if (known?.state === "ready" && (known.backend === options.backend || known.backend === "copy")) return { ...known };
    const release = await env.locks.acquire(`model:${id}`);
    if (!release) throw busyElsewhere(folder.name);
    const job = work(id, jobId, folder, sources, options).finally(() => {
      active.delete(id);
      running.delete(id);
      const slot = opened.get(id);
      if (slot) slot.checkpoint = undefined;
      release();
    });
    const state = { stopped: false, done: job.catch(() => undefined) };
    running.set(id, state);
    // A write in flight is not awaited: Cancel answers at once, and the next call for this model waits for `done`.
    let onAbort = (): void => undefined;
    const stop = new Promise<never>((_, reject) => {
      onAbort = () => {
        state.stopped = true;
        reject(options.signal?.reason instanceof StudioError ? options.signal.reason : cancelled());
      };
    });
    options.signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return { ...(await Promise.race([job, stop])) };
    } catch (error) {
      throw toStudioError(error);
    } finally {
      options.signal?.removeEventListener("abort", onAbort);
    }
  };

  const remove = async (id: string): Promise<void> => {
    await ready;
    const session = sessions.get(id)?.record;
    await settled(id, session?.name ?? active.get(id)?.record?.name ?? id);
    sessions.delete(id);
    const entry = refused ? undefined : await catalogue.get(id);
    if (!entry) return;
    const release = await env.locks.acquire(`model:${id}`);
    if (!release) throw busyElsewhere(entry.model.name);
    try {
      closeStore(id); // also drops the cached Blobs, which would keep the space in use
      await catalogue.remove(id);
      await env.databases.remove(modelDatabase(id));
    } finally {
      release();
    }
  };

  return {
    list,
    get,
    ingest,
    remove,
    storage: async () => {
      const records = await list();
      const stored = records.reduce((sum, r) => sum + (r.backend === "copy" && r.state !== "evicted" ? (r.bytes * r.chunksDone) / Math.max(1, r.chunks) : 0), 0);
      const [used, free, persistent] = await Promise.all([env.usedBytes?.().catch(() => undefined), env.freeBytes?.().catch(() => undefined), env.persisted?.().catch(() => false)]);
      return { usedBytes: used ?? Math.round(stored), freeBytes: free, persistent: persistent ?? false };
    },
    persist: async () => (await env.persist?.()) ?? false,
  };
}

function sameBytes(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((value, i) => value === b[i]);
}
