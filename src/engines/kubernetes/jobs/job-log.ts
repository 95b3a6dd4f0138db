import { Failure } from "../../../core/failure.ts";
import type { Job } from "../../../core/job-state.ts";
import type { Run, RunEvent, StageRun } from "../../../core/run-state.ts";
import type { LogReader } from "../../../ports/engine.ts";
import type { Cluster, KubernetesObject } from "../client/cluster.ts";
import { textAt } from "../client/objects.ts";
import type { ClusterStore } from "../records/records.ts";
import { containerName } from "../vocabulary.ts";
import { type Evidence, meantJob } from "./job-evidence.ts";

export interface JobLogParts {
  readonly cluster: Pick<Cluster, "logs">;
  readonly store: Pick<ClusterStore, "refresh" | "run" | "events">;
  readonly logReader: LogReader;
  /** Of the controllers' pods. */
  readonly namespace: string;
}

/**
 * What happened in a job's newest run, in order, with the log of each stage where it ended; of a stage that goes on, what
 * there is of it at the end. While no run is on record it is what the controller itself has printed.
 */
export async function* readJobLog(
  id: string,
  evidence: Evidence,
  parts: JobLogParts,
): AsyncIterable<RunEvent> {
  const job = meantJob(evidence.jobs, id);
  const newest = evidence.runs.get(job?.id ?? "")?.at(-1);
  if (newest !== undefined) {
    await parts.store.refresh({ kind: "run", id: newest.id });
    yield* storyOf(parts.store.run(newest.id) ?? newest, parts);
    return;
  }
  const pod = newestPod(evidence.pods.get(job?.id ?? "") ?? []);
  const hasPrinted = pod !== undefined && textAt(pod, "status", "phase") !== "Pending";
  if (job === undefined || !hasPrinted) throw nothingToTell(id, job);
  yield* controllerLog(job, pod, parts);
}

async function* storyOf(run: Run, parts: JobLogParts): AsyncIterable<RunEvent> {
  const events = parts.store.events(run.id, 0);
  const unread = new Map(run.stages.map((stage) => [stage.node, stage]));
  for (const event of events) {
    const ended = event.kind === "stage" && endings.has(event.status) ? unread.get(event.node) : undefined;
    if (ended !== undefined) {
      unread.delete(ended.node);
      yield* logsOf(ended, event.at, run, parts);
    }
    yield event;
  }
  const at = events.at(-1)?.at ?? run.createdAt;
  for (const stage of unread.values()) yield* logsOf(stage, at, run, parts);
}

const endings: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled"]);

/** Characters of a service's log that are shown: it goes on long after the run, whose part is the beginning. */
const mostOfService = 64 * 1024;

async function* logsOf(
  { node, stage, kind, attempts }: StageRun,
  at: string,
  { deployment = "NAME" }: Run,
  { logReader }: JobLogParts,
): AsyncIterable<RunEvent> {
  for (const { source, reference } of attempts.flatMap(({ logs }) => logs)) {
    const log = (text: string): RunEvent => ({ kind: "log", at, node, source, text });
    let left = kind === "service" ? mostOfService : Number.POSITIVE_INFINITY;
    for await (const text of logReader.read(reference, { follow: false })) {
      if (text.length > left) {
        yield log(`${text.slice(0, left)}\n[… the rest is in: bodywork logs ${deployment} ${stage}]\n`);
        break;
      }
      yield log(text);
      left -= text.length;
    }
  }
}

function newestPod(pods: readonly KubernetesObject[]): KubernetesObject | undefined {
  const age = ({ metadata }: KubernetesObject): string => metadata.creationTimestamp ?? "";
  return pods.toSorted((a, b) => age(a).localeCompare(age(b))).at(-1);
}

async function* controllerLog(
  job: Job,
  { metadata: { name, creationTimestamp = job.dueAt } }: KubernetesObject,
  { cluster, namespace }: JobLogParts,
): AsyncIterable<RunEvent> {
  const place = { namespace, name };
  const at = job.startedAt ?? creationTimestamp;
  const options = { container: containerName, follow: false };
  for await (const text of cluster.logs(place, options, new AbortController().signal)) {
    yield { kind: "log", at, node: job.id, source: "controller", text };
  }
}

function nothingToTell(id: string, job: Job | undefined): Failure {
  const why =
    job === undefined
      ? "there is no such run"
      : `it is ${job.status}${job.why === undefined ? "" : ` (${job.why})`}`;
  return new Failure("not-found", `Cannot find run ID = ${id}: ${why}.`, {
    hint: "List them with: bodywork get deployments --async, or bodywork get cronjob NAME --history",
  });
}
