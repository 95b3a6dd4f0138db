import { setTimeout as sleep } from "node:timers/promises";

/** The machine's time. */
export const systemClock = {
  now: (): Date => new Date(),
  monotonic: (): number => performance.now(),
  sleep: async (milliseconds: number, signal?: AbortSignal): Promise<void> => {
    await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
  },
};
