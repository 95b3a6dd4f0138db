import type { BatchTask, ServiceTask } from "../../../../src/core/run-state.ts";
import { parseSettings } from "../../../../src/core/settings.ts";
import type { KubernetesObject } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import type { EngineRooms } from "../../../../src/engines/kubernetes/engine-parts.ts";
import { createLogs } from "../../../../src/engines/kubernetes/logs.ts";
import { createLiveServices } from "../../../../src/engines/kubernetes/services.ts";
import { createSources } from "../../../../src/engines/kubernetes/sources.ts";
import { containerName } from "../../../../src/engines/kubernetes/vocabulary.ts";
import type { Clock } from "../../../../src/ports/clock.ts";
import type { TaskObserver } from "../../../../src/ports/engine.ts";
import { type FakeCluster, fakeCluster, namespaceObject } from "../../../support/fake-cluster.ts";
import { memoryDocuments } from "../../../support/memory-documents.ts";
import { batchStage, batchTask, serviceStage, serviceTask } from "../../../support/tasks.ts";

/** Time that passes only when the test says so. */
export interface HandClock extends Clock {
  pass(seconds: number): void;
}

export function handClock(): HandClock {
  let now = 0;
  const sleepers = new Set<{ readonly until: number; readonly wake: () => void }>();
  return {
    now: () => new Date(Date.parse("2026-11-25T12:00:00Z") + now),
    monotonic: () => now,
    sleep: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = { until: now + milliseconds, wake: resolve };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", () => {
          sleepers.delete(sleeper);
          reject(signal.reason);
        });
      }),
    pass(seconds) {
      now += seconds * 1000;
      for (const sleeper of sleepers) {
        if (sleeper.until > now) continue;
        sleepers.delete(sleeper);
        sleeper.wake();
      }
    },
  };
}

export interface FakeRooms extends EngineRooms {
  readonly cluster: FakeCluster;
  readonly clock: HandClock;
}

/** The engine's rooms over an API server in memory, with the namespace `space`; `settings` in place of the defaults. */
export function fakeRooms(settings: Record<string, unknown> = {}, cluster = fakeCluster()): FakeRooms {
  cluster.put(namespaceObject("space"));
  const clock = handClock();
  const parts = {
    cluster,
    clock,
    store: memoryDocuments(),
    source: { archive: async () => Buffer.from("archive") },
    secrets: { replicate: async () => 0, copyOne: async () => {} },
    images: { resolve: async (image: string) => ({ image, warnings: [] }) },
    settings: parseSettings(JSON.stringify({ kubernetes: settings }), "settings.yaml").kubernetes,
  };
  return {
    ...parts,
    logs: createLogs(cluster, clock.sleep),
    services: createLiveServices(cluster, parts.settings),
    sources: createSources(parts),
  };
}

/** The same cluster, record and time, as another controller has them. */
export function nextController(rooms: FakeRooms): FakeRooms {
  const { cluster, settings } = rooms;
  return {
    ...rooms,
    logs: createLogs(cluster, rooms.clock.sleep),
    services: createLiveServices(cluster, settings),
    sources: createSources(rooms),
  };
}

export interface Heard extends TaskObserver {
  readonly notes: string[];
  readonly logs: string[];
}

export function listen(): Heard {
  const notes: string[] = [];
  const logs: string[] = [];
  return { notes, logs, log: (source) => logs.push(source), note: (_, text) => notes.push(text) };
}

export const image = "example.com/python:3.11";

export function trainTask(
  change: Partial<BatchTask> = {},
  stage: Partial<BatchTask["stage"]> = {},
): BatchTask {
  return batchTask(batchStage("train", stage), { image, ...change });
}

export function serveTask(
  change: Partial<ServiceTask> = {},
  stage: Partial<ServiceTask["stage"]> = {},
): ServiceTask {
  return serviceTask(serviceStage("serve", { ingress: false, ...stage }), { image, ...change });
}

/** Resolves when what was called has come to a wait. */
export async function calm(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export interface PodChange {
  readonly name?: string;
  readonly state?: Record<string, unknown>;
  readonly status?: Record<string, unknown>;
  readonly container?: Record<string, unknown>;
  readonly node?: string;
}

/** Plays a Job's, or a ReplicaSet's, controller and kubelet: a pod of that owner with this status. */
export function putPod(
  cluster: FakeCluster,
  owner: KubernetesObject,
  change: PodChange = {},
): KubernetesObject {
  const template = (owner.kind === "Job" || owner.kind === "Deployment" ? owner.spec : {}) as {
    readonly template: {
      readonly metadata: { readonly labels: Record<string, string> };
      readonly spec: object;
    };
  };
  const { name = `${owner.metadata.name}-1`, state, node = "node1" } = change;
  return cluster.put({
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: owner.metadata.namespace ?? "",
      labels: template.template.metadata.labels,
      ownerReferences: [{ kind: owner.kind, uid: owner.metadata.uid }],
    },
    spec: { ...template.template.spec, ...(node === "" ? {} : { nodeName: node }) },
    status: {
      phase: "Pending",
      conditions: [{ type: "PodScheduled", status: "True" }],
      ...change.status,
      ...(state === undefined
        ? {}
        : { containerStatuses: [{ name: containerName, restartCount: 0, state, ...change.container }] }),
    },
  });
}

export const runs = {
  state: { running: { startedAt: "2026-11-25T12:00:00Z" } },
  status: { phase: "Running" },
} as const;

export function exited(exitCode: number, message?: unknown): PodChange {
  const terminated = {
    exitCode,
    reason: exitCode === 0 ? "Completed" : "Error",
    ...(message === undefined ? {} : { message: JSON.stringify(message) }),
  };
  return { state: { terminated }, status: { phase: exitCode === 0 ? "Succeeded" : "Failed" } };
}

/** The only Job, or Deployment, of the namespace. */
export function only(cluster: FakeCluster, kind: "job" | "deployment"): KubernetesObject {
  const [found] = cluster.objects(kinds[kind], "space");
  if (found === undefined) throw new Error(`there is no ${kind}`);
  return found;
}
