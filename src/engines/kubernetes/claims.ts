import { Failure } from "../../core/failure.ts";
import { type Plan, plannedStages } from "../../core/plan.ts";
import type { KubernetesSettings } from "../../core/settings.ts";
import { type Cluster, ClusterError } from "./client/cluster.ts";
import { kinds } from "./client/kinds.ts";
import { labels } from "./vocabulary.ts";

type ClaimSettings = Pick<KubernetesSettings, "environment_cache" | "storage" | "claims">;

/** Where outputs are kept when the settings name nothing: a claim of this name in the pipeline's namespace. */
export function withDefaultStorage<S extends ClaimSettings>(settings: S): S {
  return settings.storage === undefined ? { ...settings, storage: { claim: "bodywork-storage" } } : settings;
}

/**
 * Makes the claims that the stages of a plan need, for environments and for outputs, where the namespace has none of that
 * name. Fails: cluster-refused (there are outputs, and nowhere to keep them).
 */
export async function createClaims(
  namespace: string,
  plan: Plan,
  settings: ClaimSettings,
  cluster: Cluster,
): Promise<void> {
  const isNeeded = plannedStages(plan).some(
    ({ stage }) => Object.keys(stage.outputs).length + stage.inputs.length > 0,
  );
  for (const name of claimsOf(isNeeded ? withDefaultStorage(settings) : settings)) {
    if ((await cluster.get(kinds.persistentVolumeClaim, { namespace, name })) !== undefined) continue;
    const { size, storage_class: storageClass } = settings.claims;
    if (settings.storage === undefined && storageClass === undefined)
      await requireStorageClass(plan, cluster);
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

/** A claim that nothing provides keeps its pods waiting for ever. Who may not look at the classes is not refused. */
async function requireStorageClass({ deployment }: Plan, cluster: Cluster): Promise<void> {
  const classes = await cluster.list(kinds.storageClass).catch((error: unknown) => {
    if (error instanceof ClusterError && error.kind === "forbidden") return undefined;
    throw error;
  });
  const isDefault = (name: string): boolean => name === "storageclass.kubernetes.io/is-default-class";
  const hasDefault = classes?.some(({ metadata }) =>
    Object.entries(metadata.annotations ?? {}).some(([name, value]) => isDefault(name) && value === "true"),
  );
  if (hasDefault ?? true) return;
  throw new Failure(
    "cluster-refused",
    `Cannot deploy "${deployment}": its stages have outputs, and the cluster has no default StorageClass to keep them with.`,
    {
      hint: "Name a bucket or a claim as kubernetes.storage in settings.yaml, or set kubernetes.claims.storage_class.",
    },
  );
}

function claimsOf({
  environment_cache: cache,
  storage,
}: Pick<ClaimSettings, "environment_cache" | "storage">): ReadonlySet<string> {
  return new Set([
    ...(typeof cache === "object" && "claim" in cache ? [cache.claim] : []),
    ...(storage !== undefined && "claim" in storage ? [storage.claim] : []),
  ]);
}
