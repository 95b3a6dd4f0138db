import { Failure } from "../../core/failure.ts";
import type { BatchTask } from "../../core/run-state.ts";
import type { BatchOutcome, TaskObserver } from "../../ports/engine.ts";
import { ClusterError, type KubernetesObject, type Selection } from "./client/cluster.ts";
import { kinds } from "./client/kinds.ts";
import { type EngineRooms, noteOnce, timeoutText } from "./engine-parts.ts";
import { lastRefusal, lastWarning } from "./events.ts";
import { type LogPlace, logReference, moduleLines } from "./logs.ts";
import { labelValue, nodeLabel, objectName } from "./manifests/names.ts";
import { stageJob } from "./manifests/stage-job.ts";
import { runLabels, stageNamespace } from "./manifests/stage-labels.ts";
import { type JobState, jobState } from "./read-status/job-state.ts";
import { hasLog } from "./read-status/pod-state.ts";
import { startVerdict } from "./read-status/start-verdict.ts";
import { type Sight, untilNone, watchAll } from "./sight.ts";
import { createStopwatch, type Stopwatch } from "./stopwatch.ts";
import { labels } from "./vocabulary.ts";

/** Lines of a failed stage's output that its record keeps. */
const keptLines = 20;

/** How an attempt ended, kept in the record until its run is removed: its Job does not stay that long. */
interface RecordedOutcome {
  readonly outcome: BatchOutcome;
  /** Reference; undefined when it has written none. */
  readonly log: string | undefined;
}

/**
 * One attempt of a batch stage, as a Job. One that another controller started is gone on with; one whose end is on record
 * is told from there. Fails: namespace-taken (the Job of that name is not ours); cluster errors.
 */
export async function runBatch(
  task: BatchTask,
  observer: TaskObserver,
  signal: AbortSignal,
  rooms: EngineRooms,
): Promise<BatchOutcome> {
  const recorded = rooms.store.document<RecordedOutcome>(outcomes, outcomeKey(task));
  if (recorded !== undefined) {
    if (recorded.log !== undefined) observer.log(sourceOf(task), recorded.log);
    return recorded.outcome;
  }
  if (!(await startOrAdopt(task, observer, signal, rooms))) return { kind: "cancelled" };
  const name = objectName(task.stage.name);
  observer.note("info", `Monitoring k8s jobs, ${limitText(task, rooms)}`);
  const ended = await followAttempt(task, observer, signal, rooms);
  const log = await keepLog(task, ended.pod, observer, rooms);
  if (ended.kind === "cancelled") {
    observer.note("info", `Deleting k8s job for stage = ${name}`);
    await endJob(task, rooms);
    observer.note("info", `Deleted k8s job for stage = ${name}`);
    return { kind: "cancelled" };
  }
  const outcome = outcomeOf(task, ended, log);
  rooms.store.saveDocument(outcomes, outcomeKey(task), {
    outcome,
    log: log === "" || ended.pod === undefined ? undefined : logReference(placeOf(task, ended.pod)),
  } satisfies RecordedOutcome);
  await rooms.store.settled();
  if (outcome.kind === "succeeded") observer.note("info", `Completed k8s job for stage = ${name}`);
  observer.note("info", `Deleting k8s job for stage = ${name}`);
  await rooms.cluster.delete(kinds.job, { namespace: stageNamespace(task), name });
  observer.note("info", `Deleted k8s job for stage = ${name}`);
  return outcome;
}

/** Ends the Jobs that a run has left, with their pods; what they have written is kept. */
export async function endJobs(runId: string, { cluster, clock, logs, settings }: EngineRooms): Promise<void> {
  const selection = {
    namespace: settings.single_namespace,
    labels: `${labels.run}=${labelValue(runId)},${labels.node}`,
  };
  const jobs = await cluster.list(kinds.job, selection);
  if (jobs.length === 0) return;
  await Promise.all(
    jobs.map(async (job) => {
      const { namespace = "", name, uid } = job.metadata;
      const ofJob = { namespace, labels: `${selection.labels},job-name=${name}` };
      for (const pod of await cluster.list(kinds.pod, ofJob)) {
        const place = {
          namespace,
          pod: pod.metadata.name,
          runId,
          node: job.metadata.labels?.[labels.node] ?? "",
          source: `attempt ${job.metadata.labels?.[labels.attempt] ?? ""}`,
        };
        await logs.keep(place, job.metadata.labels?.[labels.deploymentName] ?? "");
      }
      await cluster.delete(kinds.job, { namespace, name }, { foreground: true, uid });
      await untilNone(cluster, kinds.pod, ofJob, clock);
    }),
  );
}

