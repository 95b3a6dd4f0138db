/**
 * Deployments that are carried out without anybody waiting for them: by `--async`, and at the due times of cronjobs.
 * Stored, sent and printed as they are: add fields, never rename them. Times are ISO 8601, UTC.
 *
 *   job   waiting ⇄ active → succeeded | failed | cancelled        (waiting: before the first run, and between two)
 *         skipped | missed                                       (a due time at which nothing was started, and why)
 */

import type { DeployRequest } from "./run-state.ts";

export type JobStatus = "waiting" | "active" | "succeeded" | "failed" | "cancelled" | "skipped" | "missed";

export const finishedJobStatuses: ReadonlySet<JobStatus> = new Set([
  "succeeded",
  "failed",
  "cancelled",
  "skipped",
  "missed",
]);

/** One deployment that was asked for, which may take several runs (`--retries`). */
export interface Job {
  /** `async-workflow-NAME`; of a cronjob `NAME-MINUTES`, the minutes from 1970 to its due time, as Kubernetes has it. */
  readonly id: string;
  /** The cronjob it belongs to; undefined for `--async`. */
  readonly cronjob: string | undefined;
  /** When it was to start. */
  readonly dueAt: string;
  readonly status: JobStatus;
  /** Why it was skipped, missed, failed or cancelled; undefined otherwise. */
  readonly why: string | undefined;
  readonly request: DeployRequest;
  /** Further runs after one that failed. */
  readonly retries: number;
  /** Its runs' ids, oldest first. */
  readonly runs: readonly string[];
  /** When the next run is to start, after one that failed; undefined otherwise. */
  readonly nextRunAt: string | undefined;
  /** When the first run was asked for; the lateness of a due time is this less `dueAt`. */
  readonly startedAt: string | undefined;
  readonly endedAt: string | undefined;
}

/** What a user says of a cronjob. */
export interface CronjobSpec {
  /** Sanitised: small letters, digits and hyphens. */
  readonly name: string;
  /** As written: five fields, or a macro (`@daily`). */
  readonly schedule: string;
  /** IANA name, `Europe/Berlin`. */
  readonly timezone: string;
  readonly request: DeployRequest;
  /** Further runs of a due time after one that failed. */
  readonly retries: number;
  /** Succeeded and failed jobs, each, whose runs and logs are kept. */
  readonly historyLimit: number;
  /** What becomes of a due time while the job before it is unfinished. */
  readonly concurrency: "forbid" | "allow" | "replace";
  /** Which of the due times that passed while no server ran are made up for. */
  readonly catchUp: "latest" | "none" | "all";
  /** Due times are skipped while it is. */
  readonly suspended: boolean;
}

export interface Cronjob extends CronjobSpec {
  readonly createdAt: string;
  readonly updatedAt: string;
  /** Of every due time up to this one is decided what becomes of it. */
  readonly decidedUntil: string;
}
