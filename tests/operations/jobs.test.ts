import { expect, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import type { Cronjob, Job } from "../../src/core/job-state.ts";
import type { DeployRequest } from "../../src/core/run-state.ts";
import { sshKeySecret } from "../../src/core/secret-state.ts";
import { SecretValue } from "../../src/core/secret-value.ts";
import type { Clock } from "../../src/ports/clock.ts";
import { aJob } from "../cli/support/records.ts";
import { quickClock } from "../support/fake-parts.ts";
import { projectUrl, serverOf, type World, world } from "../support/operations-harness.ts";
import { project } from "../support/project-text.ts";

const aBatch = project("a", { a: "batch" });
const request: DeployRequest = { url: projectUrl, branch: undefined, strict: false, startedBy: "async" };
const failing = { does: "fail", reason: "exit 3" } as const;

function pushed(change: Partial<World> = {}): World {
  const the = world(change);
  the.source.push(projectUrl, aBatch);
  return the;
}

/** Sleeps of a job pass at once and are noted; one beyond `most` never ends by itself. */
function notingClock(most = Number.POSITIVE_INFINITY): Clock & { readonly slept: number[] } {
  const clock = quickClock();
  const slept: number[] = [];
  return {
    ...clock,
    slept,
    async sleep(milliseconds, signal) {
      slept.push(milliseconds);
      if (slept.length <= most) return clock.sleep(0, signal);
      await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    },
  };
}

test("a job is accepted at once and deploys by itself, in a run that says whose it is", async () => {
  const the = pushed();
  const server = serverOf(the);
  the.machine.behaviours.set("a", { does: "wait" });
  const accepted = await server.jobs.createJob({ name: "foo", request, retries: 1 });
  expect(accepted).toMatchObject({ id: "async-workflow-foo", status: "active" });
  the.machine.release("a");
  const job = await server.jobEnded(accepted.id);
  expect([job.status, job.why, job.nextRunAt]).toEqual(["succeeded", undefined, undefined]);
  expect(job.runs).toHaveLength(1);
  const run = server.store.run(job.runs[0] ?? "");
  expect(run).toMatchObject({
    status: "succeeded",
    request: { startedBy: "async", job: "async-workflow-foo" },
  });
  expect(Date.parse(job.startedAt ?? "")).toBeLessThanOrEqual(Date.parse(run?.createdAt ?? ""));
  expect(Date.parse(job.endedAt ?? "")).toBeGreaterThanOrEqual(Date.parse(run?.endedAt ?? ""));
});

test("a run that fails is followed by others, after a delay that doubles, until one succeeds", async () => {
  const clock = notingClock();
  const the = pushed({ clock });
  const server = serverOf(the);
  let tries = 0;
  the.machine.behaviours.set("a", () => (++tries < 3 ? failing : { does: "succeed" }));
  const { id } = await server.jobs.createJob({ name: "foo", request, retries: 5 });
  const job = await server.jobEnded(id);
  expect(job.status).toBe("succeeded");
  expect(job.runs.map((run) => server.store.run(run)?.status)).toEqual(["failed", "failed", "succeeded"]);
  expect(clock.slept.map((milliseconds) => Math.round(milliseconds / 1000))).toEqual([10, 20]);
});

test("when the last of them has failed the job has, for the same reason", async () => {
  const the = pushed();
  const server = serverOf(the);
  the.machine.behaviours.set("a", failing);
  const { id } = await server.jobs.createJob({ name: "foo", request, retries: 2 });
  const job = await server.jobEnded(id);
  expect(job.runs).toHaveLength(3);
  expect(job).toMatchObject({ status: "failed", why: server.store.run(job.runs[2] ?? "")?.reason });
});

test("a run that somebody cancels, or that makes room for a newer one, is not tried again", async () => {
  const the = pushed();
  const server = serverOf(the);
  the.machine.behaviours.set("a", { does: "hang" });
  const first = await server.jobs.createJob({ name: "first", request, retries: 2 });
  await the.machine.happened("start a/1");
  const second = await server.jobs.createJob({ name: "second", request, retries: 2 });
  const third = await server.jobs.createJob({ name: "third", request, retries: 2 });
  const superseded = await server.jobEnded(second.id);
  expect(superseded).toMatchObject({
    status: "cancelled",
    why: expect.stringMatching(/^superseded by run /),
  });
  await server.actions.cancelRun(first.runs[0] ?? "", "Ctrl-C");
  expect(await server.jobEnded(first.id)).toMatchObject({ status: "cancelled", why: "cancelled: Ctrl-C" });
  await server.jobs.cancel(third.id, "enough");
  expect(await server.jobEnded(third.id)).toMatchObject({ status: "cancelled", why: "cancelled: enough" });
  expect([first, second, third].map(({ id }) => server.store.job(id)?.runs.length)).toEqual([1, 1, 1]);
});

test("a job that waits for its next run is cancelled at once", async () => {
  const clock = notingClock(0);
  const the = pushed({ clock });
  const server = serverOf(the);
  the.machine.behaviours.set("a", failing);
  const { id } = await server.jobs.createJob({ name: "foo", request, retries: 2 });
  await statusIs(server, id, "waiting");
  await server.jobs.cancel(id, "delete cronjob");
  const job = server.store.job(id);
  expect([job?.status, job?.why, job?.nextRunAt]).toEqual([
    "cancelled",
    "cancelled: delete cronjob",
    undefined,
  ]);
  expect(server.store.runs({})).toHaveLength(1);
});

test("a cancellation that comes when a run is failing already still ends the job", async () => {
  const the = pushed();
  the.source.push(
    projectUrl,
    project("a", { a: "batch", tell: "batch" }, { pipeline: ["run_on_failure: tell"] }),
  );
  const server = serverOf(the);
  the.machine.behaviours.set("a", failing).set("tell", { does: "wait" });
  const { id } = await server.jobs.createJob({ name: "foo", request, retries: 2 });
  await the.machine.happened("start on failure: tell/1");
  const cancelling = server.jobs.cancel(id, "enough");
  the.machine.release("on failure: tell");
  await cancelling;
  expect(server.store.job(id)).toMatchObject({ status: "cancelled", why: "cancelled: enough" });
  expect(server.store.runs({})).toHaveLength(1);
});

test("a name that is taken is refused in the original's words, and nothing is started or kept", async () => {
  const the = pushed();
  const server = serverOf(the);
  await server.jobs.createJob({ name: "foo", request, retries: 0 });
  const key = { sshKey: new SecretValue("KEY"), keep: true };
  const again = server.jobs.createJob(
    { name: "Foo", request: { ...request, group: "prod" }, retries: 0 },
    key,
  );
  await expect(again).rejects.toMatchObject({
    code: "already-exists",
    message: expect.stringContaining("Cannot create workflow-job=async-workflow-foo as it already exists"),
  });
  expect(server.store.jobs({})).toHaveLength(1);
  expect(server.store.runs({})).toHaveLength(1);
  expect(the.secrets.read("prod", sshKeySecret.name)).toBeUndefined();
});

test("jobs without a name get one each", async () => {
  const server = serverOf(pushed());
  const ids = new Set<string>();
  for (let count = 0; count < 20; count++) {
    const { id } = await server.jobs.createJob({ name: undefined, request, retries: 0 });
    expect(id).toMatch(/^async-workflow-project-default-\d{1,6}$/);
    ids.add(id);
  }
  expect(ids.size).toBe(20);
});

test("an address that can't be one is refused before there is a job of it", async () => {
  const server = serverOf(world());
  const refused = server.jobs.createJob({ name: "foo", request: { ...request, url: "notaurl" }, retries: 0 });
  await expect(refused).rejects.toMatchObject({ code: "repository-url" });
  expect(server.store.jobs({})).toEqual([]);
});

test("credentials of the address are used for each run and stored nowhere", async () => {
  const the = pushed();
  const server = serverOf(the);
  the.machine.behaviours.set("a", failing);
  const url = "https://user:hunter2@forge.test/me/project";
  const { id } = await server.jobs.createJob({ name: "foo", request: { ...request, url }, retries: 1 });
  await server.jobEnded(id);
  expect(the.source.asked.map((asked) => asked.url)).toEqual([url, url]);
  expect(JSON.stringify([server.store.job(id), server.store.runs({})])).not.toContain("hunter2");
});

test("an ssh key that is to be kept needs a group, where later runs find it", async () => {
  const the = pushed();
  const server = serverOf(the);
  const key = { sshKey: new SecretValue("KEY"), keep: true };
  const refused = server.jobs.createJob({ name: "foo", request, retries: 0 }, key);
  await expect(refused).rejects.toMatchObject({ hint: expect.stringContaining("specify a secrets group") });
  expect(server.store.jobs({})).toEqual([]);

  const inGroup = { ...request, group: "prod" };
  const { id } = await server.jobs.createJob({ name: "foo", request: inGroup, retries: 0 }, key);
  expect(the.secrets.read("prod", sshKeySecret.name)?.[sshKeySecret.key]?.reveal()).toBe("KEY");
  await server.jobEnded(id);
  expect(the.source.asked[0]?.sshKey).toBe("KEY");
  expect(JSON.stringify([server.store.job(id), server.store.runs({})])).not.toContain("KEY");
});

test("a job is deleted with its runs and logs; what runs of it is cancelled first", async () => {
  const the = pushed();
  const server = serverOf(the);
  the.machine.behaviours.set("a", { does: "hang" });
  const { id, runs } = await server.jobs.createJob({ name: "foo", request, retries: 3 });
  await the.machine.happened("start a/1");
  expect(await server.jobs.deleteJob("Foo"), "by its name").toEqual({ found: true, id, cancelled: runs });
  expect(the.machine.running()).toEqual([]);
  expect(the.machine.ledger).toContain(`forget ${runs[0]}`);
  expect(server.store.job(id)).toBeUndefined();
  expect(server.store.runs({})).toEqual([]);
  expect(await server.jobs.deleteJob(id)).toEqual({ found: false });
});

test("the run of a live release stays when its job is deleted", async () => {
  const the = pushed();
  const server = serverOf(the);
  const first = await server.jobEnded((await server.jobs.createJob({ name: "a", request, retries: 0 })).id);
  const second = await server.jobEnded((await server.jobs.createJob({ name: "b", request, retries: 0 })).id);
  await server.jobs.deleteJob(second.id);
  await server.jobs.deleteJob(first.id);
  expect(server.store.runs({}).map(({ id }) => id)).toEqual(second.runs);
  expect(the.machine.ledger).not.toContain(`forget ${second.runs[0]}`);
});

test("a full disk does not lose a job: it goes on from its record when there is space again", async () => {
  let full = false;
  const clock = quickClock();
  const the = pushed({
    clock: {
      ...clock,
      async sleep(...time) {
        full = false;
        await clock.sleep(...time);
      },
    },
  });
  const server = serverOf(the, {
    wrapStore: (store) => ({
      ...store,
      saveJob(job) {
        if (full) throw new Failure("disk-full", "Cannot write to the store: the disk is full.");
        store.saveJob(job);
      },
    }),
  });
  the.machine.behaviours.set("a", { does: "wait" });
  const { id } = await server.jobs.createJob({ name: "foo", request, retries: 0 });
  await the.machine.happened("start a/1");
  full = true;
  the.machine.release("a");
  expect((await server.jobEnded(id)).status).toBe("succeeded");
  expect(server.store.runs({})).toHaveLength(1);
});

test("a retry that is due after a restart comes at its time, and is not started anew", async () => {
  const the = pushed({ clock: notingClock(0) });
  the.machine.behaviours.set("a", failing);
  const first = serverOf(the);
  const { id } = await first.jobs.createJob({ name: "foo", request, retries: 1 });
  await statusIs(first, id, "waiting");
  const next = serverOf({ ...the, clock: notingClock() });
  next.actions.resume();
  const ended = next.jobs.resume();
  void next.jobs.resume();
  await ended;
  const job = next.store.job(id) ?? aJob();
  expect(job.status, "it is told when they have ended").toBe("failed");
  expect(job.runs.map((run) => next.store.run(run)?.status)).toEqual(["failed", "failed"]);
  expect(next.store.runs({})).toHaveLength(2);
});

test("a clock that was set back by a day does not make a retry wait for a day", async () => {
  const clock = notingClock();
  const the = pushed({ clock });
  const server = serverOf(the);
  const nextRunAt = new Date(clock.now().getTime() + 86_400_000).toISOString();
  const job = aJob({ status: "waiting", request, runs: [], nextRunAt, endedAt: undefined });
  server.store.addJob(job);
  server.jobs.resume();
  await server.jobEnded(job.id);
  expect(clock.slept).toEqual([360_000]);
});

const cronjob: Cronjob = {
  ...{ name: "daily", schedule: "@daily", timezone: "Etc/UTC", request, retries: 0, historyLimit: 1 },
  ...{ concurrency: "allow", catchUp: "latest", suspended: false },
  createdAt: "2026-11-23T19:00:00.000Z",
  updatedAt: "2026-11-23T19:00:00.000Z",
  decidedUntil: "2026-11-23T19:00:00.000Z",
};

function due(index: number, change: Partial<Job> = {}): Job {
  return aJob({
    ...{ id: `daily-${index}`, cronjob: "daily", request: { ...request, startedBy: "cron" }, retries: 0 },
    dueAt: new Date(Date.parse("2026-11-23T00:00:00.000Z") + index * 60_000).toISOString(),
    ...{ status: "waiting", runs: [], startedAt: undefined, endedAt: undefined },
    ...change,
  });
}

test("jobs whose time has come together are on record as started at one moment, and have a run each", async () => {
  const the = pushed();
  const saved: number[] = [];
  const server = serverOf(the, {
    wrapStore: (store) => ({
      ...store,
      saveJobs(jobs) {
        saved.push(jobs.length);
        store.saveJobs(jobs);
      },
    }),
  });
  const jobs = server.store.decideDueTimes([
    { cronjob: { ...cronjob, historyLimit: 20 }, jobs: Array.from({ length: 20 }, (_, at) => due(at)) },
  ]);
  server.jobs.startTogether(jobs);
  const started = server.store.jobs({ cronjob: "daily" });
  expect(saved).toEqual([20]);
  expect(new Set(started.map(({ startedAt }) => startedAt)).size).toBe(1);
  expect(new Set(started.flatMap(({ runs }) => runs)).size).toBe(20);
  server.jobs.startTogether(jobs);
  const ended = await Promise.all(jobs.map(({ id }) => server.jobEnded(id)));
  expect(saved).toEqual([20]);
  expect(ended.map(({ runs }) => runs.length)).toEqual(Array(20).fill(1));
});

test("jobs that can't be put on record as started together are started one by one", async () => {
  const the = pushed();
  const server = serverOf(the, {
    wrapStore: (store) => ({
      ...store,
      saveJobs() {
        throw new Failure("disk-full", "Cannot write to the store: the disk is full.");
      },
    }),
  });
  const jobs = server.store.decideDueTimes([{ cronjob, jobs: [due(1), due(2)] }]);
  server.jobs.startTogether(jobs);
  const ended = await Promise.all(jobs.map(({ id }) => server.jobEnded(id)));
  expect(ended.map(({ runs }) => runs.length)).toEqual([1, 1]);
});

test("of a cronjob's jobs the newest succeeded and the newest failed keep their runs and logs; all stay in the history", async () => {
  const the = pushed();
  const server = serverOf(the);
  const outcomes = ["succeeded", "failed", "succeeded", "failed", "failed", "succeeded"] as const;
  for (const [index, outcome] of outcomes.entries()) {
    the.machine.behaviours.set("a", outcome === "failed" ? failing : { does: "succeed" });
    const [job] = server.store.decideDueTimes([{ cronjob, jobs: [due(index)] }]);
    if (job === undefined) throw new Error("not added");
    server.jobs.start(job);
    const ended = await server.jobEnded(job.id);
    expect(ended.status).toBe(outcome);
    expect(server.store.run(ended.runs[0] ?? "")?.request).toMatchObject({ startedBy: "cron", job: job.id });
    await server.jobs.tidyUp("daily");
  }
  const history = server.store.jobs({ cronjob: "daily" }).toReversed();
  expect(history.map(({ status }) => status)).toEqual(outcomes);
  expect(history.map(({ runs }) => runs.length)).toEqual([0, 0, 0, 0, 1, 1]);
  const kept = history.flatMap(({ runs }) => runs);
  expect(
    server.store
      .runs({})
      .map(({ id }) => id)
      .toSorted(),
  ).toEqual(kept.toSorted());
  expect(the.machine.ledger.filter((line) => line.startsWith("forget"))).toHaveLength(4);
});

test("what a live release was made by stays beyond the limit, until there is another", async () => {
  const the = pushed();
  const server = serverOf(the);
  for (const index of [1, 2]) {
    const [job] = server.store.decideDueTimes([
      { cronjob: { ...cronjob, historyLimit: 0 }, jobs: [due(index)] },
    ]);
    if (job === undefined) throw new Error("not added");
    server.jobs.start(job);
    await server.jobEnded(job.id);
    await server.jobs.tidyUp("daily");
    expect(server.store.jobs({ cronjob: "daily" }).map(({ runs }) => runs.length)).toEqual(
      [1, 0].slice(0, index),
    );
  }
});

test("the newest 1,000 due times of a cronjob are kept, and the newest 100 jobs of --async", async () => {
  const the = pushed();
  const server = serverOf(the);
  const skipped = Array.from({ length: 1_003 }, (_, index) =>
    due(index, { status: "skipped", why: "suspended" }),
  );
  server.store.decideDueTimes([{ cronjob, jobs: skipped }]);
  server.store.addJob(due(0, { id: "async-workflow-other", cronjob: undefined, status: "failed" }));
  await server.jobs.tidyUp("daily");
  const left = server.store.jobs({ cronjob: "daily" });
  expect([left.length, left[0]?.id, left.at(-1)?.id]).toEqual([1_000, "daily-1002", "daily-3"]);
  expect(server.store.jobs({ cronjob: null })).toHaveLength(1);

  for (let index = 1; index <= 100; index++) {
    server.store.addJob(due(index, { id: `async-workflow-${index}`, cronjob: undefined, status: "failed" }));
  }
  const { id } = await server.jobs.createJob({ name: "last", request, retries: 0 });
  await server.jobEnded(id);
  while (server.store.jobs({ cronjob: null }).length > 100)
    await new Promise((resolve) => setImmediate(resolve));
  expect(server.store.jobs({ cronjob: null })[0]?.id).toBe(id);
  expect(server.store.job("async-workflow-1")).toBeUndefined();
});

async function statusIs(
  server: ReturnType<typeof serverOf>,
  id: string,
  status: Job["status"],
): Promise<void> {
  while (server.store.job(id)?.status !== status) await new Promise((resolve) => setImmediate(resolve));
}