/** Forgets how the run's attempts ended. */
export function forgetOutcomes(runId: string, { store }: Pick<EngineRooms, "store">): void {
  for (const key of store.documents(outcomes).keys()) {
    if (key.startsWith(`${runId}/`)) store.removeDocument(outcomes, key);
  }
}

const outcomes = "outcomes";

function outcomeKey({ runId, node, attempt }: BatchTask): string {
  return `${runId}/${node}/${attempt}`;
}

/** False when it was cancelled before it began. */
async function startOrAdopt(
  task: BatchTask,
  observer: TaskObserver,
  signal: AbortSignal,
  rooms: EngineRooms,
): Promise<boolean> {
  const { cluster } = rooms;
  const place = { namespace: stageNamespace(task), name: objectName(task.stage.name) };
  for (;;) {
    const found = await cluster.get(kinds.job, place);
    if (found !== undefined && isOf(task, found) && found.metadata.deletionTimestamp === undefined)
      return true;
    if (signal.aborted) return false;
    if (found === undefined) break;
    await makeRoom(task, found, rooms);
  }
  observer.note("info", `Creating k8s job for stage = ${place.name}`);
  const context = await rooms.sources.podContext(task);
  // What is asked of the cluster is on record first: whoever finds the Job finds out what it is for.
  await rooms.store.settled();
  if (signal.aborted) return false;
  try {
    await cluster.create(stageJob(task, context));
  } catch (error) {
    // An answer may have been lost, and the call been made again.
    const isThere = error instanceof ClusterError && error.kind === "already-exists";
    const found = isThere ? await cluster.get(kinds.job, place) : undefined;
    if (found === undefined || !isOf(task, found)) throw error;
  }
  return true;
}

/** Its name is taken by an earlier attempt, or by a run that nobody carries out any more: two never hold one namespace. */
async function makeRoom(
  task: BatchTask,
  found: KubernetesObject,
  { cluster, clock }: EngineRooms,
): Promise<void> {
  const { name, namespace = "", uid, labels: its } = found.metadata;
  if (its?.[labels.app] !== labels.appValue) {
    throw new Failure(
      "namespace-taken",
      `Cannot run stage "${task.stage.name}": namespace ${namespace} has a Job ${name} which is not Bodywork's.`,
      { hint: "Rename the stage, delete the Job, or give the pipeline a namespace of its own." },
    );
  }
  await cluster.delete(kinds.job, { namespace, name }, { foreground: true, uid });
  const selection = { namespace, fields: `metadata.name=${name}` };
  const isGone = await untilNone(
    cluster,
    kinds.job,
    selection,
    clock,
    ({ metadata }) => metadata.uid === uid,
  );
  if (isGone) return;
  throw new Failure(
    "cluster-refused",
    `Cannot run stage "${task.stage.name}": the Job ${name} of an earlier run in namespace ${namespace} was deleted but does not go.`,
    { hint: `See what keeps it: kubectl -n ${namespace} get job ${name} -o yaml` },
  );
}

/** Returns its text. */
async function keepLog(
  task: BatchTask,
  pod: KubernetesObject | undefined,
  observer: TaskObserver,
  { logs }: EngineRooms,
): Promise<string> {
  if (pod === undefined) return "";
  const { text, problem } = await logs.keep(placeOf(task, pod), task.deployment);
  if (problem !== undefined) {
    observer.note(
      "warning",
      `The log of stage = ${objectName(task.stage.name)} is lost with its pod: ${problem}`,
    );
  }
  return text;
}

type Ended =
  | { readonly kind: "cancelled"; readonly pod: KubernetesObject | undefined }
  | { readonly kind: "job"; readonly state: EndedState; readonly pod: KubernetesObject | undefined }
  | { readonly kind: "never-began"; readonly reason: string; readonly pod: KubernetesObject | undefined };

type EndedState = Extract<JobState, { readonly kind: "gone" | "unseen" | "pod" }>;

