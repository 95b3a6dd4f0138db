import { parseSchedule } from "../../../core/cron/parse-schedule.ts";
import { scheduleInWords } from "../../../core/cron/words.ts";
import { Failure } from "../../../core/failure.ts";
import type { Cronjob, CronjobSpec, Job } from "../../../core/job-state.ts";
import type { DeployRequest, RunEvent } from "../../../core/run-state.ts";
import type { SecretValue } from "../../../core/secret-value.ts";
import type { KubernetesSettings } from "../../../core/settings.ts";
import type { Clock } from "../../../ports/clock.ts";
import type { Engine, LogReader } from "../../../ports/engine.ts";
import type { Source } from "../../../ports/source.ts";
import { type Cluster, ClusterError } from "../client/cluster.ts";
import { clusterFailure } from "../client/to-failure.ts";
import type { ClusterStore } from "../records/records.ts";
import { managementNamespace } from "../vocabulary.ts";
import { createJob, deleteJob } from "./async-jobs.ts";
import { clusterDueTimes } from "./cluster-schedule.ts";
import { createCronjob, deleteCronjob, updateCronjob } from "./cronjobs.ts";
import { pruneHistory } from "./history.ts";
import { lookAtJobs } from "./job-evidence.ts";
import { readJobLog } from "./job-log.ts";

export interface ClusterJobParts {
  readonly cluster: Cluster;
  readonly settings: KubernetesSettings;
  /** Other blocks of the settings that a controller in the cluster needs: which hosts of repositories it may ask, and how. */
  readonly furtherSettings?: Readonly<Record<string, unknown>> | undefined;
  readonly store: ClusterStore;
  readonly source: Pick<Source, "check">;
  /** What is kept of groups in the cluster. */
  readonly secrets: {
    hasSshKey(group: string): Promise<boolean>;
    keepSshKey(group: string, key: SecretValue): Promise<void>;
  };
  readonly clock: Pick<Clock, "now">;
  readonly logReader: LogReader;
  /** What it has kept of a run goes with the run. */
  readonly engine: Pick<Engine, "removeRun">;
}

/** What lets a repository be read, with a request. */
export interface ClusterJobCredentials {
  readonly sshKey: SecretValue;
  /** False: it was given for one run alone. */
  readonly keep: boolean;
}

/** Undefined leaves as it is. */
export type ClusterCronjobChange = {
  readonly [Key in Exclude<keyof CronjobSpec, "name">]?: CronjobSpec[Key] | undefined;
};

/** With what the cluster does otherwise than a reader may think, one line each. */
export type SavedClusterCronjob = Cronjob & { readonly warnings?: readonly string[] | undefined };

export type DeletedJob = {
  readonly found: boolean;
  readonly id?: string;
  /** Ids of the runs that were cancelled for it. */
  readonly cancelled?: readonly string[];
};

/** Cronjobs and jobs of `--async`, which the cluster carries out with a controller of ours in a pod of its own. */
export interface ClusterJobs {
  createJob(
    job: { readonly name: string | undefined; readonly request: DeployRequest; readonly retries: number },
    credentials?: ClusterJobCredentials,
  ): Promise<Job>;
  deleteJob(id: string): Promise<DeletedJob>;
  createCronjob(spec: CronjobSpec, credentials?: ClusterJobCredentials): Promise<SavedClusterCronjob>;
  updateCronjob(
    name: string,
    change: ClusterCronjobChange,
    credentials?: ClusterJobCredentials,
  ): Promise<SavedClusterCronjob>;
  deleteCronjob(name: string): Promise<{ readonly found: boolean; readonly cancelled?: readonly string[] }>;
  cronjobs(filter: { readonly name?: string | undefined }): Promise<readonly ClusterCronjobView[]>;
  jobs(filter: {
    readonly cronjob?: string | null | undefined;
    readonly limit?: number | undefined;
  }): Promise<readonly Job[]>;
  jobLog(id: string): AsyncIterable<RunEvent>;
  /**
   * Removes the runs that are beyond a history's limit; the controller of a job asks for it at its end. What can't be
   * removed now is removed after the next job.
   * @param cronjob undefined for the jobs of `--async`
   */
  pruneHistory(cronjob: string | undefined): Promise<void>;
}

