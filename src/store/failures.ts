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

/**
 * A write refused for want of space: `needed` bytes more, `free` of them known to be granted. `kept` says what is stored
 * already. A refusal while the quota would do means a full disk.
 */
export function storageFull(doing: string, needed: number, free: number | undefined, cause?: unknown, kept = "what is stored already is kept"): StudioError {
  const found = free === undefined ? "the browser refused to store more" : free < needed ? `${formatBytes(free)} free` : `the disk is full, although ${formatBytes(free)} of the browser's quota are free`;
  return new StudioError(
    "storage-full",
    `${doing}: ${formatBytes(needed)} needed, ${found}. Delete a stored model, or link the files in place without copying; ${kept}.`,
    {
      title: "Not enough storage",
      where: doing,
      found,
      expected: `${formatBytes(needed)} free`,
      todo: `Delete a stored model or free disk space, then try again: ${kept}. Or link the files in place, which needs no space.`,
      neededBytes: needed,
      ...(free === undefined ? {} : { freeBytes: free }),
    },
    { cause },
  );
}

/** Somebody else holds the model's lock: a job of this tab (`here`), or another tab. */
export function modelBusy(name: string, here: boolean): StudioError {
  if (here) return new StudioError("busy", `"${name}" is in use by a job of this tab. Wait for it or cancel it first.`, { title: "In use", where: name, todo: "Wait for the job, or cancel it." });
  return new StudioError("busy", `"${name}" is busy in another tab: it is being copied, merged or deleted there. Wait for it there, or close that tab.`, {
    title: "Busy in another tab",
    where: name,
    todo: "Wait for the other tab, or close it.",
  });
}

/** A linked model whose files the browser hands over only after asking again. */
export function needsPermission(name: string, cause?: unknown): StudioError {
  return new StudioError(
    "permission",
    `Reading ${name}: it is linked, and after a reload the browser asks again before it hands the files over. Allow it on Load, or drop the folder again.`,
    { title: "Needs your permission", where: name, found: "a linked folder that the browser has not been allowed to read since the reload", todo: "Allow access on Load, or drop the folder again." },
    { cause },
  );
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
