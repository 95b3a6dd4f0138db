import { expect, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import type { RunEvent, ServiceStatus, StageOutput } from "../../src/core/run-state.ts";
import { crashingStore } from "../support/crashing-store.ts";
import { fakeEnvironments } from "../support/fake-parts.ts";
import { projectUrl, serverOf, type TestServer, type World, world } from "../support/operations-harness.ts";
import { batch } from "../support/pipelines.ts";
import { project } from "../support/project-text.ts";

const aBatch = project("a", { a: "batch" });

test("two deploys of one deployment at once are carried out one after the other", async () => {
  const the = world();
  the.machine.behaviours.set("a", { does: "wait" });
  const server = serverOf(the);
  the.source.push(projectUrl, aBatch);
  const first = await server.deploy();
  await the.machine.happened("start a/1");
  const second = await server.deploy();
  await told(server, second, `Waiting for run ${first} to end.`);
  expect(the.machine.ledger).toEqual(["start a/1"]);
  the.machine.release("a");
  expect((await server.finished(first)).release).toBe(1);
  expect((await server.finished(second)).release).toBe(2);
  expect(the.machine.mostAtOnce()).toBe(1);
});

test("the record of a run that waits says for whom, until it has its turn or gives up", async () => {
  const the = world();
  the.machine.behaviours.set("a", { does: "wait" });
  const server = serverOf(the);
  the.source.push(projectUrl, aBatch);
  const first = await server.deploy();
  await the.machine.happened("start a/1");
  const second = await server.deploy();
  await told(server, second, `Waiting for run ${first} to end.`);
  expect(server.store.run(second)?.waitingFor).toBe(`run ${first}`);
  const third = await server.deploy();
  await told(server, third, `Waiting for run ${first} to end.`);
  expect((await server.finished(second)).waitingFor).toBeUndefined();
  the.machine.release("a");
  expect((await server.finished(third)).waitingFor).toBeUndefined();
});

test("of several that wait, only the newest is carried out; the others say which one took their place", async () => {
  const the = world();
  the.machine.behaviours.set("a", { does: "wait" });
  const server = serverOf(the);
  the.source.push(projectUrl, aBatch);
  const first = await server.deploy();
  await the.machine.happened("start a/1");
  const middle = await server.deploy();
  await told(server, middle, `Waiting for run ${first} to end.`);
  const last = await server.deploy();
  expect(await server.finished(middle)).toMatchObject({
    status: "cancelled",
    reason: `superseded by run ${last}, which was asked for later`,
    code: "superseded",
  });
  the.machine.release("a");
  expect((await server.finished(first)).status).toBe("succeeded");
  expect((await server.finished(last)).status).toBe("succeeded");
  expect(server.store.deployment("story", "story")?.liveRelease).toBe(2);
});

test("a request whose fetch was so slow that a later one is live already does not take its place", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, aBatch);
  const resolve = the.source.resolve.bind(the.source);
  const { promise: slow, resolve: goOn } = Promise.withResolvers<void>();
  let calls = 0;
  the.source.resolve = async (...request) => {
    if (calls++ === 0) await slow;
    return resolve(...request);
  };
  const early = await server.deploy();
  const late = await server.deployed();
  goOn();
  expect((await server.finished(early)).reason).toContain(`superseded by run ${late.id}`);
  expect(server.store.deployment("story", "story")?.liveRelease).toBe(1);
});

test("deployments of different namespaces are carried out at the same time", async () => {
  const the = world();
  the.machine.behaviours.set("a", { does: "wait" });
  const server = serverOf(the);
  the.source.push(projectUrl, aBatch);
  the.source.push("https://forge.test/me/other", project("a", { a: "batch" }, { name: "other" }));
  const first = await server.deploy();
  const second = await server.deploy("https://forge.test/me/other");
  await the.machine.happened("start a/1");
  while (the.machine.running().length < 2) await new Promise((resolve) => setImmediate(resolve));
  the.machine.release("a");
  expect((await server.finished(first)).status).toBe("succeeded");
  expect((await server.finished(second)).status).toBe("succeeded");
});

