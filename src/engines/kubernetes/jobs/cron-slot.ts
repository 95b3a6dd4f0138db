import { type Cluster, ClusterError, type KubernetesObject, type Place } from "../client/cluster.ts";
import { kinds } from "../client/kinds.ts";
import { textAt } from "../client/objects.ts";
import { labels } from "../vocabulary.ts";
import { cronjobNameOf, dueTimeOf } from "./job-of-cluster.ts";

/** Guards of a cronjob that are kept: the cluster may start again only what was due last. */
const keptGuards = 10;
const guardPart = "cron-slot";

/**
 * Whether this due time of a cronjob was started before, by another Job than this one: Kubernetes promises no more than to
 * start it about once. Whoever asks first has it, with all pods of its Job. False for a Job that no due time has made.
 * @param job the Job that the caller is a controller of
 */
export async function slotIsTaken(cluster: Cluster, job: Required<Place>): Promise<boolean> {
  const object = await cluster.get(kinds.job, job);
  if (object === undefined) return true; // It was deleted, and its controllers are to end.
  const cronjob = cronjobNameOf(object);
  const due = dueTimeOf(object);
  if (cronjob === undefined || due === undefined) return false;
  const guard = guardOf(cronjob, due, object, job.namespace);
  try {
    await cluster.create(guard);
    return false;
  } catch (error) {
    if (!(error instanceof ClusterError) || error.kind !== "already-exists") throw error;
    const found = await cluster.get(kinds.configMap, { ...job, name: guard.metadata.name });
    return textAt(found, "data", "job") !== object.metadata.uid;
  }
}

/** Removes the guards of a cronjob: the old ones, or all when it is gone. */
export async function removeSlots(
  { cluster, namespace }: { readonly cluster: Cluster; readonly namespace: string },
  cronjob: string,
  which: "old" | "all",
): Promise<void> {
  const guards = await cluster.list(kinds.configMap, {
    namespace,
    labels: `${labels.part}=${guardPart},${labels.cronjob}=${cronjob}`,
  });
  const newestFirst = guards.toSorted((a, b) => dueOf(b).localeCompare(dueOf(a)));
  for (const { metadata } of which === "all" ? newestFirst : newestFirst.slice(keptGuards)) {
    await cluster.delete(kinds.configMap, { namespace, name: metadata.name });
  }
}

function guardOf(cronjob: string, due: string, job: KubernetesObject, namespace: string): KubernetesObject {
  const minutes = Math.floor(Date.parse(due) / 60_000);
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: `bodywork-slot-${cronjob}-${minutes}`,
      namespace,
      labels: {
        [labels.app]: labels.appValue,
        [labels.managedBy]: labels.appValue,
        [labels.part]: guardPart,
        [labels.cronjob]: cronjob,
      },
    },
    data: { due, job: job.metadata.uid ?? job.metadata.name },
  };
}

function dueOf(guard: KubernetesObject): string {
  return textAt(guard, "data", "due") ?? "";
}
