import type { KubernetesObject } from "../../../../src/engines/kubernetes/client/cluster.ts";

/** A pod of a stage with this status; its container as `container` has it. */
export function pod(
  status: Record<string, unknown>,
  change: {
    readonly container?: Record<string, unknown>;
    readonly name?: string;
    readonly restartPolicy?: string;
    readonly memory?: string;
    readonly createdAt?: string;
    readonly deletedAt?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly node?: string;
    readonly deadline?: number;
  } = {},
): KubernetesObject {
  const { container, name = "train-x1", memory, node = "node1" } = change;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "space",
      uid: `uid-of-${name}`,
      creationTimestamp: change.createdAt ?? "2026-11-25T12:00:00Z",
      ...(change.deletedAt === undefined ? {} : { deletionTimestamp: change.deletedAt }),
      ...(change.labels === undefined ? {} : { labels: change.labels }),
    },
    spec: {
      restartPolicy: change.restartPolicy ?? "Never",
      ...(node === "" ? {} : { nodeName: node }),
      ...(change.deadline === undefined ? {} : { activeDeadlineSeconds: change.deadline }),
      containers: [{ name: "bodywork", resources: memory === undefined ? {} : { limits: { memory } } }],
    },
    status: {
      phase: "Pending",
      ...status,
      ...(container === undefined
        ? {}
        : { containerStatuses: [{ name: "bodywork", restartCount: 0, ...container }] }),
    },
  };
}

export const startedAt = "2026-11-25T12:00:05Z";

export function running(change: Record<string, unknown> = {}): Record<string, unknown> {
  return { state: { running: { startedAt } }, ready: false, ...change };
}

export function terminated(exitCode: number, change: Record<string, unknown> = {}): Record<string, unknown> {
  return { exitCode, reason: exitCode === 0 ? "Completed" : "Error", ...change };
}

export function waiting(reason: string, message?: string): Record<string, unknown> {
  return { state: { waiting: { reason, ...(message === undefined ? {} : { message }) } } };
}

export function report(change: Record<string, unknown>): { readonly message: string } {
  return { message: JSON.stringify({ status: "failed", ...change }) };
}

/** A Job, or a Deployment, with these conditions. */
export function withConditions(
  kind: "Job" | "Deployment",
  conditions: readonly Readonly<Record<string, string>>[],
  change: { readonly spec?: Record<string, unknown>; readonly status?: Record<string, unknown> } = {},
): KubernetesObject {
  return {
    apiVersion: kind === "Job" ? "batch/v1" : "apps/v1",
    kind,
    metadata: { name: "train", namespace: "space", generation: 2, uid: `uid-of-${kind}` },
    spec: change.spec ?? {},
    status: { conditions, observedGeneration: 2, ...change.status },
  };
}
