import { expect, test } from "vitest";
import type { Cronjob, Job } from "../../src/core/job-state.ts";
import type { Run, ServiceStatus } from "../../src/core/run-state.ts";
import { createViews, type ViewParts } from "../../src/operations/views.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { aJob, aRun, aService, aStage } from "../cli/support/records.ts";
import { fakeLogs } from "../support/fake-engine.ts";
import { fakeEnvironments } from "../support/fake-parts.ts";
import { temporaryFolder } from "../support/temporary.ts";

function viewsOf(
  content: { readonly runs?: readonly Run[]; readonly services?: readonly ServiceStatus[] },
  change: Partial<ViewParts> = {},
) {
  const store = openStore(`${temporaryFolder("store")}/store.db`);
  for (const run of content.runs ?? []) store.saveRun(run);
  for (const service of content.services ?? []) store.saveServiceStatus(service);
  return {
    store,
    views: createViews({
      read: (look) => look(store),
      logs: fakeLogs,
      environments: async () => fakeEnvironments(),
      correct: (service) => service,
      now: () => new Date("2026-11-23T19:05:12.000Z"),
      sleep: () => new Promise((resolve) => setImmediate(resolve)),
      ...change,
    }),
  };
}

const attempt = (number: number, logs: readonly (readonly [source: string, reference: string])[]) => ({
  number,
  status: "succeeded" as const,
  reason: undefined,
  lastLines: [],
  startedAt: "2026-11-23T19:05:13.000Z",
  endedAt: undefined,
  logs: logs.map(([source, reference]) => ({ source, reference })),
});
const train = aStage({ attempts: [attempt(1, [["attempt 1", "t1"]]), attempt(2, [["attempt 2", "t2"]])] });
const serve = aStage({
  node: "stage_3",
  stage: "stage_3",
  kind: "service",
  attempts: [
    attempt(1, [
      ["replica 1 of 2", "s1"],
      ["replica 2 of 2", "s2"],
      ["replica 1 of 2", "s1, started anew"],
    ]),
  ],
});

async function texts(
  logs: AsyncIterable<{ stage: string; source: string; text: string }>,
): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { stage, source, text } of logs) found.push(`${stage}, ${source}: ${text.trim()}`);
  return found;
}

test("where nothing was ever recorded there is nothing to see, and that is no failure", async () => {
  const { views } = viewsOf({}, { read: (_look, nothing) => nothing });
  expect(await views.deployments({})).toEqual([]);
  expect(await views.runs({})).toEqual([]);
  expect(await views.jobs({})).toEqual([]);
  expect(await views.cronjobs({})).toEqual([]);
  expect(await views.secrets({})).toEqual([]);
  await expect(views.run("x")).rejects.toMatchObject({ code: "not-found" });
});

test("a deployment is shown with its live release, its services as they are now, and its last run", async () => {
  const services = [
    aService(),
    aService({ namespace: "elsewhere" }),
    aService({ deployment: "other", stage: "x" }),
  ];
  const run = aRun({ namespace: "my-space" });
  const { store, views } = viewsOf(
    { runs: [run], services },
    { correct: (service) => ({ ...service, state: "stopped" }) },
  );
  const deployment = {
    namespace: "my-space",
    name: "my-project",
    gitUrl: "https://forge.test/me/my-project",
    branch: "main",
    liveRelease: 3,
    updatedAt: "2026-11-23T19:05:20.000Z",
  };
  const { commit } = run;
  if (commit === undefined) throw new Error("the run has no commit");
  const release = {
    namespace: "my-space",
    deployment: "my-project",
    number: 3,
    runId: run.id,
    commit,
    createdAt: "2026-11-23T19:05:20.000Z",
    environments: {},
    outputs: {},
    services: [],
  };
  store.saveRelease(release, deployment);
  const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value));
  expect(plain(await views.deployments({}))).toEqual(
    plain([
      {
        ...{ ...deployment, release, services: [{ ...aService(), state: "stopped" }], lastRun: run },
        changedSecrets: [],
      },
    ]),
  );
  expect(await views.deployments({ name: "other" })).toEqual([]);
  expect(await views.deployments({ namespace: "elsewhere" })).toEqual([]);
});

