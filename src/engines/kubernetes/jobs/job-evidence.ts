import { meantJobId } from "../../../core/job-name.ts";
import type { Cronjob, Job } from "../../../core/job-state.ts";
import type { DeployRequest, Run } from "../../../core/run-state.ts";
import type { Cluster, KubernetesObject } from "../client/cluster.ts";
import { kinds } from "../client/kinds.ts";
import { asyncRequestOf, cronjobOf } from "../manifests/controller-job.ts";
import type { ClusterStore } from "../records/records.ts";
import { labels } from "../vocabulary.ts";
import { cronjobNameOf, cronjobOfId, jobOf, jobOfRuns } from "./job-of-cluster.ts";

/** All that is known of cronjobs and jobs at one time, in the cluster and on record. */
export interface Evidence {
  readonly cronjobs: readonly Cronjob[];
  /** Newest first, by due time. */
  readonly jobs: readonly Job[];
  /** Of each job that the cluster still has, by its id. */
  readonly pods: ReadonlyMap<string, readonly KubernetesObject[]>;
  /** Of each job that has some, by its id, oldest first. */
  readonly runs: ReadonlyMap<string, readonly Run[]>;
}

/** Runs of all pipelines that are looked through for those of jobs. */
const recentRuns = 2_000;
/** Every pod of a Job has it. */
export const jobNameLabel = "job-name";

export interface EvidenceParts {
  readonly cluster: Pick<Cluster, "list">;
  readonly store: Pick<ClusterStore, "refresh" | "runs">;
  /** Where cronjobs and jobs are. */
  readonly namespace: string;
}

/** Reads all of it. A namespace that is not there has nothing in it. */
export async function lookAtJobs({ cluster, store, namespace }: EvidenceParts): Promise<Evidence> {
  const [cronjobObjects, jobObjects, pods] = await Promise.all([
    cluster.list(kinds.cronJob, { namespace, labels: `${labels.app}=${labels.appValue}` }),
    cluster.list(kinds.job, { namespace }),
    cluster.list(kinds.pod, { namespace, labels: jobNameLabel }),
    store.refresh({ kind: "runs", limit: recentRuns }),
  ]);
  const cronjobs = cronjobObjects.flatMap((object) => cronjobOf(object) ?? []);
  const runs = runsByJob(store.runs({ limit: recentRuns }));
  const podsOf = Map.groupBy(pods, ({ metadata }) => metadata.labels?.[jobNameLabel] ?? "");
  const living = jobObjects
    .filter((object) => isOurs(object, cronjobs))
    .map((object) => {
      const { name } = object.metadata;
      const cronjob = cronjobs.find((found) => found.name === cronjobNameOf(object));
      const ran = runs.get(name) ?? [];
      const request = asyncRequestOf(object) ?? cronjob?.request ?? unknownRequest;
      const startedBy = cronjobNameOf(object) === undefined ? "async" : "cron";
      return jobOf({ object, pods: podsOf.get(name) ?? [], runs: ran, request: { ...request, startedBy } });
    });
  const known = new Set(living.map(({ id }) => id));
  const gone = [...runs].flatMap(([id, [first, ...more]]) => {
    if (first === undefined || known.has(id)) return [];
    const cronjob = cronjobs.find(({ name }) => name === cronjobOfId(id));
    return [jobOfRuns(id, [first, ...more], cronjob?.retries)];
  });
  return {
    cronjobs: cronjobs.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    jobs: [...living, ...gone].toSorted((a, b) => b.dueAt.localeCompare(a.dueAt)),
    pods: podsOf,
    runs,
  };
}

/** Of a Job that neither of the two tools has made, or whose record of it was taken away. */
const unknownRequest: DeployRequest = {
  url: "unknown",
  branch: undefined,
  strict: false,
  startedBy: "async",
};

/** The job that is meant: by its id, of a job of `--async` also by its name. */
export function meantJob(jobs: readonly Job[], written: string): Job | undefined {
  const isCalled = (id: string) => jobs.find((job) => job.id === id);
  return isCalled(written) ?? isCalled(meantJobId(written));
}

/** By the job that they are of, oldest first. */
export function runsByJob(newestFirst: readonly Run[]): ReadonlyMap<string, readonly Run[]> {
  const ofJobs = newestFirst.toReversed().filter(({ request }) => request.job !== undefined);
  return Map.groupBy(ofJobs, ({ request }) => request.job as string);
}

/** Others may keep Jobs in the namespace, too. Those of a cronjob that was just deleted are still ours. */
function isOurs(object: KubernetesObject, cronjobs: readonly Cronjob[]): boolean {
  const cronjob = cronjobNameOf(object);
  if (cronjob === undefined) return meantJobId(object.metadata.name) === object.metadata.name;
  const isKnown = cronjobs.some(({ name }) => name === cronjob);
  return isKnown || object.metadata.labels?.[labels.cronjob] !== undefined;
}