/** So many projects, each of its own namespace; their URLs. */
function projects(the: World, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => {
    const url = `${projectUrl}-${index}`;
    the.source.push(url, project("a", { a: "batch" }, { name: `project-${index}` }));
    return url;
  });
}

test("when there are as many unfinished runs as may be, no other is accepted until one has ended", async () => {
  const the = world();
  the.machine.behaviours.set("a", { does: "hang" });
  const server = serverOf(the, { maxParallelRuns: 1, maxUnfinishedRuns: 5 });
  const [url] = projects(the, 1);
  const ids: string[] = [];
  for (let number = 0; number < 5; number++) ids.push(await server.deploy(url, { startedBy: "cron" }));
  await expect(server.deploy(url)).rejects.toMatchObject({ code: "too-many-requests" });
  await server.actions.cancelRun(ids.at(-1) ?? "", "to make room");
  await server.finished(ids.at(-1) ?? "");
  expect(await server.deploy(url)).toMatch(/^\d/);
  await server.actions.cancelAll("the test is over");
});

test("no more runs are carried out at once than the setting says; the others are on record, and say what they wait for", async () => {
  const the = world();
  the.machine.behaviours.set("a", { does: "wait" });
  const server = serverOf(the, { maxParallelRuns: 2 });
  const [mine, ...urls] = projects(the, 6);
  const ids = await Promise.all(urls.map((url) => server.deploy(url, { startedBy: "cron" })));
  await until(() => the.machine.running().length === 2);
  const asked = await server.deploy(mine);
  await told(server, asked, "Waiting for one of 2 runs to end (setting max_parallel_runs).");
  const waiting = server.store.unfinishedRuns().filter(({ waitingFor }) => waitingFor === "one of 2 runs");
  expect(waiting.map(({ status }) => status)).toEqual(["queued", "queued", "queued", "queued"]);
  // One that is cancelled ends without a slot.
  await server.actions.cancelRun(ids[3] ?? "", "nobody needs it");
  expect((await server.finished(ids[3] ?? "")).status).toBe("cancelled");

  the.machine.release("a");
  const runs = await Promise.all([...ids, asked].map((id) => server.finished(id)));
  expect(the.machine.mostAtOnce()).toBe(2);
  expect(runs.map(({ status }) => status).filter((status) => status === "succeeded")).toHaveLength(5);
  expect(runs.some(({ waitingFor }) => waitingFor !== undefined)).toBe(false);
  // Whom somebody waits for goes before those that nobody does.
  const began = (id: string | undefined): string => runs.find((run) => run.id === id)?.startedAt ?? "";
  expect(began(asked) <= began(ids[2])).toBe(true);
});

test("runs that wait for their turn keep none of another namespace from being carried out", async () => {
  const the = world();
  the.machine.behaviours.set("a", { does: "wait" });
  const server = serverOf(the, { maxParallelRuns: 2 });
  const [one = "", other] = projects(the, 2);
  const first = await server.deploy(one);
  await the.machine.happened("start a/1");
  const second = await server.deploy(one);
  await told(server, second, `Waiting for run ${first} to end.`);
  const third = await server.deploy(other);
  await until(() => the.machine.running().length === 2);
  the.machine.release("a");
  const runs = await Promise.all([first, second, third].map((id) => server.finished(id)));
  expect(runs.map(({ status }) => status)).toEqual(["succeeded", "succeeded", "succeeded"]);
});

