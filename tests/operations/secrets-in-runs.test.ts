import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import type { BatchTask, ServiceTask } from "../../src/core/run-state.ts";
import { secretsInUse } from "../../src/operations/secrets-in-use.ts";
import type { Store } from "../../src/ports/store.ts";
import type { Behaviour } from "../support/fake-engine.ts";
import { fakeEnvironments } from "../support/fake-parts.ts";
import { projectUrl, serverOf, type TestServer, type World, world } from "../support/operations-harness.ts";
import { batch, service } from "../support/pipelines.ts";
import { project } from "../support/project-text.ts";

const withSecret = [...batch(), "secrets: {PASSWORD: db}"];
const failing = { does: "fail", reason: "exit 3", lastLines: ["no data"] } as const;

/** Notes each task as it starts. */
function tasksOf({ machine }: World, behaviour: Behaviour = { does: "succeed" }) {
  const tasks: (BatchTask | ServiceTask)[] = [];
  const noted =
    (does: Behaviour = behaviour) =>
    (task: BatchTask | ServiceTask): Behaviour => {
      tasks.push(task);
      return does;
    };
  return { tasks, noted, watch: (stage: string) => machine.behaviours.set(stage, noted()) };
}

function noticesOf(server: TestServer, runId: string): readonly string[] {
  return server.events(runId).flatMap((event) => (event.kind === "notice" ? [event.text] : []));
}

test("a stage is told where its secrets are, and nobody but the engine learns their values", async () => {
  const the = world();
  the.secrets.set("story", "db", { PASSWORD: "canary-1", USER: "ada" });
  the.source.push(projectUrl, project("a >> serve", { a: withSecret, serve: "service" }));
  const { tasks, watch } = tasksOf(the);
  watch("a");
  watch("serve");
  const server = serverOf(the);
  const run = await server.deployed();
  expect(run.status).toBe("succeeded");
  expect(tasks.map(({ secrets }) => secrets)).toEqual([
    { PASSWORD: { group: "story", name: "db", version: 1, key: "PASSWORD" } },
    {},
  ]);
  expect(JSON.stringify(tasks)).not.toContain("canary");
  expect(noticesOf(server, run.id)).toContain("Using secrets from group = story");
});

test.each([
  ["that was asked for", { group: "asked" }, ["secrets_group: filed"], "asked"],
  ["of the project file", {}, ["secrets_group: filed"], "filed"],
  ["named like the pipeline", {}, [], "story"],
])("secrets are those of the group %s", async (_, request, pipeline, group) => {
  const the = world();
  for (const one of ["asked", "filed", "story"]) the.secrets.set(one, "db", { PASSWORD: `of ${one}` });
  the.source.push(projectUrl, project("a", { a: withSecret }, { pipeline }));
  const server = serverOf(the);
  const run = await server.finished(await server.deploy(projectUrl, request));
  expect(run).toMatchObject({ status: "succeeded", secretsGroup: group });
  expect(run.secrets?.a?.PASSWORD?.group).toBe(group);
  expect(server.store.deployment("story", "story")?.secretsGroup).toBe(group);
});

test("a release says which versions of which secrets it was made with, each once", async () => {
  const the = world();
  the.secrets.set("story", "db", { PASSWORD: "first", USER: "ada" });
  the.secrets.set("story", "db", { PASSWORD: "second" });
  the.secrets.set("story", "api", { TOKEN: "third", HOOK: "fourth" });
  const stages = {
    a: [...batch(), "secrets: {PASSWORD: db, USER: db}"],
    serve: [...service(5000), "secrets: {PASSWORD: db, TOKEN: api}"],
    tell: [...batch(), "secrets: {HOOK: api}"],
  };
  the.source.push(projectUrl, project("a >> serve", stages, { pipeline: ["run_on_failure: tell"] }));
  const server = serverOf(the);
  await server.deployed();
  expect(server.store.release("story", "story", 1)?.secrets).toEqual([
    { group: "story", name: "api", version: 1 },
    { group: "story", name: "db", version: 2 },
  ]);
});

