import type { KubernetesObject } from "../client/cluster.ts";
import { at, fieldsOf, listAt, numberAt, textAt } from "../client/objects.ts";
import type { PodReport } from "../pod/pod-contract.ts";
import { containerName } from "../vocabulary.ts";
import { type Exit, exitOf, reportOf } from "./exit.ts";

/** What a pod's status says of its stage. */
export type PodState =
  /** It has no node yet; `message` are the scheduler's words when it found none. */
  | { readonly kind: "unscheduled"; readonly message: string | undefined }
  /** It has a node, and its container is being made. */
  | { readonly kind: "creating"; readonly trouble: StartTrouble | undefined }
  | {
      readonly kind: "running";
      readonly since: Date;
      readonly ready: boolean;
      readonly restarts: number;
      /** How it ended the last time. */
      readonly before: Exit | undefined;
    }
  /** Its container ended and is to start again. `looping`: Kubernetes waits longer each time. */
  | { readonly kind: "restarting"; readonly exit: Exit; readonly restarts: number; readonly looping: boolean }
  | { readonly kind: "ended"; readonly exit: Exit; readonly report: PodReport | undefined }
  /** The cluster took it away: evicted, drained, its node is gone. Its Job or Deployment starts another. */
  | { readonly kind: "disrupted"; readonly reason: string };

/** Why a container can't be made, in kubelet's words. */
export interface StartTrouble {
  readonly about: "image" | "configuration" | "container";
  readonly reason: string;
  readonly message: string;
  /**
   * `never`: what is asked for can't exist. `hardly`: the answer was a clear no, which the next try seldom changes.
   * `maybe`: it may come yet.
   */
  readonly hope: "never" | "hardly" | "maybe";
}

export function podState(pod: KubernetesObject): PodState {
  const disruption = disruptionOf(pod);
  if (disruption !== undefined) return { kind: "disrupted", reason: disruption };
  const status = stageContainer(pod);
  const terminated = at(status, "state", "terminated");
  const memoryLimit = memoryLimitOf(pod);
  if (terminated !== undefined) {
    const exit = exitOf(terminated, memoryLimit);
    if (willRestart(pod)) return { kind: "restarting", exit, restarts: restartsOf(status), looping: false };
    return { kind: "ended", exit, report: reportOf(terminated) };
  }
  const last = at(status, "lastState", "terminated");
  const before = last === undefined ? undefined : exitOf(last, memoryLimit);
  const startedAt = textAt(status, "state", "running", "startedAt");
  if (startedAt !== undefined) {
    const ready = at(status, "ready") === true;
    return { kind: "running", since: new Date(startedAt), ready, restarts: restartsOf(status), before };
  }
  const waiting = textAt(status, "state", "waiting", "reason");
  if (before !== undefined && waiting === "CrashLoopBackOff") {
    return { kind: "restarting", exit: before, restarts: restartsOf(status), looping: true };
  }
  const phase = textAt(pod, "status", "phase");
  if (phase === "Failed" || phase === "Succeeded") return endedWithoutContainer(pod, phase);
  const scheduled = condition(pod, "PodScheduled");
  if (textAt(pod, "spec", "nodeName") === undefined && textAt(scheduled, "status") !== "True") {
    return { kind: "unscheduled", message: textAt(scheduled, "message") };
  }
  return { kind: "creating", trouble: startTrouble(pod, status) };
}

/** When the container of the stage runs, or has run: then it has a log. */
export function hasLog(state: PodState): boolean {
  return state.kind === "running" || state.kind === "restarting" || state.kind === "ended";
}

export function isLeaving(pod: KubernetesObject): boolean {
  return pod.metadata.deletionTimestamp !== undefined;
}

/** `Inadequate cluster cpu and memory to start jobs (train): 0/3 nodes are available: …`; the scheduler's words as they are otherwise. */
export function unschedulableText(message: string, what: "jobs" | "deployments", name: string): string {
  const short = ["cpu", "memory"].filter((resource) => message.includes(`Insufficient ${resource}`));
  if (short.length === 0) return `No node of the cluster takes ${what} (${name}): ${message}`;
  return `Inadequate cluster ${short.join(" and ")} to start ${what} (${name}): ${message}`;
}

