/**
 * What is recorded of a deployment's life, and the statuses it moves through. These records are stored, sent over the
 * API and printed by `--output json` as they are: add fields, never rename them.
 *
 *   run       queued → preparing → running → succeeded
 *                          │          ├──────→ reverting → failed | cancelled
 *                          └──────────┴──────→ failed | cancelled       (nothing was changed yet)
 *   stage     waiting → running → succeeded | failed | cancelled        (waiting → skipped when the run ends before it)
 *   attempt   running → succeeded | failed | cancelled | lost
 */

import type { FailureCode } from "./failure.ts";
import type { Stage } from "./project.ts";
import type { SecretReference, SecretVersion } from "./secret-state.ts";

export type RunStatus =
  | "queued"
  | "preparing"
  | "running"
  | "reverting"
  | "succeeded"
  | "failed"
  | "cancelled";

export const finishedRunStatuses: ReadonlySet<RunStatus> = new Set(["succeeded", "failed", "cancelled"]);

/** What a user asked for with `create deployment`. */
export interface DeployRequest {
  readonly url: string;
  /** Branch, tag or commit; undefined means the remote's default branch. */
  readonly branch: string | undefined;
  readonly acceptHostKey?: string | undefined;
  /** Warnings refuse the deployment. */
  readonly strict: boolean;
  /** `--group`: the secret group to use in place of the one in the project file. */
  readonly group?: string | undefined;
  /** `--bodywork-image`: in place of `pipeline.docker_image`. Only on Kubernetes. */
  readonly image?: string | undefined;
  /** False: whether the image exists is not asked. Only on Kubernetes. */
  readonly checkImage?: boolean | undefined;
  /** Who or what asked: `command`, `async`, `cron`, later `sync`. */
  readonly startedBy: string;
  /** The job that it is a run of. */
  readonly job?: string | undefined;
  /** 32 random hex digits, of this one request: who repeats it, not having heard the answer, is told of the same run. */
  readonly key?: string | undefined;
}

/** One commit in one of our mirrors. */
export interface CommitRef {
  /** Key of the mirror (a digest of the canonical URL). */
  readonly repository: string;
  /** 40 hex digits. */
  readonly hash: string;
}

/** The commit a run deploys. */
export interface RunCommit extends CommitRef {
  /** The URL without credentials. */
  readonly url: string;
  /** What `git rev-parse --short` gives: 7 or more hex digits. */
  readonly shortHash: string;
  /** Name of the branch or tag; undefined when a bare commit was asked for. */
  readonly branch: string | undefined;
  readonly author: string;
  readonly subject: string;
  /** ISO 8601. */
  readonly committedAt: string;
}

/** One execution of the workflow. Times are ISO 8601, UTC. */
export interface Run {
  /** Sorts by time: `20261123-190512-k3f9`. */
  readonly id: string;
  readonly request: DeployRequest;
  readonly status: RunStatus;
  /** Why it failed or was cancelled, one line, also while it is ending; undefined otherwise. */
  readonly reason: string | undefined;
  /** The reason's code; undefined when there is none. */
  readonly code: FailureCode | undefined;
  /** More lines to the reason: all problems, a tool's own words. */
  readonly details: readonly string[];
  readonly hint: string | undefined;
  readonly createdAt: string;
  readonly startedAt: string | undefined;
  readonly endedAt: string | undefined;
  /** Known once the project file has been read. */
  readonly deployment: string | undefined;
  readonly namespace: string | undefined;
  readonly commit: RunCommit | undefined;
  /** The number the release gets (or got) when the run succeeds. */
  readonly release: number | undefined;
  readonly stages: readonly StageRun[];
  /** The group its secrets are in; known with the namespace. */
  readonly secretsGroup?: string | undefined;
  /** Stage → variable → where its value is, decided once: a run that is gone on with has the same values as before. */
  readonly secrets?: Readonly<Record<string, Readonly<Record<string, SecretReference>>>> | undefined;
  /** Services this run has replaced, with what served before; written before each replacement begins. */
  readonly changed: readonly ChangedService[];
  /** The image its stages run in, resolved to a digest where that could be had. Only on Kubernetes. */
  readonly image?: string | undefined;
  readonly cancelRequested: boolean;
  /** Whose end it waits for: of who has the turn of its namespace, `run 20261123-190512345-k3f9`, or `one of 8 runs`. */
  readonly waitingFor?: string | undefined;
}

export interface ChangedService {
  readonly stage: string;
  /** Undefined when the service is new. */
  readonly previous: ServiceTask | undefined;
}

export type StageRunStatus = "waiting" | "running" | "succeeded" | "failed" | "cancelled" | "skipped";

/** A node of the workflow's graph in one run. */
export interface StageRun {
  /** Unique in the run: the stage's name, with `#2` behind it when the DAG names it again. */
  readonly node: string;
  readonly stage: string;
  readonly kind: "batch" | "service";
  readonly after: readonly string[];
  readonly status: StageRunStatus;
  readonly startedAt: string | undefined;
  readonly endedAt: string | undefined;
  readonly environment: StageEnvironment | undefined;
  readonly attempts: readonly Attempt[];
  readonly outputs: readonly StageOutput[];
}

export interface StageEnvironment {
  readonly key: string;
  readonly pythonVersion: string;
  /** False when it was there already. */
  readonly built: boolean;
}

export interface StageOutput {
  readonly name: string;
  readonly path: string;
  readonly digest: string;
  readonly kind: "file" | "folder";
  readonly bytes: number;
}

