import { expect, test } from "vitest";
import { fakeEnvironments, otherPython } from "../support/fake-parts.ts";
import { projectUrl, serverOf, type TestServer, type World, world } from "../support/operations-harness.ts";
import { batch, service } from "../support/pipelines.ts";
import { project } from "../support/project-text.ts";

const failing = { does: "fail", reason: "exit 3", lastLines: ["no data"] } as const;

function starts({ machine }: World): readonly string[] {
  return machine.ledger.filter((line) => !line.startsWith("end") && !line.startsWith("forget"));
}

test("a run becomes a release: stages in the order of the DAG, batch before services in a mixed step", async () => {
  const the = world();
  the.source.push(
    projectUrl,
    project("a >> b, serve >> c", { a: "batch", b: "batch", serve: "service", c: "batch" }),
  );
  const server = serverOf(the);
  const run = await server.deployed();
  expect(run.status).toBe("succeeded");
  expect(starts(the)).toEqual([
    "start a/1",
    "start b/1",
    "start serve candidate r1",
    "serve serve r1",
    "start c/1",
  ]);
  expect(server.store.deployment("story", "story")?.liveRelease).toBe(1);
  const release = server.store.release("story", "story", 1);
  expect(release?.runId).toBe(run.id);
  expect(release?.services.map(({ stage }) => stage.name)).toEqual(["serve"]);
  expect([...the.source.kept]).toEqual(["release/story/story/1"]);
});

test("with needs a stage starts as soon as what it needs has ended, whatever the others do", async () => {
  const the = world();
  the.source.push(
    projectUrl,
    project("a, b >> c, d", {
      a: "batch",
      b: "batch",
      c: [...batch(), "needs: [a]"],
      d: [...batch(), "needs: [b]"],
    }),
  );
  the.machine.behaviours.set("b", { does: "wait" });
  const server = serverOf(the);
  const runId = await server.deploy();
  await the.machine.happened("end c/1");
  expect(the.machine.ledger).not.toContain("end b/1 succeeded");
  the.machine.release("b");
  expect((await server.finished(runId)).status).toBe("succeeded");
  expect(the.machine.ledger.indexOf("end b/1 succeeded")).toBeLessThan(
    the.machine.ledger.indexOf("start d/1"),
  );
});

test("no more batch stages run at once than allowed, and all of them run", async () => {
  const names = Array.from({ length: 9 }, (_, index) => `s${index}`);
  const the = world();
  the.source.push(
    projectUrl,
    project(names.join(", "), Object.fromEntries(names.map((name) => [name, "batch"]))),
  );
  const run = await serverOf(the, { maxParallelStages: 3 }).deployed();
  expect(run.stages.every(({ status }) => status === "succeeded")).toBe(true);
  expect(the.machine.mostAtOnce()).toBe(3);
});

test("the first failure stops what runs, starts nothing more, and is the run's reason", async () => {
  const the = world();
  the.source.push(projectUrl, project("a, b >> c", { a: "batch", b: "batch", c: "batch" }));
  the.machine.behaviours.set("a", failing).set("b", { does: "hang" });
  const run = await serverOf(the).deployed();
  expect(run).toMatchObject({
    status: "failed",
    reason: 'Stage "a" failed: exit 3.',
    code: "stage-failed",
    details: ["no data"],
  });
  expect(run.stages.map(({ node, status }) => [node, status])).toEqual([
    ["a", "failed"],
    ["b", "cancelled"],
    ["c", "skipped"],
  ]);
  expect(run.stages[0]?.attempts).toMatchObject([
    { status: "failed", reason: "exit 3", lastLines: ["no data"] },
  ]);
  expect(the.machine.running()).toEqual([]);
});

