import { createHash, type Hash } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs, writeFile, type FileHandle } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { StudioError } from "../core/errors";
import type { FileMark, OutputFile, OutputFolder } from "../core/files";
import { formatBytes } from "../core/modelFiles";
import type { StageTime } from "../core/stages";
import { inPieces } from "../store/pieces";
import { diskFile, type DiskFile } from "./nodeFiles";

/** Beside the output while it is made: its files, a journal, and what the pass measured. */
export interface PartialPaths {
  target: string;
  files: string;
  journal: string;
  passes: string;
}

export function partialPaths(folder: string): PartialPaths {
  const target = resolve(folder);
  const hidden = join(dirname(target), `.${basename(target)}.partial`);
  return { target, files: hidden, journal: `${hidden}.json`, passes: `${hidden}.pass` };
}

interface Journal {
  v: 1;
  key: string;
  /** Of the process at work; 0 when it ended by itself. */
  pid: number;
  note?: unknown;
}

const faultOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** Throws "bad-request" when the target exists and holds anything; returns whether it exists. */
export async function checkTarget(folder: string): Promise<boolean> {
  const existing = await readdir(resolve(folder)).catch((error: unknown) => {
    if (faultOf(error) === "ENOENT") return undefined;
    throw new StudioError("bad-request", `Writing to ${folder}: it is not a folder that can be written. Choose another with --out.`, { where: folder }, { cause: error });
  });
  if (existing && existing.length > 0)
    throw new StudioError("bad-request", `Writing to ${folder}: the folder already holds ${existing.length} files. Choose an empty or a new folder with --out.`, { where: folder });
  return existing !== undefined;
}

function alive(pid: number): boolean {
  if (pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return faultOf(error) === "EPERM";
  }
}

/** Numbers in JSON and nothing else: marks of files on disk have no hash state, the files are hashed again. */
async function readJournal(path: string): Promise<Journal | undefined> {
  try {
    const journal = JSON.parse(await readFile(path, "utf8")) as Journal;
    return journal.v === 1 ? journal : undefined;
  } catch {
    return undefined;
  }
}

