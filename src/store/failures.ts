import { formatBytes } from "../core/modelFiles";
import { StudioError, type ErrorDetails } from "../core/errors";

const nameOf = (error: unknown): string => (error instanceof Error || (typeof DOMException !== "undefined" && error instanceof DOMException) ? error.name : "");

/** A write refused for want of space. Browsers report a full disk as UnknownError more often than as a quota error. */
export const isQuotaFailure = (error: unknown): boolean => nameOf(error) === "QuotaExceededError" || nameOf(error) === "UnknownError";

/** The file on the user's disk is not the one that was dropped: IndexedDB says DataError, a read says NotReadableError. */
export const isSourceFailure = (error: unknown): boolean => ["DataError", "NotReadableError", "NotFoundError"].includes(nameOf(error));

export function fileChanged(path: string, details: ErrorDetails = {}, cause?: unknown): StudioError {
  const found = details.found ?? "it can no longer be read as it was when it was dropped";
  return new StudioError(
    "file-changed",
    `Reading ${path}: ${found}. Versions are never mixed; drop the folder again.`,
    { title: "A file changed on disk", where: path, found, todo: "Drop the folder again. Delete the unfinished copy first if the change was meant.", ...details },
    { cause },
  );
}

export function storageFull(doing: string, needed: number, free: number | undefined, cause?: unknown): StudioError {
  const found = free === undefined ? "the browser refused to store more" : `${formatBytes(free)} free`;
  return new StudioError(
    "storage-full",
    `${doing}: ${formatBytes(needed)} needed, ${found}. Delete a stored model, or use the files in place without copying.`,
    {
      title: "Not enough storage",
      where: doing,
      found,
      expected: `${formatBytes(needed)} free`,
      todo: "Delete a stored model or free disk space, then drop the folder again: what is stored already is kept.",
      neededBytes: needed,
      ...(free === undefined ? {} : { freeBytes: free }),
    },
    { cause },
  );
}

export function busyElsewhere(name: string): StudioError {
  return new StudioError("busy", `"${name}" is being copied or deleted in another tab. Wait for it there, or close that tab.`, {
    title: "Busy in another tab",
    where: name,
    todo: "Wait for the other tab, or close it.",
  });
}

export function accessDenied(doing: string, cause?: unknown): StudioError {
  return new StudioError("permission", `${doing}: the browser does not allow it. Grant access when it asks, and try again.`, { title: "Not allowed", where: doing }, { cause });
}

/** What an output folder throws: full, not allowed, or the error as it came. */
export function writeFailure(error: unknown, path: string, bytes: number): unknown {
  if (error instanceof StudioError) return error;
  if (isQuotaFailure(error)) return storageFull(`Writing ${path}`, bytes, undefined, error);
  if (["NotAllowedError", "SecurityError", "NoModificationAllowedError"].includes(nameOf(error))) return accessDenied(`Writing ${path}`, error);
  return error;
}