test("all secrets that are missing refuse the run at once, with the commands that mend it, before anything is built", async () => {
  const the = world();
  the.secrets.set("prod", "db", { USER: "ada" });
  the.secrets.set("story", "chat", { HOOK: "of another group" });
  const stages = {
    a: [...batch(), "secrets: {USER: db, PASSWORD: db}"],
    b: [...batch(), "secrets: {PASSWORD: db, TOKEN: api, KEY: api}"],
    tell: [...batch(), "secrets: {HOOK: chat}"],
  };
  const pipeline = ["secrets_group: prod", "run_on_failure: tell", "namespace: space"];
  the.source.push(projectUrl, project("a >> b", stages, { pipeline }));
  const run = await serverOf(the).deployed();
  const line = (key: string, secret: string): string =>
    `cannot find key=${key} in secret=${secret} in namespace=space`;
  expect(run).toMatchObject({
    status: "failed",
    code: "secret-missing",
    reason: `Cannot deploy "story": ${line("PASSWORD", "db")} and 3 more.`,
    details: [
      `${line("PASSWORD", "db")}: the secret db of group prod has no such key (needed by a, b)`,
      `${line("TOKEN", "api")}: group prod has no secret api (needed by b)`,
      `${line("KEY", "api")}: group prod has no secret api (needed by b)`,
      `${line("HOOK", "chat")}: group prod has no secret chat (needed by tell)`,
    ],
    hint: [
      "bodywork update secret db --group prod --data PASSWORD=VALUE",
      "bodywork create secret api --group prod --data TOKEN=VALUE --data KEY=VALUE",
      "bodywork create secret chat --group prod --data HOOK=VALUE",
    ].join("\n"),
  });
  expect(the.environments.built).toEqual([]);
  expect(the.machine.ledger, "the failure stage neither").toEqual([]);
});

test("the command that mends it can be typed as it is, whatever the group is called", async () => {
  const the = world();
  the.source.push(
    projectUrl,
    project("a", { a: withSecret }, { pipeline: ['secrets_group: "Ada\'s group"'] }),
  );
  expect((await serverOf(the).deployed()).hint).toBe(
    String.raw`bodywork create secret db --group 'Ada'\''s group' --data PASSWORD=VALUE`,
  );
});

test("secrets that can't be opened refuse the run before anything is built, with the true cause", async () => {
  const the = world();
  the.secrets.set("story", "db", { PASSWORD: "canary" });
  the.source.push(projectUrl, project("a", { a: withSecret }));
  const secrets = {
    ...the.secrets,
    reveal() {
      throw new Failure("secret-key", "Cannot open the secrets: the master key is another one.");
    },
  };
  const run = await serverOf(the, { parts: { secrets } }).deployed();
  expect(run).toMatchObject({ status: "failed", code: "secret-key" });
  expect(the.environments.built).toEqual([]);
});

test("the failure stage has its secrets, the masked reason and the commit, also of a private repository", async () => {
  const the = world();
  const url = "git@forge.test:me/private";
  the.secrets.set("story", "db", { PASSWORD: "canary-password" });
  the.secrets.set("story", "chat", { HOOK: "canary-hook" });
  const stages = { a: withSecret, tell: [...batch(), "secrets: {HOOK: chat}"] };
  the.source.push(url, project("a", stages, { pipeline: ["run_on_failure: tell"] }));
  const { tasks, watch } = tasksOf(the);
  watch("tell");
  the.machine.behaviours.set("a", { ...failing, reason: "refused canary-password" });
  const run = await sshServerOf(the).deployed(url);
  expect(run.status).toBe("failed");
  expect(run.reason).not.toContain("canary");
  expect(tasks.map(({ variables, secrets }) => ({ variables, secrets }))).toEqual([
    {
      variables: { GIT_COMMIT_HASH: run.commit?.shortHash, EXCEPTION_MESSAGE: run.reason },
      secrets: { HOOK: { group: "story", name: "chat", version: 1, key: "HOOK" } },
    },
  ]);
});

