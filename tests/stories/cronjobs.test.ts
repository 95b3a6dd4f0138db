import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, type TestContext, test } from "vitest";
import type { JobRecord } from "../../src/cli/job-records.ts";
import { type Bodywork, bodywork, eventually } from "../support/bodywork.ts";
import { fates } from "../support/cronjobs.ts";
import { type FakeTime, fakeTime } from "../support/fake-time.ts";
import { type GitProject, makeProject } from "../support/git-project.ts";
import { processesBelow } from "../support/orphans.ts";
import { batch, projectFile, trainAndServe } from "../support/pipelines.ts";
import { soaking } from "../support/soak.ts";
import { temporaryFolder } from "../support/temporary.ts";

const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
const preload = new URL("../support/crash-steps.ts", import.meta.url).href;

/** A user whose machine's clock is ours to set. */
interface Story {
  readonly tool: Bodywork;
  readonly clock: FakeTime;
  /** Hourly; the options may say otherwise. */
  create(name: string, project: GitProject, ...options: readonly string[]): Promise<void>;
  /** Sets the clock. Whoever changes a cronjob wakes the scheduler, which else would see it within half a minute. */
  setClock(time: string): Promise<void>;
  /** Newest first. */
  jobs(cronjob: string): Promise<readonly JobRecord[]>;
  /** Waits until the jobs of a cronjob are these, as `fates` has them. */
  become(cronjob: string, wanted: readonly (string | RegExp)[]): Promise<void>;
}

/** The day of each story: a Monday. */
const at = (time: string): string => `2026-03-02T${time}.000Z`;

async function story(context: TestContext, start: string, settings = ""): Promise<Story> {
  const clock = fakeTime(context, at(start));
  const tool = bodywork(clock.variables);
  mkdirSync(tool.home, { recursive: true, mode: 0o700 });
  writeFileSync(join(tool.home, "settings.yaml"), settings);
  await startServer(tool, clock);
  // It exists to be changed.
  const waker = await makeProject({ files: batchOnly("waker", ""), path: temporaryFolder("project") });
  const create: Story["create"] = async (name, project, ...options) => {
    const schedule = options.some((option) => option.startsWith("--schedule"))
      ? []
      : ["--schedule", "0 * * * *"];
    await done(tool, "create", "cronjob", project.url, "--name", name, ...schedule, ...options);
  };
  await create("waker", waker, "--suspend");
  const jobs = async (cronjob: string): Promise<readonly JobRecord[]> =>
    JSON.parse(await done(tool, "get", "cronjob", cronjob, "--history", "--output", "json")) as JobRecord[];
  return {
    tool,
    clock,
    create,
    jobs,
    async setClock(time) {
      clock.set(at(time));
      await done(tool, "update", "cronjob", waker.url, "--name", "waker", "--suspend");
    },
    async become(cronjob, wanted) {
      let found: readonly string[] = [];
      const same = (): boolean =>
        found.length === wanted.length &&
        wanted.every((text, index) =>
          typeof text === "string" ? text === found[index] : text.test(found[index] ?? ""),
        );
      await eventually(async () => {
        found = fates(await jobs(cronjob));
        return same();
      }, 60).catch(() => expect(found).toEqual(wanted));
    },
  };
}

test("at each due time the newest commit is cloned, trained and deployed; history and log tell it, up to the limit", async (context) => {
  const { tool, create, setClock, jobs, become } = await story(context, "09:59:50");
  const project = await makeProject({ files: trainAndServe("one"), path: temporaryFolder("project") });
  await create("train", project, "--history-limit", "1");
  await become("train", ["10:00 succeeded"]);
  const { url } = await tool.service("story", "serve");
  expect(await (await fetch(`${url}/`)).text()).toBe("one");
  const [first] = await jobs("train");

  await project.commit(trainAndServe("two"));
  await setClock("10:59:58");
  await become("train", ["10:00 succeeded", "11:00 succeeded"]);
  expect(await (await fetch(`${url}/`)).text()).toBe("two");

  const [job] = await jobs("train");
  const late = Date.parse(job?.startedAt ?? "") - Date.parse(job?.dueAt ?? "");
  expect(late).toBeGreaterThanOrEqual(0);
  expect(late).toBeLessThan(30_000);
  const history = await done(tool, "get", "cronjob", "train", "--history");
  expect(history).toContain(`run ID = ${job?.id}`);
  expect(history).toMatch(/2026-03-02 11:00.*ran, succeeded/);
  const log = await done(tool, "get", "cronjob", "train", "--logs", job?.id ?? "");
  expect(log).toContain("trained two");

  // Of the first job only its row is left.
  await eventually(async () => (await tool.runs()).length === 1);
  expect(readdirSync(join(tool.home, "runs"))).toEqual(job?.runs);
  const gone = await tool.run("get", "cronjob", "train", "--logs", first?.id ?? "");
  expect(gone.exitCode).toBe(1);
  expect(gone.stdout).not.toContain("trained one");
}, 240_000);

