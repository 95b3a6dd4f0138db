import type { Deployment, ServiceStatus } from "../core/run-state.ts";
import type { RunStore } from "../ports/run-store.ts";

/**
 * The same record with the deployments that it knows nothing of but whose services are there: another tool has made them,
 * or the record was lost. They can be listed, replaced and deleted like all others.
 */
export function withAdopted<S extends RunStore>(store: S, services: () => readonly ServiceStatus[]): S {
  const deployments = (): readonly Deployment[] => {
    const known = store.deployments();
    const isKnown = (service: ServiceStatus): boolean =>
      known.some(({ namespace, name }) => namespace === service.namespace && name === service.deployment);
    const adopted = services()
      .filter((service) => !isKnown(service))
      .map((service): [string, Deployment] => [
        `${service.namespace}/${service.deployment}`,
        {
          namespace: service.namespace,
          name: service.deployment,
          gitUrl: service.gitUrl,
          branch: service.branch,
          liveRelease: undefined,
          updatedAt: "",
        },
      ]);
    return [...known, ...new Map(adopted).values()];
  };
  return {
    ...store,
    deployments,
    deployment: (namespace, name) =>
      store.deployment(namespace, name) ??
      deployments().find((found) => found.namespace === namespace && found.name === name),
    services,
  };
}
