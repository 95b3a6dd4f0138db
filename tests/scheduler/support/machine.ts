import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Cronjob, finishedJobStatuses, type Job, type JobStatus } from "../../../src/core/job-state.ts";
import type { JobStore } from "../../../src/ports/job-store.ts";
import { createScheduler, type Scheduler, type SchedulerParts } from "../../../src/scheduler/scheduler.ts";
import { openStore } from "../../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { type FakeClock, fakeClock } from "./fake-clock.ts";

/** A home folder with its store, its clock, and one server after the other. */
export interface Machine {
  readonly clock: FakeClock;
  readonly store: JobStore;
  save(cronjob: Cronjob): void;
  /** The jobs that began, by their ids; not those that a later server has gone on with. */
  readonly started: string[];
  readonly cancelled: string[];
  readonly tidied: string[];
  readonly faults: string[];
  /** A new server on that store. */
  boot(change?: Partial<SchedulerParts>): Promise<Scheduler>;
  /** A job that runs ends. */
  end(id: string, status?: JobStatus): void;
  jobs(cronjob?: string): readonly Job[];
}

/** It is 10:00:10 on 23 November 2026. */
export function machine(start = "2026-11-23T10:00:10.000Z"): Machine {
  const clock = fakeClock(start);
  const store = openStore(join(temporaryFolder("store"), "store.db"));
  onTestFinished(() => store.close());
  const started: string[] = [];
  const cancelled: string[] = [];
  const tidied: string[] = [];
  const faults: string[] = [];
  const of = (id: string): Job => {
    const job = store.job(id);
    if (job === undefined) throw new Error(`there is no job ${id}`);
    return job;
  };
  const end = (id: string, status: JobStatus = "succeeded", why?: string): void => {
    store.saveJob({ ...of(id), status, why, endedAt: clock.now().toISOString() });
  };
  return {
    clock,
    store,
    save: (cronjob) => store.saveCronjob(cronjob),
    started,
    cancelled,
    tidied,
    faults,
    end,
    jobs: (cronjob = "train") => store.jobs({ cronjob }).toReversed(),
    async boot(change = {}) {
      const carriedOut = new Set<string>();
      const start = (job: Job): void => {
        if (carriedOut.has(job.id) || finishedJobStatuses.has(of(job.id).status)) return;
        carriedOut.add(job.id);
        if (of(job.id).startedAt !== undefined) return;
        started.push(job.id);
        store.saveJob({ ...of(job.id), status: "active", startedAt: clock.now().toISOString() });
      };
      const scheduler = createScheduler({
        store,
        jobs: {
          start,
          startTogether: (due) => due.forEach(start),
          async cancel(id, why) {
            cancelled.push(`${id}: ${why}`);
            await new Promise((resolve) => setImmediate(resolve));
            end(id, "cancelled", why);
          },
          async tidyUp(cronjob) {
            tidied.push(cronjob);
          },
        },
        clock,
        onFault: (error) => faults.push(error instanceof Error ? error.message : String(error)),
        ...change,
      });
      onTestFinished(() => scheduler.stop());
      scheduler.start();
      await clock.settled();
      return scheduler;
    },
  };
}
