import { StudioError } from "../core/errors";
import { keptBytes } from "../export/journal";
import type { ExportTarget, OutputJob, UnfinishedExport } from "../engine/api";
import type { EngineOutput, StagedResults } from "../engine/engine";
import { safeName } from "../store/directories";
import { writeFailure } from "../store/failures";
import type { FileWriter } from "../store/fileWriter";
import { pickedFolder, type PickedFolder } from "../store/folderHandle";
import type { KeyValue } from "../store/keyValue";
import type { Locks } from "../store/locks";
import { opfsFolder, removeEntry, type StagedFolder } from "../store/opfs";
import { freeBytes } from "../store/quota";
import { packZip } from "../store/zip";
import { allRecords, isFinished, lockOf, STAGES, type ExportRecord } from "./exportRecords";
import { createFinished } from "./finished";

export interface Outputs {
  /** The place for an export: the one of an earlier try of the same job and target, with what it holds, or a new one; earlier tries of other jobs are removed. */
  open(target: ExportTarget, job: OutputJob): Promise<EngineOutput>;
  /** Results that wait for their downloads. */
  readonly finished: StagedResults;
  /** Exports that were begun, here or in a tab that is gone, and can be continued by asking for them again. */
  unfinished(): Promise<UnfinishedExport[]>;
  discardUnfinished(id: string): Promise<void>;
  /** Removes stages that a closed tab left behind, except those that can be continued, finished results that are whole, and the folders in `kept`: those have become models. */
  sweep(kept?: readonly string[]): Promise<void>;
}

export interface OutputsEnv {
  /** Absent outside secure contexts: then only picked folders work. */
  storage: StorageManager | undefined;
  locks: Locks;
  /** Where the records of exports are. */
  records: KeyValue;
  writer: FileWriter;
}

type Permitted = FileSystemDirectoryHandle & { queryPermission?(options: { mode: "readwrite" }): Promise<PermissionState> };

/**
 * Outputs in a browser. A stage is a folder `stages/<id>` of the origin's own file system. While an export is at work this
 * worker holds the lock `stage:<id>`; a record that is not of a finished result, and whose lock is free, is of an export that
 * was cut off.
 */