export interface Attempt {
  /** From 1. */
  readonly number: number;
  readonly status: "running" | "succeeded" | "failed" | "cancelled" | "lost";
  /** `exit 3`, `SIGKILL`, `out of memory (limit 100 MiB)`, `timed out after 60 s`, `not ready within 30 s`; undefined when it went well. */
  readonly reason: string | undefined;
  /** The last lines of its log, when it failed. */
  readonly lastLines: readonly string[];
  readonly startedAt: string;
  readonly endedAt: string | undefined;
  /** One for each process: a replica of a service has several when it starts anew. */
  readonly logs: readonly StageLog[];
}

export interface StageLog {
  /** `attempt 1`, `replica 2 of 3`; `replica 1` of the only one. */
  readonly source: string;
  /** Where it is, in the engine's own words. */
  readonly reference: string;
}

/** Everything an engine needs to run one attempt of a batch stage. Plain data. */
export interface BatchTask extends TaskBase {
  readonly stage: Extract<Stage, { kind: "batch" }>;
  readonly attempt: number;
  readonly outputs: Readonly<Record<string, string>>;
}

/** Everything an engine needs to serve a service stage, now and after a restart. Plain data. */
export interface ServiceTask extends TaskBase {
  readonly stage: Extract<Stage, { kind: "service" }>;
}

export interface TaskBase {
  readonly runId: string;
  readonly node: string;
  readonly deployment: string;
  readonly namespace: string;
  /** The release this belongs to (or will, when the run succeeds). */
  readonly release: number;
  readonly commit: RunCommit;
  readonly environment: { readonly key: string; readonly folder: string; readonly python: string };
  /** Only on Kubernetes. */
  readonly image?: string | undefined;
  readonly inputs: readonly TaskInput[];
  /** Added to the stage's environment, e.g. `GIT_COMMIT_HASH`. Never secrets. */
  readonly variables: Readonly<Record<string, string>>;
  /** Variable → where its value is: the engine has it revealed when it starts the process, and not before. */
  readonly secrets?: Readonly<Record<string, SecretReference>> | undefined;
}

export interface TaskInput {
  readonly name: string;
  /** Relative to the stage's working folder. */
  readonly path: string;
  readonly artifact: {
    readonly digest: string;
    readonly kind: "file" | "folder";
    readonly bytes: number;
  };
}

/** A pipeline living on an engine. */
export interface Deployment {
  readonly namespace: string;
  readonly name: string;
  readonly gitUrl: string;
  readonly branch: string | undefined;
  readonly liveRelease: number | undefined;
  readonly updatedAt: string;
  /** The group its secrets, and the ssh key of its repository, are in. */
  readonly secretsGroup?: string | undefined;
}

/** The immutable record of a run that succeeded. */
export interface Release {
  readonly namespace: string;
  readonly deployment: string;
  readonly number: number;
  readonly runId: string;
  readonly commit: RunCommit;
  readonly createdAt: string;
  readonly environments: Readonly<Record<string, StageEnvironment & { readonly lock: string }>>;
  readonly outputs: Readonly<Record<string, readonly StageOutput[]>>;
  readonly services: readonly ServiceTask[];
  /** The image its stages ran in. Only on Kubernetes. */
  readonly image?: string | undefined;
  /** Versions of the secrets that its stages were given. */
  readonly secrets?: readonly SecretVersion[] | undefined;
}

/** A service as the engine last saw it. */
export interface ServiceStatus {
  readonly namespace: string;
  readonly deployment: string;
  /** Raw name and the name in routes and host names (`stage_3`, `stage-3`). */
  readonly stage: string;
  readonly name: string;
  readonly release: number;
  readonly runId: string;
  readonly gitUrl: string;
  readonly branch: string | undefined;
  readonly commit: string;
  readonly port: number;
  readonly wantedReplicas: number;
  readonly readyReplicas: number;
  readonly restarts: number;
  readonly state: "serving" | "degraded" | "starting" | "crash-loop" | "stopped";
  /** Why it is not serving, in words; undefined when it is. */
  readonly reason: string | undefined;
  /** `http://stage-3:5000` for its neighbours; the stable address for everyone on the machine. */
  readonly internalUrl: string;
  readonly address: string | undefined;
  readonly ingressRoute: string | undefined;
  /** The public URL; undefined when the ingress does not route to it. */
  readonly url: string | undefined;
  readonly replicas: readonly ReplicaStatus[];
}

export interface ReplicaStatus {
  readonly id: string;
  readonly state: "starting" | "ready" | "waiting-to-restart" | "stopped";
  readonly pid: number | undefined;
  readonly address: string;
  readonly restarts: number;
  readonly startedAt: string | undefined;
  readonly log: string;
}

/** What the server tells of a run as it goes. `log` events are not stored: they are read from the logs again. */
export type RunEvent =
  | {
      readonly kind: "run";
      readonly seq: number;
      readonly at: string;
      readonly status: RunStatus;
      readonly reason?: string;
    }
  | {
      readonly kind: "notice";
      readonly seq: number;
      readonly at: string;
      readonly level: "info" | "warning" | "error";
      readonly text: string;
      /** Lines below it. */
      readonly details?: readonly string[];
    }
  | {
      readonly kind: "stage";
      readonly seq: number;
      readonly at: string;
      readonly node: string;
      readonly status: StageRunStatus | "environment" | "ready" | "draining" | "reverted";
      readonly attempt?: number;
      readonly text?: string;
    }
  | {
      readonly kind: "log";
      readonly at: string;
      readonly node: string;
      /** As of a StageLog; also `environment`. */
      readonly source: string;
      readonly text: string;
    };
