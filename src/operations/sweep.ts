import type { RunReader } from "../ports/run-store.ts";
import type { SharedParts } from "./run-actions.ts";

/** Removes what batch stages have made for runs that came to nothing, and for deployments that are gone. */
export async function sweepArtifacts({
  store,
  artifacts,
}: Pick<SharedParts, "store" | "artifacts">): Promise<void> {
  await artifacts.sweep(keptArtifacts(store));
}

/** Digests that a release or an unfinished run needs. */
function keptArtifacts(store: RunReader): ReadonlySet<string> {
  const ofReleases = store
    .deployments()
    .flatMap(({ namespace, name }) => store.releases(namespace, name))
    .flatMap(({ outputs }) => Object.values(outputs).flat());
  const ofRuns = store.unfinishedRuns().flatMap(({ stages }) => stages.flatMap(({ outputs }) => outputs));
  return new Set([...ofReleases, ...ofRuns].map(({ digest }) => digest));
}

/** Runs kept of each deployment, with their logs. */
const keptRuns = 200;

/** Removes old runs and what the engine keeps of them; a service that lives on goes on in its run's folder. */
export async function sweepRuns({ store, engine }: Pick<SharedParts, "store" | "engine">): Promise<void> {
  const living = new Set(engine.services().map(({ runId }) => runId));
  for (const runId of store.removeOldRuns(keptRuns)) {
    if (!living.has(runId)) await engine.removeRun(runId);
  }
}
