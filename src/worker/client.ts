import { StudioError } from "../core/errors";
import type { EngineApi } from "../engine/api";
import { askPersistence } from "../store/quota";
import { connect } from "./rpc";

/** The page's side of StorageManager; the worker library's type does not know `persist`. */
interface Persisting {
  persist?(): Promise<boolean>;
}

/**
 * Starts the engine in its worker and returns it as the page sees it. Two things only a page can do are done here:
 * asking the browser to keep what is stored, before the first copy and on request. When the worker dies, every open
 * call rejects with StudioError "internal".
 */
export function connectEngine(): EngineApi {
  const worker = new Worker(new URL("./engine.worker.ts", import.meta.url), { type: "module", name: "engine" });
  const { api, fail } = connect<EngineApi>(worker);
  worker.addEventListener("error", (event) => {
    fail(
      new StudioError("internal", `The engine stopped: ${event.message || "its worker could not be loaded"}. Reload the page; stored models are kept.`, {
        title: "The engine stopped",
        todo: "Reload the page. Stored models and finished copies are kept.",
      }),
    );
  });
  return pageSide(api, navigator.storage as Persisting | undefined);
}

/** The engine with the calls that need the page. `storage` is absent outside secure contexts. */
export function pageSide(api: EngineApi, storage: Persisting | undefined): EngineApi {
  const persist = async (): Promise<boolean> => (storage ? askPersistence(storage) : false);
  const overrides: Partial<EngineApi> = {
    persist,
    ingest: async (jobId, folder, options, onProgress) => {
      if (options.backend === "copy" && !options.sample) await persist();
      return api.ingest(jobId, folder, options, onProgress);
    },
  };
  return new Proxy(api, { get: (target, name) => Reflect.get(overrides, name) ?? Reflect.get(target, name) });
}
