import { Counter, Gauge, type Registry } from "prom-client";

import type { Run } from "../../core/run-state.ts";
import type { Engine } from "../../ports/engine.ts";
import type { StoreReader } from "../../ports/store.ts";

/** What there is at this moment: runs and jobs that are not finished, and services. */
export function createStateMetrics(
  registry: Registry,
  store: Pick<StoreReader, "unfinishedRuns" | "unfinishedJobs">,
  engine: Pick<Engine, "services">,
): { look(): void } {
  const runs = new Gauge({
    name: "bodywork_unfinished_runs",
    help: "Runs that have not ended, by state; one that is waiting lets another of its namespace go first.",
    labelNames: ["state"],
    registers: [registry],
  });
  const jobs = new Gauge({
    name: "bodywork_unfinished_jobs",
    help: "Jobs that have not ended; one that is waiting has yet to start its first run, or its next.",
    labelNames: ["status"],
    registers: [registry],
  });
  const ofService = { labelNames: ["namespace", "deployment", "service"] as const, registers: [registry] };
  const wanted = new Gauge({
    name: "bodywork_service_replicas_wanted",
    help: "Replicas that a service should have.",
    ...ofService,
  });
  const ready = new Gauge({
    name: "bodywork_service_replicas_ready",
    help: "Replicas of a service that take requests.",
    ...ofService,
  });
  const restarts = new Counter({
    name: "bodywork_service_restarts_total",
    help: "How often replicas of a service were started again; it begins anew with each release.",
    ...ofService,
  });

  return {
    look() {
      for (const state of ["queued", "preparing", "waiting", "running", "reverting"]) runs.set({ state }, 0);
      for (const run of store.unfinishedRuns()) runs.inc({ state: stateOf(run) });
      for (const status of ["waiting", "active"]) jobs.set({ status }, 0);
      for (const { status } of store.unfinishedJobs()) jobs.inc({ status });
      for (const metric of [wanted, ready, restarts]) metric.reset();
      for (const service of engine.services()) {
        const { namespace, deployment, name } = service;
        const labels = { namespace, deployment, service: name };
        wanted.inc(labels, service.wantedReplicas);
        ready.inc(labels, service.readyReplicas);
        restarts.inc(labels, service.restarts);
      }
    },
  };
}

function stateOf({ status, waitingFor }: Run): string {
  return waitingFor === undefined ? status : "waiting";
}