test("attempts are retries + 1, each on record with its reason; one that succeeds ends it", async () => {
  const the = world();
  the.source.push(projectUrl, project("a >> b", { a: batch(60, 2), b: batch(60, 2) }));
  the.machine.behaviours
    .set("a", (task) => ("attempt" in task && task.attempt === 3 ? { does: "succeed" } : failing))
    .set("b", failing);
  const server = serverOf(the);
  const run = await server.deployed();
  expect(run.reason).toBe('Stage "b" failed: exit 3 (attempt 3 of 3).');
  expect(run.stages.map(({ attempts }) => attempts.map(({ status }) => status))).toEqual([
    ["failed", "failed", "succeeded"],
    ["failed", "failed", "failed"],
  ]);
  expect([...the.machine.starts().values()]).toEqual([1, 1, 1, 1, 1, 1]);
  expect(noticesOf(server, run.id)).toContain('Stage "a", attempt 1 of 3 failed: exit 3; trying again.');
});

test("a reason that is a whole sentence does not get a second full stop", async () => {
  const sentence = "The stage has not written its output no/such.";
  const the = world();
  the.source.push(projectUrl, project("a", { a: batch(60, 1) }));
  the.machine.behaviours.set("a", { does: "fail", reason: sentence });
  const server = serverOf(the);
  const run = await server.deployed();
  expect(run.reason).toBe(`Stage "a" failed: ${sentence.slice(0, -1)} (attempt 2 of 2).`);
  expect(noticesOf(server, run.id)).toContain(
    `Stage "a", attempt 1 of 2 failed: ${sentence.slice(0, -1)}; trying again.`,
  );
  the.source.push(projectUrl, project("serve", { serve: "service" }));
  the.machine.behaviours.set("serve", { does: "fail", reason: "has no address: Taken." });
  expect((await server.deployed()).reason).toMatch(/: service "serve" has no address: Taken\.$/);
});

test("what a failed run has replaced is put back in reverse order, and what it had added goes", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, project("one >> two", { one: "service", two: "service" }));
  await server.deployed();
  the.machine.ledger.length = 0;
  the.source.push(
    projectUrl,
    project("one >> two >> three >> check", {
      one: "service",
      two: "service",
      three: "service",
      check: "batch",
    }),
  );
  the.machine.behaviours.set("check", failing);
  const run = await server.deployed();
  expect(run.status).toBe("failed");
  expect(the.machine.ledger.slice(the.machine.ledger.indexOf("end check/1 failed") + 1)).toEqual([
    "remove three",
    "start two candidate r1",
    "end two candidate r1 succeeded",
    "serve two r1",
    "start one candidate r1",
    "end one candidate r1 succeeded",
    "serve one r1",
  ]);
  expect(server.store.deployment("story", "story")?.liveRelease).toBe(1);
  expect(server.store.releases("story", "story")).toHaveLength(1);
});

test("a first run that fails leaves no service and no deployment", async () => {
  const the = world();
  the.source.push(projectUrl, project("serve >> check", { serve: "service", check: "batch" }));
  the.machine.behaviours.set("check", failing);
  const server = serverOf(the);
  expect((await server.deployed()).status).toBe("failed");
  expect(the.machine.live()).toEqual([]);
  expect(server.store.deployments()).toEqual([]);
  expect([...the.source.kept], "the commit is protected no longer").toEqual([]);
});

test("a service that never gets ready fails the run, and the others go back to the live release", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, project("one, two", { one: "service", two: "service" }));
  await server.deployed();
  the.machine.behaviours.set("two", (task) =>
    task.release === 2
      ? { does: "fail", reason: "was not ready within 30 s", lastLines: ["hm"] }
      : { does: "succeed" },
  );
  const run = await server.deployed();
  expect(run).toMatchObject({
    status: "failed",
    reason: 'Deployments failed to roll-out successfully: service "two" was not ready within 30 s.',
    details: ["hm"],
  });
  expect(the.machine.live().map(({ release }) => release)).toEqual([1, 1]);
});

test("what can't be put back is told, and the others are put back all the same", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, project("one >> two", { one: "service", two: "service" }));
  await server.deployed();
  the.source.push(
    projectUrl,
    project("one >> two >> check", { one: "service", two: "service", check: "batch" }),
  );
  the.machine.behaviours
    .set("check", failing)
    .set("two", (task) =>
      task.release === 1 ? { ...failing, reason: "ended (exit 1)" } : { does: "succeed" },
    );
  const run = await server.deployed();
  expect(run).toMatchObject({ status: "failed", reason: 'Stage "check" failed: exit 3.' });
  expect(the.machine.live().map(({ stage, release }) => [stage.name, release])).toEqual([
    ["one", 1],
    ["two", 2],
  ]);
  const errors = server.events(run.id).filter((event) => event.kind === "notice" && event.level === "error");
  expect(errors).toMatchObject([
    {
      text: 'Cannot put release 1 of service "two" back: ended (exit 1). The new one goes on serving.',
      details: ["no data"],
    },
  ]);
});

