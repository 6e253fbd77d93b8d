import { memoryKeyValue, type KeyValue } from "../../src/store/keyValue";

/** What a process that was killed would have met: nothing answers any more. */
export const KILLED = "killed";

/**
 * A key-value store over a map that dies with its n-th write, in the middle of it when it is one of several values. Whoever
 * holds it then gets nothing from it, so that no tidying up happens, as after a SIGKILL.
 */
export function mortalKeyValue(map: Map<string, unknown>, writes = Infinity): KeyValue & { readonly written: number } {
  const inner = memoryKeyValue(map);
  let written = 0;
  const alive = (): void => {
    if (written >= writes) throw new Error(KILLED);
  };
  const write = async (work: () => Promise<void>, torn: () => Promise<void> = async () => undefined): Promise<void> => {
    alive();
    if (++written >= writes) await torn();
    alive();
    await work();
  };
  return {
    get written() {
      return written;
    },
    get: async (key) => (alive(), inner.get(key)),
    keys: async () => (alive(), inner.keys()),
    set: (key, value) => write(() => inner.set(key, value)),
    setMany: (entries) => write(() => inner.setMany(entries), () => inner.setMany(entries.slice(0, -1))),
    del: async (key) => (alive(), inner.del(key)),
    close: () => inner.close(),
  };
}
