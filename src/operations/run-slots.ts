/** So many at once; whoever comes then waits for one to end. */
export interface RunSlots {
  /**
   * Returns what gives the slot back. `first`: before all who wait and did not ask for that; `onWait` is called when there
   * is none. Rejects with the signal's reason, or with what `onWait` throws; then nothing is waited for any more.
   */
  take(first: boolean, signal: AbortSignal, onWait: () => void): Promise<() => void>;
}

interface Waiter {
  readonly first: boolean;
  readonly go: () => void;
}

export function createRunSlots(count: number): RunSlots {
  const waiting: Waiter[] = [];
  let free = count;

  return {
    async take(first, signal, onWait) {
      if (free > 0) free -= 1;
      else await untilGiven(first, signal, onWait);
      let held = true;
      return () => {
        if (held) giveBack();
        held = false;
      };
    },
  };

  async function untilGiven(first: boolean, signal: AbortSignal, onWait: () => void): Promise<void> {
    signal.throwIfAborted();
    onWait();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { first, go: resolve };
    const others = waiting.findIndex((other) => !other.first);
    waiting.splice(first && others >= 0 ? others : waiting.length, 0, waiter);
    const giveUp = (): void => {
      const place = waiting.indexOf(waiter);
      // Given just now: the slot is taken, and given back as if nothing had happened.
      if (place < 0) return;
      waiting.splice(place, 1);
      reject(signal.reason);
    };
    signal.addEventListener("abort", giveUp, { once: true });
    await promise.finally(() => signal.removeEventListener("abort", giveUp));
  }

  function giveBack(): void {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next.go();
  }
}