test("services that the new commit has no stage for go when it has succeeded, not before", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, project("serve, former", { serve: "service", former: "service" }));
  await server.deployed();
  the.source.push(projectUrl, project("serve >> check", { serve: "service", check: "batch" }));
  the.machine.behaviours.set("check", failing);
  await server.deployed();
  expect(the.machine.ledger).not.toContain("remove former");
  the.machine.behaviours.delete("check");
  const run = await server.deployed();
  expect(run.status).toBe("succeeded");
  expect(the.machine.ledger.at(-1)).toBe("remove former");
  expect(noticesOf(server, run.id).at(-1)).toMatch(
    /^Removing service: former from previous deployment with git-commit-hash: [0-9a-f]{7}\.$/,
  );
});

test("the failure stage runs last with the reason, and its own failure changes nothing about the run's", async () => {
  for (const outcome of [{ does: "succeed" } as const, failing]) {
    const the = world();
    const told: (string | undefined)[] = [];
    the.source.push(
      projectUrl,
      project("a", { a: "batch", tell: "batch" }, { pipeline: ["run_on_failure: tell"] }),
    );
    the.machine.behaviours.set("a", failing).set("tell", (task) => {
      told.push(task.variables.EXCEPTION_MESSAGE, task.variables.GIT_COMMIT_HASH);
      return outcome;
    });
    const run = await serverOf(the).deployed();
    expect(run).toMatchObject({ status: "failed", reason: 'Stage "a" failed: exit 3.' });
    expect(told).toEqual(['Stage "a" failed: exit 3.', run.commit?.shortHash]);
    expect(run.stages.at(-1)).toMatchObject({
      node: "on failure: tell",
      status: outcome.does === "succeed" ? "succeeded" : "failed",
    });
  }
});

test("the failure stage runs when the requirements of another can't be had; no stage is begun", async () => {
  const the = world();
  const withHook = { pipeline: ["run_on_failure: tell"] };
  const missing = [...batch(), "requirements: [missing]"];
  the.source.push(projectUrl, project("a", { a: missing, tell: "batch" }, withHook));
  const failed = await serverOf(the).deployed();
  expect(failed.reason).toBe("Cannot build the Python environment of a: missing is nowhere to be had.");
  expect(failed.details).toEqual(["No matching"]);
  expect(failed.stages.map(({ node, status }) => [node, status])).toEqual([
    ["on failure: tell", "succeeded"],
  ]);
  expect(the.machine.ledger.filter((line) => line.startsWith("start"))).toEqual(["start on failure: tell/1"]);
});

test("the failure stage does not run when its own requirements can't be had, nor when the run is cancelled", async () => {
  const the = world();
  const withHook = { pipeline: ["run_on_failure: tell"] };
  const server = serverOf(the);
  const missing = [...batch(), "requirements: [missing]"];
  the.source.push(projectUrl, project("a", { a: "batch", tell: missing }, withHook));
  const refused = await server.deployed();
  expect(refused.reason).toBe("Cannot build the Python environment of tell: missing is nowhere to be had.");
  expect(refused.stages).toEqual([]);
  the.source.push(projectUrl, project("a", { a: "batch", tell: "batch" }, withHook));
  the.machine.behaviours.set("a", { does: "hang" });
  const runId = await server.deploy();
  await the.machine.happened("start a/1");
  await server.actions.cancelRun(runId, "Ctrl-C");
  expect((await server.finished(runId)).status).toBe("cancelled");
  expect(the.machine.ledger.filter((line) => line.includes("tell"))).toEqual([]);
});

