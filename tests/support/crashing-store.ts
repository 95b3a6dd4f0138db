import type { Store } from "../../src/ports/store.ts";

/** Thrown by every call on the store of a server that was killed. */
export class Killed extends Error {}

export interface CrashingStore {
  readonly wrap: (store: Store) => Store;
  /** Writes so far. */
  writes(): number;
  dead(): boolean;
}

const writing = [
  "saveRun",
  "addEvent",
  "saveRelease",
  "removeRelease",
  "removeDeployment",
  "removeOldRuns",
  "removeRuns",
  "addJob",
  "saveJob",
  "removeJob",
  "saveCronjob",
  "removeCronjob",
  "decideDueTimes",
] as const;

/**
 * A store whose server is killed at the n-th write (from 1): before it is done, or after. From then on nothing of that
 * server reaches the store, and `onKill` cuts it off from everything else.
 */
export function crashingStore(at: number, moment: "before" | "after", onKill: () => void): CrashingStore {
  let writes = 0;
  let dead = false;
  const kill = (): never => {
    dead = true;
    onKill();
    throw new Killed();
  };
  return {
    writes: () => writes,
    dead: () => dead,
    wrap: (store) =>
      new Proxy(store, {
        get(target, name) {
          const method = target[name as keyof Store] as (...args: unknown[]) => unknown;
          return (...args: unknown[]): unknown => {
            if (dead) throw new Killed();
            if (!writing.some((known) => known === name)) return method.apply(target, args);
            writes += 1;
            if (writes === at && moment === "before") kill();
            const result = method.apply(target, args);
            if (writes === at) kill();
            return result;
          };
        },
      }),
  };
}
