import { type Cluster, ClusterError, type KubernetesObject } from "./cluster.ts";

/** Creates it unless there is one of that name, which stays as it is. */
export async function createOnce(cluster: Cluster, object: KubernetesObject): Promise<void> {
  try {
    await cluster.create(object);
  } catch (error) {
    if (!(error instanceof ClusterError) || error.kind !== "already-exists") throw error;
  }
}
