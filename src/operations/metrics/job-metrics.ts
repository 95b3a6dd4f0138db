import { Counter, Histogram, type Registry } from "prom-client";

import { finishedJobStatuses, type Job } from "../../core/job-state.ts";
import { createBoundedNames } from "./bounded-names.ts";

const mostCronjobs = 1_000;

/** Due times of cronjobs, when it is decided what becomes of them, and jobs, when they have ended. */
export function createJobMetrics(registry: Registry): { observe(job: Job): void } {
  const dueTimes = new Counter({
    name: "bodywork_cronjob_due_times_total",
    help: "Due times of cronjobs, by what became of them: started, skipped or missed.",
    labelNames: ["cronjob", "outcome"],
    registers: [registry],
  });
  const lateness = new Histogram({
    name: "bodywork_cronjob_lateness_seconds",
    help: "How long after its due time a cronjob was started.",
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300, 1_800, 3_600, 21_600],
    registers: [registry],
  });
  const jobs = new Counter({
    name: "bodywork_jobs_total",
    help: "Jobs that have ended after they were started or could have been, by status and by what asked for them.",
    labelNames: ["kind", "status"],
    registers: [registry],
  });
  const cronjobs = createBoundedNames(mostCronjobs);
  for (const kind of ["cron", "async"]) {
    for (const status of ["succeeded", "failed", "cancelled"]) jobs.inc({ kind, status }, 0);
  }

  return {
    observe(job) {
      const outcome = outcomeOf(job);
      if (job.cronjob !== undefined && outcome !== undefined) {
        const [cronjob] = cronjobs(job.cronjob);
        dueTimes.inc({ cronjob, outcome });
        const late = Date.parse(job.startedAt ?? job.dueAt) - Date.parse(job.dueAt);
        if (outcome === "started") lateness.observe(Math.max(0, late / 1000));
      }
      if (outcome === undefined && finishedJobStatuses.has(job.status)) {
        jobs.inc({ kind: job.cronjob === undefined ? "async" : "cron", status: job.status });
      }
    },
  };
}

/** What is decided of a due time by this change of its job; undefined when nothing is. */
function outcomeOf({ status, runs }: Job): "started" | "skipped" | "missed" | undefined {
  if (status === "skipped" || status === "missed") return status;
  return status === "active" && runs.length === 1 ? "started" : undefined;
}
