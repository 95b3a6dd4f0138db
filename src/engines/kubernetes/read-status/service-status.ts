import { sanitisedName } from "../../../core/naming.ts";
import type { ReplicaStatus, ServiceStatus, ServiceTask } from "../../../core/run-state.ts";
import type { KubernetesObject } from "../client/cluster.ts";
import { at, listAt, numberAt, textAt } from "../client/objects.ts";
import { logReference } from "../logs.ts";
import { namespaceName, objectName } from "../manifests/names.ts";
import { annotations, labels } from "../vocabulary.ts";
import { hasLog, isLeaving, type PodState, podState } from "./pod-state.ts";

/** What belongs to a service's Deployment. */
export interface ServiceSurroundings {
  readonly pods: readonly KubernetesObject[];
  /** Its Service; undefined when there is none. */
  readonly service: KubernetesObject | undefined;
  /** Whether an HTTPRoute or an Ingress leads to it. */
  readonly hasRoute: boolean;
  /** Where requests from outside arrive, `https://models.example.com`. */
  readonly url: string | undefined;
}

/** What `get deployments` shows of a Deployment, ours or the original's. */
export function serviceStatus(deployment: KubernetesObject, around: ServiceSurroundings): ServiceStatus {
  const task = taskOf(deployment);
  const { name = "", namespace = "" } = deployment.metadata;
  const wanted = numberAt(deployment, "spec", "replicas") ?? 1;
  const pods = around.pods
    .filter((pod) => !isLeaving(pod) && isOfSameRun(pod, deployment))
    .map((pod) => ({ pod, state: podState(pod) }))
    .filter(({ state }) => state.kind !== "disrupted")
    .toSorted((a, b) => orderOf(a.pod).localeCompare(orderOf(b.pod)));
  const replicas = pods.map(({ pod, state }, index) => replicaStatus(task, pod, state, String(index + 1)));
  const ready = replicas.filter(({ state }) => state === "ready").length;
  const states = pods.map(({ state }) => state);
  const state = stateOf(states, ready, wanted);
  const host = `${textAt(around.service, "metadata", "name") ?? name}.${namespace}.svc.cluster.local`;
  const route = around.hasRoute ? `/${namespace}/${name}` : undefined;
  return {
    namespace: task.namespace,
    deployment: task.deployment,
    stage: task.stage.name,
    name,
    release: task.release,
    runId: task.runId,
    gitUrl: task.commit.url,
    branch: task.commit.branch,
    commit: task.commit.shortHash,
    port: task.stage.port,
    wantedReplicas: wanted,
    readyReplicas: ready,
    restarts: replicas.reduce((sum, { restarts }) => sum + restarts, 0),
    state,
    reason: state === "serving" ? undefined : reasonOf(states, ready, wanted),
    internalUrl: `http://${host}:${task.stage.port}`,
    address: around.service === undefined ? undefined : `${host}:${task.stage.port}`,
    ingressRoute: route,
    url:
      route === undefined || around.url === undefined
        ? undefined
        : `${around.url.replace(/\/+$/, "")}${route}`,
    replicas,
  };
}

/** The task of a Deployment; one of the original's is told from what it writes on it. */
export function taskOf(deployment: KubernetesObject): ServiceTask {
  const kept = deployment.metadata.annotations?.[annotations.task];
  return kept === undefined ? originalTask(deployment) : (JSON.parse(kept) as ServiceTask);
}

/** True for what another tool has deployed: it can be put back only as it was. */
export function isOriginal({ runId }: Pick<ServiceTask, "runId">): boolean {
  return runId.startsWith(originalRun);
}

/** Before the Deployment's uid. */
const originalRun = "original-";

