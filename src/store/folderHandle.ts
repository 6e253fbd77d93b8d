import { StudioError } from "../core/errors";
import type { OutputFolder } from "../core/files";
import { blobFile } from "./blobFile";
import { directoryOf, safeName } from "./directories";
import { accessDenied, writeFailure } from "./failures";
import { misuse } from "./memoryFolder";

/** The names in a directory, at most `limit`. */
async function namesIn(directory: FileSystemDirectoryHandle, limit: number): Promise<string[]> {
  const names: string[] = [];
  for await (const name of (directory as FileSystemDirectoryHandle & { keys(): AsyncIterable<string> }).keys()) {
    names.push(name);
    if (names.length === limit) break;
  }
  return names;
}

/**
 * An OutputFolder in a folder the user picked: a subfolder `name` of it, written with createWritable from front to back.
 * An existing subfolder is used only when it is empty, so nothing of the user's is ever overwritten; `discard` removes
 * what was created, the subfolder included when it is new.
 * Throws "bad-request" when the subfolder holds files, "permission" when the browser refuses.
 */
export async function pickedFolder(parent: FileSystemDirectoryHandle, name: string): Promise<OutputFolder> {
  const folderName = safeName(name);
  let root: FileSystemDirectoryHandle;
  let isNew = false;
  try {
    root = await parent.getDirectoryHandle(folderName).catch((error: unknown) => {
      if (!(error instanceof Error) || error.name !== "NotFoundError") throw error;
      isNew = true;
      return parent.getDirectoryHandle(folderName, { create: true });
    });
  } catch (error) {
    throw error instanceof Error && error.name === "NotAllowedError" ? accessDenied(`Saving to ${parent.name}`, error) : error;
  }
  if (!isNew) {
    const names = await namesIn(root, 4);
    if (names.length > 0) {
      throw new StudioError("bad-request", `Saving to ${parent.name}/${folderName}: the folder already holds ${names.join(", ")}. Nothing is overwritten; choose another name or another folder.`, {
        title: "The folder is not empty",
        where: `${parent.name}/${folderName}`,
        found: names.join(", "),
        expected: "an empty or new folder",
        todo: "Choose another name for the result, or another folder.",
      });
    }
  }

  const writing = new Map<string, FileSystemWritableFileStream>();
  const closed = new Map<string, FileSystemFileHandle>();
  const created = new Set<string>();
  return {
    create: async (path, size) => {
      if (created.has(path)) throw misuse(`${path} is created twice`);
      const where = `${folderName}/${path}`;
      let handle: FileSystemFileHandle;
      let stream: FileSystemWritableFileStream;
      try {
        const { directory, name: fileName } = await directoryOf(root, path, true);
        created.add(path);
        handle = await directory.getFileHandle(fileName, { create: true });
        stream = await handle.createWritable();
      } catch (error) {
        throw writeFailure(error, where, size);
      }
      writing.set(path, stream);
      const stillOpen = (): void => {
        if (writing.get(path) !== stream) throw misuse(`${path} is written after it was closed`);
      };
      return {
        write: async (bytes) => {
          stillOpen();
          await stream.write(bytes as Uint8Array<ArrayBuffer>).catch((error: unknown) => {
            throw writeFailure(error, where, size);
          });
        },
        close: async () => {
          stillOpen();
          writing.delete(path);
          await stream.close().catch((error: unknown) => {
            throw writeFailure(error, where, size);
          });
          closed.set(path, handle);
        },
      };
    },
    open: async (path) => {
      const handle = closed.get(path);
      if (!handle) throw misuse(`${path} is opened before it was closed`);
      return blobFile(path, await handle.getFile());
    },
    finish: async () => undefined,
    discard: async () => {
      for (const stream of writing.values()) await stream.abort().catch(() => undefined);
      writing.clear();
      closed.clear();
      // Whole first segments: `create` only ever made things inside an empty folder.
      for (const top of new Set([...created].map((path) => path.split("/")[0]!))) await root.removeEntry(top, { recursive: true }).catch(() => undefined);
      created.clear();
      if (isNew) await parent.removeEntry(folderName, { recursive: true }).catch(() => undefined);
    },
  };
}
