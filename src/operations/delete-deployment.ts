import { finishedRunStatuses } from "../core/run-state.ts";
import type { SharedParts } from "./run-actions.ts";
import { protectionOf } from "./settle-release.ts";
import type { Turns } from "./turns.ts";

/**
 * Cancels what runs, then removes all of the deployment: services, routes, runs with their logs, and releases. The record
 * goes last, so that a deletion that was cut short can be asked for again. Environments and mirrors are caches that
 * others share; they are swept by themselves.
 */
export async function deleteDeployment(
  name: string,
  parts: SharedParts,
  turns: Turns,
  cancel: (runId: string) => void,
): Promise<{ readonly found: boolean }> {
  const namespaces = namespacesOf(name, parts);
  for (const namespace of namespaces) {
    for (const run of parts.store.runs({ deployment: name, namespace })) {
      if (!finishedRunStatuses.has(run.status)) cancel(run.id);
    }
    const patience = new AbortController().signal;
    const endTurn = await turns.take(namespace, `the deletion of ${name}`, patience, () => {});
    try {
      await removeAll(namespace, name, parts);
    } finally {
      endTurn();
    }
  }
  return { found: namespaces.size > 0 };
}

function namespacesOf(name: string, { store, engine }: SharedParts): ReadonlySet<string> {
  return new Set([
    ...store.deployments().flatMap((deployment) => (deployment.name === name ? [deployment.namespace] : [])),
    ...engine.services().flatMap((service) => (service.deployment === name ? [service.namespace] : [])),
    ...store.runs({ deployment: name }).flatMap(({ namespace }) => namespace ?? []),
  ]);
}

async function removeAll(
  namespace: string,
  name: string,
  { store, engine, source }: SharedParts,
): Promise<void> {
  const services = engine
    .services()
    .filter((service) => service.namespace === namespace && service.deployment === name);
  for (const service of services) await engine.removeService(service);
  const releases = store.releases(namespace, name);
  for (const release of releases) await source.forget(release.commit, protectionOf(release));
  const finished = store
    .runs({ deployment: name, namespace })
    .filter((run) => finishedRunStatuses.has(run.status));
  // Services and releases may be older than the runs that are kept.
  const runIds = new Set([
    ...finished.map(({ id }) => id),
    ...[...services, ...releases].map(({ runId }) => runId),
  ]);
  for (const runId of runIds) await engine.removeRun(runId);
  store.removeDeployment(namespace, name);
  await engine.leaveNamespace(namespace, name, { note: () => {} });
}