test("a failure stage that hangs can be cancelled; the run has failed all the same", async () => {
  const the = world();
  the.source.push(
    projectUrl,
    project("a", { a: "batch", tell: "batch" }, { pipeline: ["run_on_failure: tell"] }),
  );
  the.machine.behaviours.set("a", failing).set("tell", { does: "hang" });
  const server = serverOf(the);
  const runId = await server.deploy();
  await the.machine.happened("start on failure: tell");
  await server.actions.cancelRun(runId, "Ctrl-C");
  expect(await server.finished(runId)).toMatchObject({
    status: "failed",
    code: "stage-failed",
    reason: 'Stage "a" failed: exit 3.',
  });
  expect(the.machine.running()).toEqual([]);
});

test("all errors of a project file refuse the run at once, before anything is built or started", async () => {
  const the = world();
  const files = project("a >> gone", { a: "batch" });
  the.source.push(projectUrl, {
    ...files,
    "bodywork.yaml": files["bodywork.yaml"]?.replace("log_level: INFO", "log_level: LOUD") ?? "",
  });
  const run = await serverOf(the).deployed();
  expect(run).toMatchObject({ status: "failed", code: "project-invalid" });
  expect(run.reason).toMatch(
    /: Bodywork config file has missing or invalid parameters: logging\.log_level -> unallowed value LOUD, pipeline\.workflow -> cannot find valid stage @ stages\.gone$/,
  );
  expect(run.details).toHaveLength(2);
  expect(run.details[0]).toMatch(/^logging\.log_level -> unallowed value LOUD \(bodywork\.yaml:\d+:\d+\)$/);
  expect(the.environments.built).toEqual([]);
  expect(the.machine.ledger).toEqual([]);
});

test("of many errors the reason has the first and their number, and the details have them all", async () => {
  const the = world();
  the.source.push(projectUrl, { "bodywork.yaml": 'version: "1.1"\npipeline: {}\nstages: {}\nlogging: {}\n' });
  const run = await serverOf(the).deployed();
  expect(run.details.length).toBeGreaterThan(3);
  const [first = ""] = run.details;
  expect(run.reason).toMatch(/missing or invalid parameters: /);
  expect(run.reason?.split(" parameters: ")[1]).toBe(
    `${first.replace(/ \(bodywork\.yaml:.*\)$/, "")} and ${run.details.length - 1} more`,
  );
});

test.each([
  ["that is no YAML", "a: [1\n", /: Cannot parse YAML from bodywork\.yaml: .+ \(bodywork\.yaml:\d+:\d+\)$/],
  [
    "without sections",
    "a: 1\n",
    /: Bodywork config file missing sections: version, .+ \(bodywork\.yaml:1:1\)$/,
  ],
])("a project file %s is told by that alone, once", async (_, text, reason) => {
  const the = world();
  the.source.push(projectUrl, { "bodywork.yaml": text });
  const run = await serverOf(the).deployed();
  expect(run.reason).toMatch(reason);
  expect(run.reason).not.toContain("missing or invalid parameters");
  expect(run.details).toEqual([]);
});

test("warnings are told once, and refuse only with strict", async () => {
  const the = world();
  the.source.push(projectUrl, project("a", { a: "batch", unused: "batch" }));
  const server = serverOf(the);
  const run = await server.deployed();
  const warnings = server
    .events(run.id)
    .filter((event) => event.kind === "notice" && event.level === "warning");
  expect(run.status).toBe("succeeded");
  expect(warnings).toHaveLength(1);
  const strict = await server.finished(await server.deploy(projectUrl, { strict: true }));
  expect(strict.status).toBe("failed");
});

test("another repository may not deploy into a namespace that is taken", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, project("a", { a: "batch" }));
  await server.deployed();
  the.source.push("https://forge.test/me/other", project("a", { a: "batch" }));
  const run = await server.deployed("https://forge.test/me/other");
  expect(run.status).toBe("failed");
  expect(run.reason).toContain("A project with the same name (or namespace): story originating from");
});

