import { finishedRunStatuses, type RunEvent, type StageLog } from "../core/run-state.ts";
import type { LogReader } from "../ports/engine.ts";
import type { RunReader } from "../ports/run-store.ts";

/** A log that belongs to a run and is still written. */
interface OpenLog extends StageLog {
  readonly node: string;
}

/**
 * Brings what happens in runs to those who follow them: stored events first, then live ones, with the logs of the
 * stages between them. For a follower that does not keep up logs are read no faster than it takes them; of text that is in
 * no log it loses the oldest. It never loses an event.
 */
export interface RunFeed {
  publish(runId: string, event: RunEvent): void;
  /** Returns what to call when nothing is written to the log any more. */
  follow(runId: string, log: OpenLog): () => void;
  finish(runId: string): void;
  subscribe(runId: string, after: number, signal: AbortSignal): AsyncIterable<RunEvent>;
}

/** Log events that wait for one slow follower; older ones are dropped. */
const maxWaitingLogs = 2_000;
/** Events that wait for a follower while its logs are not read on: so many pieces of a log, of up to 64 KiB each. */
const mostUnread = 16;

export function createRunFeed(store: RunReader, logs: LogReader, now: () => Date): RunFeed {
  const followers = new Map<string, Set<Follower>>();
  const openLogs = new Map<string, OpenLog[]>();
  const publish = (runId: string, event: RunEvent): void => {
    for (const follower of followers.get(runId) ?? []) follower.push(event);
  };

  return {
    publish,
    follow(runId, log) {
      openLogs.set(runId, [...(openLogs.get(runId) ?? []), log]);
      for (const follower of followers.get(runId) ?? []) follower.openLog(log);
      return () => {
        openLogs.set(
          runId,
          (openLogs.get(runId) ?? []).filter(({ reference }) => reference !== log.reference),
        );
        for (const follower of followers.get(runId) ?? []) follower.closeLog(log.reference);
      };
    },
    finish(runId) {
      openLogs.delete(runId);
      for (const follower of followers.get(runId) ?? []) follower.end();
    },
    async *subscribe(runId, after, signal) {
      const follower = createFollower(logs, now, signal);
      const set = followers.get(runId) ?? new Set();
      followers.set(runId, set.add(follower));
      try {
        let last = after;
        // Whoever takes events slowly is told here what has come meanwhile.
        for (let known = store.events(runId, last); known.length > 0; known = store.events(runId, last)) {
          for (const event of known) {
            if ("seq" in event) last = event.seq;
            yield event;
          }
        }
        const run = store.run(runId);
        if (run === undefined || finishedRunStatuses.has(run.status) || signal.aborted) return;
        for (const log of openLogs.get(runId) ?? []) follower.openLog(log);
        for await (const event of follower.events()) {
          if ("seq" in event) {
            if (event.seq <= last) continue;
            last = event.seq;
          }
          yield event;
        }
      } finally {
        follower.leave();
        set.delete(follower);
        if (set.size === 0) followers.delete(runId);
      }
    },
  };
}

interface Follower {
  push(event: RunEvent): void;
  openLog(log: OpenLog): void;
  closeLog(reference: string): void;
  /** No more events come; what waits is still delivered, and so is the rest of the open logs. */
  end(): void;
  /** Nobody takes anything any more. */
  leave(): void;
  events(): AsyncIterable<RunEvent>;
}

function createFollower(logs: LogReader, now: () => Date, signal: AbortSignal): Follower {
  const waiting: RunEvent[] = [];
  const tails = new Map<string, { readonly stop: AbortController; readonly done: Promise<void> }>();
  let wake: () => void = () => {};
  let ended = false;
  let left = false;
  let taken = Promise.withResolvers<void>();
  /** Events are delivered in order, each after the rest of the logs that were closed before it. */
  let inOrder: Promise<void> = Promise.resolve();
  const deliver = (event: RunEvent): void => {
    waiting.push(event);
    if (event.kind === "log" && waiting.length > maxWaitingLogs) dropOldestLog(waiting);
    wake();
  };
  const tail = async ({ node, source, reference }: OpenLog, stop: AbortSignal): Promise<void> => {
    for await (const text of logs.read(reference, { follow: true, signal: stop })) {
      deliver({ kind: "log", at: now().toISOString(), node, source, text });
      while (waiting.length >= mostUnread && !left) await taken.promise;
      if (left) return;
    }
  };
  const tellTaken = (): void => {
    taken.resolve();
    taken = Promise.withResolvers<void>();
  };
  const closeLog = (reference: string): void => {
    const open = tails.get(reference);
    if (open === undefined) return;
    open.stop.abort();
    inOrder = inOrder.then(() => open.done);
  };
  signal.addEventListener("abort", () => wake(), { once: true });

  const end = (): void => {
    for (const reference of tails.keys()) closeLog(reference);
    inOrder = inOrder.then(() => {
      ended = true;
      wake();
    });
  };

  return {
    push(event) {
      inOrder = inOrder.then(() => deliver(event));
    },
    openLog(log) {
      if (ended || tails.has(log.reference)) return;
      const stop = new AbortController();
      // A log that can't be read must not end the feed.
      tails.set(log.reference, { stop, done: tail(log, stop.signal).catch(() => {}) });
    },
    closeLog,
    end,
    leave() {
      left = true;
      waiting.length = 0;
      end();
      tellTaken();
    },
    async *events() {
      while (!signal.aborted) {
        const event = waiting.shift();
        if (event !== undefined) {
          tellTaken();
          yield event;
        } else if (ended) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    },
  };
}

const droppedText = "[… text was left out here: it came faster than it was read]\n";

/** Removes the oldest log text and leaves a mark in its place; events stay. */
function dropOldestLog(waiting: RunEvent[]): void {
  const oldest = waiting.findIndex(({ kind }) => kind === "log");
  const next = waiting.findIndex(({ kind }, index) => index > oldest && kind === "log");
  const marked = waiting[oldest];
  if (marked?.kind !== "log") return;
  if (marked.text !== droppedText) waiting[oldest] = { ...marked, text: droppedText };
  else if (next >= 0) waiting.splice(next, 1);
}
