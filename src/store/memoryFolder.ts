import { createSHA256 } from "hash-wasm";
import { StudioError } from "../core/errors";
import { memoryFile, type FileSource, type OutputFolder } from "../core/files";

/** Faults in the use of an output folder: they are the program's, so they say what was called and when. */
export const misuse = (what: string): StudioError => new StudioError("internal", `Writing the result: ${what}.`, { title: "Something unexpected" });

/** An OutputFolder in memory, for tests and small results. `files` holds what has been closed. */
export function memoryFolder(): OutputFolder & { readonly files: ReadonlyMap<string, Uint8Array> } {
  const files = new Map<string, Uint8Array>();
  const started = new Set<string>();
  return {
    files,
    create: async (path) => {
      if (started.has(path)) throw misuse(`${path} is created twice`);
      started.add(path);
      const pieces: Uint8Array[] = [];
      const hasher = await createSHA256();
      hasher.init();
      let closed = false;
      return {
        write: async (bytes) => {
          if (closed) throw misuse(`${path} is written after it was closed`);
          hasher.update(bytes);
          pieces.push(bytes.slice());
        },
        flush: async () => undefined,
        close: async () => {
          closed = true;
          const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
          let at = 0;
          for (const piece of pieces) {
            all.set(piece, at);
            at += piece.length;
          }
          files.set(path, all);
          return hasher.digest("hex");
        },
      };
    },
    open: async (path): Promise<FileSource> => {
      const bytes = files.get(path);
      if (!bytes) throw misuse(`${path} is opened before it was closed`);
      return memoryFile(path, bytes);
    },
    finish: async () => undefined,
    discard: async () => {
      files.clear();
      started.clear();
    },
  };
}
