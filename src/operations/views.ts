import { changedSecrets } from "../core/changed-secrets.ts";
import type { Deployment, Run, ServiceStatus } from "../core/run-state.ts";
import type { LogReader } from "../ports/engine.ts";
import type { Environments } from "../ports/environments.ts";
import type { JobReader } from "../ports/job-store.ts";
import type { RunReader } from "../ports/run-store.ts";
import type { SecretReader } from "../ports/secrets.ts";
import { findRun } from "./find-run.ts";
import { readJobLog } from "./job-log.ts";
import type { DeploymentView, Views } from "./operations.ts";
import { readLogs } from "./read-logs.ts";

/** What views look into. */
export interface ViewedStore extends RunReader, JobReader, SecretReader {}

export interface ViewParts {
  /** Opened for each view, so that a store that appears later is seen; undefined when nothing was ever recorded. */
  readonly read: <T>(look: (store: ViewedStore) => T, nothing: T) => T;
  readonly logs: LogReader;
  readonly environments: () => Promise<Environments>;
  /** Corrects what the store says of a service by what is true on the machine now (the server may be dead). */
  readonly correct: (service: ServiceStatus) => ServiceStatus;
  readonly now: () => Date;
  /** Resolves after the time (milliseconds), or rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
}

/** What only looks, from the store and the logs; needs no server and starts none. */
export function createViews(parts: ViewParts): Views {
  const { read } = parts;
  const services = (): readonly ServiceStatus[] => read((store) => store.services(), []).map(parts.correct);

  return {
    async deployments({ name, namespace }) {
      const isMeant = (found: Deployment): boolean =>
        (name === undefined || found.name === name) &&
        (namespace === undefined || found.namespace === namespace);
      const views = read((store) => {
        const all = store.services();
        return store
          .deployments()
          .filter(isMeant)
          .map((found) => viewOf(found, all, store));
      }, []);
      return views.map((view) => ({ ...view, services: view.services.map(parts.correct) }));
    },
    runs: async ({ deployment, limit }) => read((store) => store.runs({ deployment, limit }), []),
    run: async (id) => findRun(id, read),
    logs: (request, signal) => readLogs(request, { ...parts, services }, signal),
    environments: async () => (await parts.environments()).list(),
    secrets: async (filter) => read((store) => store.secrets(filter), []),
    async cronjobs(filter) {
      // Only here: schedules are read by a package that most commands do not need.
      const { viewCronjobs } = await import("./view-cronjobs.ts");
      return viewCronjobs(filter, parts);
    },
    jobs: async ({ cronjob, limit }) => read((store) => store.jobs({ cronjob, limit }), []),
    jobLog: (id) => readJobLog(id, parts),
  };
}

function viewOf(found: Deployment, services: readonly ServiceStatus[], store: ViewedStore): DeploymentView {
  const { namespace, name, liveRelease } = found;
  const release = liveRelease === undefined ? undefined : store.release(namespace, name, liveRelease);
  const used = release?.secrets ?? [];
  return {
    ...found,
    release,
    services: services.filter((service) => service.namespace === namespace && service.deployment === name),
    lastRun: lastRunOf(found, store),
    changedSecrets: used.length === 0 ? [] : changedSecrets(used, store.secrets({})),
  };
}

/** Runs that are looked through for one that is the deployment's own. */
const recentRuns = 100;

/** Not one that was refused because the deployment is another repository's. */
function lastRunOf({ namespace, name }: Deployment, store: ViewedStore): Run | undefined {
  const isOwn = ({ code }: Run): boolean => code !== "namespace-taken";
  const [newest] = store.runs({ deployment: name, namespace, limit: 1 });
  if (newest === undefined || isOwn(newest)) return newest;
  return store.runs({ deployment: name, namespace, limit: recentRuns }).find(isOwn);
}
