import { gunzipSync, gzipSync } from "node:zlib";

import type { LogReader } from "../../ports/engine.ts";
import { type Cluster, ClusterError, type KubernetesObject } from "./client/cluster.ts";
import { kinds } from "./client/kinds.ts";
import { textAt } from "./client/objects.ts";
import { digestOf, labelValue } from "./manifests/names.ts";
import { beginsModule, endsFailed } from "./pod/pod-contract.ts";
import { hasLog, podState } from "./read-status/pod-state.ts";
import { containerName, labels, managementNamespace } from "./vocabulary.ts";

/** The log of one container; its reference is this, as text. */
export interface LogPlace {
  readonly namespace: string;
  readonly pod: string;
  readonly runId: string;
  readonly node: string;
  /** `attempt 1`, `replica 2`. */
  readonly source: string;
}

export interface KeptLog {
  /** "" when there is none. */
  readonly text: string;
  /** Why the cluster did not take the record: what has come of the stage does not hang on that. */
  readonly problem: string | undefined;
}

/** Logs of pods that live, and of those whose log was kept. */
export interface Logs extends LogReader {
  /**
   * Keeps the end of a pod's log as a record of the management namespace, whole lines of at most 1 MiB. Nothing when the
   * pod is gone or has written none. `previous`: of the container before its restart.
   */
  keep(place: LogPlace, deployment: string, options?: { readonly previous?: boolean }): Promise<KeptLog>;
  removeRun(runId: string): Promise<void>;
}

/** Characters of a log that are kept. */
const keptLength = 1024 * 1024;
/** Bytes that a record may have: Kubernetes takes 1 MiB with all that is around it. */
const recordBytes = 700 * 1024;
/** Milliseconds until a container that starts anew is looked at again. */
const lookPeriod = 1_000;

/** Where the logs of what is gone are kept. */
interface KeptIn {
  readonly cluster: Cluster;
  readonly home: string;
}

export function createLogs(
  cluster: Cluster,
  sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>,
  home: string = managementNamespace,
): Logs {
  const kept: KeptIn = { cluster, home };
  return {
    async keep(place, deployment, { previous = false } = {}) {
      const text = endOf(await readPod(cluster, place, previous), keptLength);
      if (text === "") return { text, problem: undefined };
      try {
        await saveRecord(kept, place, deployment, text);
        return { text, problem: undefined };
      } catch (error) {
        if (!(error instanceof ClusterError) || error.kind === "unreachable") throw error;
        return { text, problem: error.message };
      }
    },
    async *read(reference, { tail, follow, signal }) {
      const place = placeOf(reference);
      if (place === undefined) return;
      if (follow) yield* followLog(kept, place, tail, signal ?? new AbortController().signal, sleep);
      else yield tail === undefined ? await wholeLog(kept, place) : lastOf(await wholeLog(kept, place), tail);
    },
    async removeRun(runId) {
      const records = await cluster.list(kinds.secret, {
        namespace: home,
        labels: `${labels.record}=log,${labels.run}=${labelValue(runId)}`,
      });
      for (const { metadata } of records)
        await cluster.delete(kinds.secret, { namespace: home, name: metadata.name });
    },
  };
}

/** `pod/NAMESPACE/NAME?run=…&node=…&source=…`. */
export function logReference({ namespace, pod, runId, node, source }: LogPlace): string {
  return `pod/${namespace}/${pod}?${new URLSearchParams({ run: runId, node, source })}`;
}

/** Undefined when it is none of ours. */
export function placeOf(reference: string): LogPlace | undefined {
  const found = /^pod\/([^/?]+)\/([^/?]+)\?(.*)$/.exec(reference);
  if (found === null) return undefined;
  const [, namespace = "", pod = "", query = ""] = found;
  const about = new URLSearchParams(query);
  const value = (name: string): string => about.get(name) ?? "";
  return { namespace, pod, runId: value("run"), node: value("node"), source: value("source") };
}

/**
 * The last lines of what the module has printed itself: after the program's word that it begins, before the one that it
 * has failed. All lines, when it never began.
 */
export function moduleLines(log: string, count: number): readonly string[] {
  const lines = log.replace(/\r?\n$/, "").split(/\r?\n/);
  const begin = lines.findIndex((line) => line.includes(beginsModule));
  const end = lines.findLastIndex((line) => line.includes(endsFailed));
  const own = lines.slice(begin + 1, end > begin ? end : undefined);
  return own.length === 1 && own[0] === "" ? [] : own.slice(-count);
}

