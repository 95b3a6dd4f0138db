import type { Cronjob, Job } from "../core/job-state.ts";
import type { DeployRequest } from "../core/run-state.ts";
import type { CronjobView } from "../operations/operations.ts";

/** As printed for programs: every key is always there, `null` where nothing is known or nothing was asked for. */
type Whole<T> = {
  readonly [Key in keyof T]-?: undefined extends T[Key] ? Exclude<T[Key], undefined> | null : T[Key];
};

export type JobRecord = Whole<Omit<Job, "request">> & {
  readonly request: RequestRecord;
  /** From its due time to its start; null for what had no due time, and for what was not started. */
  readonly lateSeconds: number | null;
};

export type CronjobRecord = Whole<Omit<Cronjob, "request">> & { readonly request: RequestRecord };

export type CronjobViewRecord = CronjobRecord &
  Pick<CronjobView, "nextTimes" | "words"> & { readonly lastJob: JobRecord | null };

/** A key is for a request that is made directly. */
type RequestRecord = Whole<Omit<DeployRequest, "key">>;

export function jobRecord(job: Job): JobRecord {
  const { id, cronjob, dueAt, status, why, request, retries, runs, nextRunAt, startedAt, endedAt } = job;
  return {
    id,
    cronjob: cronjob ?? null,
    dueAt,
    status,
    why: why ?? null,
    request: requestRecord(request),
    retries,
    runs,
    nextRunAt: nextRunAt ?? null,
    startedAt: startedAt ?? null,
    endedAt: endedAt ?? null,
    lateSeconds:
      cronjob === undefined || startedAt === undefined
        ? null
        : (Date.parse(startedAt) - Date.parse(dueAt)) / 1_000,
  };
}

export function cronjobRecord(cronjob: Cronjob): CronjobRecord {
  const { name, schedule, timezone, request, retries, historyLimit, concurrency, catchUp, suspended } =
    cronjob;
  const { createdAt, updatedAt, decidedUntil } = cronjob;
  return {
    ...{ name, schedule, timezone, request: requestRecord(request), retries, historyLimit },
    ...{ concurrency, catchUp, suspended, createdAt, updatedAt, decidedUntil },
  };
}

export function cronjobViewRecord(view: CronjobView): CronjobViewRecord {
  const { nextTimes, words, lastJob } = view;
  return {
    ...cronjobRecord(view),
    nextTimes,
    words,
    lastJob: lastJob === undefined ? null : jobRecord(lastJob),
  };
}

function requestRecord(request: DeployRequest): RequestRecord {
  const { url, branch, acceptHostKey, strict, group, image, checkImage, startedBy, job } = request;
  return {
    url,
    branch: branch ?? null,
    acceptHostKey: acceptHostKey ?? null,
    strict,
    group: group ?? null,
    image: image ?? null,
    checkImage: checkImage ?? null,
    startedBy,
    job: job ?? null,
  };
}
