import { StudioError } from "../core/errors";
import type { OutputFolder } from "../core/files";
import type { ExportTarget } from "../engine/api";
import { safeName } from "../store/directories";
import { pickedFolder } from "../store/folderHandle";
import type { Locks } from "../store/locks";
import { opfsFolder } from "../store/opfs";
import { packZip } from "../store/zip";

/** Where an export goes; `stagedFile` is there when the result waits in the browser for its download. */
export interface ExportOutput extends OutputFolder {
  stagedFile?(path: string): Promise<File>;
  /** Name of the archive that `finish` packs, for the zip target. */
  readonly archive?: string;
}

export interface Outputs {
  open(target: ExportTarget): Promise<ExportOutput>;
  /** Removes stages that a closed tab left behind. */
  sweep(): Promise<void>;
}

const STAGES = "stages";

/**
 * Outputs in a browser. A stage is a folder `stages/<id>` of the origin's own file system; this worker holds the lock
 * `stage:<id>` while it lives, so a stage whose lock is free belongs to a tab that is gone. Without `storage` only picked folders work.
 */
export function createOutputs(storage: StorageManager | undefined, locks: Locks): Outputs {
  const stages = async (): Promise<FileSystemDirectoryHandle> => {
    try {
      if (!storage) throw new TypeError("navigator.storage is missing");
      return await (await storage.getDirectory()).getDirectoryHandle(STAGES, { create: true });
    } catch (cause) {
      throw new StudioError("permission", "Saving: this browser does not offer a file system to pages here. Save to a folder instead, or leave private browsing.", { title: "No place to write", todo: "Save to a folder, or leave private browsing." }, { cause });
    }
  };

  const stage = async (name: string, zip: boolean): Promise<ExportOutput> => {
    const id = crypto.randomUUID();
    const release = await locks.acquire(`stage:${id}`);
    const folder = await opfsFolder(await stages(), id);
    const paths: string[] = [];
    const archive = `${safeName(name)}.zip`;
    const stop = new AbortController();
    let packing: Promise<void> = Promise.resolve();
    const pack = async (): Promise<void> => {
      const files = await Promise.all(paths.map(async (path) => ({ name: `${safeName(name)}/${path}`, file: await folder.stagedFile(path) })));
      const bytes = files.reduce((sum, f) => sum + f.file.size, 0);
      await packZip(files, await folder.create(archive, bytes), stop.signal);
    };
    return {
      ...(zip ? { archive } : {}),
      create: (path, size) => {
        paths.push(path);
        return folder.create(path, size);
      },
      open: folder.open,
      stagedFile: folder.stagedFile,
      finish: async () => {
        if (zip) await (packing = pack());
        await folder.finish();
      },
      discard: async () => {
        stop.abort();
        await packing.catch(() => undefined);
        await folder.discard();
        release?.();
      },
    };
  };

  return {
    open: async (target) => (target.kind === "folder" ? pickedFolder(target.handle, target.name) : stage(target.name, target.kind === "zip")),
    sweep: async () => {
      if (!storage) return;
      const directory = await stages();
      const ids: string[] = [];
      for await (const id of (directory as FileSystemDirectoryHandle & { keys(): AsyncIterable<string> }).keys()) ids.push(id);
      for (const id of ids) {
        const release = await locks.acquire(`stage:${id}`);
        if (!release) continue;
        await directory.removeEntry(id, { recursive: true }).catch(() => undefined);
        release();
      }
    },
  };
}