export function createOutputs({ storage, locks, records, writer }: OutputsEnv): Outputs {
  const stages = async (): Promise<FileSystemDirectoryHandle> => {
    try {
      if (!storage) throw new TypeError("navigator.storage is missing");
      return await (await storage.getDirectory()).getDirectoryHandle(STAGES, { create: true });
    } catch (cause) {
      throw new StudioError("permission", "Saving: this browser does not offer a file system to pages here. Save to a folder instead, or leave private browsing.", { title: "No place to write", todo: "Save to a folder, or leave private browsing." }, { cause });
    }
  };
  /** Exports that have not ended. */
  const begun = async (): Promise<ExportRecord[]> => (await allRecords(records)).filter((record) => !isFinished(record));
  const finished = createFinished({ locks, records, folderOf: async (id) => opfsFolder(await stages(), id, writer) });
  const folderOf = async ({ id, target, paths }: ExportRecord, earlier: boolean): Promise<StagedFolder | PickedFolder> =>
    target.kind === "folder" ? pickedFolder(target.handle, target.name, writer, earlier ? paths : undefined) : opfsFolder(await stages(), id, writer);

  /** Removes the files of a record whose lock is held, as far as the browser allows, and the record. */
  const remove = async (record: ExportRecord): Promise<void> => {
    const { target } = record;
    const allowed = target.kind !== "folder" || !(target.handle as Permitted).queryPermission || (await (target.handle as Permitted).queryPermission!({ mode: "readwrite" })) === "granted";
    if (allowed) await folderOf(record, true).then((folder) => folder.discard()).catch(() => undefined);
    await records.del(record.id, "strict");
  };

  /** The earlier try to go on with, locked. Every other that nobody works on is removed: an export of something else has begun. */
  const earlierTry = async (target: ExportTarget, job: OutputJob): Promise<{ record: ExportRecord; release: () => void } | undefined> => {
    let found: { record: ExportRecord; release: () => void } | undefined;
    for (const record of await begun()) {
      const release = await locks.acquire(lockOf(record.id));
      if (!release) continue;
      const { kind, name } = record.target;
      const same = !found && record.key === job.key && kind === target.kind && name === target.name && (record.target.kind !== "folder" || (await record.target.handle.isSameEntry((target as { handle: FileSystemDirectoryHandle }).handle)));
      if (same) found = { record: { ...record, target }, release };
      else {
        await remove(record);
        release();
      }
    }
    return found;
  };

  const begin = async (target: ExportTarget, job: OutputJob): Promise<{ record: ExportRecord; release: () => void; earlier: boolean }> => {
    const found = await earlierTry(target, job);
    if (found) return { ...found, earlier: true };
    const id = crypto.randomUUID();
    const release = (await locks.acquire(lockOf(id))) ?? (() => undefined);
    return { record: { v: 1, id, target, ...job, startedAt: Date.now() }, release, earlier: false };
  };

  const open = async (target: ExportTarget, job: OutputJob): Promise<EngineOutput> => {
    const { record, release, earlier } = await begin(target, job);
    const { id } = record;
    let folder: StagedFolder | PickedFolder;
    try {
      folder = await folderOf(record, earlier);
      // Before the first file: what is begun is listed from here on.
      await records.set(id, record, "strict");
    } catch (error) {
      release();
      throw writeFailure(error, target.name, job.bytes);
    }
    const stop = new AbortController();
    let packing: Promise<void> = Promise.resolve();
    const pack = async (staged: StagedFolder, archive: string): Promise<void> => {
      const files = await Promise.all(job.paths.map(async (path) => ({ name: `${safeName(target.name)}/${path}`, file: await staged.stagedFile(path) })));
      await packZip(files, await staged.createPlain(archive, files.reduce((sum, f) => sum + f.file.size, 0)), stop.signal);
    };
    const archive = target.kind === "zip" ? `${safeName(target.name)}.zip` : undefined;
    return {
      ...("stagedFile" in folder ? { keep: (report) => finished.keep(record, folder, report, release, archive) } : {}),
      create: folder.create,
      open: folder.open,
      digest: folder.digest!,
      times: folder.times!,
      journal: {
        earlier: record.note,
        note: async (note) => {
          try {
            await records.set(id, { ...record, note }, "strict");
          } catch (error) {
            throw writeFailure(error, target.name, job.bytes);
          }
        },
        adopt: folder.adopt,
        holds: folder.holds,
      },
      ...(storage && target.kind !== "folder" ? { freeBytes: () => freeBytes(storage) } : {}),
      finish: async () => {
        if (archive !== undefined && "stagedFile" in folder) await (packing = pack(folder, archive));
        await folder.finish();
        // A stage is whole now, but only its report makes it a result: until `keep` it can be continued.
        if ("stagedFile" in folder) return;
        await records.del(id, "strict");
        release();
      },
      suspend: async () => {
        stop.abort();
        await packing.catch(() => undefined);
        await folder.suspend();
        release();
      },
      discard: async () => {
        stop.abort();
        await packing.catch(() => undefined);
        await folder.discard();
        await records.del(id, "strict");
        release();
      },
    };
  };

  return {
    open,
    finished,
    unfinished: async () => {
      const list: UnfinishedExport[] = [];
      for (const { id, recipe, target, bytes, startedAt, note } of await begun()) {
        const release = await locks.acquire(lockOf(id));
        if (!release) continue;
        release();
        list.push({ id, recipe, target, bytesDone: keptBytes(note), bytesTotal: bytes, startedAt });
      }
      return list;
    },
    discardUnfinished: async (id) => {
      const release = await locks.acquire(lockOf(id));
      if (!release) throw new StudioError("busy", "Discarding an unfinished export: it is being written right now, here or in another tab. Stop it there first.", { title: "Busy", todo: "Stop it first." });
      try {
        const record = await records.get<ExportRecord>(id);
        if (record) await remove(record);
      } finally {
        release();
      }
    },
    sweep: async (kept = []) => {
      if (!storage) return;
      const directory = await stages();
      await finished.tidy(kept);
      const listed = new Set((await allRecords(records)).map((record) => record.id));
      const ids: string[] = [];
      for await (const id of (directory as FileSystemDirectoryHandle & { keys(): AsyncIterable<string> }).keys()) ids.push(id);
      for (const id of ids) {
        if (listed.has(id) || kept.includes(`${STAGES}/${id}`)) continue;
        const release = await locks.acquire(lockOf(id));
        if (!release) continue;
        // It may have been begun, and noted, since the list was made.
        if ((await records.get(id)) === undefined) await removeEntry(directory, id).catch(() => undefined);
        release();
      }
    },
  };
}
