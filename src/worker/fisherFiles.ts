import { StudioError } from "../core/errors";
import type { RandomFile } from "../engine/fisherFile";
import { writeFailure } from "../store/failures";
import type { MaybeSyncFile } from "../store/quota";

const FOLDER = "fisher";
const dataName = (key: string): string => `${key}.safetensors`;
/** Made when the data is whole: a crash leaves data without it, and that data is not offered. */
const markName = (key: string): string => `${key}.done`;

/** The element-wise Fisher of the last pass that kept one, in the origin's own file system; an older one is removed. */
export function createFisherFiles(storage: StorageManager | undefined): { create(key: string, size: number): Promise<RandomFile>; read(key: string): Promise<File | undefined> } {
  const folder = async (): Promise<FileSystemDirectoryHandle> => {
    if (!storage) throw new StudioError("permission", "Keeping the Fisher: this browser does not offer a file system to pages here. Turn keepFisher off.", { title: "No place to write", where: "params.keepFisher" });
    return (await storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
  };
  return {
    create: async (key, size) => {
      if (storage) await (await storage.getDirectory()).removeEntry(FOLDER, { recursive: true }).catch(() => undefined);
      const directory = await folder();
      const file: MaybeSyncFile = await directory.getFileHandle(dataName(key), { create: true });
      const handle = await file.createSyncAccessHandle?.();
      if (!handle) throw new StudioError("permission", "Keeping the Fisher: this browser cannot write files at any place. Turn keepFisher off.", { title: "No place to write", where: "params.keepFisher" });
      const guarded = <T>(work: () => T): T => {
        try {
          return work();
        } catch (error) {
          throw writeFailure(error, dataName(key), size);
        }
      };
      const removeAll = async (): Promise<void> => {
        for (const name of [markName(key), dataName(key)]) await directory.removeEntry(name).catch(() => undefined);
      };
      try {
        guarded(() => handle.truncate(size));
      } catch (error) {
        handle.close();
        await removeAll();
        throw error;
      }
      return {
        writeAt: async (offset, bytes) => {
          guarded(() => {
            for (let done = 0; done < bytes.length; ) done += handle.write(bytes.subarray(done), { at: offset + done });
          });
        },
        close: async () => {
          guarded(() => handle.flush());
          handle.close();
          await directory.getFileHandle(markName(key), { create: true });
        },
        discard: async () => {
          handle.close();
          await removeAll();
        },
      };
    },
    read: async (key) => {
      if (!storage) return undefined;
      try {
        const directory = await folder();
        await directory.getFileHandle(markName(key));
        return await (await directory.getFileHandle(dataName(key))).getFile();
      } catch (error) {
        if (error instanceof Error && error.name === "NotFoundError") return undefined;
        throw error;
      }
    },
  };
}
