import { setTimeout as sleep } from "node:timers/promises";

import { Failure } from "../../../core/failure.ts";
import {
  ClusterError,
  type Kind,
  type KubernetesObject,
  type Selection,
  type WatchEvent,
} from "./cluster.ts";
import { linesOf } from "./lines.ts";
import { listAll } from "./list.ts";
import { at } from "./objects.ts";
import { collectionPath, doing, selectionQuery } from "./paths.ts";
import { chunksOf, type Requests } from "./requests.ts";

/** Milliseconds. */
export interface WatchTimes {
  /** After which the server ends a watch; then everything is listed anew, for an event may have been lost by a bug. */
  readonly watchTime: number;
  /** How long a watch may keep silent: the server sends a bookmark about every minute. */
  readonly watchSilence: number;
}

/** At most one list in this time. */
const shortestPeriod = 1_000;
const longestPeriod = 30_000;
/** A watch that lived as long was a good one. */
const goodWatch = 10_000;

/**
 * Lists, watches from there, and begins anew whenever the watch ends: because its time is over, what it began at is too
 * old (410), the connection broke or kept silent, or what came was no event. Fails: ClusterError, when listing does.
 */
export async function* watchKind(
  requests: Requests,
  kind: Kind,
  selection: Selection,
  times: WatchTimes,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent, void, undefined> {
  let period = shortestPeriod;
  while (!signal.aborted) {
    const begun = performance.now();
    try {
      const { objects, resourceVersion } = await listAll(requests, kind, selection, signal);
      yield { type: "listed", objects };
      yield* watchOnce(requests, kind, selection, resourceVersion, times, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!mayGoBy(error)) throw error;
    }
    const lived = performance.now() - begun;
    if (lived > goodWatch) period = shortestPeriod;
    const wait = Math.max(0, period * (1 + Math.random() / 4) - lived);
    await sleep(wait, undefined, { signal }).catch(() => {});
    period = Math.min(period * 2, longestPeriod);
  }
}

async function* watchOnce(
  requests: Requests,
  kind: Kind,
  selection: Selection,
  resourceVersion: string,
  { watchTime, watchSilence }: WatchTimes,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent, void, undefined> {
  const query = {
    ...selectionQuery(selection),
    watch: true,
    allowWatchBookmarks: true,
    resourceVersion,
    timeoutSeconds: Math.ceil(watchTime / 1000),
  };
  const path = collectionPath(kind, selection.namespace, query);
  const body = await requests.stream({
    method: "GET",
    path,
    doing: doing("watch", kind, selection.namespace),
    signal,
  });
  // A server that does not end it is not trusted with the rest, either.
  const end = AbortSignal.any([signal, AbortSignal.timeout(watchTime + watchSilence)]);
  // Half a line at the end tells nothing that the next list does not.
  for await (const lines of linesOf(chunksOf(body, watchSilence, end))) {
    for (const line of lines) {
      const event = eventOf(line);
      if (event === "again") return;
      if (event !== undefined) yield event;
    }
  }
}

/** Undefined when it tells nothing; `again` when what it was about is over. */
function eventOf(line: string): WatchEvent | "again" | undefined {
  const event: unknown = JSON.parse(line);
  const object = at(event, "object") as KubernetesObject;
  switch (at(event, "type")) {
    case "ADDED":
    case "MODIFIED":
      return { type: "changed", object };
    case "DELETED":
      return { type: "gone", object };
    case "BOOKMARK":
      return undefined;
    default:
      return "again";
  }
}

/** What the next list will tell better. An answer that says no is one; a connection that broke is none. */
function mayGoBy(error: unknown): boolean {
  if (error instanceof ClusterError) return error.kind === "gone";
  return !(error instanceof Failure);
}