export interface ClusterCronjobView extends Cronjob {
  readonly nextTimes: readonly string[];
  readonly words: string;
  readonly lastJob: Job | undefined;
}

/** Due times that are told in advance. */
const toldTimes = 3;

export function createClusterJobs(given: ClusterJobParts): ClusterJobs {
  const parts: RoomParts = { ...given, namespace: given.settings.single_namespace ?? managementNamespace };
  const { clock } = parts;
  return {
    createJob: (job, credentials) => told("create a job", parts, () => createJob(job, credentials, parts)),
    deleteJob: (id) => told(`delete the job ${id}`, parts, () => deleteJob(id, parts)),
    createCronjob: (spec, credentials) =>
      told(`create the cronjob ${spec.name}`, parts, () => createCronjob(spec, credentials, parts)),
    updateCronjob: (name, change, credentials) =>
      told(`update the cronjob ${name}`, parts, () => updateCronjob(name, change, credentials, parts)),
    deleteCronjob: (name) => told(`delete the cronjob ${name}`, parts, () => deleteCronjob(name, parts)),
    cronjobs: ({ name }) =>
      told("read the cronjobs", parts, async () => {
        const { cronjobs, jobs } = await lookAtJobs(parts);
        return cronjobs
          .filter((cronjob) => name === undefined || cronjob.name === name)
          .map((cronjob) => viewOf(cronjob, jobs, clock.now()));
      }),
    jobs: ({ cronjob, limit }) =>
      told("read the jobs", parts, async () => {
        const { jobs } = await lookAtJobs(parts);
        const wanted = cronjob === null ? undefined : cronjob;
        return jobs.filter((job) => cronjob === undefined || job.cronjob === wanted).slice(0, limit);
      }),
    async *jobLog(id) {
      const doing = `read the log of ${id}`;
      const evidence = await told(doing, parts, () => lookAtJobs(parts));
      try {
        yield* readJobLog(id, evidence, parts);
      } catch (error) {
        throw clusterFailure(error, doing);
      }
    },
    async pruneHistory(cronjob) {
      try {
        await pruneHistory(cronjob, parts);
      } catch {
        // The deployment has gone well all the same: a controller that failed now would have it done again.
      }
    },
  };
}

/** What the modules of this room are given. */
export type RoomParts = ClusterJobParts & {
  /** Where cronjobs, jobs and their controllers are. */
  readonly namespace: string;
};

async function told<T>(doing: string, { namespace }: RoomParts, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isMissing(error, namespace)) throw noNamespace(namespace, error);
    throw clusterFailure(error, doing);
  }
}

/** Only what makes an object there fails so. */
function isMissing(error: unknown, namespace: string): boolean {
  return (
    error instanceof ClusterError &&
    error.kind === "not-found" &&
    error.message.includes(`namespaces "${namespace}" not found`)
  );
}

function noNamespace(namespace: string, cause: unknown): Failure {
  return new Failure("not-found", `Could not find namespace=${namespace} on k8s cluster.`, {
    hint: "Make it with: bodywork configure-cluster",
    cause,
  });
}

function viewOf(cronjob: Cronjob, jobs: readonly Job[], now: Date): ClusterCronjobView {
  const { schedule } = parseSchedule(cronjob.schedule);
  const next =
    cronjob.suspended || schedule === undefined
      ? []
      : clusterDueTimes(schedule, cronjob.timezone, now, toldTimes);
  return {
    ...cronjob,
    nextTimes: next.map((time) => time.toISOString()),
    words: schedule === undefined ? cronjob.schedule : scheduleInWords(cronjob.schedule),
    lastJob: jobs.find((job) => job.cronjob === cronjob.name && job.startedAt !== undefined),
  };
}
