import type { Cronjob, Job } from "../../src/core/job-state.ts";

/** Due every hour, in UTC, since 10:00 on 23 November 2026. */
export function aCronjob(change: Partial<Cronjob> = {}): Cronjob {
  return {
    name: "train",
    schedule: "0 * * * *",
    timezone: "UTC",
    request: {
      url: "https://forge.test/me/my-project",
      branch: undefined,
      strict: false,
      startedBy: "cron",
    },
    retries: 1,
    historyLimit: 1,
    concurrency: "forbid",
    catchUp: "latest",
    suspended: false,
    createdAt: "2026-11-23T10:00:00.000Z",
    updatedAt: "2026-11-23T10:00:00.000Z",
    decidedUntil: "2026-11-23T10:00:00.000Z",
    ...change,
  };
}

/** `11:00 missed: no server ran`, one line for each, oldest first; of jobs, or of what is printed of them. */
export function fates(
  jobs: readonly (Pick<Job, "dueAt" | "status"> & { readonly why: string | undefined | null })[],
): readonly string[] {
  return jobs
    .toSorted((a, b) => a.dueAt.localeCompare(b.dueAt))
    .map(({ dueAt, status, why }) => `${dueAt.slice(11, 16)} ${status}${why ? `: ${why}` : ""}`);
}
