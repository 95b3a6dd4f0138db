import { Failure } from "../../core/failure.ts";
import type { ServiceTask } from "../../core/run-state.ts";
import type { RollOutOutcome, ServiceName, TaskObserver } from "../../ports/engine.ts";
import { ClusterError, type KubernetesObject, type Selection } from "./client/cluster.ts";
import { kinds } from "./client/kinds.ts";
import { textAt } from "./client/objects.ts";
import { type EngineRooms, noteOnce, timeoutText } from "./engine-parts.ts";
import { lastWarning } from "./events.ts";
import { type LogPlace, logReference, moduleLines } from "./logs.ts";
import { objectName, serviceName } from "./manifests/names.ts";
import { routeKinds, routeObjects, routePath } from "./manifests/route.ts";
import { runLabels, stageNamespace } from "./manifests/stage-labels.ts";
import { type ServiceObjects, serviceObjects } from "./manifests/stage-service.ts";
import { beginsModule } from "./pod/pod-contract.ts";
import { hasLog, isLeaving, podState } from "./read-status/pod-state.ts";
import {
  isComplete,
  type RollOutState,
  refusalOf,
  rollOutState,
  type SeenPod,
} from "./read-status/roll-out-state.ts";
import { isOriginal, taskOf } from "./read-status/service-status.ts";
import { findRouting } from "./routing.ts";
import { type Sight, untilNone, watchAll } from "./sight.ts";
import {
  applySnapshot,
  deleteOurs,
  forgetSnapshot,
  placesOf,
  type Snapshot,
  saveSnapshot,
  snapshotOf,
  snapshotOfOriginal,
  snapshotsOfRun,
  takeSnapshot,
} from "./snapshots.ts";
import { createStopwatch, type Stopwatch } from "./stopwatch.ts";
import { annotations, labels } from "./vocabulary.ts";

/** Lines of a failed replica's output that the record keeps. */
const keptLines = 20;

/**
 * Makes a service what the task says, by a Deployment that starts new pods beside the old ones. When that fails or is
 * cancelled everything is as it was before. Fails: namespace-taken (another pipeline's, or somebody else's); cluster errors.
 */
export async function rollOut(
  task: ServiceTask,
  observer: TaskObserver,
  signal: AbortSignal,
  rooms: EngineRooms,
): Promise<RollOutOutcome> {
  try {
    if (isOriginal(task)) return await putOriginalBack(task, rooms);
    return await replace(task, observer, signal, rooms);
  } finally {
    await rooms.services.refresh({ namespace: task.namespace, stage: task.stage.name }).catch(() => {});
  }
}

/** Takes a service out of the routes and waits until its pods have answered what they had begun, and are gone. */
export async function removeService(service: ServiceName, rooms: EngineRooms): Promise<void> {
  const { cluster, clock, services } = rooms;
  const task = services.current(service);
  if (task === undefined) await services.refresh(service);
  const found = task ?? services.current(service);
  if (found === undefined) return;
  for (const [kind, place] of await placesOf(found, cluster)) await deleteOurs(kind, place, cluster);
  await untilNone(cluster, kinds.pod, podsOfStage(found), clock);
  await untilNone(cluster, kinds.deployment, deploymentOf(found), clock);
  await services.refresh(service);
}

/** Undoes roll-outs of a run that did not come to their end. */
export async function endRollOuts(runId: string, rooms: EngineRooms): Promise<void> {
  for (const snapshot of snapshotsOfRun(runId, rooms)) {
    if (snapshot.state !== "changing") continue;
    const { task } = snapshot;
    const live = await rooms.cluster.get(kinds.deployment, placeOf(task));
    if (live !== undefined && isSameTask(live, task)) await putBack(snapshot, rooms);
    forgetSnapshot(task, rooms);
    await rooms.services.refresh({ namespace: task.namespace, stage: task.stage.name });
  }
}

export function forgetSnapshots(runId: string, rooms: EngineRooms): void {
  for (const { task } of snapshotsOfRun(runId, rooms)) forgetSnapshot(task, rooms);
}

