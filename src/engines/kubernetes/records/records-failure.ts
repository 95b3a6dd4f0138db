import { Failure } from "../../../core/failure.ts";
import { ClusterError } from "../client/cluster.ts";
import { clusterFailure } from "../client/to-failure.ts";

/** Why something of ours in the management namespace can't be made; `doing` as for `clusterFailure`. */
export function recordsFailure(error: unknown, doing: string, namespace: string): Failure {
  if (!(error instanceof ClusterError) || error.kind !== "not-found") return clusterFailure(error, doing);
  return new Failure("not-found", `Cannot ${doing}: the cluster has no namespace ${namespace}.`, {
    hint: "Make the cluster ready: bodywork configure-cluster",
    cause: error,
  });
}
