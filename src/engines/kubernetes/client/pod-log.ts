import { setTimeout as sleep } from "node:timers/promises";

import { Failure } from "../../../core/failure.ts";
import { ClusterError, type LogOptions, type Place } from "./cluster.ts";
import { kinds } from "./kinds.ts";
import { linesOf } from "./lines.ts";
import { createLogPosition, type LogPosition, stampedLine } from "./log-position.ts";
import { listAt, textAt } from "./objects.ts";
import { doing, objectPath } from "./paths.ts";
import { chunksOf, type Requests } from "./requests.ts";

const shortestPause = 1_000;
const longestPause = 30_000;

/**
 * The log of a container as text, whole lines at once. Lines are asked for with their times, so that after a broken
 * connection it goes on behind the last one; the times are taken away. Fails: ClusterError.
 */
export async function* podLog(
  requests: Requests,
  pod: Required<Place>,
  options: LogOptions,
  patience: number,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const position = createLogPosition();
  let pause = shortestPause;
  let lastWord = performance.now();
  while (!signal.aborted) {
    let isBroken = false;
    let rest = "";
    const onRest = (text: string): void => {
      rest = text;
    };
    try {
      for await (const text of readOnce(requests, pod, options, position, onRest, signal)) {
        lastWord = performance.now();
        pause = shortestPause;
        yield text;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ClusterError && position.time !== undefined && isOver(error)) return;
      if (error instanceof ClusterError || error instanceof Failure) throw error;
      isBroken = true;
      // It was answered, so that this is no outage: but a log whose every answer breaks is not read for ever.
      if (performance.now() - lastWord > patience) throw brokenLog(pod, error);
    }
    if (signal.aborted) return;
    if (!isBroken && !(options.follow && (await goesOn(requests, pod, options, position, signal)))) {
      // The container ended within a line. Else it would come again, whole.
      const last = stampedLine(rest);
      if (rest !== "" && position.isNew(last)) yield last.text;
      return;
    }
    await sleep(pause, undefined, { signal }).catch(() => {});
    pause = Math.min(pause * 2, longestPause);
  }
}

async function* readOnce(
  requests: Requests,
  pod: Required<Place>,
  { container, follow, tail, previous }: LogOptions,
  position: LogPosition,
  onRest: (rest: string) => void,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const sinceTime = position.resume();
  const query = {
    container,
    follow: follow || undefined,
    previous: previous || undefined,
    timestamps: true,
    tailLines: sinceTime === undefined ? tail : undefined,
    sinceTime,
  };
  const body = await requests.stream({
    method: "GET",
    path: objectPath(kinds.pod, pod, query, "/log"),
    doing: doing("get", { ...kinds.pod, plural: "pods/log" }, pod.namespace),
    signal,
  });
  for await (const lines of linesOf(chunksOf(body, undefined, signal), onRest)) {
    const news = lines.map(stampedLine).filter(position.isNew);
    if (news.length > 0) yield news.map(({ text }) => `${text}\n`).join("");
  }
}

/** The container, or its pod, is gone since. */
function isOver({ kind, status }: ClusterError): boolean {
  return kind === "not-found" || status === 400;
}

/** An answer that has ended can be that of a server which stops; the container itself may still write. */
async function goesOn(
  requests: Requests,
  pod: Required<Place>,
  { container, previous }: LogOptions,
  position: LogPosition,
  signal: AbortSignal,
): Promise<boolean> {
  if (previous) return false;
  const found = await requests.reply({
    method: "GET",
    path: objectPath(kinds.pod, pod),
    doing: doing("get", kinds.pod, pod.namespace),
    signal,
  });
  if ("error" in found) return false;
  const statuses = listAt(found.value, "status", "containerStatuses");
  const status = statuses.find((one) => container === undefined || textAt(one, "name") === container);
  const startedAt = textAt(status, "state", "running", "startedAt");
  if (startedAt === undefined) return false;
  // Started after the last line: it is the next container already.
  return position.time === undefined || Date.parse(startedAt) <= position.time;
}

function brokenLog({ namespace, name }: Required<Place>, cause: unknown): ClusterError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ClusterError("unreachable", `the log of pod ${namespace}/${name} breaks off each time: ${why}`, {
    cause,
  });
}
