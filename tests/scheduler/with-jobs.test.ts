import { expect, onTestFinished, test } from "vitest";
import type { Cronjob } from "../../src/core/job-state.ts";
import { createScheduler, type Scheduler } from "../../src/scheduler/scheduler.ts";
import { aCronjob, fates } from "../support/cronjobs.ts";
import { projectUrl, serverOf, type TestServer, type World, world } from "../support/operations-harness.ts";
import { project } from "../support/project-text.ts";
import { type FakeClock, fakeClock } from "./support/fake-clock.ts";

/** A machine with a project that was pushed, at 10:00:10. */
function pushed(): World & { readonly clock: FakeClock } {
  const the = { ...world(), clock: fakeClock("2026-11-23T10:00:10.000Z") };
  the.source.push(projectUrl, project("a", { a: "batch" }));
  return the;
}

/** A server with its scheduler: what an earlier one left is taken up, as the real one does it. */
async function boot(
  the: World & { readonly clock: FakeClock },
  cronjob?: Partial<Cronjob>,
): Promise<{ readonly server: TestServer; readonly scheduler: Scheduler }> {
  const server = serverOf(the);
  const request = { ...aCronjob().request, url: projectUrl };
  if (cronjob !== undefined) server.store.saveCronjob(aCronjob({ request, ...cronjob }));
  const scheduler = createScheduler({
    ...{ store: server.store, jobs: server.jobs, clock: the.clock },
    onFault: (error) => {
      throw error;
    },
  });
  server.actions.resume();
  server.jobs.resume();
  scheduler.start();
  onTestFinished(() => scheduler.stop());
  await the.clock.settled();
  return { server, scheduler };
}

const hour = 60 * 60 * 1_000;

test("a due time deploys the newest commit, in a run that says what it is of", async () => {
  const the = pushed();
  const { server } = await boot(the, {});
  await the.clock.pass(hour);
  const [job] = server.store.jobs({ cronjob: "train" });
  const ended = await server.jobEnded(job?.id ?? "");
  expect(ended).toMatchObject({ status: "succeeded", dueAt: "2026-11-23T11:00:00.000Z" });
  const [run] = server.store.runs({});
  expect(run).toMatchObject({ status: "succeeded", request: { startedBy: "cron", job: ended.id } });

  const newer = the.source.push(projectUrl, project("a", { a: "batch" }));
  await the.clock.pass(hour);
  await server.jobEnded(server.store.jobs({ cronjob: "train" })[0]?.id ?? "");
  expect(server.store.runs({})[0]?.commit?.hash).toBe(newer.hash);
});

test("with --concurrency replace the run of the job before is cancelled, and then the next one begins", async () => {
  const the = pushed();
  const { server } = await boot(the, { concurrency: "replace" });
  the.machine.behaviours.set("a", { does: "wait" });
  await the.clock.pass(hour);
  the.machine.behaviours.set("a", { does: "succeed" });
  await the.clock.pass(hour);
  const [next, first] = server.store.jobs({ cronjob: "train" });
  await server.jobEnded(next?.id ?? "");
  expect(fates(server.store.jobs({ cronjob: "train" }))).toEqual([
    `11:00 cancelled: cancelled: replaced by ${next?.id}`,
    "12:00 succeeded",
  ]);
  expect(server.store.job(first?.id ?? "")?.runs).toBeDefined();
});

test("with --concurrency replace a job that no server got to start is cancelled too", async () => {
  const the = pushed();
  const { scheduler } = await boot(the, { concurrency: "replace" });
  await scheduler.stop();
  // The server died between the decision and the start.
  const dead = serverOf(the);
  const cronjob = dead.store.cronjob("train");
  if (cronjob === undefined) throw new Error("no cronjob");
  const left = {
    id: "train-1",
    cronjob: "train",
    dueAt: "2026-11-23T10:00:00.000Z",
    status: "waiting",
  } as const;
  const nothing = {
    why: undefined,
    runs: [],
    nextRunAt: undefined,
    startedAt: undefined,
    endedAt: undefined,
  };
  const job = { ...left, ...nothing, request: cronjob.request, retries: 0 };
  dead.store.decideDueTimes([{ cronjob, jobs: [job] }]);

  the.clock.set("2026-11-23T11:00:05.000Z");
  const { server } = await boot(the);
  await the.clock.pass(hour / 60);
  expect(fates(server.store.jobs({ cronjob: "train" })).map((fate) => fate.slice(0, 15))).toEqual([
    "10:00 cancelled",
    "11:00 succeeded",
  ]);
  expect(server.store.runs({})).toHaveLength(1);
});

test("a backlog that is made up for runs one after the other, also when the server is stopped in between", async () => {
  const the = pushed();
  const { scheduler } = await boot(the, { catchUp: "all" });
  await scheduler.stop();
  the.machine.behaviours.set("a", { does: "wait" });
  the.clock.set("2026-11-23T13:20:00.000Z");
  const first = await boot(the);
  await the.clock.pass(1_000);
  await first.scheduler.stop();
  const { server } = await boot(the);
  expect(fates(server.store.jobs({ cronjob: "train" }))).toEqual([
    "11:00 active",
    "12:00 waiting",
    "13:00 waiting",
  ]);
  expect(server.store.runs({})).toHaveLength(1);
});
