import { StudioError } from "../core/errors";
import type { EngineApi } from "../engine/api";
import { askPersistence } from "../store/quota";
import { connect } from "./rpc";

/** The page's side of StorageManager; the worker library's type does not know `persist`. */
interface Persisting {
  persist?(): Promise<boolean>;
}

type Asking = FileSystemHandle & { requestPermission?(options: { mode: "read" }): Promise<PermissionState> };

/** Nobody answers for ever; the card then says that access was not given, and the button is still there. */
const ANSWER_MS = 60_000;

/** Asks for each handle; called on a click. True when all may be read. */
async function askFor(handles: readonly Asking[], waitMs: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => (timer = setTimeout(() => resolve("late"), waitMs)));
  try {
    for (const handle of handles) if (handle.requestPermission && (await Promise.race([handle.requestPermission({ mode: "read" }), late])) !== "granted") return false;
    return true;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Starts the engine in its worker and returns it as the page sees it. Three things only a page can do are done here:
 * asking the browser to keep what is stored, before the first copy and on request, and asking for linked files again. When the worker dies, every open
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
export function pageSide(api: EngineApi, storage: Persisting | undefined, answerMs = ANSWER_MS): EngineApi {
  const persist = async (): Promise<boolean> => (storage ? askPersistence(storage) : false);
  const overrides: Partial<EngineApi> = {
    persist,
    ingest: async (jobId, folder, options, onProgress) => {
      if (options.backend === "copy" && !options.sample) await persist();
      return api.ingest(jobId, folder, options, onProgress);
    },
    reconnect: async (id) => {
      const handles = (await api.linkedHandles(id)) as Asking[];
      if (!(await askFor(handles, answerMs))) {
        const what = handles.map((handle) => handle.name).join(", ");
        throw new StudioError("permission", `Opening ${what}: the browser did not allow it. Allow access when it asks, or drop the folder again.`, { title: "Access was not given", where: what, todo: "Allow access when the browser asks, or drop the folder again." });
      }
      return api.reconnect(id);
    },
  };
  return new Proxy(api, { get: (target, name) => Reflect.get(overrides, name) ?? Reflect.get(target, name) });
}
