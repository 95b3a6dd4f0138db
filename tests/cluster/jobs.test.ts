import { describe, expect, onTestFinished, test } from "vitest";

import type { Job } from "../../src/core/job-state.ts";
import type { Run } from "../../src/core/run-state.ts";
import { parseSettings } from "../../src/core/settings.ts";
import { connectCluster } from "../../src/engines/kubernetes/client/connect.ts";
import { type ClusterJobs, createClusterJobs } from "../../src/engines/kubernetes/jobs/cluster-jobs.ts";
import { slotIsTaken } from "../../src/engines/kubernetes/jobs/cron-slot.ts";
import { createClusterStore } from "../../src/engines/kubernetes/records/cluster-store.ts";
import type { ClusterStore } from "../../src/engines/kubernetes/records/records.ts";
import { workflowAccount } from "../../src/engines/kubernetes/vocabulary.ts";
import { systemClock } from "../../src/lib/system-clock.ts";
import { failureOf, request, spec } from "../engines/kubernetes/jobs/support.ts";
import { aRun } from "../store/records.ts";
import { eventually } from "../support/bodywork.ts";
import { cluster as testCluster } from "../support/cluster.ts";
import { fakeSource } from "../support/fake-parts.ts";

interface Place extends ClusterJobs {
  readonly namespace: string;
  readonly client: Awaited<ReturnType<typeof connectCluster>>;
  readonly store: ClusterStore;
  kubectl(...args: readonly string[]): Promise<string>;
  job(id: string): Promise<Job | undefined>;
}

/** Cronjobs and jobs in a namespace of the test's own. Controllers have an image that is not ours: none of them starts. */
async function place(image = testCluster?.image): Promise<Place> {
  if (testCluster === undefined) throw new Error("there is no cluster");
  const namespace = await testCluster.namespace("bw-jobs");
  const kubectl = testCluster.kubectl;
  await kubectl("create", "serviceaccount", workflowAccount, "--namespace", namespace);
  const client = await connectCluster({
    kubeconfigFiles: testCluster.kubeconfig,
    inCluster: false,
    version: "test",
  });
  onTestFinished(() => client.close());
  const text = `kubernetes: {single_namespace: ${namespace}, image: "${image}", image_pull_policy: Never}`;
  const store = createClusterStore({ cluster: client, clock: systemClock, namespace });
  const jobs = createClusterJobs({
    cluster: client,
    settings: parseSettings(text, "settings.yaml").kubernetes,
    store,
    source: fakeSource(),
    secrets: { hasSshKey: async () => false, keepSshKey: async () => {} },
    clock: systemClock,
    logReader: { async *read() {} },
    engine: { removeRun: async () => {} },
  });
  return {
    ...jobs,
    ...{ namespace, client, store },
    kubectl: (...args) => kubectl(...args, "--namespace", namespace),
    job: async (id) => (await jobs.jobs({})).find((job) => job.id === id),
  };
}

function ofJob(job: string, change: Partial<Run> = {}): Run {
  return aRun("20261125-120000000-aaaa", { request: request({ job }), ...change });
}