test("what was carried out when the server died goes on before what had only been asked for", async () => {
  const the = world();
  the.machine.behaviours.set("a", { does: "wait" });
  const dead = serverOf(the, { maxParallelRuns: 1 });
  const [one, other] = projects(the, 2);
  const first = await dead.deploy(one, { startedBy: "cron" });
  await the.machine.happened("start a/1");
  const second = await dead.deploy(other);
  await told(dead, second, "Waiting for one of 1 runs to end (setting max_parallel_runs).");
  the.machine.release("a");
  const server = serverOf(the, { maxParallelRuns: 1 });
  server.actions.resume();
  const runs = await Promise.all([first, second].map((id) => server.finished(id)));
  expect(runs.map(({ status }) => status)).toEqual(["succeeded", "succeeded"]);
  expect((runs[1]?.startedAt ?? "") >= (runs[0]?.endedAt ?? "")).toBe(true);
});

test("a run that waits for its turn can be cancelled, and passes the turn on", async () => {
  const the = world();
  the.machine.behaviours.set("a", { does: "wait" });
  const server = serverOf(the);
  the.source.push(projectUrl, aBatch);
  const first = await server.deploy();
  await the.machine.happened("start a/1");
  const second = await server.deploy();
  await told(server, second, `Waiting for run ${first} to end.`);
  await server.actions.cancelRun(second, "it took longer than 30 s");
  expect(await server.finished(second)).toMatchObject({
    status: "cancelled",
    reason: "cancelled: it took longer than 30 s",
  });
  the.machine.release("a");
  expect((await server.finished(first)).status).toBe("succeeded");
  expect((await server.deployed()).release).toBe(2);
});

test("fifty deploys at once end with one live release, strictly growing numbers and nothing running", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, project("a >> serve", { a: "batch", serve: "service" }));
  const ids = await Promise.all(Array.from({ length: 50 }, () => server.deploy()));
  const runs = await Promise.all(ids.map((id) => server.finished(id)));
  const succeeded = runs.filter(({ status }) => status === "succeeded");
  expect(runs.every(({ status }) => status === "succeeded" || status === "cancelled")).toBe(true);
  expect(succeeded.map(({ release }) => release)).toEqual(succeeded.map((_, index) => index + 1));
  expect(the.machine.live().map(({ runId }) => runId)).toEqual([ids.toSorted().at(-1)]);
  expect(the.machine.running()).toEqual([]);
});

test("what a server left unfinished has its turn before what only waited, whoever is quicker now", async () => {
  const the = world();
  the.machine.behaviours.set("a", { does: "wait" });
  the.source.push(projectUrl, project("a >> serve", { a: "batch", serve: "service" }));
  const first = serverOf(the);
  const running = await first.deploy();
  await the.machine.happened("start a/1");
  const waiting = await first.deploy();
  await told(first, waiting, `Waiting for run ${running} to end.`);
  first.engine.cutOff();
  const next = serverOf(the);
  next.actions.resume();
  the.machine.release("a");
  expect((await next.finished(running)).release).toBe(1);
  expect((await next.finished(waiting)).release).toBe(2);
});

test("an attempt that a dead server left is ended when its run is cancelled, also when its plan can't be had any more", async () => {
  for (const broken of [false, true]) {
    const the = world();
    the.machine.behaviours.set("a", { does: "hang" }).set("serve", { does: "hang" });
    the.source.push(projectUrl, project("a, b >> serve", { a: "batch", b: "batch", serve: "service" }));
    const first = serverOf(the);
    const runId = await first.deploy();
    await the.machine.happened("start a/1");
    first.engine.cutOff();
    const next = serverOf(the);
    if (broken)
      the.source.readFile = () => Promise.reject(new Failure("repository-access", "The mirror is gone."));
    next.actions.resume();
    if (!broken) await next.actions.cancelRun(runId, "Ctrl-C");
    const run = await next.finished(runId);
    expect(run.status).toBe(broken ? "failed" : "cancelled");
    expect(the.machine.running()).toEqual([]);
    expect(run.stages[0]).toMatchObject({ status: "cancelled", attempts: [{ status: "cancelled" }] });
  }
});

