/** `shared`: many may read what it guards; `exclusive`: one changes it. */
export type LockMode = "exclusive" | "shared";

/** A lock that is taken at once or not at all; held over tabs where the browser can. */
export interface Locks {
  /** Returns the release, or undefined when somebody else holds `name` in a way that does not go together. */
  acquire(name: string, mode?: LockMode): Promise<(() => void) | undefined>;
  /** Whether this tab holds `name`; what else holds it is another tab. */
  holds(name: string): boolean;
}

/** What one side holds, by name. A release counts once, however often it is called. */
class Held {
  private readonly counts = new Map<string, number>();
  has = (name: string): boolean => (this.counts.get(name) ?? 0) > 0;
  add(name: string, release: () => void): () => void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    let open = true;
    return () => {
      if (!open) return;
      open = false;
      this.counts.set(name, this.counts.get(name)! - 1);
      release();
    };
  }
}

/** Web Locks: a second tab sees "busy", and a tab that dies lets go. */
export function webLocks(manager: LockManager): Locks {
  const held = new Held();
  return {
    holds: held.has,
    acquire: (name, mode = "exclusive") =>
      new Promise((resolve, reject) => {
        manager
          .request(name, { ifAvailable: true, mode }, (lock) => {
            if (!lock) return resolve(undefined);
            return new Promise<void>((release) => resolve(held.add(name, release)));
          })
          .catch(reject);
      }),
  };
}

/** Locks within this process, for Node, tests and browsers without Web Locks. `other` is a second tab of the same ones. */
export function localLocks(table: Map<string, { mode: LockMode; count: number }> = new Map()): Locks & { other(): Locks } {
  const held = new Held();
  return {
    holds: held.has,
    other: () => localLocks(table),
    acquire: async (name, mode = "exclusive") => {
      const now = table.get(name);
      if (now && now.count > 0 && (mode === "exclusive" || now.mode === "exclusive")) return undefined;
      const entry = now && now.count > 0 ? now : { mode, count: 0 };
      entry.count++;
      table.set(name, entry);
      return held.add(name, () => void entry.count--);
    },
  };
}
