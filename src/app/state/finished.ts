import type { FinishedExport } from "../../engine/api";

/** Whether every file that a finished export offers was downloaded. */
export const allDownloaded = ({ report, downloaded }: FinishedExport): boolean => report.staged!.paths.every((path) => downloaded.includes(path));
