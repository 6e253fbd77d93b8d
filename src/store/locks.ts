/** A lock that is taken at once or not at all; held over tabs where the browser can. */
export interface Locks {
  /** Returns the release, or undefined when somebody else holds `name`. */
  acquire(name: string): Promise<(() => void) | undefined>;
}

/** Web Locks: a second tab sees "busy", and a tab that dies lets go. */
export function webLocks(manager: LockManager): Locks {
  return {
    acquire: (name) =>
      new Promise((resolve, reject) => {
        manager
          .request(name, { ifAvailable: true }, (lock) => {
            if (!lock) return resolve(undefined);
            return new Promise<void>((release) => resolve(release));
          })
          .catch(reject);
      }),
  };
}

/** Locks within this process, for Node, tests and browsers without Web Locks. */
export function localLocks(): Locks {
  const held = new Set<string>();
  return {
    acquire: async (name) => {
      if (held.has(name)) return undefined;
      held.add(name);
      return () => void held.delete(name);
    },
  };
}