test("a deployment is deleted with its services, releases, runs and protected commits; nothing of it is left", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, project("a >> serve", { a: "batch", serve: "service" }));
  const runs = [await server.deployed(), await server.deployed()];
  expect(await server.actions.deleteDeployment("story")).toEqual({ found: true });
  expect(the.machine.live()).toEqual([]);
  expect(the.machine.ledger.filter((line) => line.startsWith("forget")).toSorted()).toEqual(
    runs.map(({ id }) => `forget ${id}`).toSorted(),
  );
  expect(server.store.runs({})).toEqual([]);
  expect(server.store.deployments()).toEqual([]);
  expect(server.store.releases("story", "story")).toEqual([]);
  expect([...the.source.kept]).toEqual([]);
  expect(the.artifacts.sweeps.at(-1)).toEqual(new Set());
  expect(await server.actions.deleteDeployment("story")).toEqual({ found: false });
});

test("a deletion cancels what runs, waits until it has put everything back, and then removes it", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, project("serve >> a", { serve: "service", a: "batch" }));
  await server.deployed();
  the.machine.behaviours.set("a", { does: "hang" });
  const runId = await server.deploy();
  await the.machine.happened("serve serve r2");
  const following = collected(server.actions.followRun(runId, 0));
  expect(await server.actions.deleteDeployment("story")).toEqual({ found: true });
  expect(the.machine.live()).toEqual([]);
  expect(the.machine.running()).toEqual([]);
  expect(server.store.runs({})).toEqual([]);
  expect((await following).at(-1)).toMatchObject({
    kind: "run",
    status: "cancelled",
    reason: "cancelled: delete deployment",
  });
});

test("a deletion that was cut short can be asked for again", async () => {
  const the = world();
  the.source.push(projectUrl, project("a >> serve", { a: "batch", serve: "service" }));
  const first = serverOf(the);
  await first.deployed();
  first.store.close();
  const crashing = crashingStore(1, "before", () => dying.engine.cutOff());
  const dying = serverOf(the, { wrapStore: crashing.wrap });
  await expect(dying.actions.deleteDeployment("story")).rejects.toThrow();
  const next = serverOf(the);
  expect(await next.actions.deleteDeployment("story")).toEqual({ found: true });
  expect(next.store.runs({})).toEqual([]);
  expect(the.machine.live()).toEqual([]);
});

test("a service is deleted by either of its names, and comes back with the next deployment", async () => {
  for (const name of ["serve_it", "serve-it"]) {
    const the = world();
    const server = serverOf(the);
    the.source.push(projectUrl, project("serve_it, other", { serve_it: "service", other: "service" }));
    await server.deployed();
    const live = () => the.machine.live().map(({ stage }) => stage.name);
    expect(await server.actions.deleteService("story", name)).toMatchObject({ stage: "serve_it" });
    expect(live()).toEqual(["other"]);
    expect((await server.deployed()).status).toBe("succeeded");
    expect(live().toSorted()).toEqual(["other", "serve_it"]);
  }
});

test("a service that is not there can't be deleted; those that are there are named", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, project("serve", { serve: "service" }));
  await server.deployed();
  await expect(server.actions.deleteService("story", "nope")).rejects.toMatchObject({
    code: "not-found",
    hint: "Services of it: serve.",
  });
  await expect(server.actions.deleteService("nope", "serve")).rejects.toMatchObject({ code: "not-found" });
  expect(the.machine.live()).toHaveLength(1);
});

test("the deletion of a service waits for the run that may be replacing it", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, project("serve >> a", { serve: "service", a: "batch" }));
  await server.deployed();
  the.machine.behaviours.set("a", { does: "wait" });
  const runId = await server.deploy();
  await the.machine.happened("serve serve r2");
  const deleting = server.actions.deleteService("story", "serve");
  await new Promise((resolve) => setImmediate(resolve));
  expect(the.machine.live()).toHaveLength(1);
  the.machine.release("a");
  await deleting;
  expect((await server.finished(runId)).status).toBe("succeeded");
  expect(the.machine.live()).toEqual([]);
});

