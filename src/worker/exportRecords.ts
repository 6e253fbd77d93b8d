import type { Recipe } from "../core/recipe";
import type { ExportReport, ExportTarget } from "../engine/api";
import type { KeyValue } from "../store/keyValue";

/** What is known of an export from its beginning on; `note` is its journal while it is written, `finished` what it is then. */
export interface ExportRecord {
  v: 1;
  id: string;
  key: string;
  recipe: Recipe;
  /** Of a picked folder, with its handle. */
  target: ExportTarget;
  paths: string[];
  bytes: number;
  startedAt: number;
  note?: unknown;
  finished?: { at: number; report: ExportReport; downloaded: string[] };
}

export type FinishedRecord = ExportRecord & Required<Pick<ExportRecord, "finished">>;
export const isFinished = (record: ExportRecord | undefined): record is FinishedRecord => record?.finished !== undefined;

/** The folder of stages in the origin's own file system; each has the id of its export. */
export const STAGES = "stages";
/** Held exclusively while a stage is written or removed, shared while a tab has it open for downloads. */
export const lockOf = (id: string): string => `stage:${id}`;

export async function allRecords(records: KeyValue): Promise<ExportRecord[]> {
  const found = await Promise.all((await records.keys()).map((id) => records.get<ExportRecord>(id)));
  return found.filter((record) => record?.v === 1) as ExportRecord[];
}
