import type { Clock } from "../../../../src/ports/clock.ts";

/** Time of several processes, which the test moves on; what each awaits goes on as it comes due. */
export interface World {
  /** Milliseconds since the start. */
  readonly now: () => number;
  /** Moves on in steps of 100 ms; what came due has been done when it resolves. */
  advance(milliseconds: number): Promise<void>;
  /** `skew`: how far its wall clock is ahead, in milliseconds. */
  process(skew?: number): Process;
}

export interface Process {
  readonly clock: Clock;
  /**
   * Does nothing until `resume`. Asleep: its monotonic clock stands still, too, as that of a closed laptop.
   */
  pause(how: "stopped" | "asleep"): void;
  resume(): void;
  /** As somebody who sets the machine's time. */
  setClock(skew: number): void;
}

interface Sleeper {
  readonly due: number;
  readonly wake: () => void;
}

const start = Date.parse("2026-11-25T12:00:00Z");

export function createWorld(): World {
  let now = 0;
  const steps = new Set<() => void>();

  return {
    now: () => now,
    async advance(milliseconds) {
      for (const end = now + milliseconds; now < end; ) {
        now += 100;
        for (const step of steps) step();
        await settle();
      }
    },
    process(firstSkew = 0) {
      let skew = firstSkew;
      let paused: "stopped" | "asleep" | undefined;
      let pausedAt = 0;
      let slept = 0;
      const sleepers = new Set<Sleeper>();
      const monotonic = (): number => now - slept;
      const wakeDue = (): void => {
        if (paused !== undefined) return;
        const due = [...sleepers].filter((sleeper) => sleeper.due <= monotonic());
        for (const sleeper of due.toSorted((a, b) => a.due - b.due)) sleeper.wake();
      };
      steps.add(wakeDue);
      return {
        clock: {
          now: () => new Date(start + now + skew),
          monotonic,
          sleep: (milliseconds, signal) =>
            new Promise((resolve, reject) => {
              if (signal?.aborted === true) return reject(signal.reason);
              const abort = (): void => {
                sleepers.delete(sleeper);
                reject(signal?.reason);
              };
              const sleeper = {
                due: monotonic() + milliseconds,
                wake() {
                  sleepers.delete(sleeper);
                  signal?.removeEventListener("abort", abort);
                  resolve();
                },
              };
              sleepers.add(sleeper);
              signal?.addEventListener("abort", abort, { once: true });
            }),
        },
        pause(how) {
          paused = how;
          pausedAt = now;
        },
        resume() {
          if (paused === "asleep") slept += now - pausedAt;
          paused = undefined;
        },
        setClock(to) {
          skew = to;
        },
      };
    },
  };
}

/** Everything that does not wait for time has gone as far as it can. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
