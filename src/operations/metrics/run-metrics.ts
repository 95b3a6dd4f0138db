import { Counter, Histogram, type Registry } from "prom-client";

import { finishedRunStatuses, type Run } from "../../core/run-state.ts";
import { createBoundedNames } from "./bounded-names.ts";

/** What is known to start runs; a client of the API may say anything. */
const starters: readonly string[] = ["command", "async", "cron", "api"];
/** Seconds. */
const bounds = [1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600];
const mostDeployments = 200;
const mostStages = 500;

/**
 * Runs and their stages, counted when the run has ended: what a stage did under an earlier server is counted by the one
 * that ends its run, once.
 */
export function createRunMetrics(registry: Registry): { observe(run: Run): void } {
  const runs = new Counter({
    name: "bodywork_runs_total",
    help: "Runs that have ended, by status and by what started them.",
    labelNames: ["status", "started_by"],
    registers: [registry],
  });
  const runSeconds = new Histogram({
    name: "bodywork_run_seconds",
    help: "How long runs took from their start, without the time in the queue before it.",
    labelNames: ["namespace", "deployment", "status"],
    buckets: bounds,
    registers: [registry],
  });
  const stageSeconds = new Histogram({
    name: "bodywork_stage_seconds",
    help: "How long stages of runs took, with all their attempts; a service until it served.",
    labelNames: ["namespace", "deployment", "stage", "kind", "status"],
    buckets: bounds,
    registers: [registry],
  });
  const deployments = createBoundedNames(mostDeployments);
  const stages = createBoundedNames(mostStages);
  for (const status of finishedRunStatuses) {
    for (const starter of starters) runs.inc({ status, started_by: starter }, 0);
  }

  return {
    observe(run) {
      if (!finishedRunStatuses.has(run.status)) return;
      const { status, request } = run;
      const starter = starters.includes(request.startedBy) ? request.startedBy : "other";
      runs.inc({ status, started_by: starter });
      // A run that has failed before its project file was read belongs to none.
      const names = [run.namespace ?? "", run.deployment ?? ""] as const;
      const [namespace, deployment] = deployments(...names);
      const seconds = secondsOf(run);
      if (seconds !== undefined) runSeconds.observe({ namespace, deployment, status }, seconds);
      for (const stage of run.stages) {
        const took = secondsOf(stage);
        if (took === undefined) continue;
        const [ofNamespace, ofDeployment, name] = stages(...names, stage.stage);
        stageSeconds.observe(
          {
            namespace: ofNamespace,
            deployment: ofDeployment,
            stage: name,
            kind: stage.kind,
            status: stage.status,
          },
          took,
        );
      }
    },
  };
}

/** Undefined for what never started. A clock that was set back must not make it less than nothing. */
function secondsOf({ startedAt, endedAt }: Pick<Run, "startedAt" | "endedAt">): number | undefined {
  if (startedAt === undefined || endedAt === undefined) return undefined;
  return Math.max(0, (Date.parse(endedAt) - Date.parse(startedAt)) / 1000);
}