type AttemptSight = Sight<"jobs" | "pods">;

async function followAttempt(
  task: BatchTask,
  observer: TaskObserver,
  signal: AbortSignal,
  rooms: EngineRooms,
): Promise<Ended> {
  const { cluster, clock } = rooms;
  const namespace = stageNamespace(task);
  const fields = `metadata.name=${objectName(task.stage.name)}`;
  const sight = await watchAll(
    cluster,
    { jobs: [kinds.job, { namespace, fields }], pods: [kinds.pod, podsOf(task)] },
    clock,
    signal,
  );
  const tools = { stopwatch: createStopwatch(clock), noteOnce: noteOnce(observer) };
  let told: string | undefined;
  try {
    for (;;) {
      const { jobs, pods } = sight.found;
      const state = jobState(
        jobs.find((job) => isOf(task, job)),
        pods,
      );
      const pod = state.kind === "pod" || state.kind === "unseen" ? state.pod : undefined;
      if (state.kind === "pod" && hasLog(state.state) && told !== state.pod.metadata.name) {
        told = state.pod.metadata.name;
        observer.log(sourceOf(task), logReference(placeOf(task, state.pod)));
      }
      if (signal.aborted) return { kind: "cancelled", pod };
      const next = await nextOf(state, task, sight, tools, rooms);
      if (next.kind !== "wait") return { ...next, pod };
      await sight.changed(next.seconds);
    }
  } finally {
    sight.close();
  }
}

type Next =
  | { readonly kind: "wait"; readonly seconds: number }
  | { readonly kind: "job"; readonly state: EndedState }
  | { readonly kind: "never-began"; readonly reason: string };

const untilChange: Next = { kind: "wait", seconds: Number.POSITIVE_INFINITY };

async function nextOf(
  state: JobState,
  task: BatchTask,
  sight: AttemptSight,
  tools: { readonly stopwatch: Stopwatch; readonly noteOnce: (text: string) => void },
  rooms: EngineRooms,
): Promise<Next> {
  const { cluster, settings } = rooms;
  const name = objectName(task.stage.name);
  switch (state.kind) {
    case "unseen":
      return { kind: "job", state };
    case "gone": {
      // A list may be older than what was just created.
      const job = await cluster.get(kinds.job, { namespace: stageNamespace(task), name });
      return job !== undefined && isOf(task, job) ? { kind: "wait", seconds: 1 } : { kind: "job", state };
    }
    case "no-pod":
      if (state.disrupted !== undefined) {
        tools.noteOnce(`The pod of stage = ${name} is lost (${state.disrupted}); another takes its place.`);
      }
      return withoutPod(task, sight, tools, rooms);
    case "pod":
      break;
  }
  const { state: pod } = state;
  if (pod.kind === "ended") return { kind: "job", state };
  if (pod.kind !== "unscheduled" && pod.kind !== "creating") return untilChange;
  const uid = state.pod.metadata.uid ?? state.pod.metadata.name;
  const trouble = pod.kind === "creating" ? pod.trouble?.about : undefined;
  const times = {
    starting: tools.stopwatch(`${uid} starts`),
    inTrouble: trouble === undefined ? 0 : tools.stopwatch(`${uid} ${trouble}`),
  };
  const verdict = startVerdict(pod, times, settings.start_timeout_seconds, { kind: "jobs", name });
  if (verdict.kind === "fail") {
    // The node's own words, of a volume that can't be mounted for instance, are nowhere in its status.
    const more =
      pod.kind === "creating" && trouble === undefined ? await lastWarning(cluster, state.pod) : undefined;
    return {
      kind: "never-began",
      reason: more === undefined ? verdict.reason : `${verdict.reason}: ${more}`,
    };
  }
  if (verdict.note !== undefined) tools.noteOnce(verdict.note);
  return { kind: "wait", seconds: verdict.again };
}

/** Seconds after which a Job without a pod is worth a look at why. */
const podPatience = 3;
const refusalPeriod = 15;

