import { copyFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import type { Job, JobStatus } from "../../src/core/job-state.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Store } from "../../src/ports/store.ts";
import { type CrashingStore, crashingStore } from "../support/crashing-store.ts";
import type { FakeMachine } from "../support/fake-engine.ts";
import { projectUrl, serverOf, type TestServer, type World, world } from "../support/operations-harness.ts";
import { project } from "../support/project-text.ts";

/**
 * kill -9 of the server at every write while a job takes several runs, before the write and after it. The next server
 * must bring it to the same end: as many runs as if nothing had happened, none of them doubled.
 */
interface Scenario {
  readonly name: string;
  readonly ends: JobStatus;
  /** Runs that fail before one succeeds. */
  readonly failures: number;
  readonly runs: number;
}

const scenarios: readonly Scenario[] = [
  { name: "a job whose second run succeeds", ends: "succeeded", failures: 1, runs: 2 },
  { name: "a job whose runs all fail", ends: "failed", failures: 9, runs: 3 },
];

const id = "async-workflow-foo";
const request = { url: projectUrl, branch: undefined, strict: false, startedBy: "async" };

test.each(scenarios)(
  "killed at any write of $name, it ends as if it had not been",
  async (scenario) => {
    const base = baseline();
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
    const base = baseline();
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

test("the table can fail: when a run is on record with its job only once it is over, there are too many", async () => {
  const base = baseline();
  for (const scenario of scenarios) {
    const count = await countWrites(base, scenario);
    const problems: string[] = [];
    for (let at = 1; at <= count && problems.length === 0; at++) {
      problems.push(...(await crashAndResume(base, scenario, [{ at, moment: "after" }], recordsRunsLate())));
    }
    expect(problems.join("\n")).toContain("runs are");
  }
});

/** As a naive server would: which run a job has is in its memory until the run has ended. */
function recordsRunsLate(): (store: Store) => Store {
  return (store) => {
    const memory = new Map<string, Job>();
    return {
      ...store,
      saveJob(job) {
        if (job.status === "active") memory.set(job.id, job);
        else memory.delete(job.id);
        if (job.status !== "active") store.saveJob(job);
      },
      job: (jobId) => memory.get(jobId) ?? store.job(jobId),
    };
  };
}

function baseline(): World {
  const base = world();
  base.source.push(projectUrl, project("a", { a: "batch" }));
  serverOf(base).store.close();
  return base;
}

let copies = 0;

function copyOf(base: World, { failures }: Scenario): World {
  const storeFile = join(dirname(base.storeFile), `copy-${copies++}.db`);
  copyFileSync(base.storeFile, storeFile);
  const machine: FakeMachine = base.machine.clone();
  const seen = new Set<string>();
  machine.behaviours.set("a", ({ runId }) => {
    seen.add(runId);
    const number = [...seen].indexOf(runId);
    return number < failures ? { does: "fail", reason: "exit 3" } : { does: "succeed" };
  });
  return { ...base, storeFile, machine };
}

async function countWrites(base: World, scenario: Scenario): Promise<number> {
  const the = copyOf(base, scenario);
  const counting = crashingStore(Number.POSITIVE_INFINITY, "before", () => {});
  const server = serverOf(the, { wrapStore: counting.wrap });
  await accepted(server, counting);
  expect(problemsOf(server, the, scenario)).toEqual([]);
  server.store.close();
  return counting.writes();
}

/** The server is killed at its n-th write. */
interface Kill {
  readonly at: number;
  readonly moment: "before" | "after";
}

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
    const life = index === 0 ? accepted(server, crashing) : resumed(server, crashing);
    await Promise.race([killed, life.catch(() => {})]);
    server.store.close();
  }
  const last = serverOf(the, { wrapStore: naive });
  await resumed(last);
  const problems = problemsOf(last, the, scenario);
  last.store.close();
  return problems.map((problem) => `${JSON.stringify(kills)}: ${problem}`);
}

async function accepted(server: TestServer, crashing: CrashingStore): Promise<void> {
  await server.jobs.createJob({ name: "foo", request, retries: 2 });
  await allEnded(server, crashing);
}

async function resumed(server: TestServer, crashing?: CrashingStore): Promise<void> {
  server.actions.resume();
  server.jobs.resume();
  await allEnded(server, crashing);
}

async function allEnded({ store, actions }: TestServer, crashing?: CrashingStore): Promise<void> {
  const isDead = (): boolean => crashing?.dead() === true;
  while (!isDead() && (store.unfinishedJobs().length > 0 || actions.running().length > 0)) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function problemsOf({ store }: TestServer, { machine }: World, scenario: Scenario): readonly string[] {
  const job = store.job(id);
  const runs = store.runs({}).toReversed();
  const problems: string[] = [];
  const compare = (what: string, found: unknown, wanted: unknown): void => {
    if (JSON.stringify(found) !== JSON.stringify(wanted)) {
      problems.push(`${what} ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
    }
  };
  compare("still running is", machine.running(), []);
  compare("runs are", runs.length, job === undefined ? 0 : scenario.runs);
  if (job === undefined) return problems;
  compare("the job is", job.status, scenario.ends);
  compare(
    "its runs are",
    job.runs,
    runs.map((run) => run.id),
  );
  const outcomes = runs.map(({ status }) => status);
  const last = scenario.ends === "succeeded" ? "succeeded" : "failed";
  compare("they have", outcomes, [...Array(scenario.runs - 1).fill("failed"), last]);
  compare("attempts were", [...machine.starts().values()], Array(scenario.runs).fill(1));
  return problems;
}

/** A killed server does not wake up again. */
function clockThatStops(clock: Clock, dead: () => boolean): Clock {
  return {
    ...clock,
    sleep: (milliseconds, signal) => (dead() ? new Promise(() => {}) : clock.sleep(milliseconds, signal)),
  };
}
