import type { Clock } from "../../../src/ports/clock.ts";

export interface FakeClock extends Clock {
  /** Lets time pass, waking whoever sleeps when it is time. */
  pass(milliseconds: number): Promise<void>;
  /** As if somebody had set the clock, or the machine had slept: those who sleep sleep on. */
  set(time: string): void;
  /** When everybody who was woken sleeps again. */
  settled(): Promise<void>;
}

/** A clock that the test moves. */
export function fakeClock(start: string): FakeClock {
  let now = Date.parse(start);
  let monotonic = 0;
  const sleepers = new Set<{ readonly until: number; readonly wake: () => void }>();
  const settled = async (): Promise<void> => {
    // Who works lets others in between by setImmediate, also between two steps of the store.
    for (let turns = 0; turns < 20 || sleepers.size === 0; turns += 1) {
      if (turns > 100_000) throw new Error("nobody sleeps");
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return {
    now: () => new Date(now),
    monotonic: () => monotonic,
    sleep: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = {
          until: monotonic + milliseconds,
          wake: () => {
            sleepers.delete(sleeper);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", () => {
          sleepers.delete(sleeper);
          reject(signal.reason);
        });
      }),
    settled,
    async pass(milliseconds) {
      const target = monotonic + milliseconds;
      for (;;) {
        await settled();
        const next = Math.min(target, ...[...sleepers].map(({ until }) => until));
        now += next - monotonic;
        monotonic = next;
        for (const sleeper of sleepers) if (sleeper.until <= next) sleeper.wake();
        if (next === target) return settled();
      }
    },
    set(time) {
      now = Date.parse(time);
    },
  };
}
