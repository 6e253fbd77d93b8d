import { StudioError } from "../core/errors";
import type { ExportReport } from "../engine/api";
import type { StagedResults } from "../engine/engine";
import type { KeyValue } from "../store/keyValue";
import type { Locks } from "../store/locks";
import type { StagedFolder } from "../store/opfs";
import { allRecords, isFinished, lockOf, STAGES, type ExportRecord, type FinishedRecord } from "./exportRecords";

export interface Finished extends StagedResults {
  /** Takes over the stage of an export that has ended, with the lock it was written under. `archive`: the .zip beside its files. */
  keep(record: ExportRecord, folder: StagedFolder, report: ExportReport, release: () => void, archive?: string): Promise<ExportReport>;
  /** Forgets results whose files the browser has lost, and those in `models`: a crash came before their record was removed. */
  tidy(models: readonly string[]): Promise<void>;
}

/** A stage that this tab has open. */
interface Open {
  folder: StagedFolder;
  release: () => void;
  name: string;
  /** Of the model's own files, as they lie; empty when they are packed. */
  paths: string[];
  adopted?: boolean;
}

const none = (): void => undefined;
const packed = ({ staged, files }: ExportReport): boolean => !staged!.paths.every((path) => files.some((f) => f.path === path));

/**
 * Results that were written and passed their checks, until they are downloaded and deleted: the record of the export becomes
 * theirs, so a reload, a crash or another tab finds them. A result with a failed check has no record, and ends with its tab.
 */
export function createFinished({ locks, records, folderOf }: { locks: Locks; records: KeyValue; folderOf(id: string): Promise<StagedFolder> }): Finished {
  const open = new Map<string, Open>();
  const gone = (what: string, todo: string): StudioError => new StudioError("bad-request", `${what}: the files are gone. ${todo}`, { title: "Not kept any more", found: "The files are gone.", todo });

  /** The folder with every file that can be asked for taken over; undefined where one is missing or has another size. */
  const whole = async ({ id, finished: { report } }: FinishedRecord): Promise<StagedFolder | undefined> => {
    const folder = await folderOf(id);
    const sizes = new Map(report.files.map((f) => [f.path, f.bytes]));
    for (const path of report.staged!.paths) if (!(await folder.adopt(path, sizes.get(path) ?? report.staged!.bytes))) return undefined;
    return folder;
  };
  const reopen = async (id: string): Promise<Open | undefined> => {
    const record = await records.get<ExportRecord>(id);
    if (!isFinished(record)) return undefined;
    const release = await locks.acquire(lockOf(id), "shared");
    if (!release) return undefined;
    const folder = await whole(record).catch(none);
    if (!folder) return void release();
    const { report } = record.finished;
    const stage: Open = { folder, release, name: report.name, paths: packed(report) ? [] : report.staged!.paths };
    open.set(id, stage);
    return stage;
  };

  const discard = async (id: string): Promise<void> => {
    const mine = open.get(id);
    mine?.release();
    // What has become a model is deleted with the model.
    if (mine?.adopted) return void open.delete(id);
    const release = await locks.acquire(lockOf(id));
    if (!release) {
      if (mine) mine.release = (await locks.acquire(lockOf(id), "shared")) ?? none;
      throw new StudioError("busy", "Deleting a merged model: another tab has it open for its downloads. Close that tab, then delete it.", { title: "Busy in another tab", todo: "Close the other tab, then delete it." });
    }
    try {
      open.delete(id);
      // The record first: what is listed is whole. What a crash leaves behind is removed at the next start.
      await records.del(id, "strict");
      await (mine?.folder ?? (await folderOf(id))).discard();
    } finally {
      release();
    }
  };

  return {
    keep: async (record, folder, plain, release, archive) => {
      const { note: _, ...rest } = record;
      const { id, key } = record;
      const paths = archive === undefined ? plain.files.map((f) => f.path) : [archive];
      const bytes = archive === undefined ? plain.totalBytes : (await folder.stagedFile(archive)).size;
      const report: ExportReport = { ...plain, staged: { id, paths, bytes } };
      const stage: Open = { folder, release, name: plain.name, paths: archive === undefined ? paths : [] };
      if (report.checks.some((check) => check.verdict === "fail")) {
        await records.del(id, "strict");
        open.set(id, stage);
        return report;
      }
      try {
        await records.set(id, { ...rest, finished: { at: Date.now(), report, downloaded: [] } } satisfies ExportRecord, "strict");
        // The archive holds them all.
        if (archive !== undefined) for (const { path } of plain.files) await folder.remove(path).catch(none);
      } finally {
        release();
      }
      stage.release = (await locks.acquire(lockOf(id), "shared")) ?? none;
      open.set(id, stage);
      // The same bytes, written before: of no more use, unless a download of them may be on its way.
      for (const other of await allRecords(records)) if (other.key === key && other.id !== id && other.finished?.downloaded.length === 0) await discard(other.id).catch(none);
      return report;
    },
    list: async () => {
      const list: Awaited<ReturnType<StagedResults["list"]>> = [];
      for (const record of await allRecords(records)) {
        if (!isFinished(record) || !(await whole(record).catch(none))) continue;
        const { id, recipe, finished: { at, report, downloaded } } = record;
        list.push({ id, recipe, report, finishedAt: at, downloaded });
      }
      return list.sort((a, b) => a.finishedAt - b.finishedAt);
    },
    file: async (id, path) => {
      const stage = open.get(id) ?? (await reopen(id));
      if (!stage) throw gone(`Downloading ${path}`, "Save again.");
      const file = await stage.folder.stagedFile(path);
      const record = await records.get<ExportRecord>(id);
      if (isFinished(record) && !record.finished.downloaded.includes(path)) await records.set(id, { ...record, finished: { ...record.finished, downloaded: [...record.finished.downloaded, path] } } satisfies ExportRecord, "strict");
      return file;
    },
    place: async (id) => {
      const stage = open.get(id) ?? (await reopen(id));
      return stage && stage.paths.length > 0 ? { name: stage.name, directory: `${STAGES}/${id}`, paths: stage.paths } : undefined;
    },
    becameModel: async (id) => {
      const stage = open.get(id);
      if (stage) stage.adopted = true;
      await records.del(id, "strict");
    },
    discard,
    tidy: async (models) => {
      for (const record of await allRecords(records)) {
        if (!isFinished(record)) continue;
        if (models.includes(`${STAGES}/${record.id}`)) await records.del(record.id, "strict");
        else if (!(await whole(record).catch(none))) await discard(record.id).catch(none);
      }
    },
  };
}
