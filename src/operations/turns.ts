/** One holder a key at a time, first come first served. */
export interface Turns {
  /** Waits for the turn; `onWait` is told who has it. Rejects when the signal aborts first. */
  take(
    key: string,
    holder: string,
    signal: AbortSignal,
    onWait: (holder: string) => void,
  ): Promise<() => void>;
}

export function createTurns(): Turns {
  const last = new Map<string, { readonly holder: string; readonly ended: Promise<void> }>();
  return {
    async take(key, holder, signal, onWait) {
      const before = last.get(key);
      let end = (): void => {};
      const ended = new Promise<void>((resolve) => {
        end = resolve;
      });
      // Who gives up while waiting still passes the turn on only after the one before.
      const mine = { holder, ended: Promise.all([before?.ended, ended]).then(() => {}) };
      last.set(key, mine);
      void mine.ended.then(() => {
        if (last.get(key) === mine) last.delete(key);
      });
      if (before !== undefined) {
        onWait(before.holder);
        try {
          await untilOrAborted(before.ended, signal);
        } catch (error) {
          end();
          throw error;
        }
      }
      return end;
    },
  };
}

function untilOrAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    void promise.then(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
  });
}