/** A Job whose pods the cluster refuses says so only in its events. */
async function withoutPod(
  task: BatchTask,
  { found }: AttemptSight,
  { stopwatch, noteOnce: note }: { readonly stopwatch: Stopwatch; readonly noteOnce: (text: string) => void },
  { cluster, settings }: EngineRooms,
): Promise<Next> {
  // Each pod that was lost begins a wait of its own.
  const waited = stopwatch(`no pod after ${found.pods.length}`);
  if (waited < podPatience) return { kind: "wait", seconds: podPatience - waited };
  const job = found.jobs.find((candidate) => isOf(task, candidate));
  const refusal = job === undefined ? undefined : await lastRefusal(cluster, job);
  if (refusal !== undefined) note(`Its pods are refused: ${refusal}`);
  const limit = settings.start_timeout_seconds;
  if (waited < limit) return { kind: "wait", seconds: Math.min(refusalPeriod, limit - waited) };
  const why = refusal === undefined ? "the cluster has made none" : `they are refused: ${refusal}`;
  return { kind: "never-began", reason: `had no pod within ${limit} s: ${why}` };
}

/** `log`: of its pod; "" when there is none. */
function outcomeOf(task: BatchTask, ended: Exclude<Ended, { kind: "cancelled" }>, log: string): BatchOutcome {
  const lastLines = log === "" ? [] : moduleLines(log, keptLines);
  if (ended.kind === "never-began") return { kind: "failed", reason: ended.reason, lastLines };
  const { state } = ended;
  if (state.kind === "gone") {
    return { kind: "lost", reason: "its Job was deleted by somebody else", lastLines };
  }
  if (state.kind === "unseen") return unseenOutcome(task, state, lastLines);
  if (state.state.kind !== "ended") throw new Failure("internal", "An attempt that goes on has no outcome.");
  const { exit, report } = state.state;
  if (exit.lost === true) return { kind: "lost", reason: exit.reason, lastLines };
  if (exit.code !== 0) return { kind: "failed", reason: exit.reason, lastLines };
  if (report === undefined && Object.keys(task.outputs).length > 0) {
    const reason = "ended well but did not say what it has made: its last message was not Bodywork's";
    return { kind: "failed", reason, lastLines };
  }
  return { kind: "succeeded", outputs: report?.outputs ?? [] };
}

function unseenOutcome(
  { outputs }: BatchTask,
  { succeeded, reason }: Extract<JobState, { readonly kind: "unseen" }>,
  lastLines: readonly string[],
): BatchOutcome {
  if (!succeeded) return { kind: "failed", reason, lastLines };
  if (Object.keys(outputs).length === 0) return { kind: "succeeded", outputs: [] };
  return { kind: "lost", reason: "its pod was deleted before its outputs were read", lastLines };
}

/** Returns when nothing of it runs. */
async function endJob(task: BatchTask, { cluster, clock }: EngineRooms): Promise<void> {
  const place = { namespace: stageNamespace(task), name: objectName(task.stage.name) };
  const job = await cluster.get(kinds.job, place);
  if (job !== undefined && isOf(task, job)) {
    await cluster.delete(kinds.job, place, { foreground: true, uid: job.metadata.uid });
  }
  await untilNone(cluster, kinds.pod, podsOf(task), clock);
}

function podsOf(task: BatchTask): Selection {
  const wanted = { ...runLabels(task), [labels.attempt]: String(task.attempt) };
  const pairs = Object.entries(wanted).map(([label, value]) => `${label}=${value}`);
  return { namespace: stageNamespace(task), labels: pairs.join(",") };
}

function isOf(task: BatchTask, { metadata }: KubernetesObject): boolean {
  return (
    metadata.labels?.[labels.run] === labelValue(task.runId) &&
    metadata.labels[labels.node] === nodeLabel(task.node) &&
    metadata.labels[labels.attempt] === String(task.attempt)
  );
}

function placeOf(task: BatchTask, { metadata }: KubernetesObject): LogPlace {
  const { runId, node } = task;
  return { namespace: stageNamespace(task), pod: metadata.name, runId, node, source: sourceOf(task) };
}

function sourceOf({ attempt }: BatchTask): string {
  return `attempt ${attempt}`;
}

/** As in the original; a stage that may run for ever has no time-out. */
function limitText({ stage }: BatchTask, { clock }: EngineRooms): string {
  if (stage.maxCompletionTimeSeconds === 0) return "no timeout";
  const seconds = Math.max(1, stage.retries) * Math.max(60, stage.maxCompletionTimeSeconds) + 90;
  return timeoutText(seconds, clock.now());
}