async function openAt(path: string, name: string, from: FileMark | undefined, hash: Hash): Promise<FileHandle> {
  if (!from) return open(path, "w");
  const handle = await open(path, "r+");
  try {
    const { size } = await handle.stat();
    if (size < from.bytes) throw new StudioError("file-changed", `Going on with ${name}: it has ${size} bytes, but ${from.bytes} were written. Start again.`, { where: name });
    const piece = new Uint8Array(4 * 1024 * 1024);
    for (let at = 0; at < from.bytes; ) {
      const { bytesRead } = await handle.read(piece, 0, Math.min(piece.length, from.bytes - at), at);
      hash.update(piece.subarray(0, bytesRead));
      at += bytesRead;
    }
    await handle.truncate(from.bytes);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * A folder on disk that appears only when it is whole: everything goes into a hidden sibling, which `finish` renames and
 * `discard` removes. Beside it lies a journal, so that after a kill the same export (`key`) goes on after its last flush;
 * another export removes what is there. Hashing runs in this thread while the system writes.
 * Throws "bad-request" when the target exists and holds anything, "busy" while another process writes it.
 */
export async function diskOutput(folder: string, key: string): Promise<OutputFolder> {
  const paths = partialPaths(folder);
  const existing = await checkTarget(folder);
  const known = await readJournal(paths.journal);
  if (known && alive(known.pid)) throw new StudioError("busy", `Writing to ${folder}: the process ${known.pid} is writing it. Wait for it or stop it; if it is no merge, delete ${paths.journal}.`, { where: folder });
  const journal: Journal = { v: 1, key, pid: process.pid, ...(known?.key === key && known.note !== undefined ? { note: known.note } : {}) };
  const earlier = journal.note;
  if (earlier === undefined) await rm(paths.files, { recursive: true, force: true });
  // Made with the first file, so that a merge that never gets there leaves not even an empty folder.
  let made: Promise<unknown> | undefined;
  const begin = async (): Promise<void> => {
    await mkdir(paths.files, { recursive: true });
    await keep();
  };
  const keep = async (): Promise<void> => {
    // Whole or not at all.
    const next = `${paths.journal}.next`;
    await writeFile(next, JSON.stringify(journal), { flush: true });
    await rename(next, paths.journal);
  };
  const freeBytes = async (): Promise<number> => {
    const { bavail, bsize } = await statfs(dirname(paths.files));
    return bavail * bsize;
  };
  const guarded = async <T>(path: string, work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      if (faultOf(error) !== "ENOSPC" && faultOf(error) !== "EDQUOT") throw error;
      throw new StudioError("storage-full", `Writing ${path}: the disk is full.`, { where: path }, { cause: error });
    }
  };

  const sizeOf = async (path: string): Promise<number> => (await stat(join(paths.files, path)).catch(() => undefined))?.size ?? -1;
  // A folder with open files cannot be renamed everywhere.
  const reading: DiskFile[] = [];
  const writing = new Map<string, FileHandle>();
  const closeAll = async (): Promise<void> => {
    await Promise.all(reading.splice(0).map((file) => file.close()));
    await Promise.all([...writing.values()].map((handle) => handle.close()));
    writing.clear();
  };
  let hashed: StageTime = { stage: "hash", busyMs: 0, bytes: 0 };
  let written: StageTime = { stage: "write", busyMs: 0, bytes: 0, waitMs: 0 };
  const take = (hash: Hash, bytes: Uint8Array): void => {
    const started = performance.now();
    hash.update(bytes);
    hashed.busyMs += performance.now() - started;
    hashed.bytes += bytes.length;
  };

  return {
    async create(path, size, from): Promise<OutputFile> {
      await (made ??= begin());
      const left = size - (from?.bytes ?? 0);
      if ((await freeBytes()) < left) throw new StudioError("storage-full", `Writing ${path}: ${formatBytes(left)} needed, the disk has less.`, { where: path });
      const hash = createHash("sha256");
      const handle = await openAt(join(paths.files, path), path, from, hash);
      writing.set(path, handle);
      let at = from?.bytes ?? 0;
      let last: Promise<void> = Promise.resolve();
      const put = async (bytes: Uint8Array, position: number): Promise<void> => {
        const started = performance.now();
        for (let done = 0; done < bytes.length; ) done += (await guarded(path, handle.write(bytes, done, bytes.length - done, position + done))).bytesWritten;
        written.busyMs += performance.now() - started;
        written.bytes += bytes.length;
      };
      return inPieces(
        {
          put: async (buffer, length) => {
            const bytes = new Uint8Array(buffer, 0, length);
            const position = at;
            at += length;
            const mine = (last = last.then(() => put(bytes, position)));
            take(hash, bytes);
            await mine;
            return buffer;
          },
          flush: async () => {
            const mark = { bytes: at };
            await last;
            await guarded(path, handle.datasync());
            return mark;
          },
          close: async () => {
            await last;
            await guarded(path, handle.datasync());
            writing.delete(path);
            await handle.close();
            return hash.digest("hex");
          },
        },
        size,
        (ms) => (written.waitMs! += ms),
      );
    },
    async open(path) {
      const info = await stat(join(paths.files, path));
      const file = diskFile(path, join(paths.files, path), info.size, info.mtimeMs);
      reading.push(file);
      return file;
    },
    journal: {
      earlier,
      note: async (note) => {
        journal.note = note;
        await keep();
      },
      adopt: async (path, bytes) => (await sizeOf(path)) === bytes,
      holds: async (path, bytes) => (await sizeOf(path)) >= bytes,
    },
    // The system's SHA-256 in this thread takes less time than one of WebAssembly in another.
    async digest() {
      const hash = createHash("sha256");
      return { write: async (bytes) => take(hash, bytes), close: async () => hash.digest("hex") };
    },
    async times() {
      const stages = [hashed, written];
      hashed = { stage: "hash", busyMs: 0, bytes: 0 };
      written = { stage: "write", busyMs: 0, bytes: 0, waitMs: 0 };
      return stages;
    },
    freeBytes,
    async finish() {
      await closeAll();
      await mkdir(paths.files, { recursive: true });
      if (existing) await rm(paths.target, { recursive: true });
      await rename(paths.files, paths.target);
      await rm(paths.journal, { force: true });
    },
    async suspend() {
      await closeAll();
      journal.pid = 0;
      if (made) await keep();
    },
    async discard() {
      await closeAll();
      await rm(paths.files, { recursive: true, force: true });
      await rm(paths.journal, { force: true });
    },
  };
}
