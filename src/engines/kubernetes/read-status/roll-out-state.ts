import type { KubernetesObject } from "../client/cluster.ts";
import { listAt, numberAt, textAt } from "../client/objects.ts";
import { isLeaving, type PodState } from "./pod-state.ts";
import { type StartTimes, startVerdict } from "./start-verdict.ts";

/** A pod of the new release, with how long it has been what it is; seconds. */
export interface SeenPod extends StartTimes {
  readonly pod: KubernetesObject;
  readonly state: PodState;
  /** Since its container was seen running, the last time it began to. */
  readonly running: number;
  /** Since its module began to run in that container; undefined as long as requirements are installed. */
  readonly module: number | undefined;
}

export interface RollOutLimits {
  /** The stage's own, from when its module runs; seconds. */
  readonly startUp: number;
  readonly startTimeout: number;
  /** The stage's name in Kubernetes. */
  readonly name: string;
}

export type RollOutState =
  | { readonly kind: "done" }
  /** `pod`: the one that is to blame, if it is one. */
  | { readonly kind: "failed"; readonly reason: string; readonly pod: KubernetesObject | undefined }
  /** `notes`: what it waits for. `again`: seconds until it has to be judged anew, whatever happens. */
  | { readonly kind: "going"; readonly notes: readonly string[]; readonly again: number };

/** Ends of one container that make a crash loop: once may be bad luck. */
const loopEnds = 2;

/**
 * Where a roll-out is.
 * @param pods those of the new release
 * @param refused seconds since the cluster began to refuse pods (a quota, an admission rule)
 */
export function rollOutState(
  deployment: KubernetesObject,
  pods: readonly SeenPod[],
  refused: number,
  limits: RollOutLimits,
): RollOutState {
  if (isComplete(deployment)) return { kind: "done" };
  const verdicts = pods.filter(({ pod }) => !isLeaving(pod)).map((pod) => verdictOf(pod, limits));
  const failed = verdicts.find((verdict) => verdict.kind === "failed");
  if (failed !== undefined) return failed;
  const refusal = refusalOf(deployment);
  if (refusal !== undefined && refused >= limits.startTimeout) {
    const reason = `its pods are refused since ${limits.startTimeout} s: ${refusal}`;
    return { kind: "failed", reason, pod: undefined };
  }
  if (isOverdue(deployment)) {
    return { kind: "failed", reason: `made no progress: ${overdueText(deployment)}`, pod: pods[0]?.pod };
  }
  const going = verdicts.filter((verdict) => verdict.kind === "going");
  return {
    kind: "going",
    notes: [
      ...going.flatMap(({ notes }) => notes),
      ...(refusal === undefined ? [] : [`Its pods are refused: ${refusal}`]),
    ],
    again: Math.min(
      ...going.map(({ again }) => again),
      refusal === undefined ? Number.POSITIVE_INFINITY : limits.startTimeout - refused,
    ),
  };
}

/** All replicas are of the newest template and have been ready, and none of an older one is left. */
export function isComplete(deployment: KubernetesObject): boolean {
  const wanted = numberAt(deployment, "spec", "replicas") ?? 1;
  const count = (field: string): number => numberAt(deployment, "status", field) ?? 0;
  return (
    count("observedGeneration") >= (deployment.metadata.generation ?? 0) &&
    count("updatedReplicas") === wanted &&
    count("replicas") === wanted &&
    count("availableReplicas") >= wanted
  );
}

/** Why the cluster takes no pods of it: a quota, an admission rule. */
export function refusalOf(deployment: KubernetesObject): string | undefined {
  const found = condition(deployment, "ReplicaFailure");
  return textAt(found, "status") === "True"
    ? (textAt(found, "message") ?? textAt(found, "reason"))
    : undefined;
}

type Verdict = Exclude<RollOutState, { kind: "done" }>;

function verdictOf(seen: SeenPod, limits: RollOutLimits): Verdict {
  const { pod, state } = seen;
  switch (state.kind) {
    case "unscheduled":
    case "creating": {
      const what = { kind: "deployments", name: limits.name } as const;
      const verdict = startVerdict(state, seen, limits.startTimeout, what);
      if (verdict.kind === "fail") return { kind: "failed", reason: verdict.reason, pod };
      return going(verdict.again, verdict.note);
    }
    case "restarting":
      if (state.looping || state.restarts >= loopEnds - 1) return crashed(seen, state.exit.reason);
      return going();
    case "running":
      if (!state.ready && state.restarts >= loopEnds)
        return crashed(seen, state.before?.reason ?? "exit unknown");
      return state.ready ? going() : startUpVerdict(seen, limits);
    case "ended":
    case "disrupted":
      // Another takes its place.
      return going();
  }
}

/** The time to get ready is counted from when the module runs; requirements have a minute of their own. */
function startUpVerdict({ pod, running, module }: SeenPod, { startUp }: RollOutLimits): Verdict {
  if (module !== undefined) {
    if (module >= startUp) return { kind: "failed", reason: `not ready within ${startUp} s`, pod };
    return going(startUp - module);
  }
  const most = Math.max(60, startUp);
  if (running < most) return going(most - running);
  const reason = `not ready within ${most} s: its module had not begun by then, for requirements were being installed`;
  return { kind: "failed", reason, pod };
}

function crashed({ pod }: SeenPod, reason: string): Verdict {
  return { kind: "failed", reason: `keeps ending (${reason})`, pod };
}

function going(again = Number.POSITIVE_INFINITY, note?: string): Verdict {
  return { kind: "going", notes: note === undefined ? [] : [note], again };
}

function isOverdue(deployment: KubernetesObject): boolean {
  const found = condition(deployment, "Progressing");
  const observed = numberAt(deployment, "status", "observedGeneration") ?? 0;
  return (
    observed >= (deployment.metadata.generation ?? 0) &&
    textAt(found, "status") === "False" &&
    textAt(found, "reason") === "ProgressDeadlineExceeded"
  );
}

function overdueText(deployment: KubernetesObject): string {
  return textAt(condition(deployment, "Progressing"), "message") ?? "its time is over";
}

function condition(deployment: KubernetesObject, type: string): unknown {
  return listAt(deployment, "status", "conditions").find((one) => textAt(one, "type") === type);
}
