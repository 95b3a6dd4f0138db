import { finishedJobStatuses, type Job } from "../../../core/job-state.ts";
import { finishedRunStatuses } from "../../../core/run-state.ts";
import type { Engine } from "../../../ports/engine.ts";
import type { Cluster } from "../client/cluster.ts";
import type { ClusterStore } from "../records/records.ts";
import { removeSlots } from "./cron-slot.ts";
import { type Evidence, lookAtJobs } from "./job-evidence.ts";

export interface HistoryParts {
  readonly cluster: Cluster;
  readonly store: ClusterStore;
  readonly engine: Pick<Engine, "removeRun">;
  readonly namespace: string;
}

/** Jobs of `--async` whose runs are kept. */
const keptAsyncJobs = 100;

/**
 * Removes what is beyond the limit of a history: of a cronjob the runs of all but its newest succeeded and its newest
 * other jobs, as many of each as it says, and all when the cronjob is gone; of `--async` those of the oldest jobs. A live
 * release keeps its run.
 * @param cronjob undefined for the jobs of `--async`
 */
export async function pruneHistory(cronjob: string | undefined, parts: HistoryParts): Promise<void> {
  const evidence = await lookAtJobs(parts);
  const kept = evidence.cronjobs.find(({ name }) => name === cronjob);
  const finished = endedJobs(evidence).filter((job) => job.cronjob === cronjob);
  const beyond =
    cronjob === undefined ? finished.slice(keptAsyncJobs) : beyondLimit(kept?.historyLimit ?? 0, finished);
  await removeRuns(
    beyond.flatMap(({ runs }) => runs),
    parts,
  );
  if (cronjob !== undefined) await removeSlots(parts, cronjob, kept === undefined ? "all" : "old");
}

/** Those that have ended. The controller that asks has not, as the cluster sees it: its run counts for its job. */
function endedJobs({ jobs, runs }: Evidence): readonly Pick<Job, "cronjob" | "status" | "runs">[] {
  return jobs.flatMap((job) => {
    if (finishedJobStatuses.has(job.status)) return [job];
    const newest = runs.get(job.id)?.at(-1);
    if (newest === undefined || !finishedRunStatuses.has(newest.status)) return [];
    return [{ ...job, status: newest.status === "succeeded" ? "succeeded" : "failed" } as const];
  });
}

/** Removes finished runs with all that is kept of them, but those of live releases. */
export async function removeRuns(
  ids: readonly string[],
  { store, engine }: Pick<HistoryParts, "store" | "engine">,
): Promise<void> {
  if (ids.length === 0) return;
  for (const id of store.removeRuns(ids)) await engine.removeRun(id);
  await store.settled();
}

function beyondLimit<T extends Pick<Job, "status">>(limit: number, newestFirst: readonly T[]): readonly T[] {
  const succeeded = newestFirst.filter(({ status }) => status === "succeeded");
  const others = newestFirst.filter(({ status }) => status !== "succeeded");
  return [...succeeded.slice(limit), ...others.slice(limit)];
}
