import type { Cronjob, Job, JobStatus } from "../job-state.ts";
import { dueTimesBetween, nextDueTime } from "./due-times.ts";
import type { Schedule } from "./parse-schedule.ts";

/**
 * A due time that is noticed less than a minute late only ran late; after that it has passed, and is made up for or not.
 * No schedule has two due times that have not passed.
 */
const passedAfter = 60_000;

/** Due times that one decision puts on record, each as a row of its own. */
const mostRows = 1_000;

/** Milliseconds. */
const day = 86_400_000;

/** What becomes of the due times up to now: a row for each, and the cronjob for which they are decided. */
export interface Decision {
  readonly cronjob: Cronjob;
  /** Oldest first: `waiting` to be started, `skipped` or `missed`. */
  readonly jobs: readonly Job[];
}

export interface Circumstances {
  readonly now: Date;
  /** The cronjob's jobs that wait or run, oldest first. */
  readonly unfinished: readonly Job[];
  /** Why due times can have passed: `no server ran`. */
  readonly whyPassed: string;
}

/**
 * Decides the due times since the cronjob's last decision; undefined when there are none.
 *
 * - Suspended: all are skipped.
 * - `catchUp`: of those that passed, `latest` makes up for the newest, `none` for none, `all` for each; the others are
 *   missed.
 * - `concurrency`: while a job is unfinished `forbid` skips; `allow` and `replace` start. With `all`, those that are made up
 *   for wait for each other, but for `replace`, where the newest would end the others anyway: they are skipped.
 *
 * Beyond the newest 1,000 due times one row stands for all of the older ones.
 */
export function decideDueTimes(
  cronjob: Cronjob,
  schedule: Schedule,
  circumstances: Circumstances,
): Decision | undefined {
  const { now } = circumstances;
  const { times, earlier } = dueSince(cronjob, schedule, now);
  const newest = times.at(-1);
  if (newest === undefined) return undefined;
  const makesUpForAll = cronjob.catchUp === "all" && hasPassed(times[0] ?? newest, now);
  const jobs = times.map((time) => {
    const [status, why] = makesUpForAll
      ? fateOfEach(time, newest, cronjob)
      : fateOf(time, newest, cronjob, circumstances);
    return jobAt(time, cronjob, status, why);
  });
  return {
    cronjob: { ...cronjob, decidedUntil: newest.toISOString() },
    jobs:
      earlier === undefined
        ? jobs
        : [jobForAll(earlier, times[0] ?? newest, cronjob, circumstances), ...jobs],
  };
}

/** The newest due times that are not decided, and the first one of all when there are more. */
function dueSince(
  { timezone, decidedUntil }: Cronjob,
  schedule: Schedule,
  now: Date,
): { readonly times: readonly Date[]; readonly earlier: Date | undefined } {
  const from = new Date(decidedUntil);
  // From the end: after a jump of the clock by years there may be millions.
  for (let span = day; ; span *= 4) {
    const begin = new Date(Math.max(from.getTime(), now.getTime() - span));
    const times = dueTimesBetween(schedule, timezone, begin, now);
    const isAll = begin.getTime() === from.getTime();
    if (times.length <= mostRows && !isAll) continue;
    const newest = times.slice(-mostRows);
    const first = times.length > mostRows ? nextDueTime(schedule, timezone, from) : undefined;
    return { times: newest, earlier: first };
  }
}

function hasPassed(time: Date, now: Date): boolean {
  return now.getTime() - time.getTime() >= passedAfter;
}

type Fate = readonly [status: JobStatus, why: string | undefined];

function fateOf(
  time: Date,
  newest: Date,
  { suspended, catchUp, concurrency }: Cronjob,
  { now, unfinished, whyPassed }: Circumstances,
): Fate {
  if (suspended) return ["skipped", "suspended"];
  if (time < newest || (hasPassed(time, now) && catchUp === "none")) return ["missed", whyPassed];
  const [before] = unfinished;
  if (concurrency === "forbid" && before !== undefined) {
    return ["skipped", `${before.id} ${before.status === "active" ? "is still running" : "is to run again"}`];
  }
  return ["waiting", undefined];
}

function fateOfEach(time: Date, newest: Date, cronjob: Cronjob): Fate {
  if (cronjob.suspended) return ["skipped", "suspended"];
  if (cronjob.concurrency === "replace" && time < newest) {
    return ["skipped", `replaced by ${jobId(cronjob, newest)}`];
  }
  return ["waiting", undefined];
}

function jobForAll(first: Date, next: Date, cronjob: Cronjob, { whyPassed }: Circumstances): Job {
  const [status, why]: Fate = cronjob.suspended ? ["skipped", "suspended"] : ["missed", whyPassed];
  return jobAt(first, cronjob, status, `${why}; this stands for every due time before ${next.toISOString()}`);
}

function jobAt(due: Date, cronjob: Cronjob, status: JobStatus, why: string | undefined): Job {
  return {
    id: jobId(cronjob, due),
    cronjob: cronjob.name,
    dueAt: due.toISOString(),
    status,
    why,
    request: cronjob.request,
    retries: cronjob.retries,
    runs: [],
    nextRunAt: undefined,
    startedAt: undefined,
    endedAt: undefined,
  };
}

/** As Kubernetes names the Job of a CronJob. */
function jobId({ name }: Cronjob, due: Date): string {
  return `${name}-${Math.floor(due.getTime() / 60_000)}`;
}

/** What is to be done now about the jobs of a cronjob that wait or run. */
export interface Turn {
  readonly start: readonly Job[];
  readonly cancel: readonly Job[];
}

/**
 * Whose turn it is to begin, of a cronjob's unfinished jobs, oldest first. Each waits for the older ones, but with `allow`
 * only when it was made up for: a backlog must not run all at once. With `replace` the newest begins when the others have
 * been cancelled. Nothing begins while the cronjob is suspended.
 */
export function turnOf({ concurrency, suspended }: Cronjob, unfinished: readonly Job[], now: Date): Turn {
  const older = unfinished.slice(0, -1);
  if (concurrency === "replace" && older.length > 0) return { start: [], cancel: older };
  const isTheirs = (job: Job, index: number): boolean =>
    index === 0 || (concurrency === "allow" && !hasPassed(new Date(job.dueAt), now));
  const start = unfinished.filter(isTheirs).filter(({ startedAt }) => startedAt === undefined);
  return { start: suspended ? [] : start, cancel: [] };
}