test("a pipeline of batch stages alone leaves nothing running but its history, and is deleted by its name", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, aBatch);
  const { id } = await server.deployed();
  expect(the.machine.live()).toEqual([]);
  expect(the.machine.running()).toEqual([]);
  expect(server.store.deployments()).toMatchObject([{ name: "story", liveRelease: 1 }]);
  expect(server.store.runs({ deployment: "story" }).map((run) => run.id)).toEqual([id]);
  expect(await server.actions.deleteDeployment("story")).toEqual({ found: true });
  expect([server.store.deployments(), server.store.runs({})]).toEqual([[], []]);
});

test("a plan is what the next deployment would do, and changes nothing", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, project("a >> serve", { a: "batch", serve: "service" }));
  const url = "https://user:hunter2@forge.test/me/project";
  const request = { url, branch: undefined, strict: false, startedBy: "command" };
  const { commit, plan } = await server.actions.plan(request);
  expect(plan).toMatchObject({ deployment: "story", namespace: "story", release: 1 });
  expect(plan.nodes.map(({ node }) => node)).toEqual(["a", "serve"]);
  expect(the.source.asked[0]?.url).toBe(url);
  expect([server.store.runs({}), server.store.deployments(), the.machine.ledger]).toEqual([[], [], []]);
  expect(the.environments.built).toEqual([]);
  expect((await server.deployed()).commit).toEqual(commit);
  await expect(server.actions.plan({ ...request, url: "notaurl" })).rejects.toMatchObject({
    code: "repository-url",
  });
});

test("an old version of a secret is kept for what may still need it, and swept when that is gone", async () => {
  const the = world();
  const server = serverOf(the);
  const withSecret = { serve: [...serviceLines, "secrets: {KEY: database}"] };
  the.source.push(projectUrl, project("serve", withSecret, { pipeline: ["secrets_group: prod"] }));
  const reveal = (version: number) =>
    the.secrets.reveal({ group: "prod", name: "database", version, key: "KEY" }).reveal();
  the.secrets.set("prod", "database", { KEY: "one" });
  await server.deployed();
  the.secrets.set("prod", "database", { KEY: "two" });
  expect((await server.deployed()).status).toBe("succeeded");
  the.secrets.set("prod", "database", { KEY: "three" });
  the.source.push("https://forge.test/me/other", project("b", { b: "batch" }, { name: "other" }));
  await server.deployed("https://forge.test/me/other");
  await server.actions.deleteDeployment("other");
  expect([1, 2, 3].map(reveal)).toEqual(["one", "two", "three"]);
  await server.actions.deleteDeployment("story");
  expect(reveal(3)).toBe("three");
  for (const version of [1, 2]) expect(() => reveal(version)).toThrow();
});

test("a run that can't record for whom it waits goes on when it can, and nobody waits for ever behind it", async () => {
  const the = world();
  let disk: "fine" | "full" | "fine again" = "fine";
  const server = serverOf(the, {
    wrapStore: (store) => ({
      ...store,
      saveRun(run, event) {
        if (disk === "fine" && run.waitingFor !== undefined) disk = "full";
        if (disk === "full") throw new Failure("disk-full", "Cannot write to the store: the disk is full.");
        return store.saveRun(run, event);
      },
    }),
    parts: {
      clock: {
        ...the.clock,
        async sleep(...time) {
          await the.clock.sleep(...time);
          disk = "fine again";
        },
      },
    },
  });
  the.machine.behaviours.set("a", { does: "wait" });
  the.source.push(projectUrl, aBatch);
  const first = await server.deploy();
  await the.machine.happened("start a/1");
  const second = await server.deploy();
  await told(server, second, `Waiting for run ${first} to end.`);
  the.machine.release("a");
  const runs = await Promise.all([first, second].map((id) => server.finished(id)));
  expect(runs.map(({ status }) => status)).toEqual(["succeeded", "succeeded"]);
  expect((await server.deployed()).status).toBe("succeeded");
});