test("the failure stage does not run when the namespace is another repository's", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, project("a", { a: "batch" }));
  await server.deployed();
  const other = "https://forge.test/me/other";
  const pipeline = ["run_on_failure: tell"];
  the.source.push(other, project("a", { a: "batch", tell: "batch" }, { pipeline }));
  expect((await server.deployed(other)).code).toBe("namespace-taken");
  expect(the.machine.ledger.filter((line) => line.includes("tell"))).toEqual([]);
});

/** A fake source refuses what has no `://`; the true one does not. */
function sshServerOf(the: World): TestServer {
  return serverOf(the, { parts: { source: { ...the.source, check: () => {} } } });
}

async function versionAfterCrash(
  wrapStore: (store: Store) => Store = (store) => store,
): Promise<number | undefined> {
  const the = world();
  the.secrets.set("story", "db", { PASSWORD: "before" });
  the.source.push(projectUrl, project("a >> b", { a: "batch", b: withSecret }));
  const { tasks, noted } = tasksOf(the);
  the.machine.behaviours.set("a", { does: "wait" }).set("b", noted());
  const first = serverOf(the, { wrapStore });
  const runId = await first.deploy();
  await the.machine.happened("start a/1");
  first.engine.cutOff();
  the.secrets.set("story", "db", { PASSWORD: "after" });
  the.secrets.sweep(secretsInUse(first));
  const second = serverOf(the, { wrapStore });
  second.actions.resume();
  the.machine.release("a");
  expect((await second.finished(runId)).status).toBe("succeeded");
  return tasks[0]?.secrets?.PASSWORD?.version;
}

test("a run that another server goes on with has the versions that were decided before, which no sweep removes", async () => {
  expect(await versionAfterCrash()).toBe(1);
});

test("that can fail: without the record of what was decided, it has the newest ones", async () => {
  const forgetful = (store: Store): Store => ({
    ...store,
    saveRun: (run, told) => store.saveRun({ ...run, secrets: undefined }, told),
  });
  expect(await versionAfterCrash(forgetful)).toBe(2);
});

test("a version is safe from the sweep as soon as it is decided, while the environments are still built", async () => {
  const { promise: built, resolve: build } = Promise.withResolvers<void>();
  const the = world({ environments: fakeEnvironments(built) });
  the.secrets.set("story", "db", { PASSWORD: "before" });
  the.source.push(projectUrl, project("a", { a: [...withSecret, "requirements: [slow]"] }));
  const server = serverOf(the);
  const runId = await server.deploy();
  while (!noticesOf(server, runId).some((text) => text.startsWith("Building"))) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  the.secrets.set("story", "db", { PASSWORD: "after" });
  the.secrets.sweep(secretsInUse(server));
  expect(the.secrets.reveal({ group: "story", name: "db", version: 1, key: "PASSWORD" }).reveal()).toBe(
    "before",
  );
  build();
  expect((await server.finished(runId)).status).toBe("succeeded");
});

test("a service keeps the version that it was started with, until another one has taken its place", async () => {
  const the = world();
  the.secrets.set("story", "db", { PASSWORD: "before" });
  the.source.push(projectUrl, project("serve", { serve: [...service(5000), "secrets: {PASSWORD: db}"] }));
  const server = serverOf(the);
  await server.deployed();
  the.secrets.set("story", "db", { PASSWORD: "after" });
  const versions = (): readonly number[] => [...new Set(secretsInUse(server).map(({ version }) => version))];
  expect(versions()).toEqual([1]);
  await server.deployed();
  expect(versions()).toEqual([2]);
});

const canary = 'canary "Ünicode" /+?& value';
const manyLines = "-----BEGIN canary-one-----\ncanary-two-canary-two\n-----END canary-three-----";

