import { StudioError } from "../core/errors";
import { isWeightFile } from "../core/modelFiles";
import type { ProgressMeter, StripCell } from "../core/progress";
import type { Checkpoint } from "../core/tensors";
import { openCheckpoint } from "../formats/checkpoint";
import { blobFile } from "./blobFile";
import type { CatalogueEntry, SourceEntry, StoredRecord } from "./catalogue";
import { directoryOf } from "./directories";
import { fileChanged, needsPermission } from "./failures";
import { isGranted, linkedFiles, requireSame, type LinkedHandles } from "./handles";
import { hashWeights } from "./hash";
import { headerHash, PHASES, type SourceFile } from "./ingest";
import type { Active } from "./libraryTypes";

/** Files where they lie as a checkpoint; a file that changed under it says so with the model's name. */
export function openFiles(name: string, files: readonly SourceFile[]): Promise<Checkpoint> {
  return openCheckpoint(
    name,
    files.map((s) => blobFile(s.path, s.file, (path, cause) => fileChanged(`${name}/${path}`, {}, cause))),
  );
}

/** What is kept of the files: enough to tell at the next visit whether they are the same. */
export async function rememberFiles(files: readonly SourceFile[]): Promise<SourceEntry[]> {
  return Promise.all(
    files.map(async ({ path, file, size, lastModified }) => ({ path, size, lastModified, ...(isWeightFile(path) ? { header: await headerHash(blobFile(path, file)) } : {}) })),
  );
}

/** Reads every weight once for the content hash; the model is ready then. */
export async function hashInPlace<Facts>({ record, checkpoint }: Active<Facts>, meter: ProgressMeter, signal: AbortSignal | undefined, chunkBytes: number): Promise<void> {
  const cells: StripCell[] = Array.from({ length: record.chunks }, () => "empty");
  meter.phase(PHASES.copy, `0 of ${record.chunks}`);
  record.hash = await hashWeights(checkpoint.files, {
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
}

/** The handle of a folder in the origin's own file system. */
export async function ownFolder(root: FileSystemDirectoryHandle, path: string): Promise<LinkedHandles> {
  const { directory, name } = await directoryOf(root, path, false);
  return { directory: await directory.getDirectoryHandle(name) };
}

/** Models that are read in place: those open in this tab, and those that the catalogue remembers. */
export interface InPlace<Facts> {
  readonly open: Map<string, Active<Facts>>;
  /** Opens what the catalogue remembers: sizes, times and headers must be as they were. Throws "permission", "file-changed". */
  reopen(entry: CatalogueEntry<Facts>, asked?: boolean): Promise<Active<Facts>>;
  /** The entry as this tab can use it now: open, locked, or evicted. Never asks. */
  recordOf(entry: CatalogueEntry<Facts>): Promise<StoredRecord<Facts>>;
}

export function inPlaceModels<Facts>(ownFiles: (() => Promise<FileSystemDirectoryHandle>) | undefined): InPlace<Facts> {
  const open = new Map<string, Active<Facts>>();
  /** Linked files that are not as they were; looked at again when the person asks. */
  const refused = new Map<string, unknown>();
  const opening = new Map<string, Promise<Active<Facts>>>();

  const handlesFor = async (entry: CatalogueEntry<Facts>): Promise<LinkedHandles> => {
    if (entry.directory === undefined) return entry.handles ?? {};
    if (!ownFiles) throw new StudioError("permission", `Reading ${entry.model.name}: this browser does not offer a file system to pages here.`, { title: "No storage", where: entry.model.name });
    return ownFolder(await ownFiles(), entry.directory);
  };
  const work = async (entry: CatalogueEntry<Facts>): Promise<Active<Facts>> => {
    const { id, name } = entry.model;
    const handles = await handlesFor(entry);
    if (!(await isGranted(handles))) throw needsPermission(name);
    const files = await linkedFiles(name, handles, entry.source.map((f) => f.path));
    requireSame(name, entry.source, files);
    for (const [i, file] of files.entries()) {
      const known = entry.source[i]!.header;
      if (known !== undefined && (await headerHash(blobFile(file.path, file.file)).catch(() => "")) !== known)
        throw fileChanged(`${name}/${file.path}`, { found: "its header differs from the one it had when it was added", expected: "the same tensors at the same places" });
    }
    const slot = { record: { ...entry.model }, checkpoint: await openFiles(name, files) };
    open.set(id, slot);
    return slot;
  };
  const reopen: InPlace<Facts>["reopen"] = (entry, asked = false) => {
    const { id } = entry.model;
    const ready = open.get(id);
    if (ready) return Promise.resolve(ready);
    if (!asked && refused.has(id)) return Promise.reject(refused.get(id) as Error);
    let attempt = opening.get(id);
    if (!attempt) {
      refused.delete(id);
      attempt = work(entry).finally(() => opening.delete(id));
      opening.set(id, attempt);
      attempt.catch((error: unknown) => {
        // Permission may come at any time, and asking for it costs nothing; a changed file stays changed until it is looked at again.
        if (error instanceof StudioError && error.code === "file-changed") refused.set(id, error);
      });
    }
    return attempt;
  };
  return {
    open,
    reopen,
    recordOf: async (entry) => {
      try {
        return (await reopen(entry)).record;
      } catch {
        return { ...entry.model, state: entry.model.backend === "opfs" ? "evicted" : "locked" };
      }
    },
  };
}
