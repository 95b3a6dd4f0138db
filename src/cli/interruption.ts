import type { CliIo } from "./cli-io.ts";

/** The two ways in which a person (or a time limit) ends a command that waits. */
export interface Interruption {
  /** Aborts at the first SIGINT or SIGTERM, or when the time is over; its reason is a string to show and to record. */
  readonly cancel: AbortSignal;
  /** Aborts at the second signal. */
  readonly leave: AbortSignal;
  dispose(): void;
}

/** Watches for signals, and for the end of the time when there is a limit (seconds). */
export function watchForInterruption(io: CliIo, limit: number | undefined): Interruption {
  const cancel = new AbortController();
  const leave = new AbortController();
  const over = new AbortController();
  const handlers = (["SIGINT", "SIGTERM"] as const).map((signal) =>
    io.onSignal(signal, () => {
      if (cancel.signal.aborted) leave.abort();
      else cancel.abort(signal === "SIGINT" ? "Ctrl-C" : signal);
    }),
  );
  if (limit !== undefined) {
    void io.sleep(limit * 1_000, over.signal).then(() => {
      if (!over.signal.aborted) cancel.abort(`it took longer than ${limit} s`);
    });
  }
  return {
    cancel: cancel.signal,
    leave: leave.signal,
    dispose() {
      over.abort();
      for (const dispose of handlers) dispose();
    },
  };
}

/** What comes of the action, or undefined as soon as the signal aborts; the action then goes on unheeded. */
export async function unlessAborted<T>(action: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const ended = new AbortController();
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true, signal: ended.signal });
  });
  try {
    return await Promise.race([action, aborted]);
  } finally {
    ended.abort();
    action.catch(() => {});
  }
}
