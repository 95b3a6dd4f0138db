import { describe, expect, test } from "vitest";

import type { KubernetesObject } from "../../../../src/engines/kubernetes/client/cluster.ts";
import {
  isOriginal,
  serviceStatus,
  taskOf,
} from "../../../../src/engines/kubernetes/read-status/service-status.ts";
import { image, serveTask } from "../support/rooms.ts";
import { pod, running, terminated, waiting } from "./statuses.ts";

const labels = { "bodywork.io/run": "run-1", stage: "serve" };
const task = serveTask({ namespace: "space" }, { replicas: 2 });
const deployment: KubernetesObject = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: {
    name: "serve",
    namespace: "space",
    labels,
    annotations: { "bodywork.io/task": JSON.stringify(task) },
  },
  spec: { replicas: 2 },
};
const of = (name: string, container: Record<string, unknown>, its: Record<string, string> = labels) =>
  pod({ phase: "Running", podIP: "10.0.0.7" }, { name, container, labels: its, restartPolicy: "Always" });
const ready = (name: string, its?: Record<string, string>) => of(name, running({ ready: true }), its);
const service = { apiVersion: "v1", kind: "Service", metadata: { name: "serve", namespace: "space" } };
const status = (pods: readonly KubernetesObject[], object = deployment) =>
  serviceStatus(object, { pods, service, hasRoute: true, url: "https://models.example.com/" });

describe("the status of a service", () => {
  test("says where it is and what it serves", () => {
    expect(status([ready("serve-a"), ready("serve-b")])).toMatchObject({
      ...{ deployment: "story", stage: "serve", name: "serve", release: 1, runId: "run-1", port: 5000 },
      ...{ wantedReplicas: 2, readyReplicas: 2, restarts: 0, state: "serving", reason: undefined },
      internalUrl: "http://serve.space.svc.cluster.local:5000",
      address: "serve.space.svc.cluster.local:5000",
      ingressRoute: "/space/serve",
      url: "https://models.example.com/space/serve",
      replicas: [
        {
          id: "1",
          state: "ready",
          pid: undefined,
          address: "10.0.0.7:5000",
          startedAt: "2026-11-25T12:00:05.000Z",
        },
        { id: "2", log: "pod/space/serve-b?run=run-1&node=serve&source=replica+2" },
      ],
    });
  });

  const loops = of("serve-b", {
    ...waiting("CrashLoopBackOff"),
    restartCount: 4,
    lastState: { terminated: terminated(1) },
  });
  test.each([
    ["degraded", [ready("serve-a"), of("serve-b", running())], "1 of 2 replicas are ready"],
    ["starting", [of("serve-a", running())], "0 of 2 replicas are ready"],
    ["starting", [], "0 of 2 replicas are ready"],
    ["crash-loop", [ready("serve-a"), loops], "1 of 2 replicas are ready; one ended (exit 1)"],
    [
      "starting",
      [of("serve-a", waiting("ErrImagePull", "x: not found"))],
      "0 of 2 replicas are ready; x: not found",
    ],
  ])("is %s", (state, pods, reason) => {
    expect(status(pods)).toMatchObject({ state, reason });
  });

  test("counts restarts, and does not count pods that leave or are of the release before", () => {
    const old = ready("serve-old", { ...labels, "bodywork.io/run": "run-0" });
    const leaving = pod(
      { phase: "Running" },
      { name: "serve-x", container: running({ ready: true }), labels, deletedAt: "x" },
    );
    expect(status([old, leaving, loops])).toMatchObject({
      readyReplicas: 0,
      restarts: 4,
      replicas: [{ id: "1" }],
    });
  });

  test("of no replicas is stopped", () => {
    expect(status([], { ...deployment, spec: { replicas: 0 } })).toMatchObject({ state: "stopped" });
  });

  test("has no address without a Service, and no URL without a route", () => {
    const alone = serviceStatus(deployment, {
      pods: [],
      service: undefined,
      hasRoute: false,
      url: "https://x.test",
    });
    expect(alone).toMatchObject({ address: undefined, ingressRoute: undefined, url: undefined });
  });
});

describe("the task of a Deployment", () => {
  test("is the one that it was made for", () => {
    expect(taskOf(deployment)).toEqual(task);
    expect(isOriginal(taskOf(deployment))).toBe(false);
  });

  test("of the original is told from its arguments, labels and annotations", () => {
    const found = taskOf({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: {
        ...{ name: "stage-3", namespace: "space", uid: "u-1" },
        labels: {
          app: "bodywork",
          "deployment-name": "old",
          "git-commit-hash": "abc1234",
          "git-branch": "main",
        },
        annotations: { port: "6000" },
      },
      spec: {
        replicas: 3,
        template: {
          spec: { containers: [{ image, args: ["https://forge.test/x", "stage_3", "--branch=main"] }] },
        },
      },
    });
    expect(found).toMatchObject({
      ...{ runId: "original-u-1", deployment: "old", release: 0, image },
      commit: { url: "https://forge.test/x", shortHash: "abc1234", branch: "main" },
      stage: { name: "stage_3", replicas: 3, port: 6000 },
    });
    expect(isOriginal(found)).toBe(true);
  });
});