test("a run that was refused because another repository has the deployment is not its last run", async () => {
  const of = { namespace: "my-space" };
  const own = aRun({ ...of, id: "20261123-1" });
  const refused = [2, 3].map((day) =>
    aRun({ ...of, id: `20261123-${day}`, status: "failed", code: "namespace-taken" }),
  );
  const { store, views } = viewsOf({ runs: [own, ...refused] });
  const { commit } = own;
  if (commit === undefined) throw new Error("the run has no commit");
  store.saveRelease(
    {
      ...{ ...of, deployment: "my-project", number: 1, runId: own.id, commit, createdAt: own.createdAt },
      ...{ environments: {}, outputs: {}, services: [] },
    },
    {
      ...{ ...of, name: "my-project", gitUrl: commit.url, branch: "main" },
      ...{ liveRelease: 1, updatedAt: own.createdAt },
    },
  );
  expect((await views.deployments({}))[0]?.lastRun?.id).toBe(own.id);
});

test("secrets that were changed since the live release was made are told of", async () => {
  const run = aRun({ namespace: "my-space" });
  const { store, views } = viewsOf({ runs: [run] });
  const of = { namespace: "my-space", deployment: "my-project" };
  const secret = (name: string, version: number) => ({
    ...{
      group: "prod",
      name,
      version,
      keys: ["KEY"],
      current: true,
      keyId: "1",
      sealed: new Uint8Array([1]),
    },
    ...{ createdAt: run.createdAt, updatedAt: run.createdAt },
  });
  for (const name of ["database", "mail", "same"]) store.saveSecret(secret(name, 1));
  const { commit } = run;
  if (commit === undefined) throw new Error("the run has no commit");
  const secrets = ["database", "mail", "same"].map((name) => ({ group: "prod", name, version: 1 }));
  store.saveRelease(
    {
      ...{ ...of, number: 1, runId: run.id, commit, createdAt: run.createdAt },
      ...{ environments: {}, outputs: {}, services: [], secrets },
    },
    {
      ...{ namespace: "my-space", name: "my-project", gitUrl: commit.url, branch: "main" },
      ...{ liveRelease: 1, updatedAt: run.createdAt },
    },
  );
  expect((await views.deployments({}))[0]?.changedSecrets).toEqual([]);
  store.saveSecret(secret("database", 2));
  store.retireSecret("prod", "mail");
  expect((await views.deployments({}))[0]?.changedSecrets).toEqual([
    { group: "prod", name: "database", change: "updated" },
    { group: "prod", name: "mail", change: "deleted" },
  ]);
  expect((await views.secrets({ group: "prod" })).map(({ name, version }) => [name, version])).toEqual([
    ["database", 2],
    ["same", 1],
  ]);
});

const cronjob: Cronjob = {
  ...{ name: "daily", schedule: "15 3 * * *", timezone: "Europe/Berlin", request: aRun().request },
  ...{ retries: 1, historyLimit: 1, concurrency: "forbid", catchUp: "latest", suspended: false },
  createdAt: "2026-11-20T00:00:00.000Z",
  updatedAt: "2026-11-20T00:00:00.000Z",
  decidedUntil: "2026-11-23T19:00:00.000Z",
};

test("a cronjob is shown with its schedule in words, its next three times and the job that was started last", async () => {
  const { store, views } = viewsOf({});
  store.saveCronjob(cronjob);
  store.saveCronjob({ ...cronjob, name: "weekly", suspended: true });
  const due = (index: number, change: Partial<Job>): Job =>
    aJob({ id: `daily-${index}`, cronjob: "daily", dueAt: `2026-11-2${index}T02:15:00.000Z`, ...change });
  const started = due(1, {});
  store.addJob(started);
  for (const index of [2, 3]) store.addJob(due(index, { status: "skipped", startedAt: undefined }));
  const [daily, weekly] = await views.cronjobs({});
  expect(daily).toMatchObject({
    name: "daily",
    nextTimes: ["2026-11-24T02:15:00.000Z", "2026-11-25T02:15:00.000Z", "2026-11-26T02:15:00.000Z"],
    words: "At 03:15, every day",
    lastJob: { id: started.id },
  });
  expect(weekly).toMatchObject({ name: "weekly", nextTimes: [], lastJob: undefined });
  expect((await views.cronjobs({ name: "weekly" })).map(({ name }) => name)).toEqual(["weekly"]);
  expect(await views.cronjobs({ name: "nope" })).toEqual([]);
});