async function replace(
  task: ServiceTask,
  observer: TaskObserver,
  signal: AbortSignal,
  rooms: EngineRooms,
): Promise<RollOutOutcome> {
  const { cluster } = rooms;
  const [live, liveService] = await Promise.all([
    liveDeployment(task, rooms),
    cluster.get(kinds.service, { ...placeOf(task), name: serviceName(task.stage.name) }),
  ]);
  refuseOthers(task, live, liveService);
  const isBegun = live !== undefined && isSameTask(live, task);
  if (signal.aborted && !isBegun) return { kind: "cancelled" };
  const isThere = isBegun && isComplete(live);
  const before =
    (isBegun ? snapshotOf(task, rooms) : undefined) ??
    (isBegun ? undefined : await takeSnapshot(task, rooms));
  if (!isThere) tellBeginning(task, before, live, observer, rooms);
  const objects = await objectsFor(task, live, rooms);
  // Neighbours that call the service by its old port reach it until the new pods are there.
  const portStays = liveService === undefined || portOf(liveService) === task.stage.port;
  await applyDeployment(objects, portStays, rooms);
  const problem = isThere ? undefined : await problemOf(task, observer, signal, rooms);
  if (problem !== undefined) {
    if (before !== undefined && (await isStillOurs(task, rooms))) {
      await putBack(before, rooms);
      observer.note("info", `Rolled-back k8s deployment for stage = ${objectName(task.stage.name)}`);
    }
    forgetSnapshot(task, rooms);
    return problem;
  }
  if (!portStays) await cluster.apply(objects.service);
  await expose(task, isThere ? { note: () => {} } : observer, rooms);
  await removeBudget(task, objects, rooms);
  // Of what another tool had deployed there is no other record.
  if (before?.uid !== undefined && !hasTask(before)) saveSnapshot({ ...before, state: "changed" }, rooms);
  else forgetSnapshot(task, rooms);
  return { kind: "serving" };
}

/** One that is being deleted is waited for: what is applied to it would go with it. */
async function liveDeployment(
  task: ServiceTask,
  { cluster, clock }: EngineRooms,
): Promise<KubernetesObject | undefined> {
  const found = await cluster.get(kinds.deployment, placeOf(task));
  if (found?.metadata.deletionTimestamp === undefined) return found;
  const { uid } = found.metadata;
  await untilNone(
    cluster,
    kinds.deployment,
    deploymentOf(task),
    clock,
    ({ metadata }) => metadata.uid === uid,
  );
  return cluster.get(kinds.deployment, placeOf(task));
}

function placeOf(task: ServiceTask): { readonly namespace: string; readonly name: string } {
  return { namespace: stageNamespace(task), name: objectName(task.stage.name) };
}

function isSameTask(live: KubernetesObject, { runId, node }: ServiceTask): boolean {
  const task = taskOf(live);
  return task.runId === runId && task.node === node;
}

function hasTask({ objects }: Snapshot): boolean {
  return objects.some(
    ({ kind, metadata }) =>
      kind === kinds.deployment.kind && metadata.annotations?.[annotations.task] !== undefined,
  );
}

function portOf(service: KubernetesObject): unknown {
  return (service as { spec?: { ports?: readonly { port?: unknown }[] } }).spec?.ports?.[0]?.port;
}

/** Its name is the stage's alone, so that two pipelines in one namespace may want the same. */
function refuseOthers(
  task: ServiceTask,
  live: KubernetesObject | undefined,
  service: KubernetesObject | undefined,
): void {
  const { name, namespace } = placeOf(task);
  const refuse = (what: string, whose: string): never => {
    throw new Failure(
      "namespace-taken",
      `Cannot deploy stage "${task.stage.name}": namespace ${namespace} has a ${what} ${name} which is ${whose}.`,
      { hint: "Rename the stage, or give the pipeline a namespace of its own." },
    );
  };
  for (const object of [live, service]) {
    if (object !== undefined && object.metadata.labels?.[labels.app] !== labels.appValue) {
      refuse(object.kind, "not Bodywork's");
    }
  }
  const owner = live === undefined ? undefined : taskOf(live).deployment;
  if (owner !== undefined && owner !== task.deployment) refuse("Deployment", `the deployment ${owner}'s`);
}

function tellBeginning(
  task: ServiceTask,
  before: Snapshot | undefined,
  live: KubernetesObject | undefined,
  observer: TaskObserver,
  { clock }: EngineRooms,
): void {
  const { name } = placeOf(task);
  const isNew = before === undefined ? live === undefined : before.uid === undefined;
  observer.note(
    "info",
    isNew
      ? `Creating k8s deployment and service for stage = ${name}`
      : `Updating k8s deployment for stage = ${name}`,
  );
  const startUp = Math.max(60, task.stage.maxStartupTimeSeconds);
  const seconds = (isNew ? startUp : Math.ceil(task.stage.replicas / 2) * startUp) + 90;
  observer.note("info", `Monitoring k8s deployments, ${timeoutText(seconds, clock.now())}`);
}

/** A Deployment that has the task already keeps its time, so that its pods stay. */
async function objectsFor(
  task: ServiceTask,
  live: KubernetesObject | undefined,
  rooms: EngineRooms,
): Promise<ServiceObjects> {
  const context = await rooms.sources.podContext(task);
  const updated =
    live !== undefined && isSameTask(live, task)
      ? textAt(live, "spec", "template", "metadata", "annotations", annotations.lastUpdated)
      : undefined;
  return serviceObjects(task, updated === undefined ? context : { ...context, now: updated });
}

