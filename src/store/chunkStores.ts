import type { Checkpoint } from "../core/tensors";
import { openCheckpoint } from "../formats/checkpoint";
import { MANIFEST, modelDatabase, type Manifest } from "./catalogue";
import { openChunks, type ChunkStore } from "./chunks";
import type { Databases } from "./keyValue";

/** The chunk stores of copied models, each opened once. */
export interface ChunkStores {
  /** Undefined when there is no such database. */
  open(id: string): Promise<ChunkStore | undefined>;
  /** The copy as a checkpoint, parsed once; undefined as `open`. */
  checkpoint(id: string, name: string): Promise<Checkpoint | undefined>;
  /** The parsed headers are read again at the next use; the store stays open. */
  forget(id: string): void;
  /** Also drops the cached Blobs, which would keep the space of a deleted model in use. */
  close(id: string): void;
}

export function chunkStores(databases: Databases): ChunkStores {
  const opened = new Map<string, { store: ChunkStore; checkpoint: Promise<Checkpoint> | undefined }>();
  const open = async (id: string): Promise<ChunkStore | undefined> => {
    const known = opened.get(id);
    if (known) return known.store;
    const keyValue = databases.open(modelDatabase(id));
    const manifest = await keyValue.get<Manifest>(MANIFEST);
    if (!manifest) {
      keyValue.close();
      return undefined;
    }
    const store = openChunks(keyValue, manifest);
    opened.set(id, { store, checkpoint: undefined });
    return store;
  };
  return {
    open,
    checkpoint: async (id, name) => {
      const store = await open(id);
      const slot = opened.get(id);
      if (!store || !slot) return undefined;
      if (slot.checkpoint) return slot.checkpoint;
      const checkpoint = openCheckpoint(
        name,
        store.manifest.files.map((_, index) => store.file(index)),
      );
      slot.checkpoint = checkpoint;
      checkpoint.catch(() => {
        slot.checkpoint = undefined;
      });
      return checkpoint;
    },
    forget: (id) => {
      const slot = opened.get(id);
      if (slot) slot.checkpoint = undefined;
    },
    close: (id) => {
      opened.get(id)?.store.close();
      opened.delete(id);
    },
  };
}
