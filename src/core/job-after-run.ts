import type { Job } from "./job-state.ts";
import type { Run } from "./run-state.ts";

/** Seconds between two runs of a job at most, as Kubernetes has it for a Job. */
export const longestRetryDelay = 360;

/**
 * What becomes of a job when its newest run has finished: one that failed is followed by another, as often as the job
 * says, after a delay that doubles each time. A run that was cancelled, or made room for a newer one, ends the job.
 * @param retryDelaySeconds before the first further run
 */
export function jobAfterRun(
  job: Job,
  run: Pick<Run, "status" | "reason">,
  { now, retryDelaySeconds }: { readonly now: Date; readonly retryDelaySeconds: number },
): Job {
  const failures = job.runs.length;
  if (run.status === "failed" && failures <= job.retries) {
    const delay = Math.min(retryDelaySeconds * 2 ** (failures - 1), longestRetryDelay);
    return { ...job, status: "waiting", nextRunAt: new Date(now.getTime() + delay * 1000).toISOString() };
  }
  const status = run.status === "succeeded" || run.status === "failed" ? run.status : "cancelled";
  return { ...job, status, why: run.reason, nextRunAt: undefined, endedAt: now.toISOString() };
}
