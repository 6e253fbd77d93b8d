import { modelDatabase, type Catalogue } from "./catalogue";
import type { ChunkStores } from "./chunkStores";
import type { Databases } from "./keyValue";
import type { Locks } from "./locks";

/**
 * Compares copied models with their keys: what lost chunks to the browser is "evicted", and an unfinished copy knows
 * how far it came. Removes databases that a crash left without a record. What another tab works on is left alone.
 */
export async function checkStored<Facts>(catalogue: Catalogue<Facts>, stores: ChunkStores, databases: Databases, locks: Locks): Promise<void> {
  for (const entry of await catalogue.all()) {
    if (entry.model.backend !== "copy") continue;
    // Shared: a merge may begin in this moment in another tab, and reads as this does.
    const release = await locks.acquire(`model:${entry.model.id}`, "shared");
    if (!release) continue;
    try {
      const store = await stores.open(entry.model.id);
      const present = await store?.present();
      const weights = store ? [...present!].filter((key) => store.manifest.files[Number(key.split("/")[1])]?.kind === "safetensors").length : 0;
      const expected = store?.manifest.files.reduce((sum, f) => sum + f.chunks, 0) ?? Infinity;
      const state = !store || (entry.model.state !== "ingesting" && present!.size < expected) ? "evicted" : entry.model.state;
      if (state !== entry.model.state || weights !== entry.model.chunksDone) {
        entry.model = { ...entry.model, state, chunksDone: weights };
        await catalogue.put(entry);
      }
    } finally {
      stores.close(entry.model.id);
      release();
    }
  }
  for (const id of await catalogue.orphans()) {
    const release = await locks.acquire(`model:${id}`);
    if (!release) continue;
    // Another tab may have listed it since.
    if (!(await catalogue.get(id))) await databases.remove(modelDatabase(id)).catch(() => undefined);
    release();
  }
}
