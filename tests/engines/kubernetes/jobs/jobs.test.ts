import { describe, expect, test } from "vitest";

import { ClusterError } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import { at } from "../../../../src/engines/kubernetes/client/objects.ts";
import { managementNamespace as namespace } from "../../../../src/engines/kubernetes/vocabulary.ts";
import { ended, failureOf, type JobChange, type Room, request, room, spec, sshKey, url } from "./support.ts";

const asyncRequest = request({ startedBy: "command" });
const running = {
  phase: "Running",
  containerStatuses: [{ name: "bodywork", state: { running: { startedAt: "2026-11-25T12:00:01Z" } } }],
};

describe("create deployment --async", () => {
  test("makes a Job that waits for its controller", async () => {
    const { createJob, jobs, cluster } = room();
    const job = await createJob({ name: "First_try", request: { ...asyncRequest, key: "k" }, retries: 2 });
    expect(job).toMatchObject({
      ...{ id: "async-workflow-first-try", cronjob: undefined, status: "waiting", retries: 2, runs: [] },
      request: { url, branch: "main", startedBy: "async" },
    });
    expect(job.request).not.toHaveProperty("key");
    expect(await jobs({ cronjob: null })).toEqual([job]);
    expect(cluster.objects(kinds.job, namespace)).toHaveLength(1);
  });

  test("refuses a name that is taken, and makes up another when none was given", async () => {
    const { createJob, cluster } = room();
    await createJob({ name: "a", request: asyncRequest, retries: 0 });
    expect(await failureOf(createJob({ name: "a", request: asyncRequest, retries: 0 }))).toMatchObject({
      code: "already-exists",
      message: "Cannot create workflow-job=async-workflow-a as it already exists.",
    });
    let taken = 1;
    cluster.before = ({ verb }) => {
      if (verb === "create" && taken-- > 0) throw new ClusterError("already-exists", "there");
    };
    const made = await createJob({ name: undefined, request: asyncRequest, retries: 0 });
    expect(made.id).toMatch(/^async-workflow-project-main-\d+$/);
  });

  test("keeps the key in the group that is given, and refuses one that it could not keep", async () => {
    const { createJob, keys, cluster } = room();
    const order = { name: "a", request: asyncRequest, retries: 0 };
    const grouped = { ...order, request: { ...asyncRequest, group: "prod" } };
    expect(await failureOf(createJob(order, { sshKey, keep: true }))).toMatchObject({
      code: "secret-missing",
      hint: "Please specify a secrets group for it with --group.",
    });
    expect(await failureOf(createJob(grouped, { sshKey, keep: false }))).toMatchObject({
      code: "secret-missing",
    });
    expect(cluster.objects(kinds.job)).toEqual([]);
    await createJob(grouped, { sshKey, keep: true });
    expect(keys.get("prod")).toBe("a private key");
    const env = at(cluster.objects(kinds.job)[0], "spec", "template", "spec", "containers", 0, "env");
    expect(JSON.stringify(env)).toContain("prod-ssh-git-private-key");
    expect(JSON.stringify(cluster.objects(kinds.job))).not.toContain("a private key");
  });

  test("refuses a URL with credentials in it: the cluster would show them", async () => {
    const { createJob, cluster } = room();
    const withToken = request({ url: url.replace("://", "://me:hunter2@") });
    const failure = await failureOf(createJob({ name: "a", request: withToken, retries: 0 }));
    expect(failure).toMatchObject({ code: "repository-url" });
    expect(cluster.calls).toEqual([]);
  });
});

