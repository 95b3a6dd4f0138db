import { describe, expect, test } from "vitest";

import { at } from "../../../../src/engines/kubernetes/client/objects.ts";
import { nodeLabel } from "../../../../src/engines/kubernetes/manifests/names.ts";
import { stageJob } from "../../../../src/engines/kubernetes/manifests/stage-job.ts";
import { batchTask, podContext, settings } from "./support/tasks.ts";

describe("the Job of a batch stage", () => {
  test("has the original's name, labels and container, and the marks of its attempt", () => {
    const job = stageJob(batchTask({}, { attempt: 2 }), podContext());
    const labels = {
      app: "bodywork",
      stage: "stage-1",
      "deployment-name": "my-project",
      "app.kubernetes.io/managed-by": "bodywork",
      "bodywork.io/run": "20261123-190512000-k3f9",
      "bodywork.io/node": nodeLabel("stage_1"),
      "bodywork.io/attempt": "2",
    };
    expect(job).toMatchObject({
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: "stage-1", namespace: "space", labels },
      spec: {
        completions: 1,
        backoffLimit: 0,
        ttlSecondsAfterFinished: 900,
        template: {
          metadata: { labels },
          spec: {
            restartPolicy: "Never",
            serviceAccountName: "bodywork-stage",
            automountServiceAccountToken: false,
            containers: [
              {
                name: "bodywork",
                image: "bodyworkml/bodywork-core:latest",
                imagePullPolicy: "Always",
                command: ["/bin/sh", "/bodywork/program/start.sh"],
                args: ["https://forge.test/me/my-project", "stage_1", "--branch=main", "30"],
                resources: { requests: { cpu: "0.5", memory: "100M" } },
              },
            ],
          },
        },
      },
    });
    expect(at(job, "spec", "template", "spec", "containers", 0, "resources")).not.toHaveProperty("limits");
  });

  test("starts another pod, as part of the same attempt, only when the cluster has taken the pod away", () => {
    expect(at(stageJob(batchTask(), podContext()), "spec", "podFailurePolicy")).toEqual({
      rules: [{ action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] }],
    });
  });

  test("holds the whole task", () => {
    const task = batchTask({}, { deployment: "a/b" });
    const { annotations = {} } = stageJob(task, podContext()).metadata;
    expect(JSON.parse(annotations["bodywork.io/task"] ?? "")).toEqual(JSON.parse(JSON.stringify(task)));
    expect(annotations["bodywork.io/deployment-name"]).toBe("a/b");
  });

  test("of a stage without a time limit has none either", () => {
    const job = stageJob(batchTask({ maxCompletionTimeSeconds: 0 }), podContext());
    expect(job.spec).not.toHaveProperty("activeDeadlineSeconds");
    expect(at(job, "spec", "template", "spec", "containers", 0, "args")).toEqual([
      "https://forge.test/me/my-project",
      "stage_1",
      "--branch=main",
    ]);
  });

  test.each([
    [30, 300 + 60 + 90],
    [600, 300 + 600 + 90],
  ])("of a stage with %d s is ended by the cluster after %d s, if nobody else does", (limit, deadline) => {
    const context = podContext({ settings: settings({ start_timeout_seconds: 300 }) });
    const job = stageJob(batchTask({ maxCompletionTimeSeconds: limit }), context);
    expect(at(job, "spec", "activeDeadlineSeconds")).toBe(deadline);
  });
});