test("with --retries the whole deployment runs again after one that failed", async (context) => {
  const { tool, create, jobs, become } = await story(
    context,
    "09:59:50",
    "jobs: {retry_delay_seconds: 0.2}\n",
  );
  const marks = join(temporaryFolder("marks"), "marks");
  const prepare = `open(${JSON.stringify(marks)}, "a").write("prepare ")\n`;
  const train = [
    `marks = ${JSON.stringify(marks)}`,
    'open(marks, "a").write("train ")',
    'assert open(marks).read().count("train") > 1, "the first one fails"',
  ].join("\n");
  const files = {
    "bodywork.yaml": projectFile({
      name: "again",
      dag: "prepare >> train",
      stages: { prepare: batch(), train: batch() },
    }),
    "prepare.py": prepare,
    "train.py": train,
  };
  const project = await makeProject({ files, path: temporaryFolder("project") });
  await create("again", project, "--retries", "2");
  await become("again", ["10:00 succeeded"]);
  expect(readFileSync(marks, "utf8")).toBe("prepare train prepare train ");
  const [job] = await jobs("again");
  const runs = await tool.runs();
  expect(runs.map(({ id, status, request }) => [id, status, request.job])).toEqual([
    [job?.runs[1], "succeeded", job?.id],
    [job?.runs[0], "failed", job?.id],
  ]);
}, 120_000);

test("a server that was stopped over three due times says of each that it was missed, or made up for, as --catch-up says", async (context) => {
  const { tool, clock, create, jobs, become } = await story(context, "09:30:00");
  for (const policy of ["latest", "none", "all"]) {
    const files = batchOnly(policy, "print('trained')");
    const project = await makeProject({ files, path: temporaryFolder("project") });
    await create(policy, project, "--catch-up", policy);
  }
  await done(tool, "server", "stop");
  clock.set(at("12:20:00"));
  await startServer(tool, clock);
  await become("latest", ["10:00 missed: no server ran", "11:00 missed: no server ran", "12:00 succeeded"]);
  await become("none", [
    "10:00 missed: no server ran",
    "11:00 missed: no server ran",
    "12:00 missed: no server ran",
  ]);
  await become("all", ["10:00 succeeded", "11:00 succeeded", "12:00 succeeded"]);
  const [third, second, first] = await jobs("all");
  expect((second?.startedAt ?? "") >= (first?.endedAt ?? "x")).toBe(true);
  expect((third?.startedAt ?? "") >= (second?.endedAt ?? "x")).toBe(true);
  const history = await done(tool, "get", "cronjob", "latest", "--history");
  expect(history).toMatch(/10:00.*missed.*no server ran/);
  expect(history).toMatch(/12:00.*ran, succeeded +20m/);
}, 120_000);

test("a due time while the job before still runs is skipped, starts beside it or in its place, as --concurrency says", async (context) => {
  const { tool, create, setClock, jobs, become } = await story(context, "09:59:40");
  const gate = join(temporaryFolder("gate"), "open");
  const waits = `import os, time\nwhile not os.path.exists(${JSON.stringify(gate)}): time.sleep(0.1)\n`;
  for (const policy of ["forbid", "allow", "replace"]) {
    const project = await makeProject({ files: batchOnly(policy, waits), path: temporaryFolder("project") });
    await create(policy, project, "--concurrency", policy);
  }
  for (const policy of ["forbid", "allow", "replace"]) await become(policy, ["10:00 active"]);
  await eventually(
    async () => (await tool.runs()).filter(({ status }) => status === "running").length === 3,
    60,
  );
  const [replaced] = await jobs("replace");
  await setClock("10:59:58");
  await become("forbid", ["10:00 active", /^11:00 skipped: forbid-\d+ is still running$/]);
  await become("allow", ["10:00 active", "11:00 active"]);
  await become("replace", [/^10:00 cancelled: cancelled: replaced by replace-\d+$/, "11:00 active"]);
  expect(
    processesBelow(join(tool.home, "runs", replaced?.runs[0] ?? "")).map(({ command }) => command),
  ).toEqual([]);

  writeFileSync(gate, "");
  await become("forbid", ["10:00 succeeded", /^11:00 skipped/]);
  await become("allow", ["10:00 succeeded", "11:00 succeeded"]);
  await become("replace", [/^10:00 cancelled/, "11:00 succeeded"]);
}, 240_000);

