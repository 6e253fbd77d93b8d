import { createSHA256, type IHasher } from "hash-wasm";
import type { FileMark } from "../core/files";
import type { StageTime } from "../core/stages";
import { accessDenied, fileChanged, writeFailure } from "./failures";
import type { MaybeSyncFile, SyncAccessHandle } from "./quota";

export interface WriterOptions {
  /** The file's name in sentences. */
  path: string;
  size: number;
  /** Through a sync access handle (the origin's own file system), which can be flushed and gone on with; else with createWritable, which shows a file only when it is whole. */
  inPlace: boolean;
  /** False leaves the hash out, for a file whose parts have theirs; `close` then answers with an empty text. */
  hashed?: boolean;
  /** Goes on behind this mark. */
  from?: FileMark;
}

/**
 * Hashes and writes files, in the order it is asked to. It lives in a thread of its own: hashing is the slowest stage of an
 * export, and handles that write at disk speed block. Buffers are handed over and come back.
 */
export interface FileWriter {
  /** Returns the number that the other calls name the file by. Throws "storage-full" before the first byte when the whole size is not granted. */
  open(handle: FileSystemFileHandle, options: WriterOptions): Promise<number>;
  /** A number for bytes that are hashed and go nowhere. */
  digest(): Promise<number>;
  put(file: number, buffer: ArrayBuffer, length: number): Promise<ArrayBuffer>;
  flush(file: number): Promise<FileMark | undefined>;
  /** The SHA-256 of the file, in hex. */
  close(file: number): Promise<string>;
  /** Lets go of the file as it is; one that is not in place is not there then. */
  abandon(file: number): Promise<void>;
  /** Busy times since the last call. */
  times(): Promise<StageTime[]>;
}

interface Target {
  put(bytes: Uint8Array<ArrayBuffer>): void | Promise<void>;
  flush(): void;
  close(): void | Promise<void>;
  abandon(): void | Promise<void>;
  /** Bytes written; undefined where they do not show before the file is closed. */
  at: number | undefined;
}

const PIECE_BYTES = 4 * 1024 * 1024;

function inPlace(sync: SyncAccessHandle, size: number, from: number): Target {
  sync.truncate(from);
  // Whole size first, so that a full disk shows before the first byte is computed.
  sync.truncate(Math.max(size, from));
  const target = {
    at: from,
    put: (bytes: Uint8Array) => {
      for (let done = 0; done < bytes.length; ) done += sync.write(done === 0 ? bytes : bytes.subarray(done), { at: target.at + done });
      target.at += bytes.length;
    },
    flush: () => sync.flush(),
    close: () => {
      try {
        sync.truncate(target.at);
        sync.flush();
      } finally {
        sync.close();
      }
    },
    abandon: () => sync.close(),
  };
  return target;
}

function streamed(stream: FileSystemWritableFileStream): Target {
  return {
    at: undefined,
    put: (bytes) => stream.write(bytes),
    flush: () => undefined,
    close: () => stream.close(),
    abandon: () => stream.abort().catch(() => undefined),
  };
}

/** The hasher as it was at the mark; by reading the file again where its state was not kept, or is another version's. */
async function hasherAt(from: FileMark | undefined, sync: SyncAccessHandle | undefined): Promise<IHasher> {
  const hasher = await createSHA256();
  hasher.init();
  if (!from || from.bytes === 0) return hasher;
  try {
    if (from.hash) return hasher.load(from.hash);
  } catch {
    hasher.init();
  }
  const piece = new Uint8Array(Math.min(PIECE_BYTES, from.bytes));
  for (let at = 0; at < from.bytes; ) {
    const read = sync!.read(piece.subarray(0, Math.min(piece.length, from.bytes - at)), { at });
    hasher.update(piece.subarray(0, read));
    at += read;
  }
  return hasher;
}

export function createFileWriter(now: () => number = () => performance.now()): FileWriter {
  const files = new Map<number, { target: Target | undefined; hasher: IHasher; options: WriterOptions }>();
  let last = 0;
  let hash = { busyMs: 0, bytes: 0 };
  let write = { busyMs: 0, bytes: 0 };

  const timed = async <T>(stage: { busyMs: number; bytes: number }, bytes: number, work: () => T | Promise<T>): Promise<T> => {
    const started = now();
    try {
      return await work();
    } finally {
      stage.busyMs += now() - started;
      stage.bytes += bytes;
    }
  };
  const guarded = async <T>({ path, size }: WriterOptions, work: () => T | Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw writeFailure(error, path, size);
    }
  };
  const take = (id: number) => {
    const file = files.get(id)!;
    files.delete(id);
    return file;
  };

  return {
    open: (handle, options) =>
      guarded(options, async () => {
        const { size, from } = options;
        if (!options.inPlace) {
          const stream = await handle.createWritable();
          files.set(++last, { target: streamed(stream), hasher: await hasherAt(undefined, undefined), options });
          return last;
        }
        const sync = await (handle as MaybeSyncFile).createSyncAccessHandle?.();
        if (!sync) throw accessDenied(`Writing ${options.path}`);
        try {
          if (from && sync.getSize() < from.bytes) throw fileChanged(options.path, { found: `it has ${sync.getSize()} bytes, but ${from.bytes} were written`, todo: "Write the files again from the beginning." });
          const hasher = await hasherAt(from, sync);
          files.set(++last, { target: inPlace(sync, size, from?.bytes ?? 0), hasher, options });
          return last;
        } catch (error) {
          sync.close();
          throw error;
        }
      }),
    digest: async () => {
      files.set(++last, { target: undefined, hasher: await hasherAt(undefined, undefined), options: { path: "", size: 0, inPlace: true } });
      return last;
    },
    put: async (id, buffer, length) => {
      const { target, hasher, options } = files.get(id)!;
      const bytes = new Uint8Array(buffer, 0, length);
      // Asked for first: a write that is on its way to another process goes on while this thread hashes.
      const written = target && timed(write, length, () => guarded(options, () => target.put(bytes)));
      if (options.hashed !== false) await timed(hash, length, () => void hasher.update(bytes));
      await written;
      return buffer;
    },
    flush: async (id) => {
      const { target, hasher, options } = files.get(id)!;
      if (target?.at === undefined) return undefined;
      const mark = { bytes: target.at, hash: hasher.save() };
      await timed(write, 0, () => guarded(options, () => target.flush()));
      return mark;
    },
    close: async (id) => {
      const { target, hasher, options } = take(id);
      if (target) await timed(write, 0, () => guarded(options, () => target.close()));
      return options.hashed === false ? "" : hasher.digest("hex");
    },
    abandon: async (id) => {
      if (files.has(id)) await take(id).target?.abandon();
    },
    times: async () => {
      const stages: StageTime[] = [{ stage: "hash", ...hash }, { stage: "write", ...write }];
      hash = { busyMs: 0, bytes: 0 };
      write = { busyMs: 0, bytes: 0 };
      return stages;
    },
  };
}