test("a job's log is the story of its newest run, with the log of each stage where it ended", async () => {
  const run = aRun({
    stages: [train, serve, aStage({ node: "late", attempts: [attempt(1, [["attempt 1", "l1"]])] })],
  });
  const { store, views } = viewsOf({ runs: [run, aRun({ id: "20261122-0" })] });
  const at = new Date("2026-11-23T19:05:12.000Z");
  store.addEvent(run.id, { kind: "run", status: "running" }, at);
  store.addEvent(run.id, { kind: "stage", node: "train", status: "running" }, at);
  store.addEvent(run.id, { kind: "stage", node: "train", status: "succeeded" }, at);
  store.addEvent(run.id, { kind: "stage", node: "stage_3", status: "succeeded" }, at);
  store.addEvent(run.id, { kind: "notice", level: "info", text: "done" }, at);
  store.addJob(aJob({ runs: ["20261122-0", run.id] }));
  const told: string[] = [];
  for await (const event of views.jobLog("async-workflow-nightly")) {
    if (event.kind === "log") told.push(`${event.node}, ${event.source}: ${event.text.trim()}`);
    else told.push(event.kind === "stage" ? `${event.node} ${event.status}` : event.kind);
  }
  expect(told).toEqual([
    ...["run", "train running", "train, attempt 1: t1", "train, attempt 2: t2", "train succeeded"],
    ...[
      "stage_3, replica 1 of 2: s1",
      "stage_3, replica 2 of 2: s2",
      "stage_3, replica 1 of 2: s1, started anew",
    ],
    ...["stage_3 succeeded", "notice", "late, attempt 1: l1"],
  ]);
});

test("of a service that has written much since, only the beginning is in a job's log", async () => {
  const many = {
    async *read() {
      for (let count = 0; count < 100; count++) yield "x".repeat(1024);
    },
  };
  const { store, views } = viewsOf({ runs: [aRun({ stages: [train, serve] })] }, { logs: many });
  store.addJob(aJob());
  const sizes = new Map<string, number>();
  for await (const event of views.jobLog("async-workflow-nightly")) {
    if (event.kind !== "log") continue;
    sizes.set(event.node, Math.max(sizes.get(event.node) ?? 0, 0) + event.text.length);
  }
  expect(sizes.get("train")).toBe(2 * 100 * 1024);
  expect(sizes.get("stage_3")).toBe(
    3 * 64 * 1024 + 3 * "\n[… the rest is in: bodywork logs my-project stage_3]\n".length,
  );
});

test("a job that has no log says why", async () => {
  const { store, views } = viewsOf({});
  store.addJob(aJob({ id: "skipped", status: "skipped", why: "suspended", startedAt: undefined, runs: [] }));
  store.addJob(aJob({ id: "old", runs: ["gone"] }));
  const read = async (id: string) => {
    for await (const _ of views.jobLog(id)) throw new Error("it has a log");
  };
  await expect(read("nope")).rejects.toMatchObject({ code: "not-found" });
  await expect(read("skipped")).rejects.toThrow("Cannot find run ID = skipped: it is skipped (suspended).");
  await expect(read("old")).rejects.toThrow("its history is not kept any more");
});

test("a run is found by its id or the beginning of one; what could be several names them", async () => {
  const ids = ["20261123-190512000-aaaa", "20261123-190512000-aabb", "20261124-000000000-0000"];
  const { views } = viewsOf({ runs: ids.map((id) => aRun({ id })) });
  expect((await views.run("20261124")).id).toBe(ids[2]);
  expect((await views.run(ids[0] as string)).id).toBe(ids[0]);
  await expect(views.run("20261123")).rejects.toThrow(
    `Several runs begin with 20261123: ${ids[1]}, ${ids[0]}.`,
  );
  await expect(views.run("2027")).rejects.toMatchObject({
    code: "not-found",
    hint: expect.stringContaining("get runs"),
  });
});

test("logs are those of the newest run's batch stages and of the replicas that live now", async () => {
  const { views } = viewsOf({ runs: [aRun({ stages: [train, serve] })], services: [aService()] });
  expect(await texts(views.logs({ deployment: "my-project", follow: false }))).toEqual([
    "train, attempt 1: t1",
    "train, attempt 2: t2",
    "stage_3, replica 1 of 2: stage_3-1",
  ]);
});