/** One that ended well before it was taken away has ended well. */
function disruptionOf(pod: KubernetesObject): string | undefined {
  if (textAt(pod, "status", "phase") === "Succeeded") return undefined;
  const found = condition(pod, "DisruptionTarget");
  const message = textAt(pod, "status", "message") ?? textAt(found, "message");
  if (textAt(pod, "status", "reason") === "Evicted") return `evicted: ${message ?? "its node had no room"}`;
  if (textAt(found, "status") !== "True") return undefined;
  const reason = textAt(found, "reason") ?? "";
  return `${disruptions[reason] ?? reason}${message === undefined || message === "" ? "" : `: ${message}`}`;
}

/** Reasons of the condition DisruptionTarget. */
const disruptions: Readonly<Record<string, string>> = {
  PreemptionByScheduler: "preempted by a more important pod",
  DeletionByTaintManager: "taken off its node",
  EvictionByEvictionAPI: "evicted",
  DeletionByPodGC: "its node is gone",
  TerminationByKubelet: "ended by its node",
};

/** Its status says how it ended, but nothing of its container. */
function endedWithoutContainer(pod: KubernetesObject, phase: "Failed" | "Succeeded"): PodState {
  const reason = textAt(pod, "status", "reason");
  const message = textAt(pod, "status", "message");
  if (
    reason === "NodeLost" ||
    reason === "Shutdown" ||
    reason === "NodeShutdown" ||
    reason === "Terminated"
  ) {
    return { kind: "disrupted", reason: `its node is gone${message === undefined ? "" : `: ${message}`}` };
  }
  const limit = numberAt(pod, "spec", "activeDeadlineSeconds");
  const words =
    reason === "DeadlineExceeded"
      ? `timed out${limit === undefined ? "" : ` after ${limit} s`}`
      : [reason ?? "the pod failed", ...(message === undefined ? [] : [message])].join(": ");
  return {
    kind: "ended",
    exit: phase === "Succeeded" ? { code: 0, reason: "exit 0" } : { code: undefined, reason: words },
    report: undefined,
  };
}

function startTrouble(pod: KubernetesObject, status: unknown): StartTrouble | undefined {
  const waiting = [status, ...listAt(pod, "status", "initContainerStatuses")]
    .map((one) => fieldsOf(at(one, "state", "waiting")))
    .find(({ reason }) => typeof reason === "string" && !ordinary.has(reason));
  const reason = textAt(waiting, "reason");
  if (reason === undefined) return undefined;
  const message = textAt(waiting, "message") ?? reason;
  const about = imageTroubles.has(reason)
    ? "image"
    : reason === "CreateContainerConfigError"
      ? "configuration"
      : "container";
  return { about, reason, message, hope: hopeOf(reason, message) };
}

const ordinary: ReadonlySet<string> = new Set(["ContainerCreating", "PodInitializing"]);
const imageTroubles: ReadonlySet<string> = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "InvalidImageName",
  "ErrImageNeverPull",
  "ImageInspectError",
  "RegistryUnavailable",
  "SignatureValidationFailed",
]);

function hopeOf(reason: string, message: string): StartTrouble["hope"] {
  if (reason === "InvalidImageName" || reason === "ErrImageNeverPull") return "never";
  if (reason === "CreateContainerConfigError" || reason === "SignatureValidationFailed") return "hardly";
  if (!imageTroubles.has(reason)) return "maybe";
  // What containerd says of a name that kubelet has let pass.
  if (/invalid reference format/i.test(message)) return "never";
  return /not found|manifest unknown|does not exist|denied|unauthorized|forbidden|no match for platform/i.test(
    message,
  )
    ? "hardly"
    : "maybe";
}

function willRestart(pod: KubernetesObject): boolean {
  const phase = textAt(pod, "status", "phase");
  if (phase === "Failed" || phase === "Succeeded") return false;
  return (textAt(pod, "spec", "restartPolicy") ?? "Always") === "Always" && !isLeaving(pod);
}

function stageContainer(pod: KubernetesObject): unknown {
  const all = listAt(pod, "status", "containerStatuses");
  return all.find((status) => textAt(status, "name") === containerName) ?? all[0];
}

function restartsOf(status: unknown): number {
  return numberAt(status, "restartCount") ?? 0;
}

function memoryLimitOf(pod: KubernetesObject): string | undefined {
  const containers = listAt(pod, "spec", "containers");
  const found = containers.find((container) => textAt(container, "name") === containerName) ?? containers[0];
  return textAt(found, "resources", "limits", "memory");
}

function condition(pod: KubernetesObject, type: string): unknown {
  return listAt(pod, "status", "conditions").find((one) => textAt(one, "type") === type);
}
