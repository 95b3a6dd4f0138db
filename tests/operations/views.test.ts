import { expect, test } from "vitest";
import type { Run, ServiceStatus } from "../../src/core/run-state.ts";
import { createViews, type ViewParts } from "../../src/operations/views.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { aRun, aService, aStage } from "../cli/support/records.ts";
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
    plain([{ ...deployment, release, services: [{ ...aService(), state: "stopped" }], lastRun: run }]),
  );
  expect(await views.deployments({ name: "other" })).toEqual([]);
  expect(await views.deployments({ namespace: "elsewhere" })).toEqual([]);
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
  const { views } = viewsOf({ runs: [going, waiting] });
  for (const follow of [false, true]) {
    expect(await texts(views.logs({ deployment: "my-project", follow }))).toEqual([
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
  expect(looks).toBe(2);

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
    { runs: [aRun({ status: "running", stages: [train] })] },
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
