import { copyFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import type { Run, RunStatus, StageRun } from "../../src/core/run-state.ts";
import { secretsInUse } from "../../src/operations/secrets-in-use.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Store } from "../../src/ports/store.ts";
import { type CrashingStore, crashingStore } from "../support/crashing-store.ts";
import type { FakeMachine } from "../support/fake-engine.ts";
import { type FakeSecrets, fakeSecrets } from "../support/fake-secrets.ts";
import { projectUrl, serverOf, type TestServer, type World, world } from "../support/operations-harness.ts";
import { batch, service } from "../support/pipelines.ts";
import { project } from "../support/project-text.ts";

/**
 * kill -9 of the server at every write of a run's record, before it and after it. The next server, on the same store and
 * the same machine, must bring the run to the same end as if nothing had happened. Between two servers every secret is
 * updated, and versions that are not in use are swept.
 */
interface Scenario {
  readonly name: string;
  readonly ends: RunStatus;
  readonly behave: (machine: FakeMachine) => void;
  /** The user cancels as soon as the last stage runs. */
  readonly cancels?: boolean;
  readonly attempts: Readonly<Record<string, number>>;
  /** What is live when all is over: stage → release. */
  readonly live: Readonly<Record<string, number>>;
}

const failing = { does: "fail", reason: "exit 3" } as const;
const before = { serve: 1, former: 1 };
const scenarios: readonly Scenario[] = [
  {
    name: "a deploy that succeeds at the second attempt of its last stage",
    ends: "succeeded",
    behave: (machine) =>
      machine.behaviours.set("check", (task) =>
        "attempt" in task && task.attempt === 2 ? { does: "succeed" } : failing,
      ),
    attempts: { a: 1, b: 1, serve: 1, extra: 1, check: 2 },
    live: { serve: 2, extra: 2 },
  },
  {
    name: "a deploy whose last stage fails twice, with a failure stage",
    ends: "failed",
    behave: (machine) => machine.behaviours.set("check", failing),
    attempts: { a: 1, b: 1, serve: 1, extra: 1, check: 2, "on failure: tell": 1 },
    live: before,
  },
  {
    name: "a deploy that is cancelled in its last stage",
    ends: "cancelled",
    behave: (machine) => machine.behaviours.set("check", { does: "hang" }),
    cancels: true,
    attempts: { a: 1, b: 1, serve: 1, extra: 1, check: 1 },
    live: before,
  },
];

test.each(scenarios)(
  "killed at any write of $name, it ends as if it had not been",
  async (scenario) => {
    const base = await baseline();
    const count = await countWrites(base, scenario);
    const problems: string[] = [];
    for (const moment of ["before", "after"] as const) {
      for (let at = 1; at <= count; at++) {
        problems.push(...(await crashAndResume(base, scenario, [{ at, moment }])));
      }
    }
    process.stdout.write(`${scenario.name}: ${count * 2} crash points, ${problems.length} problems\n`);
    expect(count).toBeGreaterThan(20);
    expect(problems).toEqual([]);
  },
  120_000,
);

test.each(scenarios)(
  "killed again while the next server goes on with $name, it still ends so",
  async (scenario) => {
    const base = await baseline();
    const count = await countWrites(base, scenario);
    const problems: string[] = [];
    for (let at = 2; at <= count; at += 3) {
      const again = 1 + ((at * 7) % (count - at + 1));
      const kills = [at, again, again].map((write): Kill => ({ at: write, moment: "after" }));
      problems.push(...(await crashAndResume(base, scenario, kills)));
    }
    expect(problems).toEqual([]);
  },
  120_000,
);

test("the table can fail: without the record of what is about to be changed, services are not put back", async () => {
  expect(await firstProblem(scenarios[1], recordsChangesLate)).toContain("live is");
});

test("the table can fail: when the attempt is not on record before it starts, it is started twice", async () => {
  expect(await firstProblem(scenarios[0], recordsAttemptsLate)).toContain("attempts are");
});

async function firstProblem(
  scenario: Scenario | undefined,
  naive: (store: Store) => Store,
): Promise<string | undefined> {
  if (scenario === undefined) throw new Error("no scenario");
  const base = await baseline();
  const count = await countWrites(base, scenario);
  for (let at = 1; at <= count; at++) {
    const problems = await crashAndResume(base, scenario, [{ at, moment: "before" }], naive);
    if (problems.length > 0) return problems.join("\n");
  }
  return undefined;
}

/** As a naive server would: what a service was before is recorded once it was replaced. */
function recordsChangesLate(store: Store): Store {
  return {
    ...store,
    saveRun: (run, told) =>
      store.saveRun({ ...run, changed: run.changed.filter(({ stage }) => isOver(run, stage)) }, told),
  };
}

/** As a naive server would: an attempt is recorded, under the next number, once it is over. */
function recordsAttemptsLate(store: Store): Store {
  return {
    ...store,
    saveRun: (run, told) => {
      const stages = run.stages.map(
        (stage): StageRun =>
          stage.status !== "running" ? stage : { ...stage, status: "waiting", attempts: [...stage.attempts] },
      );
      return store.saveRun({ ...run, stages }, told);
    },
  };
}

function isOver(run: Run, stage: string): boolean {
  return run.stages.some(
    (node) => node.stage === stage && node.status !== "running" && node.status !== "waiting",
  );
}

const secret = "secrets: {PASSWORD: db}";
const served = [...service(5000), secret];

function secretsOfBaseline(): FakeSecrets {
  const secrets = fakeSecrets();
  secrets.set("story", "db", { PASSWORD: "of release 1" });
  return secrets;
}

/** A world with release 1 of two services, and the next commit pushed. */
async function baseline(): Promise<World> {
  const base = world({ secrets: secretsOfBaseline() });
  base.source.push(projectUrl, project("serve, former", { serve: served, former: "service" }));
  const server = serverOf(base);
  expect((await server.deployed()).status).toBe("succeeded");
  server.store.close();
  base.source.push(
    projectUrl,
    project(
      "a, b >> serve, extra >> check",
      {
        a: [...batch(), secret],
        b: "batch",
        serve: served,
        extra: service(5001),
        check: batch(60, 1),
        tell: [...batch(), secret],
      },
      { pipeline: ["run_on_failure: tell"] },
    ),
  );
  return base;
}

let copies = 0;

function copyOf(base: World, scenario: Scenario): World {
  const storeFile = join(dirname(base.storeFile), `copy-${copies++}.db`);
  copyFileSync(base.storeFile, storeFile);
  const copy = { ...base, storeFile, machine: base.machine.clone(), secrets: secretsOfBaseline() };
  copy.secrets.set("story", "db", { PASSWORD: "of release 2" });
  scenario.behave(copy.machine);
  return copy;
}

async function countWrites(base: World, scenario: Scenario): Promise<number> {
  const the = copyOf(base, scenario);
  const counting = crashingStore(Number.POSITIVE_INFINITY, "before", () => {});
  const server = serverOf(the, { wrapStore: counting.wrap });
  const run = await carriedOut(server, the, scenario, counting);
  expect(run?.status).toBe(scenario.ends);
  server.store.close();
  return counting.writes();
}

/** The server is killed at its n-th write. */
interface Kill {
  readonly at: number;
  readonly moment: "before" | "after";
}

/** What is wrong after the crashes and what the last server made of it; nothing when all is as it should be. */
async function crashAndResume(
  base: World,
  scenario: Scenario,
  kills: readonly Kill[],
  naive: (store: Store) => Store = (store) => store,
): Promise<readonly string[]> {
  const the = copyOf(base, scenario);
  for (const [index, kill] of kills.entries()) {
    const { promise: killed, resolve: onKilled } = Promise.withResolvers<void>();
    const crashing = crashingStore(kill.at, kill.moment, () => {
      server.engine.cutOff();
      onKilled();
    });
    const server = serverOf(
      { ...the, clock: clockThatStops(the.clock, () => crashing.dead()) },
      { wrapStore: (store) => crashing.wrap(naive(store)) },
    );
    const life = index === 0 ? carriedOut(server, the, scenario, crashing) : resumed(server, the, scenario);
    await Promise.race([killed, life.catch(() => {})]);
    the.secrets.set("story", "db", { PASSWORD: "changed since" });
    the.secrets.sweep(secretsInUse(server));
    server.store.close();
  }
  const last = serverOf(the, { wrapStore: naive });
  await resumed(last, the, scenario);
  const problems = problemsOf(last, the, scenario);
  last.store.close();
  return problems.map((problem) => `${JSON.stringify(kills)}: ${problem}`);
}

async function resumed(server: TestServer, the: World, scenario: Scenario): Promise<void> {
  const [left] = server.store.unfinishedRuns();
  server.actions.resume();
  if (left === undefined) return;
  if (scenario.cancels) await cancelWhenReached(server, the, left.id);
  await server.finished(left.id);
}

async function carriedOut(
  server: TestServer,
  the: World,
  scenario: Scenario,
  crashing: CrashingStore,
): Promise<Run | undefined> {
  const runId = await server.deploy();
  if (scenario.cancels) await cancelWhenReached(server, the, runId);
  return crashing.dead() ? undefined : server.finished(runId);
}

async function cancelWhenReached(server: TestServer, the: World, runId: string): Promise<void> {
  if (server.store.run(runId)?.cancelRequested) return;
  await the.machine.happened("start check/1");
  await new Promise((resolve) => setImmediate(resolve));
  await server.actions.cancelRun(runId, "Ctrl-C");
}

function problemsOf(server: TestServer, the: World, scenario: Scenario): readonly string[] {
  const [run] = server.store.runs({ deployment: "story" });
  const problems: string[] = [];
  const compare = (what: string, found: unknown, wanted: unknown): void => {
    if (JSON.stringify(found) !== JSON.stringify(wanted)) {
      problems.push(`${what} ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
    }
  };
  const live = Object.fromEntries(the.machine.live().map(({ stage, release }) => [stage.name, release]));
  compare("still running is", the.machine.running(), []);
  const accepted = server.store.runs({}).length > 1;
  compare("live is", sorted(live), sorted(accepted ? scenario.live : before));
  if (!accepted || run === undefined) return problems;
  compare("the run is", run.status, scenario.ends);
  const passwordOf = (stage: string): number | undefined =>
    the.machine.live().find(({ stage: { name } }) => name === stage)?.secrets?.PASSWORD?.version;
  const decided = scenario.ends === "succeeded" ? run.secrets?.serve?.PASSWORD?.version : 1;
  compare("the version of its secret is", passwordOf("serve"), decided);
  const doubled = [...the.machine.starts()].filter(([key, times]) => times > 1 && !key.includes("candidate"));
  compare("started twice is", doubled, []);
  const attempts = Object.fromEntries(run.stages.map((stage) => [stage.node, stage.attempts.length]));
  compare("attempts are", sorted(attempts), sorted(scenario.attempts));
  const batches = [...the.machine.starts()].filter(([key]) => !key.includes("candidate")).length;
  const wanted = Object.entries(scenario.attempts).filter(([node]) => node !== "serve" && node !== "extra");
  compare(
    "attempts started are",
    batches,
    wanted.reduce((sum, [, count]) => sum + count, 0),
  );
  compare(
    "unfinished stages are",
    run.stages.filter(({ status }) => status === "running" || status === "waiting"),
    [],
  );
  const release = scenario.ends === "succeeded" ? 2 : 1;
  compare("the live release is", server.store.deployment("story", "story")?.liveRelease, release);
  compare("releases are", server.store.releases("story", "story").length, release);
  return problems;
}

function sorted(record: Readonly<Record<string, number>>): unknown {
  return Object.entries(record).toSorted(([a], [b]) => a.localeCompare(b));
}

/** A killed server does not wake up again. */
function clockThatStops(clock: Clock, dead: () => boolean): Clock {
  return {
    ...clock,
    sleep: (milliseconds, signal) => (dead() ? new Promise(() => {}) : clock.sleep(milliseconds, signal)),
  };
}
