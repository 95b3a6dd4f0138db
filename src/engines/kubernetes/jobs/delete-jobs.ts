import type { Job } from "../../../core/job-state.ts";
import { finishedRunStatuses } from "../../../core/run-state.ts";
import type { Cluster, KubernetesObject } from "../client/cluster.ts";
import { kinds } from "../client/kinds.ts";
import { numberAt } from "../client/objects.ts";
import { controllerState } from "./controller-pod.ts";
import { type HistoryParts, removeRuns } from "./history.ts";
import { type Evidence, jobNameLabel } from "./job-evidence.ts";

/** Seconds that Kubernetes gives a pod which says nothing else. */
const ordinaryGrace = 30;
/** Seconds until a pod that had to be killed is known to be gone. */
const killTime = 15;

/**
 * Deletes jobs in the background: their controllers are told to end, and cancel the runs that go on. When they have, the
 * runs are removed; those of a controller that does not end in its time stay on record until the next look at the history.
 * Returns the runs that were going on.
 */
export async function deleteJobs(
  jobs: readonly Job[],
  evidence: Evidence,
  parts: HistoryParts,
): Promise<readonly string[]> {
  const { cluster, namespace, store } = parts;
  for (const { id } of jobs) await cluster.delete(kinds.job, { namespace, name: id });
  const pods = jobs.flatMap(({ id }) => evidence.pods.get(id) ?? []);
  await haveEnded(pods, parts);
  const runs = jobs.flatMap(({ id }) => evidence.runs.get(id) ?? []);
  const unfinished = runs.filter(({ status }) => !finishedRunStatuses.has(status)).map(({ id }) => id);
  for (const id of unfinished) await store.refresh({ kind: "run", id });
  await removeRuns(
    runs.map(({ id }) => id),
    parts,
  );
  return unfinished;
}

async function haveEnded(
  pods: readonly KubernetesObject[],
  { cluster, namespace }: { readonly cluster: Pick<Cluster, "watch">; readonly namespace: string },
): Promise<void> {
  const isAtWork = (pod: KubernetesObject): boolean => controllerState(pod).kind !== "ended";
  const awaited = new Set(pods.filter(isAtWork).map(({ metadata }) => metadata.name));
  if (awaited.size === 0) return;
  const graces = pods.map((pod) => numberAt(pod, "spec", "terminationGracePeriodSeconds") ?? ordinaryGrace);
  const late = AbortSignal.timeout((Math.max(...graces) + killTime) * 1_000);
  for await (const event of cluster.watch(kinds.pod, { namespace, labels: jobNameLabel }, late)) {
    if (event.type === "listed") {
      const working = new Set(event.objects.filter(isAtWork).map(({ metadata }) => metadata.name));
      for (const name of awaited) if (!working.has(name)) awaited.delete(name);
    } else if (event.type === "gone" || !isAtWork(event.object)) {
      awaited.delete(event.object.metadata.name);
    }
    if (awaited.size === 0) return;
  }
}
