import type { RunReader } from "../ports/run-store.ts";
import type { SharedParts } from "./run-actions.ts";
import { secretsInUse } from "./secrets-in-use.ts";
import { protectionOf } from "./settle-release.ts";

/** Removes what batch stages have made for runs that came to nothing, and for releases and deployments that are gone. */
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

/** Removes versions of secrets that were replaced or deleted and that nothing needs any more, a kept release included. */
export function sweepSecrets({
  store,
  engine,
  secrets,
}: Pick<SharedParts, "store" | "engine" | "secrets">): void {
  const ofReleases = store
    .deployments()
    .flatMap(({ namespace, name }) => store.releases(namespace, name))
    .flatMap((release) => release.secrets ?? []);
  secrets.sweep([...secretsInUse({ store, engine }), ...ofReleases]);
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

/** Releases kept of each deployment, the live one besides. */
const keptReleases = 50;

/**
 * Removes old releases and lets go of their commits; true when there were some. The record goes last, so that a sweep
 * that was cut short is done again.
 */
export async function sweepReleases({
  store,
  source,
  engine,
}: Pick<SharedParts, "store" | "source" | "engine">): Promise<boolean> {
  // A service that could not be put back may be of another release than the live one.
  const living = new Set(engine.services().map(({ runId }) => runId));
  const old = store.deployments().flatMap(({ namespace, name, liveRelease }) =>
    store
      .releases(namespace, name)
      .slice(keptReleases)
      .filter(({ number, runId }) => number !== liveRelease && !living.has(runId)),
  );
  for (const release of old) {
    await source.forget(release.commit, protectionOf(release));
    store.removeRelease(release);
  }
  return old.length > 0;
}
