import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import type { KeyValue } from "../store/keyValue";

/**
 * A key-value store in a temporary folder, a file per key: where a terminal keeps the masks of a pass, which for 7B are
 * 0.8 GB and must not lie in memory. The folder is made with the first value; `remove` deletes it.
 */
export function diskKeyValue(): KeyValue & { remove(): Promise<void> } {
  let folder: Promise<string> | undefined;
  const at = async (key: string): Promise<string> => join(await (folder ??= mkdtemp(join(tmpdir(), "tributary-"))), encodeURIComponent(key));
  const set = async (key: string, value: unknown): Promise<void> => writeFile(await at(key), serialize(value));
  return {
    async get<T>(key: string) {
      if (!folder) return undefined;
      try {
        return deserialize(await readFile(await at(key))) as T;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw error;
      }
    },
    set,
    setMany: async (entries) => {
      for (const [key, value] of entries) await set(key, value);
    },
    del: async (key) => rm(await at(key), { force: true }),
    keys: async () => (folder ? (await readdir(await folder)).map(decodeURIComponent).sort() : []),
    close: () => undefined,
    remove: async () => {
      if (folder) await rm(await folder, { recursive: true, force: true });
      folder = undefined;
    },
  };
}
