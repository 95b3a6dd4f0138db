/**
 * The verbs of the tool. The embedded tool and the HTTP client both satisfy this interface, so the command line does not
 * know which of the two it talks to. Failures are `Failure`s on both sides.
 */

import type { Cronjob, CronjobSpec, Job } from "../core/job-state.ts";
import type { Plan } from "../core/plan.ts";
import type {
  Deployment,
  DeployRequest,
  Release,
  Run,
  RunCommit,
  RunEvent,
  ServiceStatus,
} from "../core/run-state.ts";
import type { ChangedSecret, SecretSummary } from "../core/secret-state.ts";
import type { SecretData, SecretValue } from "../core/secret-value.ts";
import type { EnvironmentRecord } from "../ports/environments.ts";

/** What changes something, or lets a secret out. */
export interface Actions extends DeploymentActions, JobActions, CronjobActions, SecretActions {}

export interface DeploymentActions {
  /**
   * Accepts a deployment: when this returns, the run is stored and goes on without us. The run that has the request's key
   * already, of the newest hundred, is returned in place of a new one. Fails: repository-url, usage (the key of another).
   */
  deploy(request: DeployRequest, credentials?: RepositoryCredentials): Promise<{ readonly runId: string }>;
  /** What `deploy` would do, decided from the same commit and the same state; changes nothing. Fails like a run. */
  plan(request: DeployRequest, credentials?: RepositoryCredentials): Promise<PlannedDeployment>;
  /**
   * What has happened and happens in a run, in order, with its stages' logs, until it is finished. `after` is the last
   * `seq` already seen (0 for all).
   */
  followRun(runId: string, after: number, signal?: AbortSignal): AsyncIterable<RunEvent>;
  /**
   * Asks the run to stop and to put back what it changed; returns at once. `why` is for people (`Ctrl-C`): the run's reason
   * is `cancelled: WHY`.
   */
  cancelRun(runId: string, why: string): Promise<void>;
  /** All of it goes: processes, routes, files. `found` is false when there was none of that name. */
  deleteDeployment(name: string): Promise<{ readonly found: boolean }>;
  /** One service goes, with its route, until the next deployment brings it back. Fails: not-found (naming those there are). */
  deleteService(deployment: string, service: string): Promise<ServiceStatus>;
  /** Removes environments that no live release uses (all unused ones, or those not used for some days). */
  cleanEnvironments(options: { readonly unusedDays: number }): Promise<readonly EnvironmentRecord[]>;
}

/** What lets the server read a private repository. It goes with a request and is part of no record. */
export interface RepositoryCredentials {
  readonly sshKey: SecretValue;
  /** True for `--ssh`: kept in the deployment's secret group for later runs. Else it is for this run alone. */
  readonly keep: boolean;
}

/** What `--dry-run` prints: the plan that would be carried out, the same object. */
export interface PlannedDeployment {
  readonly commit: RunCommit;
  readonly plan: Plan;
  /** Of the project file, one line each. */
  readonly warnings: readonly string[];
  /** Every object that would be made in the cluster, as Kubernetes takes it; undefined on an engine without such. */
  readonly objects?: readonly Readonly<Record<string, unknown>>[] | undefined;
}

export interface JobActions {
  /**
   * Accepts a deployment that nobody waits for (`--async`). `name` is without the prefix `async-workflow-`; one is made
   * when undefined. Fails: already-exists, repository-url.
   */
  createJob(
    job: { readonly name: string | undefined; readonly request: DeployRequest; readonly retries: number },
    credentials?: RepositoryCredentials,
  ): Promise<Job>;
  /**
   * Cancels what runs of it, and removes it with its runs and logs; by its id, of a job of `--async` also by its name. `id`
   * is that of the job that was found.
   */
  deleteJob(id: string): Promise<{ readonly found: boolean; readonly id?: string } & Cancelled>;
}

/** Ids of the runs that were cancelled for it; none when undefined. */
export interface Cancelled {
  readonly cancelled?: readonly string[];
}

/** Changes of a cronjob: what is undefined stays as it is. */
export type CronjobChange = {
  readonly [Key in Exclude<keyof CronjobSpec, "name">]?: CronjobSpec[Key] | undefined;
};

/** With what keeps it from being deployed as its repository is now, one line each; undefined when nothing does. */
export interface SavedCronjob extends Cronjob {
  readonly warnings?: readonly string[] | undefined;
}

export interface CronjobActions {
  /** Fails: already-exists, usage (the schedule or the time zone, and what is wrong with it), repository-url. */
  createCronjob(spec: CronjobSpec, credentials?: RepositoryCredentials): Promise<SavedCronjob>;
  /** Fails: not-found, and as `createCronjob` does. */
  updateCronjob(
    name: string,
    change: CronjobChange,
    credentials?: RepositoryCredentials,
  ): Promise<SavedCronjob>;
  /** With its jobs, their runs and logs; what runs of it is cancelled. What it has deployed lives on. */
  deleteCronjob(name: string): Promise<{ readonly found: boolean } & Cancelled>;
}

