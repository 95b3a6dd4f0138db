import { Failure } from "../../../core/failure.ts";
import type { CronjobSpec } from "../../../core/job-state.ts";
import { ClusterError } from "../client/cluster.ts";

/** Retries and kept jobs that the cluster can count: in 32 bits. */
export const mostCount = 2 ** 31 - 1;

/** What the cluster refuses of a schedule or time zone that we would take, in the cluster's own words; else undefined. */
export function refusedByCluster(error: unknown, { schedule, timezone }: CronjobSpec): Failure | undefined {
  if (!(error instanceof ClusterError) || error.kind !== "invalid") return undefined;
  const details = error.causes.length > 0 ? error.causes : [error.message];
  const about = (field: string): boolean => details.some((line) => line.includes(field));
  if (about("spec.schedule")) {
    return new Failure("usage", `Invalid cronjob schedule: ${schedule}`, { details, cause: error });
  }
  if (about("spec.timeZone")) {
    return new Failure("usage", `Invalid time zone: ${timezone}`, {
      details,
      hint: "The cluster has a list of its own; UTC is always in it.",
      cause: error,
    });
  }
  return undefined;
}
