import { setImmediate } from "node:timers/promises";

import { type Decision, decideDueTimes, turnOf } from "../core/cron/decide-due-times.ts";
import { nextDueTime } from "../core/cron/due-times.ts";
import { parseSchedule, type Schedule } from "../core/cron/parse-schedule.ts";
import { asFailure, Failure } from "../core/failure.ts";
import { type Cronjob, finishedJobStatuses, type Job } from "../core/job-state.ts";
import type { Jobs } from "../operations/jobs.ts";
import type { Clock } from "../ports/clock.ts";
import type { JobStore } from "../ports/job-store.ts";

/** Decides what becomes of the due times of cronjobs, and starts the jobs whose turn it is. */
export interface Scheduler {
  /** Looks at once, and then whenever something is due. */
  start(): void;
  /** A cronjob was changed, or a job has ended. */
  wake(): void;
  /** Resolves when nothing is decided any more. */
  stop(): Promise<void>;
}

export interface SchedulerParts {
  readonly store: JobStore;
  readonly jobs: Pick<Jobs, "start" | "startTogether" | "cancel" | "tidyUp">;
  readonly clock: Clock;
  /** Is told what could not be done, once for each reason; it is tried again. */
  readonly onFault: (error: unknown) => void;
}

/** Unfinished jobs by cronjob, oldest first. */
type UnfinishedJobs = ReadonlyMap<string | undefined, readonly Job[]>;

/** What is to become of a cronjob's due times; `decision` is undefined when there is none. */
interface Look {
  readonly cronjob: Cronjob;
  readonly unfinished: readonly Job[];
  readonly decision: Decision | undefined;
}

/** Milliseconds: it looks at the clock as often, for the clock may be set and the machine may sleep. */
const longestRest = 30_000;
/** Milliseconds until what could not be done is tried again. */
const faultRest = 5_000;
/** Milliseconds that the clock may be behind a decision; beyond it was far ahead when that was made. */
const farAhead = 86_400_000;
/** Cronjobs that are looked at in one go; between two the server answers others. */
const mostAtOnce = 250;
/** Due times of a cronjob without a job after which its history is trimmed; after a job it is anyway. */
const tidyEvery = 100;

/**
 * A due time is decided once: the row of each is stored, under an id made of the due time, in one step with the time up to
 * which all is decided. So neither a crash nor a clock that is set back lets one fire twice, and what had not begun when the
 * server died is started by the next one. What had begun goes on by `Jobs.resume`.
 */
