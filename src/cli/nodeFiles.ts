import { open, mkdir, readdir, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { StudioError } from "../core/errors";
import type { FileSource, OutputFile, OutputFolder } from "../core/files";

export type DiskFile = FileSource & { close(): Promise<void> };

/** A file on disk. One handle per file, opened at the first read and kept until `close`: a merge reads thousands of ranges. */
export function diskFile(path: string, fullPath: string, size: number, lastModified: number): DiskFile {
  let handle: Promise<FileHandle> | undefined;
  return {
    path,
    size,
    lastModified,
    async read(offset, length, into) {
      handle ??= open(fullPath, "r");
      const target = into && into.byteLength >= length ? into.subarray(0, length) : new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await (await handle).read(target, done, length - done, offset + done);
        if (bytesRead === 0)
          throw new StudioError("bad-file", `Reading ${path}: the file ends at byte ${offset + done}, but ${offset + length} bytes were expected. Copy the file again.`, { where: path });
        done += bytesRead;
      }
      return target;
    },
    async close() {
      const opened = handle;
      handle = undefined;
      await (await opened?.catch(() => undefined))?.close();
    },
  };
}

/** The files of a model folder on disk, hidden ones left out. Throws "bad-file" when the folder cannot be read. */
export async function readFolder(folder: string): Promise<{ name: string; files: DiskFile[] }> {
  const full = resolve(folder);
  let entries: string[];
  try {
    entries = await readdir(full);
  } catch (cause) {
    throw new StudioError("bad-file", `Opening the model folder ${folder}: it does not exist or cannot be read. Check the path.`, { where: folder }, { cause });
  }
  const files: DiskFile[] = [];
  for (const name of entries.sort()) {
    if (name.startsWith(".")) continue;
    const info = await stat(join(full, name));
    if (info.isFile()) files.push(diskFile(name, join(full, name), info.size, info.mtimeMs));
  }
  return { name: basename(full), files };
}

/**
 * A folder on disk that appears only when it is whole: everything goes into a hidden sibling, which `finish` renames
 * and `discard` removes. Throws "bad-request" when the target exists and holds anything.
 */
export async function diskOutput(folder: string): Promise<OutputFolder> {
  const target = resolve(folder);
  const existing = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new StudioError("bad-request", `Writing to ${folder}: it is not a folder that can be written. Choose another with --out.`, { where: folder }, { cause: error });
  });
  if (existing && existing.length > 0)
    throw new StudioError("bad-request", `Writing to ${folder}: the folder already holds ${existing.length} files. Choose an empty or a new folder with --out.`, { where: folder });
  const partial = join(dirname(target), `.${basename(target)}.partial-${process.pid}`);
  // Made with the first file, so that a merge that never gets there leaves not even an empty folder.
  let made: Promise<unknown> | undefined;
  // A folder with open files cannot be renamed everywhere.
  const reading: DiskFile[] = [];
  const closeAll = async (): Promise<void> => void (await Promise.all(reading.splice(0).map((file) => file.close())));
  return {
    async create(path): Promise<OutputFile> {
      await (made ??= mkdir(partial, { recursive: true }));
      const handle = await open(join(partial, path), "w");
      return {
        async write(bytes) {
          for (let done = 0; done < bytes.byteLength; ) done += (await handle.write(bytes, done)).bytesWritten;
        },
        close: () => handle.close(),
      };
    },
    async open(path) {
      const info = await stat(join(partial, path));
      const file = diskFile(path, join(partial, path), info.size, info.mtimeMs);
      reading.push(file);
      return file;
    },
    async finish() {
      await closeAll();
      if (existing) await rm(target, { recursive: true });
      await rename(partial, target);
    },
    async discard() {
      await closeAll();
      await rm(partial, { recursive: true, force: true });
    },
  };
}
