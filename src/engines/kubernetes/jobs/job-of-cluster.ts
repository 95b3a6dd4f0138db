import { asyncJobPrefix } from "../../../core/job-name.ts";
import { finishedJobStatuses, type Job, type JobStatus } from "../../../core/job-state.ts";
import { type DeployRequest, finishedRunStatuses, type Run } from "../../../core/run-state.ts";
import type { KubernetesObject } from "../client/cluster.ts";
import { at, fieldsOf, listAt, numberAt, textAt } from "../client/objects.ts";
import { labels } from "../vocabulary.ts";
import { type ControllerState, controllerState } from "./controller-pod.ts";

/** When the due time of a Job was that a CronJob has made; RFC 3339 in the CronJob's time zone. */
const scheduledTime = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/** A Job, and what else tells how it does. */
export interface JobEvidence {
  readonly object: KubernetesObject;
  /** Its controllers' pods that are still there. */
  readonly pods: readonly KubernetesObject[];
  /** Its runs that are still on record, oldest first. */
  readonly runs: readonly Run[];
  /** What it is to deploy. */
  readonly request: DeployRequest;
}

/** A Job as it is in the cluster, with what is on record of its runs. */
export function jobOf({ object, pods, runs, request }: JobEvidence): Job {
  const { name, creationTimestamp = "" } = object.metadata;
  const { status, why } = stateOf(object, pods, runs);
  const isFinished = finishedJobStatuses.has(status);
  return {
    id: name,
    cronjob: cronjobNameOf(object),
    dueAt: dueTimeOf(object) ?? isoTime(creationTimestamp),
    status,
    why,
    request,
    retries: numberAt(object, "spec", "backoffLimit") ?? 0,
    runs: runs.map(({ id }) => id),
    nextRunAt: undefined,
    startedAt: optionalTime(textAt(object, "status", "startTime")) ?? runs[0]?.createdAt,
    endedAt: isFinished ? endOf(object, runs) : undefined,
  };
}

/** What is left of a job that the cluster has removed: its runs, of which there is one at least. Oldest first. */
export function jobOfRuns(id: string, runs: readonly [Run, ...Run[]], retries: number | undefined): Job {
  const newest = runs.at(-1) as Run;
  const cronjob = cronjobOfId(id);
  return {
    id,
    cronjob,
    dueAt: cronjob === undefined ? runs[0].createdAt : dueTimeOfId(id),
    status: statusOfRun(newest),
    why: newest.reason,
    request: runs[0].request,
    retries: retries ?? runs.length - 1,
    runs: runs.map((run) => run.id),
    nextRunAt: undefined,
    startedAt: runs[0].createdAt,
    endedAt: newest.endedAt,
  };
}

/** The CronJob that has made a Job, also where somebody has asked it to (`kubectl create job --from`). */
export function cronjobNameOf(object: KubernetesObject): string | undefined {
  const owner = (object.metadata.ownerReferences ?? []).find(({ kind }) => kind === "CronJob");
  return textAt(owner, "name") ?? object.metadata.labels?.[labels.cronjob];
}

/** `nightly-29900115` → `nightly`: as the cluster names the Jobs of a CronJob. Undefined for those of `--async`. */
export function cronjobOfId(id: string): string | undefined {
  return id.startsWith(asyncJobPrefix) ? undefined : /^(.+)-\d{7,}$/.exec(id)?.[1];
}

/** The due time for which a CronJob has made it; undefined for any other Job. ISO 8601, UTC. */
export function dueTimeOf(object: KubernetesObject): string | undefined {
  return optionalTime(object.metadata.annotations?.[scheduledTime]);
}

function dueTimeOfId(id: string): string {
  return new Date(Number(/\d+$/.exec(id)?.[0] ?? 0) * 60_000).toISOString();
}

interface JobState {
  readonly status: JobStatus;
  readonly why: string | undefined;
}

/** What the record says of the newest run is more than the cluster knows, once no further one is to come. */
function stateOf(
  object: KubernetesObject,
  pods: readonly KubernetesObject[],
  runs: readonly Run[],
): JobState {
  const newest = runs.at(-1);
  if (hasCondition(object, "Complete")) return { status: "succeeded", why: undefined };
  const failed = hasCondition(object, "Failed");
  if (failed !== undefined) {
    if (newest?.status === "cancelled") return { status: "cancelled", why: newest.reason };
    return { status: "failed", why: newest?.reason ?? whyFailed(failed, pods) };
  }
  if (at(object, "spec", "suspend") === true) return { status: "waiting", why: "suspended" };
  if (newest !== undefined && !finishedRunStatuses.has(newest.status)) {
    return { status: "active", why: undefined };
  }
  const states = pods.map(controllerState);
  if (states.some(({ kind }) => kind === "working")) return { status: "active", why: undefined };
  const why = states.flatMap((state) => (state.kind === "waiting" ? (state.why ?? []) : [])).at(0);
  return { status: "waiting", why: why ?? newest?.reason };
}

function hasCondition(object: KubernetesObject, type: string): unknown {
  return listAt(object, "status", "conditions").find(
    (condition) => textAt(condition, "type") === type && textAt(condition, "status") === "True",
  );
}

function whyFailed(condition: unknown, pods: readonly KubernetesObject[]): string {
  const newestFirst = pods.toSorted((a, b) => createdAt(b).localeCompare(createdAt(a)));
  const why = newestFirst.map((pod) => whyEnded(controllerState(pod))).find((found) => found !== undefined);
  const { reason, message } = fieldsOf(condition);
  return why ?? String(message || reason || "it failed, and the cluster does not say why");
}

function whyEnded(state: ControllerState): string | undefined {
  return state.kind === "working" ? undefined : state.why;
}

function createdAt({ metadata }: KubernetesObject): string {
  return metadata.creationTimestamp ?? "";
}

function endOf(object: KubernetesObject, runs: readonly Run[]): string | undefined {
  const ended = hasCondition(object, "Complete") ?? hasCondition(object, "Failed");
  return (
    optionalTime(textAt(object, "status", "completionTime")) ??
    optionalTime(textAt(ended, "lastTransitionTime")) ??
    runs.at(-1)?.endedAt
  );
}

function statusOfRun({ status }: Run): JobStatus {
  return status === "succeeded" || status === "failed" || status === "cancelled" ? status : "active";
}

function optionalTime(text: string | undefined): string | undefined {
  return text === undefined || Number.isNaN(Date.parse(text)) ? undefined : isoTime(text);
}

function isoTime(text: string): string {
  const time = Date.parse(text);
  return new Date(Number.isNaN(time) ? 0 : time).toISOString();
}
