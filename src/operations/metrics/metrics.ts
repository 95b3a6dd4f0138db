import { collectDefaultMetrics, Registry } from "prom-client";

import type { IngressStats } from "../../core/ingress-stats.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Engine } from "../../ports/engine.ts";
import type { Environments } from "../../ports/environments.ts";
import type { StoreReader } from "../../ports/store.ts";
import type { StoreNews } from "../watch-store.ts";
import { createEnvironmentMetrics } from "./environment-metrics.ts";
import { createIngressMetrics } from "./ingress-metrics.ts";
import { createJobMetrics } from "./job-metrics.ts";
import { createRunMetrics } from "./run-metrics.ts";
import { createStateMetrics } from "./state-metrics.ts";

/** What Prometheus learns of a server. */
export interface Metrics {
  /** Everything in the text format of Prometheus, with the state of this moment. Fails when the store can't be read. */
  text(): Promise<string>;
  /** Counts what has ended. Of `watchStore`. */
  observe(news: StoreNews): void;
  /** The same environments; what is built is counted. */
  watchEnvironments(environments: Environments): Environments;
}

export interface MetricsParts {
  readonly store: Pick<StoreReader, "unfinishedRuns" | "unfinishedJobs">;
  readonly engine: Pick<Engine, "services">;
  /** As of `Ingress.stats`. */
  readonly ingressStats: () => Promise<IngressStats | undefined>;
  readonly clock: Pick<Clock, "monotonic">;
}

/**
 * Counts what ends while the server runs, and looks at what there is when it is asked: counters begin at 0 with each
 * server, as Prometheus expects, and gauges are as true as the store. The ingress, which outlives the server, counts for
 * itself.
 */
export function createMetrics({ store, engine, ingressStats, clock }: MetricsParts): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 50 });
  const runs = createRunMetrics(registry);
  const jobs = createJobMetrics(registry);
  const environments = createEnvironmentMetrics(registry, clock);
  const state = createStateMetrics(registry, store, engine);
  const ingress = createIngressMetrics(registry);
  return {
    async text() {
      ingress.take(await ingressStats());
      state.look();
      return registry.metrics();
    },
    observe(news) {
      if (news.kind === "run") runs.observe(news.run);
      if (news.kind === "job") jobs.observe(news.job);
    },
    watchEnvironments: environments.watch,
  };
}