export interface SecretActions {
  /** Fails: already-exists, usage (a name or key that can't be one). */
  createSecret(group: string, name: string, data: SecretData): Promise<SecretSummary>;
  /** Keys that are not given stay as they are. Fails: not-found, usage. */
  updateSecret(group: string, name: string, data: SecretData): Promise<SecretSummary>;
  deleteSecret(group: string, name: string): Promise<{ readonly found: boolean }>;
  /** Returns the names of the secrets it had. */
  deleteSecretGroup(group: string): Promise<readonly string[]>;
  /**
   * Secrets with their values: one of a group, or all of it. The only verb that carries values; each call is in the audit
   * log.
   */
  readSecrets(filter: {
    readonly group: string;
    readonly name?: string | undefined;
  }): Promise<readonly RevealedSecret[]>;
}

export interface RevealedSecret extends SecretSummary {
  readonly data: SecretData;
}

/** What only looks; on this machine it needs no server. */
export interface Views {
  deployments(filter: {
    readonly name?: string | undefined;
    readonly namespace?: string | undefined;
  }): Promise<readonly DeploymentView[]>;
  runs(filter: {
    readonly deployment?: string | undefined;
    readonly limit?: number | undefined;
  }): Promise<readonly Run[]>;
  /** By id, or by the beginning of one when it is unambiguous. Fails: not-found. */
  run(id: string): Promise<Run>;
  /**
   * Logs of a deployment: of one stage or of all, of one run, or of the newest run that has some (of its batch stages
   * only, beside the live services, when it is finished). With `follow`, the first log is waited for while a run goes
   * on, and it ends when none is written any more and none may come.
   * Fails: not-found (naming what there is).
   */
  logs(request: LogsRequest, signal?: AbortSignal): AsyncIterable<LogText>;
  environments(): Promise<readonly EnvironmentRecord[]>;
  /** Names, keys and versions, by group and name. */
  secrets(filter: {
    readonly group?: string | undefined;
    readonly name?: string | undefined;
  }): Promise<readonly SecretSummary[]>;
  /** By name. */
  cronjobs(filter: { readonly name?: string | undefined }): Promise<readonly CronjobView[]>;
  /** Newest first. `cronjob: null`: those of `--async`. */
  jobs(filter: {
    readonly cronjob?: string | null | undefined;
    readonly limit?: number | undefined;
  }): Promise<readonly Job[]>;
  /** The whole story of a job's newest run: what happened, with the logs of its stages. Fails: not-found. */
  jobLog(id: string): AsyncIterable<RunEvent>;
}

export interface Operations extends Actions, Views {}

export interface CronjobView extends Cronjob {
  /** The next three due times, ISO 8601, UTC; none while it is suspended. */
  readonly nextTimes: readonly string[];
  /** The schedule in words: `Every day at 03:15`. */
  readonly words: string;
  /** The newest job that was started. */
  readonly lastJob: Job | undefined;
}

export interface DeploymentView extends Deployment {
  readonly release: Release | undefined;
  readonly services: readonly ServiceStatus[];
  readonly lastRun: Run | undefined;
  /** Secrets that were changed since the live release was made. */
  readonly changedSecrets: readonly ChangedSecret[];
}

export interface LogsRequest {
  readonly deployment: string;
  readonly stage?: string | undefined;
  readonly runId?: string | undefined;
  readonly tail?: number | undefined;
  readonly follow: boolean;
}

export interface LogText {
  /** The stage's name in the run; for a service that is not looked at as part of one, its stage. */
  readonly node: string;
  readonly stage: string;
  /** As of a StageLog. */
  readonly source: string;
  readonly text: string;
}

/** The embedded server of a home folder. */
export interface ServerControl {
  status(): Promise<ServerStatus>;
  /**
   * Starts it when it is not running (or runs an older version); returns when it answers and the services that it brings
   * back are ready or have failed once, after 10 s at the latest.
   */
  start(options: { readonly listen?: string | undefined }): Promise<ServerStatus>;
  /** Services and ingress live on unless `services`. */
  stop(options: { readonly services: boolean }): Promise<ServerStatus>;
}

export interface ServerStatus {
  readonly running: boolean;
  readonly pid: number | undefined;
  readonly version: string | undefined;
  readonly home: string;
  /** API address, `http://127.0.0.1:PORT`. */
  readonly api: string | undefined;
  /** Where the API listens for other machines, `https://0.0.0.0:8443`; undefined when it does not. */
  readonly publicApi?: string | undefined;
  /** The ingress's public address, `http://127.0.0.1:8080`; undefined when it never started. */
  readonly ingress: string | undefined;
  readonly ingressRunning: boolean;
  /** Why the ingress is not where it should be; undefined when it is. */
  readonly ingressNote?: string | undefined;
  /** Services that are brought back and neither ready yet nor have failed to be, as `NAMESPACE/STAGE`. */
  readonly comingBack?: readonly string[];
  readonly startedAt: string | undefined;
}
