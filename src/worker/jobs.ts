import { StudioError } from "../core/errors";
import type { EngineApi } from "../engine/api";
import type { Locks } from "../store/locks";

const LONG: ReadonlySet<string> = new Set<keyof EngineApi>(["ingest", "measure", "exportModel"]);

/**
 * The same engine, holding the lock `job:<id>` during each long call: browsers do not freeze a hidden tab that holds
 * a lock, and no other tab can run a job of the same id.
 */
export function withJobLocks(engine: EngineApi, locks: Locks): EngineApi {
  return new Proxy(engine, {
    get: (target, name) => {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      if (typeof name !== "string" || !LONG.has(name)) return method.bind(target) as unknown;
      return async (jobId: string, ...rest: unknown[]) => {
        const release = await locks.acquire(`job:${jobId}`);
        if (!release) throw new StudioError("busy", `Job ${jobId} runs already. Wait for it or cancel it first.`, { title: "Busy", where: jobId });
        try {
          return (await method.call(target, jobId, ...rest)) as unknown;
        } finally {
          release();
        }
      };
    },
  });
}
