import type { ServiceStatus } from "../core/run-state.ts";
import type { LogReader } from "../ports/engine.ts";
import type { Environments } from "../ports/environments.ts";
import type { RunReader } from "../ports/run-store.ts";
import { findRun } from "./find-run.ts";
import type { Views } from "./operations.ts";
import { readLogs } from "./read-logs.ts";

export interface ViewParts {
  /** Opened for each view, so that a store that appears later is seen; undefined when nothing was ever recorded. */
  readonly read: <T>(look: (store: RunReader) => T, nothing: T) => T;
  readonly logs: LogReader;
  readonly environments: () => Promise<Environments>;
  /** Corrects what the store says of a service by what is true on the machine now (the server may be dead). */
  readonly correct: (service: ServiceStatus) => ServiceStatus;
  /** Resolves after the time (milliseconds), or rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
}

/** What only looks, from the store and the logs; needs no server and starts none. */
export function createViews(parts: ViewParts): Views {
  const { read } = parts;
  const services = (): readonly ServiceStatus[] => read((store) => store.services(), []).map(parts.correct);

  return {
    async deployments({ name, namespace }) {
      const all = services();
      return read(
        (store) =>
          store
            .deployments()
            .filter(
              (found) =>
                (name === undefined || found.name === name) &&
                (namespace === undefined || found.namespace === namespace),
            )
            .map((found) => ({
              ...found,
              release:
                found.liveRelease === undefined
                  ? undefined
                  : store.release(found.namespace, found.name, found.liveRelease),
              services: all.filter(
                (service) => service.namespace === found.namespace && service.deployment === found.name,
              ),
              lastRun: store.runs({ deployment: found.name, namespace: found.namespace, limit: 1 })[0],
            })),
        [],
      );
    },
    runs: async ({ deployment, limit }) => read((store) => store.runs({ deployment, limit }), []),
    run: async (id) => findRun(id, read),
    logs: (request, signal) => readLogs(request, { ...parts, services }, signal),
    environments: async () => (await parts.environments()).list(),
  };
}
