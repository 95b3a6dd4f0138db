import { asFailure } from "../core/failure.ts";
import { finishedRunStatuses, type Run, type RunEvent } from "../core/run-state.ts";
import type { Operations } from "../operations/operations.ts";
import type { CliIo } from "./cli-io.ts";

export interface FollowOptions {
  readonly io: Pick<CliIo, "now" | "sleep">;
  /** Called again after a lost connection. */
  readonly operations: () => Promise<Operations>;
  readonly onEvent: (event: RunEvent) => void;
  readonly onLost: () => void;
  /** The run began a while ago: logs may have been written, and closed, before. */
  readonly isLate?: boolean;
  /** The run is to be cancelled, its reason says why; asked of the server until it has heard it. */
  readonly cancel: AbortSignal;
  /** Stop following at once. */
  readonly leave: AbortSignal;
}

/** Milliseconds without a connection after which we give up. */
const longestLoss = 60_000;
const retryDelays = [250, 500, 1_000, 2_000];

/**
 * Follows a run to its end, over lost connections: each event comes once, and so does the text of each log, also what was
 * written meanwhile. Returns the finished run, or undefined when the connection could not be had again or `leave` aborted.
 * The run itself does not care whether anybody follows it.
 */
export async function followRunToEnd(runId: string, options: FollowOptions): Promise<Run | undefined> {
  const { io, leave } = options;
  const unseen = createUnseen();
  const cancelling = createCancelling(runId, options);
  let lostAt: number | undefined;
  let tries = 0;
  /** Logs may have been written, and closed, that nobody has shown. */
  let logsMissed = options.isLate ?? false;
  const show = (event: RunEvent): void => {
    for (const shown of unseen.of(event)) options.onEvent(shown);
  };
  try {
    while (!leave.aborted) {
      const began = io.now();
      try {
        const operations = await options.operations();
        await cancelling.send(operations);
        for await (const event of operations.followRun(runId, unseen.last(), leave)) {
          lostAt = undefined;
          tries = 0;
          if (logsMissed) {
            await readLogsAgain(runId, operations, show);
            unseen.startAgain();
            logsMissed = false;
          }
          show(event);
        }
        const run = await operations.run(runId);
        if (finishedRunStatuses.has(run.status)) return run;
      } catch (error) {
        if (leave.aborted) return undefined;
        const failure = asFailure(error);
        if (failure.code !== "server-unreachable") throw failure;
      }
      unseen.startAgain();
      logsMissed = true;
      if (io.now() - began > longestLoss) lostAt = undefined; // It was connected, only nothing happened.
      if (lostAt === undefined) {
        lostAt = io.now();
        options.onLost();
      } else if (io.now() - lostAt > longestLoss) {
        return undefined;
      }
      await io.sleep(retryDelays[Math.min(tries++, retryDelays.length - 1)] ?? 0, leave);
    }
    return undefined;
  } finally {
    cancelling.dispose();
  }
}

/**
 * All logs so far, from their beginnings: the server sends only those again that are still written. Fails:
 * server-unreachable.
 */
async function readLogsAgain(
  runId: string,
  operations: Operations,
  show: (event: RunEvent) => void,
): Promise<void> {
  try {
    const { deployment = "", createdAt: at } = await operations.run(runId);
    for await (const { node, source, text } of operations.logs({ deployment, runId, follow: false })) {
      show({ kind: "log", at, node, source, text });
    }
  } catch (error) {
    // A log that can't be read must not end what is followed: the run matters more.
    if (asFailure(error).code === "server-unreachable") throw error;
  }
}

/**
 * Drops what was seen before a lost connection. The server does not send events again, but logs are read from their
 * beginning; the output of an environment's build is in no log, and what came of it meanwhile is not shown.
 */
function createUnseen() {
  let last = 0;
  const seen = new Map<string, number>();
  let positions = new Map<string, number>();
  return {
    last: () => last,
    startAgain: () => {
      positions = new Map();
    },
    of(event: RunEvent): readonly RunEvent[] {
      if (event.kind !== "log") {
        if (event.seq <= last) return [];
        last = event.seq;
        return [event];
      }
      if (event.source === "environment") return [event];
      const log = `${event.node}\n${event.source}`;
      const position = positions.get(log) ?? 0;
      const before = seen.get(log) ?? 0;
      const end = position + event.text.length;
      positions.set(log, end);
      seen.set(log, Math.max(before, end));
      const text = event.text.slice(Math.max(0, before - position));
      return text === "" ? [] : [{ ...event, text }];
    },
  };
}

/** Asks for the cancellation when it is wanted, and again on every connection until it was heard. */
function createCancelling(runId: string, { operations, cancel }: FollowOptions) {
  let heard = false;
  const send = async (to: Operations): Promise<void> => {
    if (!cancel.aborted || heard) return;
    await to.cancelRun(runId, String(cancel.reason));
    heard = true;
  };
  const onCancel = (): void => {
    // When this one fails, the following connection fails too, and the next one asks again.
    void operations()
      .then(send)
      .catch(() => {});
  };
  cancel.addEventListener("abort", onCancel, { once: true });
  return { send, dispose: () => cancel.removeEventListener("abort", onCancel) };
}