async function applyDeployment(
  { deployment, service, disruptionBudget }: ServiceObjects,
  withService: boolean,
  { cluster }: EngineRooms,
): Promise<void> {
  if (withService) await cluster.apply(service);
  await cluster.apply(deployment);
  if (disruptionBudget !== undefined) await cluster.apply(disruptionBudget);
}

async function removeBudget(
  task: ServiceTask,
  { disruptionBudget }: ServiceObjects,
  { cluster }: EngineRooms,
): Promise<void> {
  if (disruptionBudget === undefined) await deleteOurs(kinds.disruptionBudget, placeOf(task), cluster);
}

/** False when somebody else has put another one in its place, which is theirs then. */
async function isStillOurs(task: ServiceTask, { cluster }: EngineRooms): Promise<boolean> {
  const live = await cluster.get(kinds.deployment, placeOf(task));
  return live === undefined || isSameTask(live, task);
}

/** Where it is to be reached; a way from outside that it is not to have any more goes. */
async function expose(
  task: ServiceTask,
  observer: Pick<TaskObserver, "note">,
  rooms: EngineRooms,
): Promise<void> {
  const { cluster, settings } = rooms;
  const { namespace, name } = placeOf(task);
  observer.note("info", `Successfully created k8s deployment for stage = ${name}`);
  const host = `${serviceName(task.stage.name)}.${namespace}.svc.cluster.local`;
  observer.note("info", `Exposing stage = ${name} at http://${host}:${task.stage.port}`);
  const routing = await findRouting(cluster, settings);
  const routes = routeObjects(task, routing);
  for (const route of routes) await cluster.apply(route);
  for (const kind of routeKinds) {
    const isWanted = routes.some((route) => route.apiVersion === kind.apiVersion && route.kind === kind.kind);
    if (!isWanted && (await cluster.has(kind))) await deleteOurs(kind, placeOf(task), rooms.cluster);
  }
  if (!task.stage.ingress) return;
  if (routing.kind === "none") {
    observer.note("warning", `Stage = ${name} is not to be reached from outside: ${routing.why}.`);
  } else {
    const before = settings.url?.replace(/\/+$/, "") ?? "";
    observer.note("info", `Requests from outside reach stage = ${name} at ${before}${routePath(task)}`);
  }
}

type Problem = Exclude<RollOutOutcome, { kind: "serving" }>;
type RollOutSight = Sight<"deployments" | "pods">;

/** Undefined when it serves. */
async function problemOf(
  task: ServiceTask,
  observer: TaskObserver,
  signal: AbortSignal,
  rooms: EngineRooms,
): Promise<Problem | undefined> {
  const { cluster, clock } = rooms;
  const { name } = placeOf(task);
  const sight = await watchAll(
    cluster,
    {
      deployments: [kinds.deployment, deploymentOf(task)],
      pods: [kinds.pod, podsOfRun(task)],
    },
    clock,
    signal,
  );
  const stopwatch = createStopwatch(clock);
  const replicas = createReplicas(task, observer, sight, stopwatch, rooms);
  const note = noteOnce(observer);
  try {
    for (;;) {
      if (signal.aborted) return { kind: "cancelled" };
      const [deployment] = sight.found.deployments;
      if (deployment === undefined || !isSameTask(deployment, task)) {
        const reason = `was ${deployment === undefined ? "deleted" : "changed"} by somebody else while it was rolled out`;
        return { kind: "failed", reason, lastLines: [] };
      }
      const seen = replicas.look(sight.found.pods);
      const refused = refusalOf(deployment) === undefined ? 0 : stopwatch("refused");
      const state = rollOutState(deployment, seen, refused, {
        startUp: task.stage.maxStartupTimeSeconds,
        startTimeout: rooms.settings.start_timeout_seconds,
        name,
      });
      if (state.kind === "done") return undefined;
      if (state.kind === "failed") return await failedOutcome(task, state, replicas, rooms);
      for (const text of state.notes) note(text);
      await sight.changed(state.again);
    }
  } finally {
    replicas.close();
    sight.close();
  }
}

async function failedOutcome(
  task: ServiceTask,
  { reason, pod }: Extract<RollOutState, { kind: "failed" }>,
  replicas: Replicas,
  { cluster, logs }: EngineRooms,
): Promise<Problem> {
  if (pod === undefined) return { kind: "failed", reason, lastLines: [] };
  const state = podState(pod);
  if (!hasLog(state)) {
    const isQuiet = state.kind === "creating" && state.trouble === undefined;
    const more = isQuiet ? await lastWarning(cluster, pod) : undefined;
    return { kind: "failed", reason: more === undefined ? reason : `${reason}: ${more}`, lastLines: [] };
  }
  // One that was started anew has written nothing yet that would say why.
  const previous = state.kind === "running" && state.restarts > 0;
  const { text: log } = await logs.keep(replicas.placeOf(pod), task.deployment, { previous });
  return { kind: "failed", reason, lastLines: log === "" ? [] : moduleLines(log, keptLines) };
}