test("outputs of releases and unfinished runs are kept when another deployment is deleted", async () => {
  const the = world();
  const server = serverOf(the);
  const output = { name: "model", path: "model", digest: "sha256:1", kind: "file", bytes: 1 } as const;
  the.machine.behaviours.set("a", {
    does: "succeed",
    outputs: { kind: "succeeded", outputs: [output] },
  });
  the.source.push(projectUrl, aBatch);
  await server.deployed();
  the.source.push("https://forge.test/me/other", project("b", { b: "batch" }, { name: "other" }));
  await server.deployed("https://forge.test/me/other");
  await server.actions.deleteDeployment("other");
  expect(the.artifacts.sweeps.at(-1)).toEqual(new Set(["sha256:1"]));
});

test("the newest 50 releases of each deployment are kept, and what still serves; older ones go with commits and outputs", async () => {
  const the = world();
  const server = serverOf(the);
  const digestOf = (release: number): string => `sha256:${release}`;
  the.machine.behaviours.set("a", (task) => {
    const output = { name: "model", path: "model", digest: digestOf(task.release), kind: "file", bytes: 1 };
    return { does: "succeed", outputs: { kind: "succeeded", outputs: [output as StageOutput] } };
  });
  the.source.push(projectUrl, project("a, serve", { a: "batch", serve: "service" }));
  const first = await server.deployed();
  const { engine } = server;
  const stuck = engine.services()[0] as ServiceStatus;
  const listed = engine.services.bind(engine);
  // As if it could not be put back.
  engine.services = () => [...listed(), { ...stuck, stage: "other", runId: first.id }];
  for (let release = 2; release <= 53; release++) await server.deployed();
  const numbers = (): readonly number[] =>
    server.store.releases("story", "story").map(({ number }) => number);
  while (numbers().length > 51) await new Promise((resolve) => setImmediate(resolve));
  const kept = [...Array.from({ length: 50 }, (_, index) => 53 - index), 1];
  expect(numbers()).toEqual(kept);
  expect([...the.source.kept].toSorted()).toEqual(
    kept.map((number) => `release/story/story/${number}`).toSorted(),
  );
  while (the.artifacts.sweeps.at(-1)?.size !== kept.length)
    await new Promise((resolve) => setImmediate(resolve));
  expect(the.artifacts.sweeps.at(-1)).toEqual(new Set(kept.map(digestOf)));
}, 60_000);

test("nothing is swept while another run may be storing what is on no record yet", async () => {
  const the = world();
  const server = serverOf(the);
  the.machine.behaviours.set("a", { does: "wait" });
  the.source.push(projectUrl, aBatch);
  the.source.push("https://forge.test/me/other", project("b", { b: "batch" }, { name: "other" }));
  await server.deployed("https://forge.test/me/other");
  const runId = await server.deploy();
  await the.machine.happened("start a/1");
  await server.actions.deleteDeployment("other");
  expect(the.artifacts.sweeps).toEqual([]);
  the.machine.release("a");
  await server.finished(runId);
});

test("environments of live services, of what may be put back, and of runs that go on are not cleaned away", async () => {
  const the = world({ environments: fakeEnvironments() });
  const server = serverOf(the);
  the.source.push(projectUrl, project("serve", { serve: "service" }));
  const first = await server.deployed();
  the.source.push(
    projectUrl,
    project("serve >> a", { serve: ["requirements: [x]", ...serviceLines], a: batch() }),
  );
  the.machine.behaviours.set("a", { does: "hang" });
  const runId = await server.deploy();
  await the.machine.happened("start a/1");
  await server.actions.cleanEnvironments({ unusedDays: 0 });
  const run = server.store.run(runId);
  const [sweep] = the.environments.swept;
  const keys = [first.stages[0]?.environment?.key, run?.stages[0]?.environment?.key];
  expect(sweep?.keep).toEqual(new Set(keys.toReversed()));
  expect(sweep?.unusedSince.getTime()).toBeLessThanOrEqual(Date.parse(run?.createdAt ?? ""));
  await server.actions.cancelRun(runId, "Ctrl-C");
  await server.finished(runId);
});

