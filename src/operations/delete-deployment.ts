import { finishedRunStatuses } from "../core/run-state.ts";
import type { RunParts } from "./carry-out-run.ts";
import type { Turns } from "./turns.ts";

/**
 * Cancels what runs, then removes the deployment's services, releases, logs and runs: everything but environments and mirrors, which others
 * may share.
 */
export async function deleteDeployment(
  name: string,
  parts: Omit<RunParts, "takeTurn">,
  turns: Turns,
  carriedOut: ReadonlyMap<string, AbortController>,
): Promise<{ readonly found: boolean }> {
  const { store, engine, source } = parts;
  for (const run of store.runs({ deployment: name })) {
    if (!finishedRunStatuses.has(run.status)) carriedOut.get(run.id)?.abort();
  }
  const namespaces = new Set([
    ...store
      .deployments()
      .filter((deployment) => deployment.name === name)
      .map(({ namespace }) => namespace),
    ...engine
      .services()
      .filter((service) => service.deployment === name)
      .map(({ namespace }) => namespace),
  ]);
  for (const namespace of namespaces) {
    const endTurn = await turns.take(
      `${namespace}/${name}`,
      "delete deployment",
      new AbortController().signal,
      () => {},
    );
    try {
      for (const service of engine.services()) {
        if (service.namespace === namespace && service.deployment === name)
          await engine.removeService(service);
      }
      for (const release of store.releases(namespace, name)) {
        await source.forget(release.commit, `release/${namespace}/${name}/${release.number}`);
      }
      store.removeDeployment(namespace, name);
    } finally {
      endTurn();
    }
  }
  return { found: namespaces.size > 0 };
}
