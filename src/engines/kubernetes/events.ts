import type { Cluster, KubernetesObject } from "./client/cluster.ts";
import { kinds } from "./client/kinds.ts";
import { textAt } from "./client/objects.ts";

/** Why the cluster refuses the pods of a Job (a quota, an admission rule), as its controller was last told. */
export async function lastRefusal(cluster: Cluster, job: KubernetesObject): Promise<string | undefined> {
  return lastOf(cluster, job, (event) => textAt(event, "reason") === "FailedCreate");
}

/** The last thing that went wrong with a pod before its container could be made. */
export async function lastWarning(cluster: Cluster, pod: KubernetesObject): Promise<string | undefined> {
  return lastOf(cluster, pod, (event) => textAt(event, "type") === "Warning");
}

async function lastOf(
  cluster: Cluster,
  { metadata }: KubernetesObject,
  isMeant: (event: KubernetesObject) => boolean,
): Promise<string | undefined> {
  const fields = `involvedObject.uid=${metadata.uid ?? ""}`;
  const events = await cluster.list(kinds.event, { namespace: metadata.namespace, fields });
  const last = events
    .filter(isMeant)
    .toSorted((a, b) => timeOf(a) - timeOf(b))
    .at(-1);
  return textAt(last, "message");
}

/** Older and newer clusters write it in different fields. */
function timeOf(event: KubernetesObject): number {
  const text =
    textAt(event, "lastTimestamp") ?? textAt(event, "eventTime") ?? event.metadata.creationTimestamp ?? "";
  return Date.parse(text) || 0;
}