describe("the state of a job", () => {
  const id = "async-workflow-a";
  const stateOf = async ({ jobs }: Room): Promise<unknown> => {
    const [job] = await jobs({});
    return [job?.status, job?.why];
  };
  const withJob = (status: JobChange["status"] = {}): Room => {
    const the = room();
    the.putJob(id, { status });
    return the;
  };

  test("is waiting until its pod runs, then active", async () => {
    const the = withJob();
    expect(await stateOf(the)).toEqual(["waiting", undefined]);
    the.putPod("p", id, running);
    expect(await stateOf(the)).toEqual(["active", undefined]);
  });

  test("tells how an image that can't be had is mended", async () => {
    const the = withJob({ active: 1 });
    const waiting = { reason: "ImagePullBackOff", message: "not found" };
    the.putPod("p", id, { phase: "Pending", containerStatuses: [{ name: "bodywork", state: { waiting } }] });
    expect(await stateOf(the)).toEqual([
      "waiting",
      "the image ours:1 cannot be had: ImagePullBackOff (not found). Name one that the cluster can pull by the setting kubernetes.image; bodywork image build makes it",
    ]);
  });

  test("tells when no node takes its pod", async () => {
    const the = withJob();
    const unscheduled = { type: "PodScheduled", status: "False", message: "0/3 nodes are available" };
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "p", namespace, labels: { "job-name": id } },
    };
    the.cluster.put({ ...pod, status: { phase: "Pending", conditions: [unscheduled] } });
    expect(await stateOf(the)).toEqual(["waiting", "no node takes its pod: 0/3 nodes are available"]);
  });

  test("is succeeded, with when it began and ended", async () => {
    const the = withJob({ ...ended("Complete"), completionTime: "2026-11-25T03:21:00Z" });
    expect(await the.jobs({})).toMatchObject([
      { status: "succeeded", startedAt: "2026-11-25T03:15:00.000Z", endedAt: "2026-11-25T03:21:00.000Z" },
    ]);
  });

  test("is failed for the reason of its newest run", async () => {
    const the = withJob(ended("Failed", { message: "Job has reached the specified backoff limit" }));
    the.ran(id, "run-01", { status: "failed", reason: "stage train failed" });
    the.ran(id, "run-02", { status: "failed", reason: "stage serve failed" });
    expect(await stateOf(the)).toEqual(["failed", "stage serve failed"]);
    expect((await the.jobs({}))[0]?.runs).toEqual(["run-01", "run-02"]);
  });

  test("is failed for what its pod died of when no run is on record, else in the cluster's words", async () => {
    const the = withJob(ended("Failed", { message: "Job has reached the specified backoff limit" }));
    expect(await stateOf(the)).toEqual(["failed", "Job has reached the specified backoff limit"]);
    const terminated = { exitCode: 2, reason: "Error" };
    the.putPod("p", id, {
      phase: "Failed",
      containerStatuses: [{ name: "bodywork", state: { terminated } }],
    });
    expect(await stateOf(the)).toEqual(["failed", "its controller failed: exit 2"]);
  });

  test("is cancelled when its newest run was, and waiting between two runs", async () => {
    const the = withJob(ended("Failed"));
    the.ran(id, "run-01", { status: "cancelled", reason: "cancelled: SIGTERM" });
    expect(await stateOf(the)).toEqual(["cancelled", "cancelled: SIGTERM"]);
    const other = withJob({ failed: 1 });
    other.ran(id, "run-01", { status: "failed", reason: "stage train failed" });
    expect(await stateOf(other)).toEqual(["waiting", "stage train failed"]);
  });
});