function originalTask(deployment: KubernetesObject): ServiceTask {
  const { name, namespace = "", labels: its = {}, annotations: notes = {}, uid = "" } = deployment.metadata;
  const container = at(deployment, "spec", "template", "spec", "containers", 0);
  const [url = "", stage = name] = listAt(container, "args").map(String);
  const hash = its[labels.commit] ?? "";
  const branch = notes[annotations.branch] ?? its[labels.branch] ?? "";
  const image = textAt(container, "image");
  return {
    runId: `${originalRun}${uid}`,
    node: stage,
    deployment: notes[annotations.deploymentName] ?? its[labels.deploymentName] ?? namespace,
    namespace,
    release: 0,
    commit: {
      ...{ repository: "", hash, url, shortHash: hash, author: "", subject: "" },
      branch: branch === "" ? undefined : branch,
      committedAt: deployment.metadata.creationTimestamp ?? "",
    },
    environment: { key: "", folder: "", python: "" },
    ...(image === undefined ? {} : { image }),
    inputs: [],
    variables: {},
    stage: {
      ...{ name: stage, kind: "service", modulePath: "", args: [], cpuRequest: 0, memoryRequestMb: 0 },
      ...{ cpuLimit: undefined, memoryLimitMb: undefined, gpuRequest: 0, requirements: [] },
      ...{ requirementsFile: undefined, secrets: {}, needs: undefined, outputs: {}, inputs: [] },
      pod: {
        ...{ nodeSelector: {}, tolerations: [], imagePullSecrets: [], serviceAccountToken: true },
        ...{ security: "baseline", extra: {} },
      },
      maxStartupTimeSeconds: (numberAt(container, "startupProbe", "failureThreshold") ?? 6) * 10,
      replicas: numberAt(deployment, "spec", "replicas") ?? 1,
      port: Number(notes[annotations.port] ?? 0),
      ingress: false,
      healthPath: undefined,
    },
  };
}

/** By which a service is found: stages that differ in what Kubernetes takes for the same are one. */
export function serviceKey(namespace: string, stage: string): string {
  return `${namespaceName(namespace)}/${objectName(sanitisedName(stage))}`;
}

/** While it is replaced, pods of the release before are still there. The original's say nothing of a run. */
function isOfSameRun(pod: KubernetesObject, deployment: KubernetesObject): boolean {
  const run = deployment.metadata.labels?.[labels.run];
  return run === undefined || pod.metadata.labels?.[labels.run] === run;
}

function orderOf({ metadata }: KubernetesObject): string {
  return `${metadata.creationTimestamp ?? ""} ${metadata.name}`;
}

function replicaStatus(task: ServiceTask, pod: KubernetesObject, state: PodState, id: string): ReplicaStatus {
  const restarts = "restarts" in state ? state.restarts : 0;
  const { name, namespace = "" } = pod.metadata;
  const { runId, node } = task;
  return {
    id,
    state: replicaStateOf(state),
    pid: undefined,
    address: `${textAt(pod, "status", "podIP") ?? ""}:${task.stage.port}`,
    restarts,
    startedAt: state.kind === "running" ? state.since.toISOString() : undefined,
    log: logReference({ namespace, pod: name, runId, node, source: `replica ${id}` }),
  };
}

function replicaStateOf(state: PodState): ReplicaStatus["state"] {
  if (state.kind === "running") return state.ready ? "ready" : "starting";
  if (state.kind === "restarting") return "waiting-to-restart";
  return hasLog(state) ? "stopped" : "starting";
}

function stateOf(states: readonly PodState[], ready: number, wanted: number): ServiceStatus["state"] {
  if (wanted === 0) return "stopped";
  if (ready >= wanted) return "serving";
  if (states.some((state) => state.kind === "restarting" && state.looping)) return "crash-loop";
  return ready > 0 ? "degraded" : "starting";
}

function reasonOf(states: readonly PodState[], ready: number, wanted: number): string {
  if (wanted === 0) return "no replicas are wanted";
  const problems = states.flatMap((state) => problemOf(state) ?? []);
  return [`${ready} of ${wanted} replicas are ready`, ...new Set(problems)].join("; ");
}

function problemOf(state: PodState): string | undefined {
  switch (state.kind) {
    case "unscheduled":
      return state.message;
    case "creating":
      return state.trouble?.message;
    case "restarting":
    case "ended":
      return `one ended (${state.exit.reason})`;
    case "running":
      return state.ready || state.before === undefined
        ? undefined
        : `one ended before (${state.before.reason})`;
    case "disrupted":
      return undefined;
  }
}
