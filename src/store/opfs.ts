import type { OutputFile, OutputFolder, OutputJournal } from "../core/files";
import { directoryOf } from "./directories";
import { handleFolder } from "./handleFolder";
import type { FileWriter } from "./fileWriter";

export interface StagedFolder extends OutputFolder, Pick<OutputJournal, "adopt" | "holds"> {
  /** A closed file, by reference: a download of it holds nothing in memory. */
  stagedFile(path: string): Promise<File>;
  /** A file without a hash. */
  createPlain(path: string, size: number): Promise<OutputFile>;
  /** Removes one file. */
  remove(path: string): Promise<void>;
  suspend(): Promise<void>;
}

/** Removes an entry with all it holds; one that is not there is as good as removed. */
export async function removeEntry(parent: FileSystemDirectoryHandle, name: string): Promise<void> {
  await parent.removeEntry(name, { recursive: true }).catch((error: unknown) => {
    if (!(error instanceof Error) || error.name !== "NotFoundError") throw error;
  });
}

/**
 * An OutputFolder in the origin's own file system, through sync access handles: disk speed, no copies, and what was flushed
 * outlives a crash. `parent` gets a folder `name`, or goes on in the one of the try before; `discard` removes it.
 */
export async function opfsFolder(parent: FileSystemDirectoryHandle, name: string, writer: FileWriter): Promise<StagedFolder> {
  const root = await parent.getDirectoryHandle(name, { create: true });
  const files = handleFolder(root, writer, true);
  return {
    create: files.create,
    createPlain: files.createPlain,
    open: files.open,
    digest: files.digest,
    stagedFile: files.closedFile,
    adopt: files.adopt,
    holds: files.holds,
    times: files.times,
    remove: async (path) => {
      const entry = await directoryOf(root, path, false);
      await removeEntry(entry.directory, entry.name);
    },
    finish: async () => undefined,
    suspend: files.letGo,
    discard: async () => {
      await files.letGo();
      await removeEntry(parent, name);
    },
  };
}