test("a clock that is set back by an hour fires nothing twice, and the next due time fires once", async (context) => {
  const { tool, clock, create, setClock, become } = await story(context, "09:59:50");
  const project = await makeProject({ files: batchOnly("once", ""), path: temporaryFolder("project") });
  await create("once", project);
  await become("once", ["10:00 succeeded"]);
  await setClock("09:59:58");
  await eventually(async () => clock.now().toISOString() > at("10:00:01"));
  await setClock("10:00:02");
  // A new server knows only what is on record.
  await done(tool, "server", "stop");
  clock.set(at("09:59:58"));
  await startServer(tool, clock);
  await eventually(async () => clock.now().toISOString() > at("10:00:01"));
  await setClock("10:59:58");
  await become("once", ["10:00 succeeded", "11:00 succeeded"]);
  expect(await tool.runs()).toHaveLength(1);
}, 120_000);

/** Steps from the decision of a due time to the first ones of its run, after which the server is killed. */
const kills = soaking ? Array.from({ length: 20 }, (_, index) => index + 1) : [3, 6, 8, 9, 12];

test(
  "a server killed anywhere between the decision of a due time and the start of its run: the next one makes exactly one run",
  async (context) => {
    const { tool, clock, create, jobs } = await story(context, "00:30:00");
    const marks = join(temporaryFolder("marks"), "marks");
    const train = `open(${JSON.stringify(marks)}, "a").write("x")\n`;
    const project = await makeProject({ files: batchOnly("one", train), path: temporaryFolder("project") });
    await create("one", project, "--history-limit", "100");
    const lastSteps: string[] = [];
    for (const [index, after] of kills.entries()) {
      await done(tool, "server", "stop");
      const due = `${String(index + 1).padStart(2, "0")}:00`;
      clock.set(new Date(Date.parse(at(`${due}:00`)) - 10_000).toISOString());
      const { steps, gone } = await startServer(tool, clock, after);
      clock.set(at(`${due}:00`));
      await gone;
      lastSteps.push(steps().at(-1) ?? "");
      await startServer(tool, clock);
      const where = `killed after step ${after}: ${lastSteps.at(-1)}`;
      const job = await eventually(async () => {
        const [newest] = await jobs("one");
        return newest?.dueAt.slice(11, 16) === due && newest.endedAt !== null && newest;
      }, 60);
      expect([job.status, job.runs.length], where).toEqual(["succeeded", 1]);
      const runs = (await tool.runs()).filter(({ request }) => request.job === job.id);
      expect(
        runs.map(({ id, status }) => [id, status]),
        where,
      ).toEqual([[job.runs[0], "succeeded"]]);
      expect(readFileSync(marks, "utf8").length, where).toBe(index + 1);
    }
    const decidedAndStarted = ["INSERT INTO jobs: waiting", "COMMIT", "INSERT INTO jobs: active", "COMMIT"];
    expect(lastSteps).toEqual(expect.arrayContaining(decidedAndStarted));
    expect(lastSteps.slice(decidedAndStarted.length)).not.toEqual([]);
  },
  120_000 + kills.length * 30_000,
);

/**
 * The server in the foreground, for one that a command starts is given nothing of the test's clock. With `crashAfter` it
 * dies after so many durable steps from now on, which are in `steps`.
 */
async function startServer(
  tool: Bodywork,
  clock: FakeTime,
  crashAfter?: number,
): Promise<{ readonly steps: () => readonly string[]; readonly gone: Promise<unknown> }> {
  const file = join(temporaryFolder("steps"), "steps");
  const crashes = crashAfter === undefined ? [] : ["--import", preload];
  const server = spawn(process.execPath, [...crashes, main, "server", "run"], {
    env: {
      ...process.env,
      ...clock.variables,
      BODYWORK_HOME: tool.home,
      CRASH_AFTER: String(crashAfter),
      CRASH_STEPS: file,
    },
    stdio: "ignore",
  });
  onTestFinished(() => void server.kill("SIGKILL"));
  const gone = new Promise((resolve) => server.once("exit", resolve));
  await eventually(async () => (await tool.server()).pid === server.pid);
  if (crashAfter !== undefined) {
    server.kill("SIGUSR2");
    await eventually(async () => existsSync(file));
  }
  return { steps: () => readFileSync(file, "utf8").trim().split("\n"), gone };
}

function batchOnly(name: string, train: string) {
  return {
    "bodywork.yaml": projectFile({ name, dag: "train", stages: { train: batch() } }),
    "train.py": train,
  };
}

/** What it printed on standard output. */
async function done(tool: Bodywork, ...command: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await tool.run(...command);
  expect(exitCode, `${command.join(" ")}: ${stdout}${stderr}`).toBe(0);
  return stdout;
}
