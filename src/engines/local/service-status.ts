import { sanitisedName } from "../../core/naming.ts";
import type { ReplicaStatus, ServiceStatus, ServiceTask } from "../../core/run-state.ts";
import { type Address, addressKey } from "./addresses.ts";
import type { Route } from "./ingress/routes.ts";
import type { Replica } from "./replica.ts";

/** A service that gets requests. */
export interface LiveService {
  readonly task: ServiceTask;
  /** What its name resolves to. */
  readonly address: Address;
  replicas: readonly Replica[];
  /** The targets that the ingress was told last. */
  routed?: string;
}

/** Crashes in a row after which a service is said to be in a crash loop, until it is ready again. */
const loopCrashes = 3;

/** @param publicUrl of the ingress; undefined before it was ever started */
export function statusOf(service: LiveService, publicUrl: string | undefined): ServiceStatus {
  const { task, address, replicas } = service;
  const all = replicas.map((replica) => replica.status());
  const ready = all.filter(({ state }) => state === "ready").length;
  const name = sanitisedName(task.stage.name);
  const route = task.stage.ingress ? `/${sanitisedName(task.namespace)}/${name}` : undefined;
  const state = stateOf(
    all,
    replicas.some((replica, index) => all[index]?.state !== "ready" && replica.crashes() >= loopCrashes),
  );
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
    wantedReplicas: task.stage.replicas,
    readyReplicas: ready,
    restarts: all.reduce((sum, { restarts }) => sum + restarts, 0),
    state,
    reason: state === "serving" ? undefined : reasonOf(replicas, ready),
    internalUrl: `http://${name}:${task.stage.port}`,
    address: addressKey(address),
    ingressRoute: route,
    url: route === undefined || publicUrl === undefined ? undefined : `${publicUrl}${route}`,
    replicas: all,
  };
}

export function stateOf(replicas: readonly ReplicaStatus[], crashing: boolean): ServiceStatus["state"] {
  const ready = replicas.filter(({ state }) => state === "ready").length;
  if (ready === replicas.length && ready > 0) return "serving";
  if (replicas.every(({ state }) => state === "stopped")) return "stopped";
  if (crashing) return "crash-loop";
  return ready > 0 ? "degraded" : "starting";
}

/** True while it is brought back after a restart of the server: not ready again yet, nor has it failed to be. */
export function isComingBack({ replicas }: LiveService): boolean {
  return replicas.some((replica) => replica.status().state === "starting" && replica.crashes() === 0);
}

function reasonOf(replicas: readonly Replica[], ready: number): string {
  const problems = replicas.flatMap((replica) => {
    const problem = replica.problem();
    return problem === undefined ? [] : [`replica ${replica.record().id} ${problem}`];
  });
  return [`${ready} of ${replicas.length} replicas are ready`, ...problems].join("; ");
}

export function routeOf(service: LiveService): Route {
  const { task, address } = service;
  return {
    namespace: task.namespace,
    stage: sanitisedName(task.stage.name),
    rawStage: task.stage.name,
    release: String(task.release),
    ingress: task.stage.ingress,
    address,
    targets: inRotation(service),
  };
}

/** Where requests go: not to a replica with a known problem while there are others. */
export function inRotation({ replicas }: LiveService): readonly Address[] {
  const well = replicas.filter((replica) => replica.problem() === undefined);
  return (well.length > 0 ? well : replicas).map((replica) => replica.record().target);
}