test("of two repositories that ask for one namespace at the same time, the second is refused", async () => {
  const the = world();
  const server = serverOf(the);
  the.machine.behaviours.set("a", { does: "wait" });
  the.source.push(projectUrl, project("a", { a: "batch" }));
  the.source.push("https://forge.test/me/other", project("a", { a: "batch" }));
  const first = await server.deploy();
  await the.machine.happened("start a/1");
  const second = await server.deploy("https://forge.test/me/other");
  the.machine.release("a");
  expect((await server.finished(first)).status).toBe("succeeded");
  expect((await server.finished(second)).status).toBe("failed");
});

test("stages that ask for the same environment share one; a second run finds it and says that it was reused", async () => {
  const the = world();
  the.source.push(
    projectUrl,
    project("a, b >> c", { a: "batch", b: "batch", c: [...batch(), "requirements: [x]"] }),
  );
  const server = serverOf(the);
  expect((await server.deployed()).stages.map(({ environment }) => environment?.built)).toEqual([
    true,
    true,
    true,
  ]);
  expect(the.environments.built).toHaveLength(2);
  expect((await server.deployed()).stages.map(({ environment }) => environment?.built)).toEqual([
    false,
    false,
    false,
  ]);
});

test("that an environment has another Python is told by each run, and refused by strict whether it is built or not", async () => {
  const the = world();
  the.source.push(projectUrl, project("a", { a: [...batch(), "requirements: [old]"] }));
  const server = serverOf(the);
  const first = await server.deployed();
  const second = await server.deployed();
  expect(noticesOf(server, first.id)).toContain(otherPython);
  expect(noticesOf(server, second.id)).toContain(otherPython);
  const building = "Building the Python environment of a";
  expect(noticesOf(server, first.id)).toContain(building);
  expect(noticesOf(server, second.id)).not.toContain(building);
  expect(second.stages[0]?.environment?.built).toBe(false);
  const strict = await server.finished(await server.deploy(projectUrl, { strict: true }));
  expect(strict).toMatchObject({ status: "failed", code: "python-missing" });
  expect(strict.reason).toContain(otherPython);
});

test("a run can be cancelled in every phase, and leaves what served as it was", async () => {
  const phases = [
    { phase: "while an environment is built", at: "environment" },
    { phase: "while a stage runs", at: "start a/1" },
    { phase: "while a service starts", at: "start serve candidate r2" },
    { phase: "after a service was replaced", at: "start check/1" },
  ];
  for (const { phase, at } of phases) {
    const the = world({ environments: fakeEnvironments(new Promise(() => {})) });
    const server = serverOf(the);
    the.source.push(projectUrl, project("serve", { serve: "service" }));
    await server.deployed();
    const slow = at === "environment" ? [...batch(), "requirements: [slow]"] : batch();
    the.source.push(
      projectUrl,
      project("a >> serve >> check", { a: slow, serve: service(5000), check: "batch" }),
    );
    for (const stage of ["a", "serve", "check"]) {
      if (at.startsWith(`start ${stage}`))
        the.machine.behaviours.set(stage, (task) =>
          task.release === 1 ? { does: "succeed" } : { does: "hang" },
        );
    }
    const runId = await server.deploy();
    if (at !== "environment") await the.machine.happened(at);
    await new Promise((resolve) => setImmediate(resolve));
    await server.actions.cancelRun(runId, "Ctrl-C");
    const run = await server.finished(runId);
    expect(run, phase).toMatchObject({
      status: "cancelled",
      reason: "cancelled: Ctrl-C",
      code: "cancelled",
      details: [],
    });
    expect(
      the.machine.live().map(({ release }) => release),
      phase,
    ).toEqual([1]);
    expect(the.machine.running(), phase).toEqual([]);
    expect(
      run.stages.map(({ status }) => status),
      phase,
    ).not.toContain("running");
  }
});

test("a cancellation is on record before it is accepted", async () => {
  const the = world();
  the.source.push(projectUrl, project("a", { a: "batch" }));
  the.machine.behaviours.set("a", { does: "hang" });
  const server = serverOf(the);
  const runId = await server.deploy();
  await the.machine.happened("start a/1");
  const accepted = server.actions.cancelRun(runId, "SIGTERM");
  expect(server.store.run(runId)).toMatchObject({ cancelRequested: true, reason: "cancelled: SIGTERM" });
  await accepted;
  await server.finished(runId);
});

