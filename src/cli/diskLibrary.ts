import { StudioError } from "../core/errors";
import type { Checkpoint } from "../core/tensors";
import type { ModelFacts } from "../engine/api";
import { openCheckpoint } from "../formats/checkpoint";
import type { Library } from "../store/library";
import { readFolder, type DiskFile } from "./nodeFiles";

/** Models on disk, by their path: what the library is in a terminal. Nothing is copied; `close` ends all reading. */
export function diskLibrary(): Library<ModelFacts> & { close(): Promise<void> } {
  const opened = new Map<string, Promise<Checkpoint>>();
  const reading: DiskFile[] = [];
  const no = async (): Promise<never> => Promise.reject(new StudioError("bad-request", "Models are read in place in a terminal."));
  return {
    list: async () => [],
    get: (path) => {
      let checkpoint = opened.get(path);
      if (!checkpoint) {
        checkpoint = readFolder(path).then(({ name, files }) => {
          reading.push(...files);
          return openCheckpoint(name, files);
        });
        opened.set(path, checkpoint);
      }
      return checkpoint;
    },
    async close() {
      // When one folder cannot be opened, another may still be on its way.
      await Promise.allSettled(opened.values());
      await Promise.all(reading.map((file) => file.close()));
    },
    ingest: no, remove: no, persist: async () => false,
    storage: async () => ({ usedBytes: 0, freeBytes: undefined, persistent: true }),
  };
}
