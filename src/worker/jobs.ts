import { StudioError } from "../core/errors";
import type { Recipe } from "../core/recipe";
import type { EngineApi } from "../engine/api";
import { modelBusy } from "../store/failures";
import type { Locks } from "../store/locks";

const LONG: ReadonlySet<string> = new Set<keyof EngineApi>(["ingest", "measure", "exportModel", "useAsInput"]);
/** Calls that read the models of a recipe, their second argument, from beginning to end. */
const READING: ReadonlySet<string> = new Set<keyof EngineApi>(["measure", "exportModel"]);

/**
 * The same engine, holding the lock `job:<id>` during each long call: browsers do not freeze a hidden tab that holds
 * a lock, and no other tab can run a job of the same id. A pass or merge also shares `model:<id>` of each of its models,
 * so that none is deleted or copied anew under it, here or in another tab.
 */
export function withJobLocks(engine: EngineApi, locks: Locks): EngineApi {
  const shareModels = async (recipe: Recipe, held: (() => void)[]): Promise<void> => {
    for (const { id, name } of [recipe.base, ...recipe.models]) {
      if (id === undefined) continue;
      const release = await locks.acquire(`model:${id}`, "shared");
      if (!release) throw modelBusy(name, locks.holds(`model:${id}`));
      held.push(release);
    }
  };
  return new Proxy(engine, {
    get: (target, name) => {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      if (typeof name !== "string" || !LONG.has(name)) return method.bind(target) as unknown;
      return async (jobId: string, ...rest: unknown[]) => {
        const held: (() => void)[] = [];
        try {
          const release = await locks.acquire(`job:${jobId}`);
          if (!release) throw new StudioError("busy", `The job ${jobId} is running in another tab. Wait for it there, or cancel it there.`, { title: "Busy in another tab", where: jobId });
          held.push(release);
          if (READING.has(name)) await shareModels(rest[0] as Recipe, held);
          return (await method.call(target, jobId, ...rest)) as unknown;
        } finally {
          for (const release of held) release();
        }
      };
    },
  });
}
