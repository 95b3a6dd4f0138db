import { finishedRunStatuses } from "../core/run-state.ts";
import type { RunReader } from "../ports/run-store.ts";
import type { SharedParts } from "./run-actions.ts";
import type { Turns } from "./turns.ts";

/**
 * Cancels what runs, then removes all of the deployment: services, routes, releases, runs with their logs, and the artifacts that
 * nobody else's release has. Environments and mirrors are caches that others share; they are swept by themselves.
 */
export async function deleteDeployment(
  name: string,
  parts: SharedParts,
  turns: Turns,
  carriedOut: ReadonlyMap<string, AbortController>,
): Promise<{ readonly found: boolean }> {
  const { store, engine, source } = parts;
  const namespaces = new Set([
    ...store
      .deployments()
      .filter((deployment) => deployment.name === name)
      .map(({ namespace }) => namespace),
    ...engine
      .services()
      .filter(({ deployment }) => deployment === name)
      .map(({ namespace }) => namespace),
    ...store.runs({ deployment: name }).flatMap(({ namespace }) => namespace ?? []),
  ]);
  for (const namespace of namespaces) {
    for (const run of store.runs({ deployment: name, namespace })) {
      if (!finishedRunStatuses.has(run.status)) carriedOut.get(run.id)?.abort();
    }
    const patience = new AbortController().signal;
    const endTurn = await turns.take(`${namespace}/${name}`, "delete deployment", patience, () => {});
    try {
      for (const service of engine.services()) {
        if (service.namespace === namespace && service.deployment === name)
          await engine.removeService(service);
      }
      for (const release of store.releases(namespace, name)) {
        await source.forget(release.commit, `release/${namespace}/${name}/${release.number}`);
      }
      for (const runId of store.removeDeployment(namespace, name)) await engine.removeRun(runId);
    } finally {
      endTurn();
    }
  }
  await parts.artifacts.sweep(keptArtifacts(store));
  return { found: namespaces.size > 0 };
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
