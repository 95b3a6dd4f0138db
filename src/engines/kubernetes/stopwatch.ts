import type { Clock } from "../../ports/clock.ts";

/** Seconds since it was first asked for that key; by our own time, for the cluster's clocks may differ. */
export type Stopwatch = (key: string) => number;

export function createStopwatch({ monotonic }: Pick<Clock, "monotonic">): Stopwatch {
  const begun = new Map<string, number>();
  return (key) => {
    const now = monotonic();
    const since = begun.get(key) ?? now;
    begun.set(key, since);
    return (now - since) / 1000;
  };
}
