import { describe, expect, test } from "vitest";
import type { CronjobSpec } from "../../../../src/core/job-state.ts";
import type { DeployRequest } from "../../../../src/core/run-state.ts";
import { parseSettings } from "../../../../src/core/settings.ts";
import type { KubernetesObject } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { at, listAt } from "../../../../src/engines/kubernetes/client/objects.ts";
import {
  asyncJobObject,
  asyncRequestOf,
  cronJobObject,
  cronjobOf,
} from "../../../../src/engines/kubernetes/manifests/controller-job.ts";
import type { ControllerContext } from "../../../../src/engines/kubernetes/manifests/controller-pod-spec.ts";
import { settings } from "./support/tasks.ts";

const url = "https://forge.test/me/my-project";
const request: DeployRequest = { url, branch: undefined, strict: false, startedBy: "cron" };
const nightly: CronjobSpec = {
  name: "nightly",
  schedule: "15 3 * * *",
  timezone: "Europe/Berlin",
  request,
  retries: 2,
  historyLimit: 4,
  concurrency: "forbid",
  catchUp: "latest",
  suspended: false,
};
const context = (change: Partial<ControllerContext> = {}): ControllerContext => ({
  settings: settings(),
  hasSshKey: false,
  now: "2026-11-23T10:00:00.000Z",
  ...change,
});
const cron = (spec: Partial<CronjobSpec> = {}, change: Partial<ControllerContext> = {}): KubernetesObject =>
  cronJobObject({ ...nightly, ...spec }, context(change));
const containerOf = (object: KubernetesObject): unknown =>
  at(object, "spec", "jobTemplate", "spec", "template", "spec", "containers", 0);
/** As the cluster gives it back. */
const kept = (object: KubernetesObject): KubernetesObject => ({
  ...object,
  metadata: { ...object.metadata, creationTimestamp: "2026-11-20T08:00:00Z" },
});

describe("a CronJob", () => {
  test("is the original's in today's API, with a time zone, and one job at a time", () => {
    const labels = { app: "bodywork", "deployment-name": "nightly", "bodywork.io/cronjob": "nightly" };
    expect(cron()).toMatchObject({
      apiVersion: "batch/v1",
      kind: "CronJob",
      metadata: { name: "nightly", namespace: "bodywork-deployment-jobs", labels },
      spec: {
        schedule: "15 3 * * *",
        timeZone: "Europe/Berlin",
        concurrencyPolicy: "Forbid",
        suspend: false,
        successfulJobsHistoryLimit: 4,
        failedJobsHistoryLimit: 4,
        jobTemplate: {
          metadata: { labels },
          spec: {
            backoffLimit: 2,
            completions: 1,
            template: {
              spec: {
                restartPolicy: "Never",
                serviceAccountName: "bodywork-workflow-controller",
                containers: [
                  {
                    name: "bodywork",
                    image: settings().image,
                    imagePullPolicy: "Always",
                    command: ["bodywork", "create", "deployment"],
                    args: [url],
                  },
                ],
              },
            },
          },
        },
      },
    });
  });

  test("keeps its jobs by the history limit: they do not go by themselves after 15 minutes", () => {
    expect(at(cron(), "spec", "jobTemplate", "spec")).not.toHaveProperty("ttlSecondsAfterFinished");
  });

  test("makes up for a due time that passed unless it is told not to", () => {
    expect(cron().spec).not.toHaveProperty("startingDeadlineSeconds");
    expect(cron({ catchUp: "none" }).spec).toMatchObject({ startingDeadlineSeconds: 60 });
  });

  test("deploys what was asked for, word by word", () => {
    const asked: DeployRequest = {
      ...request,
      branch: "main",
      group: "dev",
      image: "me/image:1",
      checkImage: false,
      acceptHostKey: "SHA256:abc",
      strict: true,
    };
    expect(at(containerOf(cron({ request: asked })), "args")).toEqual([
      url,
      "--branch=main",
      "--group=dev",
      "--bodywork-image=me/image:1",
      "--no-image-check",
      "--accept-host-key=SHA256:abc",
      "--strict",
    ]);
  });

  test("has the ssh key of its group only when there is one", () => {
    const grouped = { request: { ...request, group: "dev" } };
    const key = {
      name: "BODYWORK_GIT_SSH_PRIVATE_KEY",
      valueFrom: {
        secretKeyRef: { name: "dev-ssh-git-private-key", key: "BODYWORK_GIT_SSH_PRIVATE_KEY" },
      },
    };
    expect(listAt(containerOf(cron(grouped, { hasSshKey: true })), "env")).toContainEqual(key);
    expect(listAt(containerOf(cron(grouped)), "env")).not.toContainEqual(key);
  });

  test("tells its controller which job it is of, and the settings of who made it", () => {
    const env = listAt(
      containerOf(
        cron(
          {},
          {
            settings: settings({ context: "laptop", routes: "none" }),
            furtherSettings: { insecure_git_hosts: ["git.internal"] },
          },
        ),
      ),
      "env",
    );
    expect(env).toContainEqual({ name: "BODYWORK_CRONJOB", value: "nightly" });
    expect(env).toContainEqual({
      name: "BODYWORK_JOB",
      valueFrom: { fieldRef: { fieldPath: "metadata.labels['job-name']" } },
    });
    const given = env.find((variable) => at(variable, "name") === "BODYWORK_SETTINGS");
    const inside = parseSettings(String(at(given, "value")), "BODYWORK_SETTINGS");
    expect(inside).toMatchObject({ insecure_git_hosts: ["git.internal"], kubernetes: { routes: "none" } });
    expect(inside.kubernetes).not.toHaveProperty("context");
  });

  test("meets the Pod Security Standard `restricted`", () => {
    expect(at(cron(), "spec", "jobTemplate", "spec", "template", "spec")).toMatchObject({
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      containers: [{ securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } } }],
    });
  });

  test("can be in a namespace of the user's", () => {
    expect(cron({}, { namespace: "team" }).metadata.namespace).toBe("team");
  });
});

