import type { Deployment, Release, ServiceStatus } from "../core/run-state.ts";
import type { RunReader, RunStore } from "../ports/run-store.ts";
import { documentText } from "./document-text.ts";
import type { Rows } from "./rows.ts";
import type { RunRows } from "./run-rows.ts";

/** Deployments with their releases, and services. */
export type DeploymentRows = Pick<
  RunReader,
  "deployments" | "deployment" | "release" | "releases" | "services"
> &
  Pick<
    RunStore,
    "saveRelease" | "removeRelease" | "removeDeployment" | "saveServiceStatus" | "removeServiceStatus"
  >;

export function createDeploymentRows(
  { write, rows, one, all, together }: Rows,
  dropRuns: RunRows["dropRuns"],
): DeploymentRows {
  return {
    deployments: () => all<Deployment>("SELECT document FROM deployments ORDER BY namespace, name"),
    deployment: (namespace, name) =>
      one<Deployment>("SELECT document FROM deployments WHERE namespace = ? AND name = ?", namespace, name),
    release: (namespace, deployment, number) =>
      one<Release>(
        "SELECT document FROM releases WHERE namespace = ? AND deployment = ? AND number = ?",
        namespace,
        deployment,
        number,
      ),
    releases: (namespace, deployment) =>
      all<Release>(
        "SELECT document FROM releases WHERE namespace = ? AND deployment = ? ORDER BY number DESC",
        namespace,
        deployment,
      ),
    services: () => all<ServiceStatus>("SELECT document FROM services ORDER BY namespace, stage"),

    saveRelease: (release, deployment) =>
      together(() => {
        write(
          "INSERT OR REPLACE INTO releases (namespace, deployment, number, document) VALUES (?, ?, ?, ?)",
          release.namespace,
          release.deployment,
          release.number,
          documentText(release),
        );
        write(
          "INSERT OR REPLACE INTO deployments (namespace, name, document) VALUES (?, ?, ?)",
          deployment.namespace,
          deployment.name,
          documentText(deployment),
        );
      }),
    removeRelease: ({ namespace, deployment, number }) => {
      write(
        "DELETE FROM releases WHERE namespace = ? AND deployment = ? AND number = ?",
        namespace,
        deployment,
        number,
      );
    },
    removeDeployment: (namespace, name) =>
      together(() => {
        const runs = rows<{ id: string }>(
          "SELECT id FROM runs WHERE namespace = ? AND deployment = ? AND finished = 1",
          namespace,
          name,
        ).map(({ id }) => id);
        dropRuns(runs);
        write("DELETE FROM releases WHERE namespace = ? AND deployment = ?", namespace, name);
        write("DELETE FROM deployments WHERE namespace = ? AND name = ?", namespace, name);
        return runs;
      }),
    saveServiceStatus: (status) => {
      write(
        "INSERT OR REPLACE INTO services (namespace, stage, document) VALUES (?, ?, ?)",
        status.namespace,
        status.stage,
        documentText(status),
      );
    },
    removeServiceStatus: (namespace, stage) => {
      write("DELETE FROM services WHERE namespace = ? AND stage = ?", namespace, stage);
    },
  };
}
