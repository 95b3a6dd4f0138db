import { randomInt } from "node:crypto";
import { setImmediate } from "node:timers/promises";

import { asFailure, Failure } from "../core/failure.ts";
import { jobAfterRun, longestRetryDelay } from "../core/job-after-run.ts";
import { asyncJobId, madeUpJobId, meantJobId } from "../core/job-name.ts";
import { finishedJobStatuses, type Job } from "../core/job-state.ts";
import { type DeployRequest, finishedRunStatuses } from "../core/run-state.ts";
import type { JobStore } from "../ports/job-store.ts";
import type { RunStore } from "../ports/run-store.ts";
import { removeRunsOf, trimHistory } from "./job-history.ts";
import { keepSshKey } from "./keep-ssh-key.ts";
import type { JobActions, RepositoryCredentials } from "./operations.ts";
import {
  accessOf,
  forRecord,
  newRunId,
  type RunActions,
  type RunStart,
  type SharedParts,
} from "./run-actions.ts";

/** Jobs as the server carries them out: those of `--async`, and those that the scheduler starts. */
export interface Jobs extends JobActions {
  /** Carries out a job that is on record, from its first run to its end; one that is carried out already goes on. */
  start(job: Job): void;
  /** The same with those whose time has come together: all are on record as started in one step, with one time. */
  startTogether(jobs: readonly Job[]): void;
  /** Ends a job, and what runs of it; returns when that has ended. `why` is for people. */
  cancel(id: string, why: string): Promise<void>;
  /** Goes on with every job that an earlier server left unfinished, after its runs were taken up; resolves when they have ended. */
  resume(): Promise<void>;
  /** Removes what is beyond the limits of a cronjob's history; it is done after each of its jobs by itself. */
  tidyUp(cronjob: string): Promise<void>;
}

export interface JobParts extends Pick<SharedParts, "engine" | "source" | "clock" | "secrets"> {
  readonly store: RunStore & JobStore;
  readonly runs: Pick<RunActions, "startRun" | "cancelRun">;
  /** Before the second run of a job; it doubles with each further one. */
  readonly retryDelaySeconds: number;
  /** A job has ended; others may have waited for it. */
  readonly onEnd?: () => void;
}