interface Replicas {
  /** What each pod is, and for how long; the log of one that runs is told. */
  look(pods: readonly KubernetesObject[]): readonly SeenPod[];
  placeOf(pod: KubernetesObject): LogPlace;
  close(): void;
}

/** The pods of a roll-out, numbered as they came. */
function createReplicas(
  task: ServiceTask,
  observer: TaskObserver,
  sight: RollOutSight,
  stopwatch: Stopwatch,
  { cluster }: EngineRooms,
): Replicas {
  const numbers = new Map<string, number>();
  const told = new Set<string>();
  /** Containers, and whether their module runs. */
  const modules = new Map<string, boolean>();
  const stop = new AbortController();
  const placeOfPod = ({ metadata }: KubernetesObject): LogPlace => {
    const number = numbers.get(metadata.name) ?? numbers.size + 1;
    numbers.set(metadata.name, number);
    const { runId, node } = task;
    return { namespace: stageNamespace(task), pod: metadata.name, runId, node, source: `replica ${number}` };
  };
  return {
    placeOf: placeOfPod,
    close: () => stop.abort(),
    look: (pods) =>
      pods
        .toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name))
        .map((pod) => {
          const state = podState(pod);
          const { uid = pod.metadata.name } = pod.metadata;
          if (hasLog(state) && !told.has(uid) && !isLeaving(pod)) {
            told.add(uid);
            const place = placeOfPod(pod);
            observer.log(place.source, logReference(place));
          }
          const trouble = state.kind === "creating" ? state.trouble?.about : undefined;
          const container = `${uid} ${"restarts" in state ? state.restarts : 0}`;
          if (state.kind === "running" && !state.ready && !modules.has(container)) {
            modules.set(container, false);
            void noticeBeginning(pod, container);
          }
          return {
            pod,
            state,
            starting: stopwatch(`${uid} starts`),
            inTrouble: trouble === undefined ? 0 : stopwatch(`${uid} ${trouble}`),
            running: state.kind === "running" ? stopwatch(`${container} runs`) : 0,
            module: modules.get(container) === true ? stopwatch(`${container} module`) : undefined,
          };
        }),
  };

  /** The program in the pod says in its log when requirements are installed and the module begins. */
  async function noticeBeginning({ metadata }: KubernetesObject, container: string): Promise<void> {
    const place = { namespace: stageNamespace(task), name: metadata.name };
    let line = "";
    try {
      for await (const text of cluster.logs(place, { follow: true }, stop.signal)) {
        line = (line + text).slice(-(text.length + beginsModule.length));
        if (!line.includes(beginsModule)) continue;
        modules.set(container, true);
        stopwatch(`${container} module`);
        sight.wake();
        return;
      }
    } catch (error) {
      // Without it the time is counted from when the container began.
      if (!(error instanceof ClusterError) && !stop.signal.aborted) throw error;
    }
  }
}

/** Everything as it was, and the new pods gone. */
async function putBack(snapshot: Snapshot, rooms: EngineRooms): Promise<void> {
  const { cluster, clock } = rooms;
  await applySnapshot(snapshot, rooms);
  await untilNone(cluster, kinds.pod, podsOfRun(snapshot.task), clock);
  if (snapshot.uid === undefined) {
    await untilNone(cluster, kinds.deployment, deploymentOf(snapshot.task), clock);
  }
}

/** What another tool had deployed, which this one has replaced. */
async function putOriginalBack(task: ServiceTask, rooms: EngineRooms): Promise<RollOutOutcome> {
  const live = await rooms.cluster.get(kinds.deployment, placeOf(task));
  if (live !== undefined && isSameTask(live, task)) return { kind: "serving" };
  const uid = task.runId.slice(task.runId.indexOf("-") + 1);
  const snapshot = snapshotOfOriginal(uid, rooms);
  if (snapshot === undefined) {
    return { kind: "failed", reason: "nothing is kept of what another tool had deployed", lastLines: [] };
  }
  await putBack(snapshot, rooms);
  forgetSnapshot(snapshot.task, rooms);
  return { kind: "serving" };
}

function deploymentOf(task: ServiceTask): Selection {
  const { namespace, name } = placeOf(task);
  return { namespace, fields: `metadata.name=${name}` };
}

function podsOfRun(task: ServiceTask): Selection {
  const pairs = Object.entries(runLabels(task)).map(([label, value]) => `${label}=${value}`);
  return { namespace: stageNamespace(task), labels: pairs.join(",") };
}

function podsOfStage(task: ServiceTask): Selection {
  const { namespace, name } = placeOf(task);
  return { namespace, labels: `${labels.app}=${labels.appValue},${labels.stage}=${name}` };
}