const serviceLines = ["service: {max_startup_time_seconds: 30, replicas: 1, port: 5000, ingress: true}"];

test("a full disk does not lose the run: it goes on from its record when there is space again", async () => {
  const the = world();
  the.source.push(projectUrl, project("a >> b", { a: "batch", b: "batch" }));
  let full = false;
  const server = serverOf(the, {
    wrapStore: (store) => ({
      ...store,
      saveRun(run) {
        if (full) throw new Failure("disk-full", "Cannot write to the store: the disk is full.");
        store.saveRun(run);
      },
    }),
    parts: {
      clock: {
        ...the.clock,
        async sleep(...time) {
          full = false;
          await the.clock.sleep(...time);
        },
      },
    },
  });
  the.machine.behaviours.set("a", { does: "wait" });
  const runId = await server.deploy();
  await the.machine.happened("start a/1");
  await new Promise((resolve) => setImmediate(resolve));
  full = true;
  the.machine.release("a");
  const run = await server.finished(runId);
  expect(run.status).toBe("succeeded");
  expect([...the.machine.starts().values()]).toEqual([1, 1]);
});

test("all runs are cancelled and ended before services are stopped", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, aBatch);
  the.machine.behaviours.set("a", { does: "hang" });
  const runId = await server.deploy();
  await the.machine.happened("start a/1");
  await server.actions.cancelAll("server stop --services");
  expect(server.store.run(runId)).toMatchObject({
    status: "cancelled",
    reason: "cancelled: server stop --services",
  });
  expect(server.actions.running()).toEqual([]);
});

test("an address that can't be one is refused before there is a run of it", async () => {
  const server = serverOf(world());
  await expect(server.deploy("notaurl")).rejects.toMatchObject({ code: "repository-url" });
  expect(server.store.runs({})).toEqual([]);
});

const key = "0f".repeat(16);

test("a request that comes again with its key is of the run that it was of, also with another server", async () => {
  const the = world();
  the.source.push(projectUrl, aBatch);
  const server = serverOf(the);
  const runId = await server.deploy(projectUrl, { key });
  expect(await server.deploy(projectUrl, { key })).toBe(runId);
  await server.finished(runId);
  expect(await server.deploy(projectUrl, { key })).toBe(runId);
  expect(await serverOf(the).deploy(projectUrl, { key })).toBe(runId);
  expect(server.store.runs({}).map(({ id }) => id)).toEqual([runId]);
});

test("requests without a key, and with different ones, are of runs of their own", async () => {
  const the = world();
  the.source.push(projectUrl, aBatch);
  const { deploy, finished, store } = serverOf(the);
  for (const one of [undefined, undefined, key, "f0".repeat(16)]) {
    await finished(await deploy(projectUrl, { key: one }));
  }
  expect(store.runs({})).toHaveLength(4);
});

test("a request with the key of one for another repository is refused", async () => {
  const the = world();
  the.source.push(projectUrl, aBatch);
  const { deploy, finished, store } = serverOf(the);
  const runId = await deploy(projectUrl, { key });
  await expect(deploy(`${projectUrl}-2`, { key })).rejects.toMatchObject({
    code: "usage",
    message: `Cannot deploy ${projectUrl}-2: its key is that of run ${runId}.`,
  });
  await finished(runId);
  expect(store.runs({})).toHaveLength(1);
});

test("an unknown run can be neither followed nor cancelled", async () => {
  const server = serverOf(world());
  expect(() => server.actions.followRun("nope", 0)).toThrow("There is no run nope.");
  await expect(server.actions.cancelRun("nope", "Ctrl-C")).rejects.toMatchObject({ code: "not-found" });
});

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

async function told(server: TestServer, runId: string, text: string): Promise<void> {
  while (!server.events(runId).some((event) => event.kind === "notice" && event.text === text)) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function collected(events: AsyncIterable<RunEvent>): Promise<readonly RunEvent[]> {
  const all: RunEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}
