import { open, readdir, stat, type FileHandle } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { StudioError } from "../core/errors";
import type { FileSource } from "../core/files";

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
