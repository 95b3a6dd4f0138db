import { finishedJobStatuses, type Job } from "../core/job-state.ts";
import type { JobStore } from "../ports/job-store.ts";
import type { RunStore } from "../ports/run-store.ts";
import type { SharedParts } from "./run-actions.ts";

interface HistoryParts extends Pick<SharedParts, "engine"> {
  readonly store: RunStore & JobStore;
}

/** Due times of a cronjob that stay on record, what became of them included. */
const keptDueTimes = 1_000;
/** Jobs of `--async` that are kept, with their runs and logs. */
const keptAsyncJobs = 100;

/**
 * Removes what is beyond the limits of a history: of a cronjob the runs and logs of all but its newest succeeded and its
 * newest failed jobs, as many of each as it says, and then the oldest due times; of `--async` the oldest jobs as a whole.
 * A live release keeps its run.
 * @param cronjob undefined for the jobs of `--async`
 */
export async function trimHistory(cronjob: string | undefined, parts: HistoryParts): Promise<void> {
  const { store } = parts;
  const jobs = store
    .jobs({ cronjob: cronjob ?? null })
    .filter(({ status }) => finishedJobStatuses.has(status));
  const limit = cronjob === undefined ? keptAsyncJobs : store.cronjob(cronjob)?.historyLimit;
  if (limit === undefined) return; // Whoever deletes a cronjob removes its jobs.
  if (cronjob !== undefined) {
    for (const job of beyond(limit, jobs)) await removeRunsOf(job, parts);
  }
  const keptRows = cronjob === undefined ? keptAsyncJobs : keptDueTimes;
  for (const job of jobs.slice(keptRows)) {
    await removeRunsOf(job, parts);
    store.removeJob(job.id);
  }
}

/** Those that still have runs, and more than `limit` newer ones that ended as they did. */
function beyond(limit: number, newestFirst: readonly Job[]): readonly Job[] {
  const ran = newestFirst.filter(({ startedAt }) => startedAt !== undefined);
  const succeeded = ran.filter(({ status }) => status === "succeeded");
  const others = ran.filter(({ status }) => status !== "succeeded");
  return [...succeeded.slice(limit), ...others.slice(limit)].filter(({ runs }) => runs.length > 0);
}

/**
 * Removes a job's runs with all that is kept of them, but those of live releases, and takes them off its record. Cut short
 * it is done again, for a run's logs go after its record and before its name.
 */
export async function removeRunsOf(job: Job, { store, engine }: HistoryParts): Promise<void> {
  store.removeRuns(job.runs);
  // A service that lives on goes on in its run's folder.
  const living = new Set(engine.services().map(({ runId }) => runId));
  const left: string[] = [];
  for (const runId of job.runs) {
    if (store.run(runId) !== undefined || living.has(runId)) left.push(runId);
    else await engine.removeRun(runId);
  }
  if (left.length < job.runs.length && store.job(job.id) !== undefined) store.saveJob({ ...job, runs: left });
}
