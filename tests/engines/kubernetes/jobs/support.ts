import { join } from "node:path";

import { Failure } from "../../../../src/core/failure.ts";
import type { CronjobSpec } from "../../../../src/core/job-state.ts";
import type { DeployRequest, Run } from "../../../../src/core/run-state.ts";
import { SecretValue } from "../../../../src/core/secret-value.ts";
import { parseSettings } from "../../../../src/core/settings.ts";
import type { KubernetesObject } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import { type ClusterJobs, createClusterJobs } from "../../../../src/engines/kubernetes/jobs/cluster-jobs.ts";
import { managementNamespace as namespace } from "../../../../src/engines/kubernetes/vocabulary.ts";
import { openStore } from "../../../../src/store/sqlite-store.ts";
import { aRun } from "../../../store/records.ts";
import { type FakeCluster, fakeCluster } from "../../../support/fake-cluster.ts";
import { fakeSource } from "../../../support/fake-parts.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

export const url = "https://forge.test/me/project";
export const sshKey = new SecretValue("a private key");

export interface Room extends ClusterJobs {
  readonly cluster: FakeCluster;
  /** Group → the key that it keeps. */
  readonly keys: Map<string, string>;
  /** Runs whose leavings the engine has removed. */
  readonly removed: string[];
  /** Log reference → its text. */
  readonly logs: Map<string, string>;
  readonly store: ReturnType<typeof openStore>;
  setClock(time: string): void;
  /** Puts a run of that job on record. */
  ran(job: string, id: string, change?: Partial<Run>): void;
  /** Plays the controller of Jobs. */
  putJob(name: string, change: JobChange): KubernetesObject;
  putPod(name: string, job: string, status: Readonly<Record<string, unknown>>): void;
}

export interface JobChange {
  /** The cronjob it is of, and when it was due. */
  readonly cronjob?: { readonly name: string; readonly due: string } | undefined;
  readonly status?: Readonly<Record<string, unknown>>;
  readonly args?: readonly string[];
}

export function room(settings = "kubernetes: {}"): Room {
  const cluster = fakeCluster();
  const store = openStore(join(temporaryFolder("jobs"), "store.db"));
  const keys = new Map<string, string>();
  const removed: string[] = [];
  const logs = new Map<string, string>();
  let now = "2026-11-25T12:00:00.000Z";
  const jobs = createClusterJobs({
    cluster,
    settings: parseSettings(settings, "settings.yaml").kubernetes,
    store: { ...store, refresh: async () => {}, settled: async () => {} },
    source: fakeSource(),
    secrets: {
      hasSshKey: async (group) => keys.has(group),
      keepSshKey: async (group, key) => void keys.set(group, key.reveal()),
    },
    clock: { now: () => new Date(now) },
    logReader: {
      async *read(reference) {
        yield logs.get(reference) ?? "";
      },
    },
    engine: {
      async removeRun(id) {
        removed.push(id);
      },
    },
  });
  return {
    ...jobs,
    ...{ cluster, keys, removed, logs, store },
    setClock(time) {
      now = time;
    },
    ran(job, id, change = {}) {
      const createdAt = `2026-11-25T${id.slice(-2)}:00:00.000Z`;
      store.saveRun(aRun(id, { createdAt, request: { ...request(), job }, ...change }));
    },
    putJob(name, { cronjob, status = {}, args = [url] }) {
      const before = cluster.objects(kinds.job, namespace).find(({ metadata }) => metadata.name === name);
      return cluster.put({
        spec: {
          backoffLimit: 1,
          template: { spec: { containers: [{ command: ["bodywork", "create", "deployment"], args }] } },
        },
        ...before,
        apiVersion: "batch/v1",
        kind: "Job",
        metadata: {
          ...before?.metadata,
          name,
          namespace,
          ...(cronjob === undefined ? {} : ofCronjob(cronjob, cluster)),
        },
        status,
      });
    },
    putPod(name, job, status) {
      cluster.put({
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name, namespace, labels: { "job-name": job } },
        spec: {
          nodeName: "node1",
          restartPolicy: "Never",
          containers: [{ name: "bodywork", image: "ours:1" }],
        },
        status,
      });
    },
  };
}

function ofCronjob(
  { name, due }: NonNullable<JobChange["cronjob"]>,
  cluster: FakeCluster,
): Pick<KubernetesObject["metadata"], "ownerReferences" | "annotations"> {
  const found = cluster.objects(kinds.cronJob, namespace).find(({ metadata }) => metadata.name === name);
  return {
    ownerReferences: [{ apiVersion: "batch/v1", kind: "CronJob", name, uid: found?.metadata.uid ?? "gone" }],
    annotations: { "batch.kubernetes.io/cronjob-scheduled-timestamp": due },
  };
}

export function request(change: Partial<DeployRequest> = {}): DeployRequest {
  return { url, branch: "main", strict: false, startedBy: "cron", ...change };
}

export function spec(change: Partial<CronjobSpec> = {}): CronjobSpec {
  return {
    name: "nightly",
    schedule: "15 3 * * *",
    timezone: "UTC",
    request: request(),
    retries: 1,
    historyLimit: 2,
    concurrency: "forbid",
    catchUp: "latest",
    suspended: false,
    ...change,
  };
}

export async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof Failure) return error;
  throw new Error(`it did not fail as expected: ${String(error)}`);
}

/** Of a Job that has ended. */
export function ended(
  how: "Complete" | "Failed",
  more: Readonly<Record<string, unknown>> = {},
): JobChange["status"] {
  return {
    startTime: "2026-11-25T03:15:00Z",
    conditions: [{ type: how, status: "True", lastTransitionTime: "2026-11-25T03:20:00Z", ...more }],
  };
}
