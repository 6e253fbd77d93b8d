import type { OutputFile, OutputFolder } from "../core/files";
import { blobFile } from "./blobFile";
import { directoryOf } from "./directories";
import { writeFailure } from "./failures";
import { misuse } from "./memoryFolder";
import type { MaybeSyncFile } from "./quota";

const FLUSH_BYTES = 256 * 1024 * 1024;

export interface StagedFolder extends OutputFolder {
  /** A closed file, by reference: a download of it holds nothing in memory. */
  stagedFile(path: string): Promise<File>;
}

interface OpenFile extends OutputFile {
  abandon(): Promise<void>;
}

/** Whole size first, so that a full disk shows before the first byte is computed. */
async function openSync(handle: MaybeSyncFile, path: string, size: number): Promise<OpenFile | undefined> {
  const sync = await handle.createSyncAccessHandle?.();
  if (!sync) return undefined;
  let at = 0;
  let unflushed = 0;
  try {
    sync.truncate(size);
  } catch (error) {
    sync.close();
    throw writeFailure(error, path, size);
  }
  return {
    write: async (bytes) => {
      try {
        for (let done = 0; done < bytes.length; ) done += sync.write(done === 0 ? bytes : bytes.subarray(done), { at: at + done });
        at += bytes.length;
        unflushed += bytes.length;
        // Small flushes on the way, so that closing a shard of 5 GB does not stall.
        if (unflushed >= FLUSH_BYTES) {
          sync.flush();
          unflushed = 0;
        }
      } catch (error) {
        throw writeFailure(error, path, size);
      }
    },
    close: async () => {
      try {
        sync.truncate(at);
        sync.flush();
      } catch (error) {
        throw writeFailure(error, path, size);
      } finally {
        sync.close();
      }
    },
    abandon: async () => sync.close(),
  };
}

async function openStream(handle: FileSystemFileHandle, path: string, size: number): Promise<OpenFile> {
  const stream = await handle.createWritable();
  const guarded = async (work: Promise<void>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      throw writeFailure(error, path, size);
    }
  };
  return {
    write: (bytes) => guarded(stream.write(bytes as Uint8Array<ArrayBuffer>)),
    close: () => guarded(stream.close()),
    abandon: () => stream.abort().catch(() => undefined),
  };
}

/**
 * An OutputFolder in the origin's own file system: sync access handles in a worker (disk speed, no copies), or
 * createWritable where there are none. `parent` gets a folder `name`; `discard` removes it with all it holds.
 */
export async function opfsFolder(parent: FileSystemDirectoryHandle, name: string): Promise<StagedFolder> {
  const root = await parent.getDirectoryHandle(name, { create: true });
  const writing = new Map<string, OpenFile>();
  const closed = new Map<string, FileSystemFileHandle>();
  const fileOf = (path: string): FileSystemFileHandle => {
    const handle = closed.get(path);
    if (!handle) throw misuse(`${path} is opened before it was closed`);
    return handle;
  };
  return {
    create: async (path, size) => {
      if (writing.has(path) || closed.has(path)) throw misuse(`${path} is created twice`);
      const { directory, name: fileName } = await directoryOf(root, path, true);
      const handle = await directory.getFileHandle(fileName, { create: true });
      const file = (await openSync(handle, path, size)) ?? (await openStream(handle, path, size));
      writing.set(path, file);
      const stillOpen = (): void => {
        if (writing.get(path) !== file) throw misuse(`${path} is written after it was closed`);
      };
      return {
        write: async (bytes) => {
          stillOpen();
          await file.write(bytes);
        },
        close: async () => {
          stillOpen();
          writing.delete(path);
          await file.close();
          closed.set(path, handle);
        },
      };
    },
    open: async (path) => blobFile(path, await fileOf(path).getFile()),
    stagedFile: async (path) => fileOf(path).getFile(),
    finish: async () => undefined,
    discard: async () => {
      for (const file of writing.values()) await file.abandon();
      writing.clear();
      closed.clear();
      await parent.removeEntry(name, { recursive: true }).catch((error: unknown) => {
        if (!(error instanceof Error) || error.name !== "NotFoundError") throw error;
      });
    },
  };
}
