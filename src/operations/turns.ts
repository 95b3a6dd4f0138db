/** One holder a key at a time, first come first served. */
export interface Turns {
  /** Waits for the turn; `onWait` is told whose end it waits for. Rejects when the signal aborts first. */
  take(
    key: string,
    holder: string,
    signal: AbortSignal,
    onWait: (holder: string) => void,
  ): Promise<() => void>;
}

interface Turn {
  readonly holder: string;
  readonly ended: Promise<void>;
  /** Whom it waits for. */
  before: Turn | undefined;
  /** It waits, and will not take its turn. */
  readonly hasGivenUp: () => boolean;
}

export function createTurns(): Turns {
  const last = new Map<string, Turn>();
  return {
    async take(key, holder, signal, onWait) {
      const before = last.get(key);
      let end = (): void => {};
      const ended = new Promise<void>((resolve) => {
        end = resolve;
      });
      // Who gives up while waiting still passes the turn on only after the one before.
      const passedOn = Promise.all([before?.ended, ended]).then(() => {});
      let failed = false;
      const mine: Turn = { holder, ended: passedOn, before, hasGivenUp: () => failed || signal.aborted };
      last.set(key, mine);
      void mine.ended.then(() => {
        if (last.get(key) === mine) last.delete(key);
      });
      if (before !== undefined) {
        try {
          onWait(inEarnest(before).holder);
          await untilOrAborted(before.ended, signal);
          mine.before = undefined;
        } catch (error) {
          failed = true;
          end();
          throw error;
        }
      }
      return end;
    },
  };
}

/** The nearest one that has not given up. */
function inEarnest(turn: Turn): Turn {
  const { before, hasGivenUp } = turn;
  return before !== undefined && hasGivenUp() ? inEarnest(before) : turn;
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