export function createScheduler({ store, jobs, clock, onFault }: SchedulerParts): Scheduler {
  const faults = new Map<string, string>();
  const handedOver = new Set<string>();
  const cancelling = new Set<string>();
  const untidy = new Map<string, number>();
  let waking = new AbortController();
  let stopped = false;
  let running: Promise<void> | undefined;
  let looked = false;
  let nextTimes = new Map<string, number>();

  const scheduler: Scheduler = {
    start() {
      running ??= work();
    },
    wake: () => waking.abort(),
    async stop() {
      stopped = true;
      waking.abort();
      await running;
    },
  };
  return scheduler;

  async function work(): Promise<void> {
    while (!stopped) {
      waking = new AbortController();
      const next = await look();
      looked = true;
      await tidyUp();
      const rest = Math.min(faults.size > 0 ? faultRest : longestRest, next - clock.now().getTime());
      if (!waking.signal.aborted && rest > 0) await clock.sleep(rest, waking.signal).catch(() => {});
    }
  }

  /** Returns when the next due time is, in milliseconds since 1970. */
  async function look(): Promise<number> {
    let next = Number.POSITIVE_INFINITY;
    await attempt("store", async () => {
      const cronjobs = store.cronjobs();
      const unfinishedJobs = store.unfinishedJobs();
      const unfinished = Map.groupBy(unfinishedJobs, ({ cronjob }) => cronjob);
      forgetOthers(cronjobs, unfinishedJobs);
      for (let first = 0; first < cronjobs.length && !stopped; first += mostAtOnce) {
        const names = cronjobs.slice(first, first + mostAtOnce).map(({ name }) => name);
        next = Math.min(next, takeTurns(names, unfinished));
        await setImmediate();
      }
    });
    return next;
  }

  /**
   * Returns when the next of their due times is. Nothing may come between reading cronjobs and storing them: a change
   * would be lost.
   */
  function takeTurns(names: readonly string[], unfinishedOf: UnfinishedJobs): number {
    const now = clock.now();
    const looks = names.flatMap((name) => lookAt(name, unfinishedOf.get(name) ?? [], now) ?? []);
    const stored = storeTogether(looks.flatMap(({ decision }) => decision ?? []));
    const starting: Job[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const { cronjob, decision, unfinished } of looks) {
      const added = decision === undefined ? [] : stored.get(cronjob.name);
      if (added === undefined) continue;
      faults.delete(cronjob.name);
      const waiting = added.filter(({ status }) => status === "waiting");
      starting.push(...carryOn(cronjob, [...unfinished, ...waiting], now));
      countUntidy(cronjob.name, added.length - waiting.length);
      next = Math.min(next, nextTime(decision?.cronjob ?? cronjob));
    }
    for (const { id } of starting) handedOver.add(id);
    if (starting.length > 0) jobs.startTogether(starting);
    return next;
  }

  function lookAt(name: string, unfinished: readonly Job[], now: Date): Look | undefined {
    try {
      const stored = store.cronjob(name);
      if (stored === undefined) return undefined;
      const cronjob = withClockSetBack(stored, now);
      const circumstances = { now, unfinished, whyPassed: whyPassed(cronjob) };
      const decision =
        nextTime(cronjob) <= now.getTime()
          ? decideDueTimes(cronjob, scheduleOf(cronjob), circumstances)
          : undefined;
      return { cronjob, unfinished, decision };
    } catch (error) {
      noteFault(name, error);
      return undefined;
    }
  }

  /** The jobs that were added, by cronjob; those that can't be stored together are stored one by one. */
  function storeTogether(decisions: readonly Decision[]): ReadonlyMap<string, readonly Job[]> {
    const [first] = decisions;
    if (first === undefined) return new Map();
    try {
      const added = Map.groupBy(store.decideDueTimes(decisions), ({ cronjob }) => cronjob);
      return new Map(decisions.map(({ cronjob: { name } }) => [name, added.get(name) ?? []]));
    } catch (error) {
      if (decisions.length > 1)
        return new Map(decisions.flatMap((decision) => [...storeTogether([decision])]));
      noteFault(first.cronjob.name, error);
      return new Map();
    }
  }

  function whyPassed({ name }: Cronjob): string {
    const fault = faults.get(name) ?? faults.get("store");
    if (fault !== undefined) return `it could not be put on record: ${fault}`;
    return looked ? "the machine slept, or its clock was set forward" : "no server ran";
  }

  /** Returns those whose turn it is. */
  function carryOn(cronjob: Cronjob, unfinished: readonly Job[], now: Date): readonly Job[] {
    const turn = turnOf(cronjob, unfinished, now);
    for (const job of turn.cancel) void cancel(job, `replaced by ${unfinished.at(-1)?.id}`);
    return turn.start.filter(({ id }) => !handedOver.has(id));
  }

  function countUntidy(name: string, dueTimes: number): void {
    if (dueTimes > 0) untidy.set(name, (untidy.get(name) ?? tidyEvery) + dueTimes);
  }

  async function cancel(job: Job, why: string): Promise<void> {
    const { id } = job;
    if (cancelling.has(id)) return;
    cancelling.add(id);
    await attempt(id, async () => {
      // Only what is carried out can be ended; cancelled at once it has no run.
      jobs.start(job);
      await jobs.cancel(id, why);
      // One that can't be ended is asked for again, but not at once.
      if (finishedJobStatuses.has(store.job(id)?.status ?? "cancelled")) scheduler.wake();
    });
    cancelling.delete(id);
  }

  /**
   * When the clock was far ahead, what was decided then is about times that have not come; without this nothing would
   * fire until they have. What did run keeps its row, and so does not run again.
   */
  function withClockSetBack(cronjob: Cronjob, now: Date): Cronjob {
    if (Date.parse(cronjob.decidedUntil) - now.getTime() <= farAhead) return cronjob;
    for (const { id, dueAt, status } of store.jobs({ cronjob: cronjob.name })) {
      const didNotRun = status === "skipped" || status === "missed";
      if (didNotRun && Date.parse(dueAt) > now.getTime()) store.removeJob(id);
    }
    const decided = { ...cronjob, decidedUntil: now.toISOString() };
    store.saveCronjob(decided);
    return decided;
  }

  /** The first due time that is not decided, in milliseconds since 1970. */
  function nextTime(cronjob: Cronjob): number {
    const key = timeKey(cronjob);
    const known = nextTimes.get(key);
    if (known !== undefined) return known;
    const next = nextDueTime(scheduleOf(cronjob), cronjob.timezone, new Date(cronjob.decidedUntil));
    const time = next?.getTime() ?? Number.POSITIVE_INFINITY;
    nextTimes.set(key, time);
    return time;
  }

  /** What is known of cronjobs as they were, and of jobs that have ended. */
  function forgetOthers(cronjobs: readonly Cronjob[], unfinished: readonly Job[]): void {
    const ids = new Set(unfinished.map(({ id }) => id));
    for (const id of handedOver) if (!ids.has(id)) handedOver.delete(id);
    const keys = new Set(cronjobs.map(timeKey));
    nextTimes = new Map([...nextTimes].filter(([key]) => keys.has(key)));
    const names = new Set(["store", ...cronjobs.map(({ name }) => name), ...cancelling]);
    for (const name of faults.keys()) if (!names.has(name)) faults.delete(name);
    for (const name of untidy.keys()) if (!names.has(name)) untidy.delete(name);
  }

  async function tidyUp(): Promise<void> {
    for (const [name, count] of untidy) {
      if (stopped || count < tidyEvery) continue;
      untidy.set(name, 0);
      await attempt(name, () => jobs.tidyUp(name));
    }
  }

  /** One that fails must not keep the others from their time. */
  async function attempt(name: string, act: () => Promise<void>): Promise<void> {
    try {
      await act();
      faults.delete(name);
    } catch (error) {
      noteFault(name, error);
    }
  }

  function noteFault(name: string, error: unknown): void {
    const { message } = asFailure(error);
    if (faults.get(name) !== message) onFault(error);
    faults.set(name, message);
  }
}

function scheduleOf({ name, schedule: text }: Cronjob): Schedule {
  const { schedule, problems } = parseSchedule(text);
  if (schedule !== undefined) return schedule;
  throw new Failure("store-damaged", `Cannot read the schedule of cronjob=${name}.`, { details: problems });
}

function timeKey({ schedule, timezone, decidedUntil }: Cronjob): string {
  return `${decidedUntil} ${timezone} ${schedule}`;
}