describe("a CronJob that is read", () => {
  test.each([
    [nightly],
    [{ ...nightly, schedule: "@daily", concurrency: "replace", catchUp: "none", suspended: true }],
    [{ ...nightly, concurrency: "allow", catchUp: "all", request: { ...request, branch: "x", group: "g" } }],
  ] satisfies [CronjobSpec][])("is what was written (%#)", (spec) => {
    expect(cronjobOf(kept(cron(spec)))).toEqual({
      ...spec,
      request: JSON.parse(JSON.stringify(spec.request)) as unknown,
      createdAt: "2026-11-20T08:00:00.000Z",
      updatedAt: "2026-11-23T10:00:00.000Z",
      decidedUntil: "2026-11-20T08:00:00.000Z",
    });
  });

  test("is what somebody has made of it with kubectl", () => {
    const changed = kept(cron());
    const spec = { ...(changed.spec as object), suspend: true, schedule: "0 4 * * *" };
    expect(cronjobOf({ ...changed, spec })).toMatchObject({ suspended: true, schedule: "0 4 * * *" });
  });

  const original = (args: readonly string[], change: object = {}): KubernetesObject => ({
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: {
      name: "daily",
      creationTimestamp: "2026-11-20T08:00:00Z",
      labels: { app: "bodywork", "deployment-name": "daily" },
    },
    spec: {
      schedule: "0 * * * *",
      suspend: false,
      concurrencyPolicy: "Allow",
      successfulJobsHistoryLimit: 1,
      failedJobsHistoryLimit: 1,
      jobTemplate: {
        spec: {
          backoffLimit: 2,
          template: {
            spec: {
              containers: [
                { name: "bodywork", command: ["bodywork", "create", "deployment"], args, ...change },
              ],
            },
          },
        },
      },
    },
    status: { lastScheduleTime: "2026-11-23T09:00:00Z" },
  });

  test.each([
    [[url, "--branch=master"], "master"],
    [[url, "main"], "main"],
    [[url], undefined],
  ])("may be the original's, with the arguments %j", (args, branch) => {
    expect(cronjobOf(original(args))).toEqual({
      name: "daily",
      schedule: "0 * * * *",
      timezone: "UTC",
      request: { url, branch, strict: false, startedBy: "cron", group: undefined },
      retries: 2,
      historyLimit: 1,
      concurrency: "allow",
      catchUp: "latest",
      suspended: false,
      createdAt: "2026-11-20T08:00:00.000Z",
      updatedAt: "2026-11-20T08:00:00.000Z",
      decidedUntil: "2026-11-23T09:00:00.000Z",
    });
  });

  test("of the original has the group whose ssh key it uses", () => {
    const name = "BODYWORK_GIT_SSH_PRIVATE_KEY";
    const env = [{ name, valueFrom: { secretKeyRef: { name: "dev-ssh-git-private-key", key: name } } }];
    expect(cronjobOf(original([url], { env }))?.request.group).toBe("dev");
  });

  test("of somebody else is none of ours, whatever is in it", () => {
    expect(cronjobOf(original([url], { command: ["backup"] }))).toBeUndefined();
    expect(cronjobOf(original(["--all"]))).toBeUndefined();
    const { metadata, ...rest } = original([url]);
    expect(cronjobOf({ ...rest, metadata: { ...metadata, labels: {} } })).toBeUndefined();
  });

  test("is read by its arguments when what is noted of it is broken", () => {
    const ours = kept(cron());
    const annotations = { "bodywork.io/spec": "{" };
    const found = cronjobOf({ ...ours, metadata: { ...ours.metadata, annotations } });
    expect(found?.request.url).toBe(url);
  });
});

describe("a job of --async", () => {
  const asked: DeployRequest = { ...request, startedBy: "async", group: "dev" };
  const job = asyncJobObject({ id: "async-workflow-once", request: asked, retries: 1 }, context());

  test("is the original's: it tries again as often as asked and goes 15 minutes after its end", () => {
    expect(job).toMatchObject({
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: {
        name: "async-workflow-once",
        namespace: "bodywork-deployment-jobs",
        labels: { app: "bodywork", "deployment-name": "async-workflow-once" },
      },
      spec: {
        backoffLimit: 1,
        ttlSecondsAfterFinished: 900,
        template: { spec: { containers: [{ args: [url, "--group=dev"] }] } },
      },
    });
  });

  test("says what it deploys", () => {
    expect(asyncRequestOf(job)).toEqual(JSON.parse(JSON.stringify(asked)));
    const { annotations: _noted, ...metadata } = job.metadata;
    expect(asyncRequestOf({ ...job, metadata })).toMatchObject({ url, startedBy: "async" });
  });
});
