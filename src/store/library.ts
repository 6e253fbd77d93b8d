import { cancelled, StudioError, throwIfCancelled, toStudioError } from "../core/errors";
import { isModelFile, isWeightFile } from "../core/modelFiles";
import { ProgressMeter } from "../core/progress";
import type { Checkpoint } from "../core/tensors";
import { modelDatabase, openCatalogue, type CatalogueEntry, type StoredRecord } from "./catalogue";
import { chunkCount } from "./chunks";
import { chunkStores } from "./chunkStores";
import { copyModel } from "./copying";
import { directoryOf } from "./directories";
import { modelBusy } from "./failures";
import { allHandles, handlesOf, linkedFiles } from "./handles";
import { CHUNK_BYTES } from "./hash";
import { folderId, keptSources, PHASES, refuseWithoutWeights, worthStoring, type SourceFile } from "./ingest";
import { hashInPlace, inPlaceModels, openFiles, ownFolder, rememberFiles } from "./inPlace";
import type { Active, Library, LibraryEnv, WorkOptions } from "./libraryTypes";
import { checkStored } from "./startUp";

export type { IngestOptions, Library, LibraryEnv, OwnFolder } from "./libraryTypes";

/**
 * Models in IndexedDB, one database each, and models read in place.
 * At the start, stored models are compared with their keys: what the browser evicted is listed as "evicted".
 */
