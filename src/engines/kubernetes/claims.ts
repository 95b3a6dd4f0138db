import type { KubernetesSettings } from "../../core/settings.ts";
import { type Cluster, ClusterError } from "./client/cluster.ts";
import { kinds } from "./client/kinds.ts";
import { labels } from "./vocabulary.ts";

/** Makes the claims that the settings name, for environments and for artifacts, where the namespace has none of that name. */
export async function createClaims(
  namespace: string,
  settings: Pick<KubernetesSettings, "environment_cache" | "storage" | "claims">,
  cluster: Cluster,
): Promise<void> {
  for (const name of claimsOf(settings)) {
    if ((await cluster.get(kinds.persistentVolumeClaim, { namespace, name })) !== undefined) continue;
    const { size, storage_class: storageClass } = settings.claims;
    try {
      await cluster.create({
        apiVersion: kinds.persistentVolumeClaim.apiVersion,
        kind: kinds.persistentVolumeClaim.kind,
        metadata: {
          name,
          namespace,
          labels: { [labels.app]: labels.appValue, [labels.managedBy]: labels.appValue },
        },
        spec: {
          // Every kind of storage knows it. Who has one for several nodes makes the claim beforehand.
          accessModes: ["ReadWriteOnce"],
          resources: { requests: { storage: size } },
          ...(storageClass === undefined ? {} : { storageClassName: storageClass }),
        },
      });
    } catch (error) {
      if (!(error instanceof ClusterError) || error.kind !== "already-exists") throw error;
    }
  }
}

function claimsOf({
  environment_cache: cache,
  storage,
}: Pick<KubernetesSettings, "environment_cache" | "storage">): ReadonlySet<string> {
  return new Set([
    ...(typeof cache === "object" && "claim" in cache ? [cache.claim] : []),
    ...(storage !== undefined && "claim" in storage ? [storage.claim] : []),
  ]);
}