/** A value as it may get into a text. */
function formsOf(value: string): readonly string[] {
  const bytes = Buffer.from(value);
  return [
    value,
    JSON.stringify(value).slice(1, -1),
    encodeURIComponent(value),
    bytes.toString("base64"),
    bytes.toString("base64url"),
    bytes.toString("hex"),
  ];
}

const leaks = [...formsOf(canary), ...formsOf(manyLines), ...manyLines.split("\n")];

/** Everything that the store has on disk: also what is in the write-ahead log only, and what was overwritten. */
function storedText({ storeFile }: World): string {
  return [storeFile, `${storeFile}-wal`].map((file) => readFileSync(file, "latin1")).join("\n");
}

function leaksIn(text: string): readonly string[] {
  // Values are stored in UTF-8.
  return leaks.filter((leak) => text.includes(Buffer.from(leak).toString("latin1")) || text.includes(leak));
}

/** A pipeline whose stages, services and engine say all they know, in every form. */
async function talkativeRun(the: World, last: Behaviour): Promise<TestServer> {
  const talk = [`the values are ${leaks.join(" ")}`, ...manyLines.split("\n")];
  const secret = "secrets: {ONE: s, MANY: s}";
  const stages = {
    a: [...batch(60, 1), secret],
    serve: [...service(5000), secret],
    last: [...batch(), secret],
    tell: [...batch(), secret],
  };
  the.source.push(projectUrl, project("a >> serve >> last", stages, { pipeline: ["run_on_failure: tell"] }));
  const fails = { does: "fail", reason: talk.join(" "), lastLines: talk } as const;
  the.machine.behaviours
    .set("a", (task) => ("attempt" in task && task.attempt === 2 ? { does: "succeed" } : fails))
    .set("last", last.does === "fail" ? fails : last)
    .set("tell", fails);
  const engine = the.machine.connect();
  const server = serverOf(the, {
    parts: {
      engine: {
        ...engine,
        rollOut(task, observer, signal) {
          observer.note("warning", talk.join(" "));
          return engine.rollOut(task, observer, signal);
        },
      },
    },
  });
  const run = await server.deployed();
  expect(run.status).toBe(last.does === "fail" ? "failed" : "succeeded");
  return server;
}

test.each([failing, { does: "succeed" } as const])(
  "no form of a secret's value is in any row of the store after a run whose stages tell them and whose last one does %j",
  async (last) => {
    const the = world();
    the.secrets.set("story", "s", { ONE: canary, MANY: manyLines });
    const server = await talkativeRun(the, last);
    expect(leaksIn(storedText(the))).toEqual([]);
    const [run] = server.store.runs({});
    expect(leaksIn(JSON.stringify([run, server.events(run?.id ?? "")]))).toEqual([]);
    expect(run?.stages[0]?.attempts[0]?.reason).toContain("the values are");
  },
);

test("that can fail: of values that are no secrets of the run, the store has every form", async () => {
  const the = world();
  the.secrets.set("story", "s", { ONE: "something else", MANY: "and another" });
  await talkativeRun(the, failing);
  expect(leaksIn(storedText(the)).length).toBeGreaterThan(5);
});

test("what a release says while it is put back is masked with its own secrets, which are not the run's", async () => {
  const the = world();
  const serve = [...service(5000), "secrets: {PASSWORD: db}"];
  the.secrets.set("story", "db", { PASSWORD: "canary-before" });
  the.source.push(projectUrl, project("serve", { serve }));
  const server = serverOf(the);
  await server.deployed();
  the.secrets.set("story", "db", { PASSWORD: "something-after" });
  the.source.push(projectUrl, project("serve >> check", { serve, check: "batch" }));
  the.machine.behaviours
    .set("check", failing)
    .set("serve", (task) =>
      task.release === 1
        ? { does: "fail", reason: "died of canary-before", lastLines: ["canary-before"] }
        : { does: "succeed" },
    );
  const run = await server.deployed();
  expect(noticesOf(server, run.id).join("\n")).toContain(
    'Cannot put release 1 of service "serve" back: died of',
  );
  expect(JSON.stringify(server.events(run.id))).not.toContain("canary");
});