test("of a run that goes on, or that is asked for, all its own logs are shown", async () => {
  const going = aRun({ status: "running", stages: [train, serve] });
  const { views } = viewsOf({ runs: [going], services: [aService()] });
  const ofRun = [
    "train, attempt 1: t1",
    "train, attempt 2: t2",
    "stage_3, replica 1 of 2: s1",
    "stage_3, replica 2 of 2: s2",
    "stage_3, replica 1 of 2: s1, started anew",
  ];
  expect(await texts(views.logs({ deployment: "my-project", follow: false }))).toEqual(ofRun);
  const finished = viewsOf({ runs: [aRun({ stages: [train, serve] })], services: [aService()] });
  const request = { deployment: "my-project", runId: going.id, follow: false };
  expect(await texts(finished.views.logs(request))).toEqual(ofRun);
});

test("one stage is chosen by either of its names; a wrong one is told those that there are", async () => {
  const { views } = viewsOf({ runs: [aRun({ stages: [train, serve] })], services: [aService()] });
  for (const stage of ["stage_3", "stage-3"]) {
    expect(await texts(views.logs({ deployment: "my-project", stage, follow: false }))).toHaveLength(1);
  }
  await expect(
    texts(views.logs({ deployment: "my-project", stage: "trian", follow: false })),
  ).rejects.toMatchObject({
    code: "not-found",
    hint: "Stages of it: train, stage_3.",
  });
  await expect(texts(views.logs({ deployment: "nope", follow: false }))).rejects.toMatchObject({
    message: 'Cannot show logs of "nope": it has never run here.',
  });
});

test("a run that has written nothing yet does not hide the logs of the one before it", async () => {
  const going = aRun({ id: "20261123-1", status: "running", stages: [train] });
  const waiting = aRun({ id: "20261123-2", status: "preparing", stages: [] });
  const leave = new AbortController();
  const { views } = viewsOf({ runs: [going, waiting] }, { sleep: async () => leave.abort() });
  for (const follow of [false, true]) {
    expect(await texts(views.logs({ deployment: "my-project", follow }, leave.signal))).toEqual([
      "train, attempt 1: t1",
      "train, attempt 2: t2",
    ]);
  }
});

test("whoever follows a run that has no log yet, or not that of the stage, waits for it until the run ends", async () => {
  const waiting = aStage({ node: "late", stage: "late", status: "waiting", attempts: [] });
  const began = aStage({ node: "late", stage: "late", attempts: [attempt(1, [["attempt 1", "l1"]])] });
  const states: readonly Run[] = [
    aRun({ status: "preparing", stages: [] }),
    aRun({ status: "running", stages: [train, waiting] }),
    aRun({ status: "running", stages: [train, began] }),
  ];
  let looks = 0;
  const sleep = async () => {
    looks += 1;
    the.store.saveRun(states[looks] ?? aRun({ status: "failed", stages: [] }));
  };
  const the = viewsOf({ runs: states.slice(0, 1) }, { sleep });
  const followed = { deployment: "my-project", stage: "late", follow: true };
  expect(await texts(the.views.logs(followed))).toEqual(["late, attempt 1: l1"]);
  expect(looks).toBe(3);

  the.store.saveRun(aRun({ status: "preparing", stages: [] }));
  expect(await texts(the.views.logs({ deployment: "my-project", follow: true })), "it ended").toEqual([]);
  the.store.saveRun(aRun({ status: "running", stages: [train] }));
  await expect(texts(the.views.logs(followed)), "there is no such stage").rejects.toMatchObject({
    code: "not-found",
  });
});

test("whoever waits for a log can leave", async () => {
  const leave = new AbortController();
  const sleep = async () => leave.abort();
  const { views } = viewsOf({ runs: [aRun({ status: "preparing", stages: [] })] }, { sleep });
  const following = views.logs({ deployment: "my-project", follow: true }, leave.signal);
  expect(await texts(following)).toEqual([]);
});

test("several logs are followed at once, each as it grows", async () => {
  const goOn = Promise.withResolvers<void>();
  const { views } = viewsOf(
    { runs: [aRun({ stages: [train] })] },
    {
      logs: {
        async *read(reference) {
          if (reference === "t1") await goOn.promise;
          yield reference;
          if (reference === "t2") goOn.resolve();
        },
      },
    },
  );
  expect(await texts(views.logs({ deployment: "my-project", follow: true }))).toEqual([
    "train, attempt 2: t2",
    "train, attempt 1: t1",
  ]);
});
