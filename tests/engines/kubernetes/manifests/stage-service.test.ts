import { describe, expect, test } from "vitest";

import { at } from "../../../../src/engines/kubernetes/client/objects.ts";
import { nodeLabel } from "../../../../src/engines/kubernetes/manifests/names.ts";
import { serviceObjects } from "../../../../src/engines/kubernetes/manifests/stage-service.ts";
import { podContext, serviceTask, settings } from "./support/tasks.ts";

const labels = {
  app: "bodywork",
  stage: "stage-2",
  "deployment-name": "my-project",
  "app.kubernetes.io/managed-by": "bodywork",
  "bodywork.io/run": "20261123-190512000-k3f9",
  "bodywork.io/node": nodeLabel("stage_2"),
  "git-commit-hash": "1234567",
  "git-branch": "main",
};

const container = (...change: Parameters<typeof serviceTask>): unknown =>
  at(
    serviceObjects(serviceTask(...change), podContext()).deployment,
    "spec",
    "template",
    "spec",
    "containers",
    0,
  );

describe("the Deployment of a service", () => {
  test("has the original's name, labels, annotations and strategy", () => {
    const { deployment } = serviceObjects(serviceTask(), podContext());
    expect(deployment).toMatchObject({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "stage-2", namespace: "space", labels, annotations: { port: "5000" } },
      spec: {
        replicas: 2,
        revisionHistoryLimit: 0,
        selector: { matchLabels: { stage: "stage-2" } },
        strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 2, maxUnavailable: 0 } },
        progressDeadlineSeconds: 390,
        template: {
          metadata: { labels, annotations: { "last-updated": "2026-11-23T19:05:12.000Z" } },
          spec: {
            restartPolicy: "Always",
            serviceAccountName: "bodywork-stage",
            containers: [
              {
                name: "bodywork",
                args: ["https://forge.test/me/my-project", "stage_2", "--branch=main"],
                resources: { requests: { cpu: "0.5", memory: "100M" } },
              },
            ],
          },
        },
      },
    });
    expect(at(deployment, "spec", "selector")).toEqual({ matchLabels: { stage: "stage-2" } });
  });

  test("of a bare commit has an empty branch, and of an odd branch the true one beside its label", () => {
    const { commit } = serviceTask();
    const bare = serviceTask({}, { commit: { ...commit, branch: undefined } });
    expect(serviceObjects(bare, podContext()).deployment.metadata.labels).toMatchObject({ "git-branch": "" });
    const odd = serviceTask({}, { commit: { ...commit, branch: "feature/x" } });
    const { metadata } = serviceObjects(odd, podContext()).deployment;
    expect(metadata.labels?.["git-branch"]).toMatch(/^feature-x-/);
    expect(metadata.annotations?.["bodywork.io/git-branch"]).toBe("feature/x");
  });

  test("gives a replica its time to start, then asks it every 2 s, and starts it anew when its port is dead", () => {
    expect(container()).toMatchObject({
      ports: [{ containerPort: 5000, protocol: "TCP" }],
      startupProbe: { tcpSocket: { port: 5000 }, periodSeconds: 1, failureThreshold: 90 },
      readinessProbe: { tcpSocket: { port: 5000 }, periodSeconds: 2 },
      livenessProbe: { tcpSocket: { port: 5000 }, periodSeconds: 10, failureThreshold: 3 },
    });
  });

  test("gives a replica at least a minute to start", () => {
    expect(container({ maxStartupTimeSeconds: 0 })).toMatchObject({ startupProbe: { failureThreshold: 60 } });
  });

  test("asks the health path before a replica gets requests, but does not kill it for that", () => {
    const asked = { httpGet: { path: "/healthz", port: 5000 } };
    const found = container({ healthPath: "healthz" });
    expect(found).toMatchObject({ startupProbe: asked, readinessProbe: asked });
    expect(at(found, "livenessProbe")).not.toHaveProperty("httpGet");
  });

  test("lets a replica that goes answer on for the time to drain", () => {
    const pod = (drain: number): unknown => {
      const context = podContext({ settings: settings({ drain_seconds: drain }) });
      return at(serviceObjects(serviceTask(), context).deployment, "spec", "template", "spec");
    };
    expect(pod(25)).toMatchObject({
      terminationGracePeriodSeconds: 55,
      containers: [{ lifecycle: { preStop: { exec: { command: ["/bin/sh", "-c", "sleep 25"] } } } }],
    });
    expect(at(pod(0), "containers", 0)).not.toHaveProperty("lifecycle");
  });

  test("tells a replica where to listen", () => {
    expect(at(container(), "env")).toEqual(
      expect.arrayContaining([
        { name: "HOST", value: "0.0.0.0" },
        { name: "PORT", value: "5000" },
      ]),
    );
  });
});

describe("the Service of a service", () => {
  test("is called as the stage, so that its neighbours find it at http://stage-2:5000", () => {
    expect(serviceObjects(serviceTask(), podContext()).service).toEqual({
      apiVersion: "v1",
      kind: "Service",
      metadata: {
        name: "stage-2",
        namespace: "space",
        labels: {
          app: "bodywork",
          stage: "stage-2",
          "deployment-name": "my-project",
          "app.kubernetes.io/managed-by": "bodywork",
        },
      },
      spec: {
        type: "ClusterIP",
        selector: { stage: "stage-2" },
        ports: [{ port: 5000, targetPort: 5000, protocol: "TCP" }],
      },
    });
  });
});

describe("the disruption budget of a service", () => {
  test("lets one replica go at a time", () => {
    expect(serviceObjects(serviceTask(), podContext()).disruptionBudget).toMatchObject({
      apiVersion: "policy/v1",
      metadata: { name: "stage-2", namespace: "space" },
      spec: { maxUnavailable: 1, selector: { matchLabels: { stage: "stage-2" } } },
    });
  });

  test("is not made for a single replica, whose node could never be drained", () => {
    expect(serviceObjects(serviceTask({ replicas: 1 }), podContext()).disruptionBudget).toBeUndefined();
  });
});