export function createLibrary<Facts>(env: LibraryEnv<Facts>): Required<Library<Facts>> {
  const chunkBytes = env.chunkBytes ?? CHUNK_BYTES;
  const now = env.now ?? Date.now;
  const catalogue = openCatalogue<Facts>(env.databases);
  const stores = chunkStores(env.databases);
  const inPlace = inPlaceModels<Facts>(env.ownFiles);
  const copying = new Map<string, Active<Facts>>();
  /** Ingests of this process, also cancelled ones that still put their tools away. */
  const running = new Map<string, { stopped: boolean; done: Promise<unknown> }>();

  /** A browser that refuses IndexedDB can still read folders in place; a copy then says why it cannot be made. */
  let refused: unknown;
  const ready = checkStored(catalogue, stores, env.databases, env.locks).catch((error: unknown) => {
    refused = error;
  });
  const entryOf = async (id: string): Promise<CatalogueEntry<Facts> | undefined> => (refused ? undefined : catalogue.get(id));
  const isKept = ({ model }: CatalogueEntry<Facts>): boolean => model.backend === "link" || model.backend === "opfs";

  const list = async (): Promise<StoredRecord<Facts>[]> => {
    await ready;
    const entries = refused ? [] : await catalogue.all();
    const stored = await Promise.all(
      entries.filter((entry) => isKept(entry) || !inPlace.open.has(entry.model.id)).map(async (entry) => copying.get(entry.model.id)?.record ?? (isKept(entry) ? inPlace.recordOf(entry) : entry.model)),
    );
    const listed = new Set(stored.map((record) => record.id));
    const sessions = [...inPlace.open.values()].map((s) => s.record).filter((record) => !listed.has(record.id));
    return [...stored, ...sessions].map((record) => ({ ...record }));
  };

  const get = async (id: string): Promise<Checkpoint> => {
    await ready;
    const live = copying.get(id) ?? inPlace.open.get(id);
    if (live) return live.checkpoint;
    const entry = await entryOf(id);
    if (entry && isKept(entry)) return (await inPlace.reopen(entry)).checkpoint;
    const checkpoint = entry && (await stores.checkpoint(id, entry.model.name));
    if (checkpoint) return checkpoint;
    throw new StudioError("bad-request", `Opening model ${entry?.model.name ?? id}: it is not stored${entry ? " any more" : ""}. Drop its folder again.`, { title: "Not stored", where: entry?.model.name ?? id, todo: "Drop the folder again." });
  };

  const meterFor = (jobId: string, sources: readonly SourceFile[], copy: boolean, { signal, onProgress = () => undefined }: WorkOptions): ProgressMeter => {
    const weights = sources.filter((f) => isWeightFile(f.path));
    const what = weights.length === 1 ? weights[0]!.path : `${weights.length} weight files`;
    const total = sources.reduce((sum, f) => sum + f.size, 0);
    const headers = { id: PHASES.headers, label: "Headers read" };
    const phases = copy
      ? [headers, { id: PHASES.space, label: "Space asked for" }, { id: PHASES.copy, label: `Copying and verifying ${what}` }, { id: PHASES.small, label: "Config, tokenizer and chat template" }]
      : [headers, { id: PHASES.copy, label: `Reading and hashing ${what}` }];
    // A copied byte is worked on twice: written, then read back.
    const meter = new ProgressMeter(jobId, "ingest", phases, copy ? total * 2 : weights.reduce((sum, f) => sum + f.size, 0), onProgress, { signal });
    meter.bytesTotal = total;
    meter.phase(PHASES.headers);
    return meter;
  };

  /** Headers read and validated: what will be kept, and its record. */
  const examine = async (id: string, name: string, backend: StoredRecord["backend"], dropped: SourceFile[], meterOf: (sources: SourceFile[]) => ProgressMeter, options: WorkOptions) => {
    let meter = meterOf(dropped);
    let checkpoint = await openFiles(name, dropped);
    const sources = worthStoring(dropped, checkpoint);
    if (sources.length < dropped.length) {
      checkpoint = await openFiles(name, sources);
      meter = meterOf(sources);
    }
    throwIfCancelled(options.signal);
    meter.count(`${checkpoint.tensors.size} tensors, no gaps, no overlaps`);
    const record: StoredRecord<Facts> = {
      id,
      name,
      state: "ingesting",
      backend,
      createdAt: now(),
      bytes: sources.reduce((sum, f) => sum + f.size, 0),
      files: sources.length,
      chunks: sources.filter((f) => isWeightFile(f.path)).reduce((sum, f) => sum + chunkCount(f.size, chunkBytes), 0),
      chunksDone: 0,
      facts: await env.describe(checkpoint),
    };
    return { meter, checkpoint, sources, record };
  };

  /** Reads a folder where it lies; `kept` is what the catalogue remembers of it, nothing for a session. */
  const addInPlace = async (slot: Active<Facts>, sources: SourceFile[], kept: Pick<CatalogueEntry<Facts>, "handles" | "directory"> | undefined, meter: ProgressMeter, signal: AbortSignal | undefined): Promise<void> => {
    const { record } = slot;
    const before = inPlace.open.get(record.id);
    inPlace.open.set(record.id, slot);
    try {
      const source = kept ? await rememberFiles(sources) : [];
      const known = await entryOf(record.id);
      const same = kept && known && isKept(known) && known.model.hash !== undefined && known.source.every((file, i) => file.header === source[i]?.header);
      if (same) Object.assign(record, { hash: known.model.hash, createdAt: known.model.createdAt, chunksDone: record.chunks, state: "ready" });
      else await hashInPlace(slot, meter, signal, chunkBytes);
      if (kept) await catalogue.put({ v: 1, model: record, source, ...kept });
      // An unfinished copy of the same files gives its space back.
      if (known?.model.backend === "copy") {
        if (!kept) await catalogue.remove(record.id);
        stores.close(record.id);
        await env.databases.remove(modelDatabase(record.id));
      }
    } catch (error) {
      if (before) inPlace.open.set(record.id, before);
      else inPlace.open.delete(record.id);
      throw error;
    }
  };

  /** Waits for a cancelled ingest to put its tools away; throws "busy" for one that is still at work. */
  const settled = async (id: string, name: string): Promise<void> => {
    const job = running.get(id);
    if (job && !job.stopped) throw new StudioError("busy", `"${name}" is being copied right now. Wait for it or cancel it first.`, { title: "Busy", where: name, todo: "Wait for the copy, or cancel it." });
    await job?.done;
  };
  const lockOf = async (id: string, name: string): Promise<() => void> => {
    const release = await env.locks.acquire(`model:${id}`);
    if (!release) throw modelBusy(name, env.locks.holds(`model:${id}`));
    return release;
  };

  /** One piece of work on one model, alone; Cancel answers at once, also while a write hangs. */
  const exclusively = async (id: string, name: string, { signal }: WorkOptions, work: () => Promise<StoredRecord<Facts>>): Promise<StoredRecord<Facts>> => {
    const release = await lockOf(id, name);
    const job = work().finally(() => {
      copying.delete(id);
      running.delete(id);
      stores.forget(id);
      release();
    });
    const state = { stopped: false, done: job.catch(() => undefined) };
    running.set(id, state);
    // A write in flight is not awaited; the next call for this model waits for `done`.
    let onAbort = (): void => undefined;
    const stop = new Promise<never>((_, reject) => {
      onAbort = () => {
        state.stopped = true;
        reject(signal?.reason instanceof StudioError ? signal.reason : cancelled());
      };
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return { ...(await Promise.race([job, stop])) };
    } catch (error) {
      throw toStudioError(error);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  };

  const ingest: Library<Facts>["ingest"] = async (jobId, folder, options) => {
    await ready;
    throwIfCancelled(options.signal);
    const dropped = keptSources(folder);
    if (!dropped.some((f) => isWeightFile(f.path))) await refuseWithoutWeights(folder);
    const id = await folderId(folder.name, dropped, options.sample);
    await settled(id, folder.name);
    const known = inPlace.open.get(id)?.record ?? (await entryOf(id))?.model;
    const handles = options.backend === "link" && !refused ? handlesOf(folder, dropped) : undefined;
    const backend = options.backend === "copy" ? "copy" : handles ? "link" : "session";
    if (known?.state === "ready" && (known.backend === "copy" || (known.backend === backend && inPlace.open.has(id)))) return { ...known };
    return exclusively(id, folder.name, options, async () => {
      const { meter, checkpoint, sources, record } = await examine(id, folder.name, backend, dropped, (files) => meterFor(jobId, files, backend === "copy", options), options);
      if (options.sample) record.sample = true;
      const slot = { record, checkpoint };
      if (backend !== "copy") await addInPlace(slot, sources, handles && { handles }, meter, options.signal);
      else {
        if (refused) throw new StudioError("permission", `Copying ${folder.name}: this browser does not let the page store data. Use the files in place instead.`, { title: "No storage", where: folder.name, todo: "Use the files in place without copying, or leave private browsing." }, { cause: refused });
        const entry: CatalogueEntry<Facts> = { v: 1, model: record, source: sources.map(({ path, size, lastModified }) => ({ path, size, lastModified })) };
        const onBegin = (): void => {
          copying.set(id, slot);
          inPlace.open.delete(id);
        };
        await copyModel({ env, catalogue, stores, chunkBytes, onBegin }, entry, sources, checkpoint, meter, options.signal);
      }
      meter.finish();
      return record;
    });
  };

  const adopt: Required<Library<Facts>>["adopt"] = async (jobId, { name, directory, paths }, options) => {
    await ready;
    const root = await env.ownFiles?.();
    if (!root || refused) throw new StudioError("permission", `Using ${name} as an input: this browser does not offer a file system to pages here. Save it to a folder and drop that.`, { title: "No storage", where: name }, { cause: refused });
    const folder = await ownFolder(root, directory);
    const sources = keptSources({ name, files: await linkedFiles(name, folder, paths.filter(isModelFile)) });
    const id = await folderId(name, sources);
    return exclusively(id, name, options, async () => {
      const { meter, checkpoint, record } = await examine(id, name, "opfs", sources, (files) => meterFor(jobId, files, false, options), options);
      await addInPlace({ record, checkpoint }, sources, { directory }, meter, options.signal);
      meter.finish();
      return record;
    });
  };

  const remove = async (id: string): Promise<void> => {
    await ready;
    const session = inPlace.open.get(id)?.record;
    await settled(id, session?.name ?? copying.get(id)?.record.name ?? id);
    const entry = await entryOf(id);
    const release = await lockOf(id, entry?.model.name ?? session?.name ?? id);
    try {
      inPlace.open.delete(id);
      if (!entry) return;
      const used = await env.usedBytes?.().catch(() => undefined);
      stores.close(id);
      // The record first: what is listed is whole. What a crash leaves behind is removed at the next start.
      await catalogue.remove(id);
      if (entry.model.backend === "copy") await env.databases.remove(modelDatabase(id));
      if (entry.directory !== undefined && env.ownFiles) {
        const { directory, name } = await directoryOf(await env.ownFiles(), entry.directory, false);
        await directory.removeEntry(name, { recursive: true }).catch((error: unknown) => {
          if (!(error instanceof Error) || error.name !== "NotFoundError") throw error;
        });
      }
      const { bytes, chunks, chunksDone, backend } = entry.model;
      if (backend === "copy") await env.awaitSpace?.(used, (bytes * chunksDone) / Math.max(1, chunks)).catch(() => undefined);
    } finally {
      release();
    }
  };

  return {
    list,
    get,
    ingest,
    adopt,
    remove,
    handles: async (id) => {
      const handles = (await entryOf(id))?.handles;
      return handles ? allHandles(handles) : [];
    },
    reconnect: async (id) => {
      await ready;
      const entry = await entryOf(id);
      if (!entry || !isKept(entry)) throw new StudioError("bad-request", `Opening model ${entry?.model.name ?? id}: it is not linked. Drop its folder again.`, { title: "Not linked", where: entry?.model.name ?? id, todo: "Drop the folder again." });
      return { ...(await inPlace.reopen(entry, true)).record };
    },
    ownFolders: async () => {
      await ready;
      return refused ? [] : (await catalogue.all()).flatMap((entry) => entry.directory ?? []);
    },
    storage: async () => {
      const records = await list();
      const stored = records.reduce((sum, r) => sum + ((r.backend === "copy" || r.backend === "opfs") && r.state !== "evicted" ? (r.bytes * r.chunksDone) / Math.max(1, r.chunks) : 0), 0);
      const [used, free, persistent] = await Promise.all([env.usedBytes?.().catch(() => undefined), env.freeBytes?.().catch(() => undefined), env.persisted?.().catch(() => false)]);
      return { usedBytes: used ?? Math.round(stored), freeBytes: free, persistent: persistent ?? false };
    },
    persist: async () => (await env.persist?.()) ?? false,
  };
}