/** A job that this server carries out. */
interface Carried {
  readonly access: RunStart["access"];
  /** Its reason says why. */
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

/** Milliseconds until a job whose record can't be written (a full disk) is gone on with. */
const recordRetry = 10_000;
/** A job that fails in ways nobody foresaw is left to the next server after so many tries. */
const mostFaults = 3;
/** Names are made up by chance. */
const mostNames = 1_000_000;

export function createJobs(parts: JobParts): Jobs {
  const { store, clock, runs } = parts;
  const carriedOut = new Map<string, Carried>();

  const jobs: Jobs = {
    async createJob({ name, request, retries }, credentials) {
      parts.source.check(request.url);
      refuseKeyWithoutGroup(request, credentials);
      const id = name === undefined ? unusedId(request, store) : asyncJobId(name);
      if (store.job(id) !== undefined) throw alreadyThere(id);
      // What the first run is given the others need too, also those that another server starts.
      if (credentials?.keep && request.group !== undefined) {
        keepSshKey(request.group, credentials.sshKey, parts.secrets);
      }
      const job = newJob(id, forRecord(request), retries, clock.now());
      if (!store.addJob(job)) throw alreadyThere(id);
      void carryOut(id, accessOf(request, credentials));
      return store.job(id) ?? job;
    },
    async deleteJob(written) {
      const meant = store.job(written) ?? store.job(meantJobId(written));
      if (meant === undefined) return { found: false };
      const { id } = meant;
      const cancelled = unfinishedRunsOf(meant, store);
      await jobs.cancel(id, "its job is deleted");
      const job = store.job(id);
      if (job !== undefined) await removeRunsOf(job, parts);
      store.removeJob(id);
      return { found: true, id, cancelled };
    },
    start: (job) => void carryOut(job.id, { keep: false }),
    startTogether: (due) => void startTogether(due),
    async cancel(id, why) {
      const carried = carriedOut.get(id);
      const runId = store.job(id)?.runs.at(-1);
      if (runId !== undefined && store.run(runId) !== undefined) await runs.cancelRun(runId, why);
      carried?.stop.abort(why);
      await carried?.ended;
    },
    resume() {
      // What no server has begun of a cronjob's is the scheduler's, which knows whose turn it is.
      const ours = store
        .unfinishedJobs()
        .filter(({ cronjob, startedAt }) => cronjob === undefined || startedAt !== undefined);
      return Promise.all(ours.map(({ id }) => carryOut(id, { keep: false }))).then(() => {});
    },
    tidyUp: (cronjob) => trimHistory(cronjob, parts),
  };
  return jobs;

  async function startTogether(due: readonly Job[]): Promise<void> {
    try {
      const now = clock.now();
      const fresh = due.flatMap(({ id }) => notBegun(id) ?? []);
      const ids = newRunIds(now, fresh.length);
      if (fresh.length > 0)
        store.saveJobs(fresh.map((job, index) => withNextRun(job, ids[index] ?? "", now)));
    } catch {
      // Each comes to its record by itself, as soon as it can be written.
    }
    for (const job of due) {
      jobs.start(job);
      // Between two the server answers others.
      await setImmediate();
    }
  }

  function notBegun(id: string): Job | undefined {
    const job = carriedOut.has(id) ? undefined : store.job(id);
    return job?.status === "waiting" && job.startedAt === undefined ? job : undefined;
  }

  /** Until the job is finished, or the next server goes on with it. */
  async function carryOut(id: string, access: RunStart["access"]): Promise<void> {
    if (carriedOut.has(id)) return;
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const carried: Carried = { access, stop: new AbortController(), ended };
    carriedOut.set(id, carried);
    for (let faults = 0, goesOn = true; goesOn && faults < mostFaults; ) {
      try {
        goesOn = await takeStep(id, carried);
      } catch (error) {
        if (asFailure(error).kind === "bug") faults += 1;
        await clock.sleep(recordRetry);
      }
    }
    carriedOut.delete(id);
    end();
    parts.onEnd?.();
    await tidyUpAfter(id);
  }

  /** From one state on record to the next; false when there is nothing more to do for this server. */
  async function takeStep(id: string, { access, stop }: Carried): Promise<boolean> {
    const job = store.job(id);
    if (job === undefined || finishedJobStatuses.has(job.status)) return false;
    const runId = job.status === "active" ? job.runs.at(-1) : undefined;
    if (stop.signal.aborted && (runId === undefined || store.run(runId) === undefined)) {
      store.saveJob(cancelled(job, stop.signal, clock.now()));
      return false;
    }
    if (runId === undefined) {
      if (job.nextRunAt !== undefined) await until(job.nextRunAt, stop.signal);
      if (!stop.signal.aborted) store.saveJob(withNextRun(job, newRunId(clock.now()), clock.now()));
      return true;
    }
    // On record with the job before there is a run, which is made only once: no crash makes two of it.
    const run = await runs.startRun({ id: runId, request: requestOf(job), access });
    if (!finishedRunStatuses.has(run.status)) return false;
    const { retryDelaySeconds } = parts;
    const after = jobAfterRun(job, run, { now: clock.now(), retryDelaySeconds });
    const goesOn = after.status === "waiting" && !stop.signal.aborted;
    store.saveJob(after.status === "waiting" && !goesOn ? cancelled(job, stop.signal, clock.now()) : after);
    return goesOn;
  }

  /** Ends early when the signal aborts. A clock that was set back must not make it wait longer than any delay. */
  async function until(time: string, signal: AbortSignal): Promise<void> {
    const left = Math.min(Date.parse(time) - clock.now().getTime(), longestRetryDelay * 1000);
    if (left > 0) await clock.sleep(left, signal).catch(() => {});
  }

  /** What can't be removed now is removed after the next job. */
  async function tidyUpAfter(id: string): Promise<void> {
    try {
      const job = store.job(id);
      if (job !== undefined) await trimHistory(job.cronjob, parts);
    } catch {}
  }
}

/** A key that is to be kept needs a place, for a job's project file has not been read when it is accepted. */
export function refuseKeyWithoutGroup(
  { group }: Pick<DeployRequest, "group">,
  credentials: RepositoryCredentials | undefined,
): void {
  if (credentials === undefined || !credentials.keep || group !== undefined) return;
  throw new Failure(
    "secret-missing",
    "Cannot keep the ssh key for runs that nobody waits for: it needs a secrets group.",
    {
      hint: "Please specify a secrets group for it with --group.",
    },
  );
}

function unfinishedRunsOf({ runs }: Job, store: RunStore): readonly string[] {
  return runs.filter((id) => {
    const run = store.run(id);
    return run !== undefined && !finishedRunStatuses.has(run.status);
  });
}

function unusedId(request: DeployRequest, store: JobStore): string {
  for (;;) {
    const id = madeUpJobId(request, randomInt(mostNames));
    if (store.job(id) === undefined) return id;
  }
}

function alreadyThere(id: string): Failure {
  return new Failure("already-exists", `Cannot create workflow-job=${id} as it already exists.`, {
    hint: `Choose another name, or remove it with: bodywork delete deployment --async ${id}`,
  });
}

function newJob(id: string, request: DeployRequest, retries: number, now: Date): Job {
  return {
    id,
    cronjob: undefined,
    dueAt: now.toISOString(),
    status: "waiting",
    why: undefined,
    request: { ...request, startedBy: "async" },
    retries,
    runs: [],
    nextRunAt: undefined,
    startedAt: undefined,
    endedAt: undefined,
  };
}

/** Of one moment, all of them different. */
function newRunIds(now: Date, count: number): readonly string[] {
  const ids = new Set<string>();
  while (ids.size < count) ids.add(newRunId(now));
  return [...ids];
}

/** The next run has its id; it is not there yet. */
function withNextRun(job: Job, runId: string, now: Date): Job {
  return {
    ...job,
    status: "active",
    runs: [...job.runs, runId],
    nextRunAt: undefined,
    startedAt: job.startedAt ?? now.toISOString(),
  };
}

function cancelled(job: Job, { reason }: AbortSignal, now: Date): Job {
  const why = `cancelled: ${String(reason)}`;
  return { ...job, status: "cancelled", why, nextRunAt: undefined, endedAt: now.toISOString() };
}

function requestOf({ id, cronjob, request }: Job): DeployRequest {
  return { ...request, startedBy: cronjob === undefined ? "async" : "cron", job: id };
}