test("a cancellation that comes when the release is on record changes nothing about it", async () => {
  const the = world();
  the.source.push(projectUrl, project("former", { former: "service" }));
  const engine = the.machine.connect();
  const server = serverOf(the, {
    parts: {
      engine: {
        ...engine,
        async removeService(service) {
          const [unfinished] = server.store.unfinishedRuns();
          await server.actions.cancelRun(unfinished?.id ?? "", "Ctrl-C");
          await engine.removeService(service);
        },
      },
    },
  });
  await server.deployed();
  the.source.push(projectUrl, project("a", { a: "batch" }));
  const { status, cancelRequested, reason, code } = await server.deployed();
  expect({ status, cancelRequested, reason, code }).toEqual({ status: "succeeded", cancelRequested: true });
});

test("credentials in the URL reach the source and are stored nowhere", async () => {
  const the = world();
  the.source.push(projectUrl, project("a", { a: "batch" }));
  const server = serverOf(the);
  const run = await server.deployed("https://me:canary-token@forge.test/me/project");
  expect(run.status).toBe("succeeded");
  expect(the.source.asked[0]?.url).toContain("canary-token");
  const stored = JSON.stringify([server.store.runs({}), server.events(run.id), server.store.deployments()]);
  expect(stored).not.toContain("canary");
});

test("each log of a roll-out is on record with the replica that wrote it, however often one starts anew", async () => {
  const the = world();
  const replicas = ["service: {max_startup_time_seconds: 30, replicas: 2, port: 5000, ingress: true}"];
  the.source.push(projectUrl, project("a >> serve", { a: "batch", serve: replicas }));
  const engine = the.machine.connect();
  const server = serverOf(the, {
    parts: {
      engine: {
        ...engine,
        rollOut(task, observer, signal) {
          observer.log("replica 2", "2, first start");
          observer.log("replica 2", "2, second start");
          return engine.rollOut(task, observer, signal);
        },
      },
    },
  });
  const run = await server.deployed();
  expect(run.stages.map(({ attempts }) => attempts[0]?.logs)).toEqual([
    [{ source: "attempt 1", reference: `log of ${run.id}/a/1` }],
    [
      { source: "replica 2 of 2", reference: "2, first start" },
      { source: "replica 2 of 2", reference: "2, second start" },
      { source: "replica 1 of 2", reference: `log of ${run.id}/serve/candidate` },
    ],
  ]);
});

test("a log that comes after a service's roll-out is no longer the run's", async () => {
  const the = world();
  the.source.push(projectUrl, project("serve", { serve: "service" }));
  let late: (() => void) | undefined;
  const engine = the.machine.connect();
  const server = serverOf(the, {
    parts: {
      engine: {
        ...engine,
        rollOut(task, observer, signal) {
          late = () => observer.log("replica 1", "log of a restart");
          return engine.rollOut(task, observer, signal);
        },
      },
    },
  });
  const run = await server.deployed();
  late?.();
  expect(server.store.run(run.id)).toEqual(run);
});

test("twenty stages in a row cost a few writes each", async () => {
  const names = Array.from({ length: 20 }, (_, index) => `s${index}`);
  const the = world();
  the.source.push(
    projectUrl,
    project(names.join(" >> "), Object.fromEntries(names.map((name) => [name, "batch"]))),
  );
  let writes = 0;
  const server = serverOf(the, {
    wrapStore: (store) => ({
      ...store,
      saveRun(...run) {
        writes += 1;
        return store.saveRun(...run);
      },
      addEvent(...event) {
        writes += 1;
        return store.addEvent(...event);
      },
    }),
  });
  const begun = performance.now();
  expect((await server.deployed()).status).toBe("succeeded");
  const milliseconds = (performance.now() - begun) / names.length;
  process.stdout.write(`${writes} writes, ${milliseconds.toFixed(1)} ms a stage\n`);
  expect(writes).toBeLessThanOrEqual(20 * 5 + 12);
});

function noticesOf(server: TestServer, runId: string): readonly string[] {
  return server.events(runId).flatMap((event) => (event.kind === "notice" ? [event.text] : []));
}
