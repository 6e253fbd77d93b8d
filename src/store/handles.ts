/** Handles to the person's own files: they outlive the page, the permission to read them may not. */
import { formatBytes } from "../core/modelFiles";
import type { SourceEntry } from "./catalogue";
import { directoryOf } from "./directories";
import { fileChanged, needsPermission } from "./failures";
import type { IngestFolder, SourceFile } from "./ingest";

/** One handle for a whole folder, or one for each loose file. */
export interface LinkedHandles {
  directory?: FileSystemDirectoryHandle;
  files?: { path: string; handle: FileSystemFileHandle }[];
}

/** What Chromium adds to a handle; elsewhere handles exist only for the origin's own files, which are always allowed. */
interface Asking {
  queryPermission?(options: { mode: "read" }): Promise<PermissionState>;
}

/** The handles of what was dropped or picked; undefined when the browser gave none for one of the kept files. */
export function handlesOf(folder: IngestFolder, kept: readonly SourceEntry[]): LinkedHandles | undefined {
  if (folder.directory) return { directory: folder.directory };
  const byPath = new Map(folder.files.map((f) => [f.path, f.handle]));
  const files = kept.flatMap(({ path }) => (byPath.get(path) ? [{ path, handle: byPath.get(path)! }] : []));
  return files.length === kept.length ? { files } : undefined;
}

export const allHandles = ({ directory, files }: LinkedHandles): FileSystemHandle[] => (directory ? [directory] : (files ?? []).map((f) => f.handle));

/** Whether every file may be read without asking. */
export async function isGranted(handles: LinkedHandles): Promise<boolean> {
  for (const handle of allHandles(handles) as (FileSystemHandle & Asking)[]) if (handle.queryPermission && (await handle.queryPermission({ mode: "read" })) !== "granted") return false;
  return true;
}

/** How a file differs from what was known of it; undefined when size and time are the same. */
export function differenceOf(known: SourceEntry, now: SourceEntry): { found: string; expected: string } | undefined {
  if (known.size !== now.size) return { found: `it has ${formatBytes(now.size)} (${now.size} bytes)`, expected: `${known.size} bytes, as before` };
  if (known.lastModified !== now.lastModified) return { found: `it was modified on ${new Date(now.lastModified).toISOString()}`, expected: `the file as of ${new Date(known.lastModified).toISOString()}` };
  return undefined;
}

/** The files behind the handles. Throws "permission" when the browser wants to be asked, "file-changed" when one is gone. */
export async function linkedFiles(name: string, handles: LinkedHandles, paths: readonly string[]): Promise<SourceFile[]> {
  const open = async (path: string): Promise<File> => {
    const loose = handles.files?.find((f) => f.path === path);
    if (loose) return loose.handle.getFile();
    if (!handles.directory) throw new DOMException(path, "NotFoundError");
    const { directory, name: fileName } = await directoryOf(handles.directory, path, false);
    return (await directory.getFileHandle(fileName)).getFile();
  };
  const files: SourceFile[] = [];
  for (const path of paths) {
    const file = await open(path).catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.name : "";
      if (reason === "NotAllowedError" || reason === "SecurityError") throw needsPermission(name, cause);
      throw fileChanged(`${name}/${path}`, reason === "NotFoundError" ? { found: "it is not there any more" } : {}, cause);
    });
    files.push({ path, file, size: file.size, lastModified: file.lastModified });
  }
  return files;
}

/** Throws "file-changed" with the first file that is not as it was, and what differs. */
export function requireSame(name: string, known: readonly SourceEntry[], files: readonly SourceEntry[]): void {
  for (const [i, entry] of known.entries()) {
    const difference = differenceOf(entry, files[i]!);
    if (difference) throw fileChanged(`${name}/${entry.path}`, difference);
  }
}
