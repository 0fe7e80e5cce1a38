/**
 * Locks by name.
 * @param namesOf the names of all that has to be held for the keys, in the one order in which everybody takes them
 */
export function openLocks<Key>(namesOf: (keys: Key[]) => string[]) {
  const held = new Map<string, Promise<void>>();

  /** Runs `work` while nobody else holds what the keys stand for. */
  return async <T>(keys: Key[], work: () => Promise<T>): Promise<T> => {
    for (;;) {
      // All jobs take their locks in one order, so none waits for another that waits for it.
      const names = namesOf(keys);
      const releases: (() => void)[] = [];
      try {
        for (const name of names) {
          for (let holder = held.get(name); holder !== undefined; holder = held.get(name)) await holder;
          const { promise, resolve } = Promise.withResolvers<void>();
          held.set(name, promise);
          releases.push(() => {
            held.delete(name);
            resolve();
          });
        }
        // What belongs to the keys may have become more meanwhile, and its lock is not held.
        if (namesOf(keys).every((name) => names.includes(name))) return await work();
      } finally {
        for (const release of releases) release();
      }
    }
  };
}