async function* followLog(
  kept: KeptIn,
  place: LogPlace,
  tail: number | undefined,
  signal: AbortSignal,
  sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>,
): AsyncIterable<string> {
  const { cluster } = kept;
  /** Characters of the log that came already, or are not asked for. */
  let passed = 0;
  if (tail !== undefined) {
    const text = await wholeLog(kept, place);
    passed = text.length;
    yield lastOf(text, tail);
  }
  let skip = passed;
  let container = await containerOf(cluster, place);
  while (!signal.aborted) {
    try {
      const options = { container: containerName, follow: true };
      for await (const text of cluster.logs(
        { namespace: place.namespace, name: place.pod },
        options,
        signal,
      )) {
        const news = text.slice(skip);
        skip -= text.length - news.length;
        passed += news.length;
        if (news !== "") yield news;
      }
    } catch (error) {
      if (!(error instanceof ClusterError)) throw error;
      // It is not there yet, or no more.
    }
    if (signal.aborted || !(await mayGoOn(cluster, place))) break;
    await sleep(lookPeriod, signal).catch(() => {});
    const next = await containerOf(cluster, place);
    if (next !== container) passed = 0;
    container = next;
    skip = passed;
  }
  // What was written before the end, and had not come by then.
  const rest = (await wholeLog(kept, place)).slice(passed);
  if (rest !== "") yield rest;
}

/** Tells a container from the one that it was started anew after. */
async function containerOf(cluster: Cluster, { namespace, pod }: LogPlace): Promise<string | undefined> {
  const found = await cluster.get(kinds.pod, { namespace, name: pod });
  return textAt(found, "status", "containerStatuses", 0, "containerID");
}

/** Whether its container may write more: it is about to start, or to start anew. */
async function mayGoOn(cluster: Cluster, { namespace, pod }: LogPlace): Promise<boolean> {
  const found = await cluster.get(kinds.pod, { namespace, name: pod });
  if (found === undefined) return false;
  const { kind } = podState(found);
  return kind !== "ended" && kind !== "disrupted";
}

/** Of the pod while it is there, else what was kept; "" when there is neither. */
async function wholeLog(kept: KeptIn, place: LogPlace): Promise<string> {
  const text = await readPod(kept.cluster, place, false);
  return text === "" ? readRecord(kept, place) : text;
}

async function readPod(cluster: Cluster, { namespace, pod }: LogPlace, previous: boolean): Promise<string> {
  const found = await cluster.get(kinds.pod, { namespace, name: pod });
  if (found === undefined || !hasLog(podState(found))) return "";
  const options = { container: containerName, follow: false, previous };
  const texts: string[] = [];
  let length = 0;
  try {
    for await (const text of cluster.logs({ namespace, name: pod }, options, new AbortController().signal)) {
      texts.push(text);
      length += text.length;
      while (texts.length > 1 && length - (texts[0]?.length ?? 0) > mostLength)
        length -= texts.shift()?.length ?? 0;
    }
  } catch (error) {
    if (!(error instanceof ClusterError) || error.kind === "unreachable") throw error;
  }
  return texts.join("");
}

/** Characters of one log that are held at once; kubelet keeps 10 MiB of a container's log. */
const mostLength = 32 * 1024 * 1024;

async function saveRecord(
  { cluster, home }: KeptIn,
  place: LogPlace,
  deployment: string,
  log: string,
): Promise<void> {
  const record: KubernetesObject = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: recordName(place),
      namespace: home,
      labels: {
        [labels.managedBy]: labels.appValue,
        [labels.record]: "log",
        [labels.run]: labelValue(place.runId),
        [labels.namespace]: labelValue(place.namespace),
        [labels.deployment]: labelValue(deployment),
      },
    },
    type: "Opaque",
    data: { log: compressed(log) },
  };
  try {
    await cluster.create(record);
  } catch (error) {
    if (!(error instanceof ClusterError) || error.kind !== "already-exists") throw error;
    await cluster.replace(record);
  }
}

async function readRecord({ cluster, home }: KeptIn, place: LogPlace): Promise<string> {
  const record = await cluster.get(kinds.secret, { namespace: home, name: recordName(place) });
  const packed = textAt(record, "data", "log");
  return packed === undefined ? "" : gunzipSync(Buffer.from(packed, "base64")).toString("utf8");
}

function recordName(place: LogPlace): string {
  return `bodywork-log-${digestOf(`${place.runId}/${place.namespace}/${place.pod}`, 32)}`;
}

/** What can't be compressed well is kept in part. */
function compressed(log: string): string {
  for (let text = log; ; text = endOf(text, Math.floor(text.length / 2))) {
    const packed = gzipSync(text);
    if (packed.length <= recordBytes) return packed.toString("base64");
  }
}

/** The last characters, from the beginning of a line on. */
function endOf(text: string, length: number): string {
  if (text.length <= length) return text;
  const end = text.slice(-length);
  return end.slice(end.indexOf("\n") + 1);
}

function lastOf(text: string, lines: number): string {
  if (lines === 0) return "";
  const all = text.split("\n");
  const ended = all.at(-1) === "";
  return all.slice(-(ended ? lines + 1 : lines)).join("\n");
}
