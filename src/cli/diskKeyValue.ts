import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import type { KeyValue } from "../store/keyValue";

/** At the end of the name of a file that is being written. */
const HALF = ".half";

/**
 * A key-value store in a folder, a file per key: where a terminal keeps the masks of a pass, which for 7B are 0.8 GB and
 * must not lie in memory. In `place` it outlives the process; without one it is a temporary folder, made with the first
 * value. `remove` deletes it.
 */
export function diskKeyValue(place?: string): KeyValue & { remove(): Promise<void> } {
  let folder: Promise<string> | undefined;
  const make = async (): Promise<string> => {
    if (place === undefined) return mkdtemp(join(tmpdir(), "tributary-"));
    await mkdir(place, { recursive: true });
    return place;
  };
  const pathIn = (directory: string, key: string): string => join(directory, encodeURIComponent(key));
  const set = async (key: string, value: unknown): Promise<void> => {
    const path = pathIn(await (folder ??= make()), key);
    // Whole or not at all, also when the process is killed.
    await writeFile(path + HALF, serialize(value));
    await rename(path + HALF, path);
  };
  const there = async (): Promise<string | undefined> => (folder ? await folder : place);
  return {
    async get<T>(key: string) {
      const directory = await there();
      if (directory === undefined) return undefined;
      try {
        return deserialize(await readFile(pathIn(directory, key))) as T;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw error;
      }
    },
    set,
    setMany: async (entries) => {
      for (const [key, value] of entries) await set(key, value);
    },
    del: async (key) => {
      const directory = await there();
      if (directory !== undefined) await rm(pathIn(directory, key), { force: true });
    },
    keys: async () => {
      const directory = await there();
      const names = directory === undefined ? [] : await readdir(directory).catch(() => []);
      return names.filter((name) => !name.endsWith(HALF)).map(decodeURIComponent).sort();
    },
    close: () => undefined,
    remove: async () => {
      const directory = await there();
      if (directory !== undefined) await rm(directory, { recursive: true, force: true });
      folder = undefined;
    },
  };
}
