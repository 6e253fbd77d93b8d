import type { FileMark, OutputFile, OutputFolder, OutputJournal } from "../core/files";
import { blobFile } from "./blobFile";
import { directoryOf } from "./directories";
import { writeFailure } from "./failures";
import type { FileWriter } from "./fileWriter";
import { misuse } from "./memoryFolder";
import { inPieces } from "./pieces";

/** The part of an output folder that is the same in every FileSystemDirectoryHandle. */
export interface HandleFolder extends Pick<OutputFolder, "create" | "open">, Required<Pick<OutputFolder, "digest">>, Pick<OutputJournal, "adopt" | "holds"> {
  /** A closed file, by reference: a download of it holds nothing in memory. */
  closedFile(path: string): Promise<File>;
  /** As `create`, without a hash. */
  createPlain(path: string, size: number): Promise<OutputFile>;
  /** Lets go of all open files; those in place stay as they are. */
  letGo(): Promise<void>;
  /** What `create` made, in order. */
  readonly created: ReadonlySet<string>;
  times: NonNullable<OutputFolder["times"]>;
}

/** Files below `root`, written by `writer`: in place (see WriterOptions), or whole or not at all. */
export function handleFolder(root: FileSystemDirectoryHandle, writer: FileWriter, inPlace: boolean, prefix = ""): HandleFolder {
  const writing = new Map<string, number>();
  const closed = new Map<string, FileSystemFileHandle>();
  const created = new Set<string>();
  let waitMs = 0;

  const make = async (path: string, size: number, from: FileMark | undefined, hashed: boolean): Promise<OutputFile> => {
    if (created.has(path)) throw misuse(`${path} is created twice`);
    created.add(path);
    let handle: FileSystemFileHandle;
    try {
      const { directory, name } = await directoryOf(root, path, true);
      handle = await directory.getFileHandle(name, { create: true });
    } catch (error) {
      throw writeFailure(error, prefix + path, size);
    }
    const id = await writer.open(handle, { path: prefix + path, size, inPlace, hashed, ...(from ? { from } : {}) });
    writing.set(path, id);
    const pieces = inPieces({ put: (buffer, length) => writer.put(id, buffer, length), flush: () => writer.flush(id), close: () => writer.close(id) }, size, (ms) => (waitMs += ms));
    const stillOpen = (): void => {
      if (writing.get(path) !== id) throw misuse(`${path} is written after it was closed`);
    };
    return {
      write: async (bytes) => {
        stillOpen();
        await pieces.write(bytes);
      },
      flush: async () => {
        stillOpen();
        return pieces.flush();
      },
      close: async () => {
        stillOpen();
        const hash = await pieces.close();
        writing.delete(path);
        closed.set(path, handle);
        return hash;
      },
    };
  };
  const closedFile = async (path: string): Promise<File> => {
    const handle = closed.get(path);
    if (!handle) throw misuse(`${path} is opened before it was closed`);
    return handle.getFile();
  };
  const stored = async (path: string): Promise<{ handle: FileSystemFileHandle; size: number } | undefined> => {
    try {
      const { directory, name } = await directoryOf(root, path, false);
      const handle = await directory.getFileHandle(name);
      return { handle, size: (await handle.getFile()).size };
    } catch (error) {
      if (error instanceof Error && error.name === "NotFoundError") return undefined;
      throw error;
    }
  };
  return {
    closedFile, created,
    create: (path, size, from) => make(path, size, from, true),
    createPlain: (path, size) => make(path, size, undefined, false),
    digest: async (size) => {
      const id = await writer.digest();
      const name = `digest ${id}`;
      writing.set(name, id);
      const close = async (): Promise<string> => {
        const hash = await writer.close(id);
        writing.delete(name);
        return hash;
      };
      return inPieces({ put: (buffer, length) => writer.put(id, buffer, length), flush: async () => undefined, close }, size, () => undefined);
    },
    open: async (path) => blobFile(path, await closedFile(path)),
    adopt: async (path, bytes) => {
      const found = await stored(path);
      if (found?.size !== bytes) return false;
      created.add(path);
      closed.set(path, found.handle);
      return true;
    },
    holds: async (path, bytes) => inPlace && ((await stored(path))?.size ?? -1) >= bytes,
    letGo: async () => {
      for (const id of writing.values()) await writer.abandon(id);
      writing.clear();
    },
    times: async () => {
      const stages = (await writer.times()).map((stage) => (stage.stage === "write" ? { ...stage, waitMs } : stage));
      waitMs = 0;
      return stages;
    },
  };
}
