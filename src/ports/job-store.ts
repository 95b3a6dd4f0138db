/** The record of cronjobs and jobs, in the same store as the runs. All calls are synchronous and durable on return. */

import type { Decision } from "../core/cron/decide-due-times.ts";
import type { Cronjob, Job } from "../core/job-state.ts";

export interface JobReader {
  /** By name. */
  cronjobs(): readonly Cronjob[];
  cronjob(name: string): Cronjob | undefined;
  job(id: string): Job | undefined;
  /** Newest first, by due time. `cronjob: null` means those of no cronjob (`--async`). */
  jobs(filter: {
    readonly cronjob?: string | null | undefined;
    readonly limit?: number | undefined;
  }): readonly Job[];
  /** Waiting and active ones, oldest first. */
  unfinishedJobs(): readonly Job[];
}

export interface JobStore extends JobReader {
  saveCronjob(cronjob: Cronjob): void;
  /** With its jobs, but not their runs. */
  removeCronjob(name: string): void;
  /** False, and nothing is changed, when there is one of that id already. */
  addJob(job: Job): boolean;
  saveJob(job: Job): void;
  /** In one step. */
  saveJobs(jobs: readonly Job[]): void;
  removeJob(id: string): void;
  /** Saves the cronjobs and adds those jobs whose ids are new, in one step; returns the ones added. A due time fires once. */
  decideDueTimes(decisions: readonly Decision[]): readonly Job[];
}
