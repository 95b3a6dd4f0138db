import { Histogram, type Registry } from "prom-client";

import type { Clock } from "../../ports/clock.ts";
import type { Environments } from "../../ports/environments.ts";

/** Python environments that are built; those that are there already are not counted. */
export function createEnvironmentMetrics(
  registry: Registry,
  clock: Pick<Clock, "monotonic">,
): { watch(environments: Environments): Environments } {
  const seconds = new Histogram({
    name: "bodywork_environment_build_seconds",
    help: "How long Python environments took to build, or to fail to be.",
    labelNames: ["status"],
    buckets: [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800],
    registers: [registry],
  });
  return {
    watch: (environments) => ({
      ...environments,
      async prepare(request, options) {
        const started = clock.monotonic();
        const observe = (status: "succeeded" | "failed"): void =>
          seconds.observe({ status }, (clock.monotonic() - started) / 1000);
        try {
          const environment = await environments.prepare(request, options);
          if (environment.built) observe("succeeded");
          return environment;
        } catch (error) {
          if (options?.signal?.aborted !== true) observe("failed");
          throw error;
        }
      },
    }),
  };
}
