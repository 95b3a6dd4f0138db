import { isDeepStrictEqual } from "node:util";

import type { Run } from "../../../core/run-state.ts";
import { systemClock } from "../../../lib/system-clock.ts";
import type { Clock } from "../../../ports/clock.ts";
import { type ClusterLeases, leaseRetry } from "./lease.ts";
import type { ClusterStore } from "./records.ts";

/**
 * Milliseconds after its creation that a run may be without a namespace: its repository is read meanwhile.
 */
const readingTime = 10 * 60_000;
/** Milliseconds in which whoever waits for a lease that has become free takes it. */
const grace = 2 * leaseRetry + 1_000;

/**
 * Unfinished runs that nobody carries out any more:
 *
 * - the one that had its namespace's lease when that ran out
 * - those of a namespace whose lease nobody has and nobody takes for some seconds
 * - those without a namespace that were asked for more than ten minutes ago
 *
 * The last two only if nothing is recorded of them meanwhile. Takes some seconds when there may be such runs,
 * up to the duration of a lease when a controller has died; no time otherwise. The store must have the
 * unfinished runs.
 */
export async function abandonedRuns(
  store: Pick<ClusterStore, "unfinishedRuns" | "refresh">,
  leases: Pick<ClusterLeases, "lookAt">,
  clock: Clock = systemClock,
): Promise<readonly Run[]> {
  const first = await look(store.unfinishedRuns());
  if (first.maybe.length === 0) return first.certain;
  await clock.sleep(grace);
  await store.refresh({ kind: "unfinished" });
  const isSuspect = (run: Run): boolean => first.maybe.some((suspect) => isDeepStrictEqual(suspect, run));
  const second = await look(store.unfinishedRuns().filter(isSuspect));
  return [...first.certain, ...second.certain, ...second.maybe].toSorted((a, b) => (a.id < b.id ? -1 : 1));

  async function look(runs: readonly Run[]): Promise<{ certain: readonly Run[]; maybe: readonly Run[] }> {
    const namespaces = [...new Set(runs.flatMap(({ namespace }) => namespace ?? []))];
    const states = new Map(
      await Promise.all(namespaces.map(async (name) => [name, await leases.lookAt(name)] as const)),
    );
    const certain: Run[] = [];
    const maybe: Run[] = [];
    for (const run of runs) {
      if (run.namespace === undefined) {
        if (clock.now().getTime() - Date.parse(run.createdAt) > readingTime) maybe.push(run);
        continue;
      }
      const state = states.get(run.namespace);
      if (state?.kind === "free") maybe.push(run);
      // Others of that namespace may be waiting, until they have seen for themselves that it has run out.
      if (state?.kind === "expired" && state.holder === holderOf(run)) certain.push(run);
    }
    return { certain, maybe };
  }
}

/** What a run says of itself when it takes its turn. */
function holderOf({ id }: Run): string {
  return `run ${id}`;
}