describe.skipIf(testCluster === undefined)("cronjobs on a cluster", () => {
  test("are kept as they were asked for, changed and deleted", async () => {
    const { createCronjob, updateCronjob, deleteCronjob, cronjobs } = await place();
    const asked = spec({
      schedule: "15 3 * * MON-FRI",
      timezone: "Asia/Tokyo",
      catchUp: "none",
      concurrency: "replace",
    });
    expect(await createCronjob(asked)).toMatchObject(asked);
    expect(await cronjobs({})).toMatchObject([asked]);
    expect((await failureOf(createCronjob(asked))).code).toBe("already-exists");
    const updated = await updateCronjob("nightly", {
      schedule: "@daily",
      catchUp: "latest",
      suspended: true,
    });
    expect(updated).toMatchObject({
      schedule: "@daily",
      catchUp: "latest",
      suspended: true,
      timezone: "Asia/Tokyo",
    });
    expect(await deleteCronjob("nightly")).toEqual({ found: true, cancelled: [] });
    expect(await cronjobs({})).toEqual([]);
  });

  test("make jobs at their due times, which are known by them; and a due time is started once", async () => {
    const { createCronjob, jobs, cronjobs, client, namespace, kubectl, deleteCronjob } = await place();
    await createCronjob(spec({ schedule: "* * * * *", retries: 0, historyLimit: 3 }));
    const [job] = await eventually(async () => {
      const found = await jobs({ cronjob: "nightly" });
      return found.some(({ why }) => why !== undefined) && found.slice(-1);
    }, 100);
    const minutes = Math.floor(Date.parse(job?.dueAt ?? "") / 60_000);
    expect(job).toMatchObject({
      id: `nightly-${minutes}`,
      cronjob: "nightly",
      status: "waiting",
      retries: 0,
    });
    expect(job?.why).toMatch(/^its container cannot start: .*will run as root.*kubernetes\.image/s);
    expect((await cronjobs({}))[0]?.lastJob?.cronjob).toBe("nightly");

    const slot = { namespace, name: job?.id ?? "" };
    expect([await slotIsTaken(client, slot), await slotIsTaken(client, slot)]).toEqual([false, false]);
    const text = JSON.parse(await kubectl("get", "job", slot.name, "--output", "json"));
    await kubectl("delete", "job", slot.name);
    expect(await slotIsTaken(client, slot)).toBe(true);
    const { name, annotations, labels, ownerReferences } = text.metadata;
    const template = { ...text.spec.template, metadata: { labels: { app: "bodywork" } } };
    await client.create({
      ...{ apiVersion: "batch/v1", kind: "Job" },
      metadata: { name, namespace, annotations, labels: { app: labels.app }, ownerReferences },
      spec: { backoffLimit: 0, template },
    });
    expect(await slotIsTaken(client, slot)).toBe(true);
    await deleteCronjob("nightly");
    expect(await kubectl("get", "configmaps,jobs", "--selector", "app=bodywork", "--output", "name")).toBe(
      "",
    );
  }, 180_000);

  test("are refused in the cluster's own words when it would not take what we would", async () => {
    const { createCronjob, client } = await place();
    const create = client.create.bind(client);
    Object.assign(client, {
      create: (object: { spec: object }) =>
        create({ ...object, spec: { ...object.spec, schedule: "0 0 32 1 *" } } as never),
    });
    expect(await failureOf(createCronjob(spec()))).toMatchObject({
      code: "usage",
      message: "Invalid cronjob schedule: 15 3 * * *",
      details: [expect.stringContaining("spec.schedule")],
    });
  });
});

describe.skipIf(testCluster === undefined)("jobs of --async on a cluster", () => {
  test("tell how an image that is not there is mended, and go when they are deleted", async () => {
    const { createJob, deleteJob, job, jobLog } = await place("docker.io/local/not-there:1");
    const { id } = await createJob({ name: "a", request: request(), retries: 0 });
    const waiting = await eventually(async () => {
      const found = await job(id);
      return found?.why !== undefined && found;
    });
    expect(waiting.status).toBe("waiting");
    expect(waiting.why).toMatch(
      /^the image docker\.io\/local\/not-there:1 cannot be had: .*bodywork image build/,
    );
    const log = jobLog("a")[Symbol.asyncIterator]().next();
    expect((await failureOf(log)).message).toContain("it is waiting (the image");
    expect(await deleteJob("a")).toEqual({ found: true, id, cancelled: [] });
    expect(await job(id)).toBeUndefined();
  });

  test("stay in the history when the cluster has removed them, until their runs go", async () => {
    const { createJob, deleteJob, job, store, kubectl } = await place();
    const { id } = await createJob({ name: "a", request: request(), retries: 0 });
    store.saveRun(ofJob(id, { status: "failed", reason: "stage train failed" }));
    await store.settled();
    await kubectl("patch", "job", id, "--patch", '{"spec": {"activeDeadlineSeconds": 1}}');
    const failed = await eventually(async () => {
      const found = await job(id);
      return found?.status === "failed" && found;
    });
    expect(failed).toMatchObject({ why: "stage train failed", runs: ["20261125-120000000-aaaa"] });
    await kubectl("delete", "job", id);
    expect(await job(id)).toMatchObject({ status: "failed", why: "stage train failed" });
    expect(await deleteJob("a")).toMatchObject({ found: true });
    expect(await job(id)).toBeUndefined();
  });
});