describe("jobs", () => {
  test("of a cronjob are its own only, newest first, with when each was due", async () => {
    const { createCronjob, jobs, cronjobs, putJob } = room();
    await createCronjob(spec());
    await createCronjob(spec({ name: "nightly-2" }));
    putJob("nightly-29900115", {
      cronjob: { name: "nightly", due: "2026-11-24T03:15:00Z" },
      status: ended("Complete") ?? {},
    });
    putJob("nightly-29901555", {
      cronjob: { name: "nightly", due: "2026-11-25T04:15:00+01:00" },
      status: ended("Complete") ?? {},
    });
    putJob("nightly-2-29901555", { cronjob: { name: "nightly-2", due: "2026-11-25T03:15:00Z" } });
    putJob("async-workflow-a", {});
    putJob("somebody-elses", {});
    const told = (await jobs({ cronjob: "nightly" })).map(({ id, dueAt }) => [id, dueAt]);
    expect(told).toEqual([
      ["nightly-29901555", "2026-11-25T03:15:00.000Z"],
      ["nightly-29900115", "2026-11-24T03:15:00.000Z"],
    ]);
    expect((await jobs({ cronjob: "nightly", limit: 1 })).map(({ id }) => id)).toEqual(["nightly-29901555"]);
    expect((await jobs({ cronjob: null })).map(({ id }) => id)).toEqual(["async-workflow-a"]);
    expect((await cronjobs({ name: "nightly" }))[0]?.lastJob?.id).toBe("nightly-29901555");
  });

  test("that the cluster has removed stay in the history as long as their runs do", async () => {
    const { createCronjob, jobs, ran } = room();
    await createCronjob(spec({ retries: 3 }));
    ran("nightly-29901555", "run-03", { status: "failed", reason: "x" });
    ran("nightly-29901555", "run-04", { endedAt: "2026-11-25T04:05:00.000Z" });
    ran("async-workflow-a", "run-05", { status: "failed", reason: "stage train failed" });
    expect(await jobs({ cronjob: "nightly" })).toEqual([
      {
        ...{
          id: "nightly-29901555",
          cronjob: "nightly",
          dueAt: "2026-11-07T23:15:00.000Z",
          status: "succeeded",
        },
        ...{ why: undefined, retries: 3, runs: ["run-03", "run-04"], nextRunAt: undefined },
        request: { ...request(), job: "nightly-29901555" },
        ...{ startedAt: "2026-11-25T03:00:00.000Z", endedAt: "2026-11-25T04:05:00.000Z" },
      },
    ]);
    expect(await jobs({ cronjob: null })).toMatchObject([
      { id: "async-workflow-a", status: "failed", why: "stage train failed", retries: 0 },
    ]);
  });

  test("of the original are told by what their controller is", async () => {
    const { jobs, putJob } = room();
    putJob("async-workflow-old", { args: [url, "--branch=dev"] });
    expect(await jobs({})).toMatchObject([{ request: { url, branch: "dev", startedBy: "async" } }]);
  });
});

describe("delete deployment --async", () => {
  test("finds it by its name or its id, and removes it with its runs", async () => {
    const { createJob, deleteJob, ran, jobs, cluster, store } = room();
    for (const name of ["a", "b"]) await createJob({ name, request: asyncRequest, retries: 0 });
    ran("async-workflow-a", "run-01");
    expect(await deleteJob("a")).toEqual({ found: true, id: "async-workflow-a", cancelled: [] });
    expect(store.run("run-01")).toBeUndefined();
    expect(await deleteJob("async-workflow-b")).toMatchObject({ found: true });
    expect(cluster.objects(kinds.job)).toEqual([]);
    expect(await jobs({})).toEqual([]);
    expect(await deleteJob("a")).toEqual({ found: false });
  });

  test("waits until what goes on was cancelled by its controller", async () => {
    const { createJob, deleteJob, ran, putPod, cluster, store } = room();
    const { id } = await createJob({ name: "a", request: asyncRequest, retries: 0 });
    putPod("p", id, running);
    ran(id, "run-01", { status: "running" });
    let isGone = false;
    cluster.before = ({ verb }) => {
      if (verb !== "watch") return;
      setTimeout(() => {
        ran(id, "run-01", { status: "cancelled" });
        isGone = true;
        putPod("p", id, {
          phase: "Failed",
          containerStatuses: [{ name: "bodywork", state: { terminated: { exitCode: 1 } } }],
        });
      }, 20);
    };
    expect(await deleteJob(id)).toEqual({ found: true, id, cancelled: ["run-01"] });
    expect(isGone).toBe(true);
    expect(store.run("run-01")).toBeUndefined();
  });
});
