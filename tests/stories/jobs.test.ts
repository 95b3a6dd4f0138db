import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { JobRecord } from "../../src/cli/job-records.ts";
import { type Bodywork, bodywork, eventually } from "../support/bodywork.ts";
import { type GitProject, makeProject } from "../support/git-project.ts";
import { processesBelow } from "../support/orphans.ts";
import { batch, projectFile } from "../support/pipelines.ts";
import { createRandom } from "../support/random.ts";
import { seed, tellCount, times } from "../support/soak.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { killServer } from "./support/standing-service.ts";

/** Adds a mark, and then goes on for so long, or until there is the file that the test makes. */
interface Marking {
  readonly project: GitProject;
  marks(): string;
  open(): void;
}

async function marking(python: string): Promise<Marking> {
  const folder = temporaryFolder("marks");
  const marks = join(folder, "marks");
  const gate = join(folder, "open");
  const program = [
    "import os, sys, time",
    `marks, gate = ${JSON.stringify(marks)}, ${JSON.stringify(gate)}`,
    'open(marks, "a").write("x")',
    python,
    'print("trained")',
  ].join("\n");
  const project = await makeProject({
    files: {
      "bodywork.yaml": projectFile({ name: "story", dag: "train", stages: { train: batch() } }),
      "train.py": program,
    },
    path: temporaryFolder("project"),
  });
  return {
    project,
    marks: () => (existsSync(marks) ? readFileSync(marks, "utf8") : ""),
    open: () => writeFileSync(gate, ""),
  };
}

const untilOpen = "while not os.path.exists(gate): time.sleep(0.05)";

test("--async returns while the stage still runs, and the job goes on to its end by itself", async () => {
  const tool = bodywork();
  const { project, open } = await marking(untilOpen);
  const created = await asked(tool, project, "one");
  expect(created).toMatchObject({ exitCode: 0, stdout: "Created workflow-job=async-workflow-one\n" });
  expect((await jobOf(tool, "one"))?.status).toBe("active");
  open();
  const job = await ended(tool, "one");
  expect([job.status, job.runs.length]).toEqual(["succeeded", 1]);
  const log = await tool.run("get", "deployments", "--async", "--logs", "async-workflow-one");
  expect(log.exitCode, log.stderr).toBe(0);
  expect(log.stdout).toContain("trained");
}, 120_000);

test("a name that is taken is refused with 1 and the original's words; what runs under it goes on", async () => {
  const tool = bodywork();
  const { project, marks, open } = await marking(untilOpen);
  await asked(tool, project, "one");
  const refused = await asked(tool, project, "one");
  expect(refused.exitCode).toBe(1);
  expect(refused.stdout).toContain("Cannot create workflow-job=async-workflow-one as it already exists");
  expect(refused.stderr).toContain("bodywork delete deployment --async async-workflow-one");
  open();
  expect((await ended(tool, "one")).status).toBe("succeeded");
  expect(marks()).toBe("x");
  expect(await tool.runs()).toHaveLength(1);
}, 120_000);

test("with --retries the deployment runs again after one that failed, and fails when the last has", async () => {
  const tool = bodywork();
  mkdirSync(tool.home, { recursive: true, mode: 0o700 });
  writeFileSync(join(tool.home, "settings.yaml"), "jobs: {retry_delay_seconds: 0.2}\n");
  const { project, marks } = await marking('if len(open(marks).read()) != 2: sys.exit("not yet")');
  await asked(tool, project, "again", "--retries", "2");
  expect((await ended(tool, "again")).runs).toHaveLength(2);
  await asked(tool, project, "never", "--retries", "1");
  const never = await ended(tool, "never");
  expect([never.status, never.runs.length]).toEqual(["failed", 2]);
  expect(never.why).toContain('Stage "train" failed');
  expect(marks()).toBe("xxxx");
  const runs = await tool.runs();
  expect(runs.map(({ status }) => status).toReversed()).toEqual(["failed", "succeeded", "failed", "failed"]);
}, 120_000);

test("a job that is deleted while it runs leaves no process, no run and no log", async () => {
  const tool = bodywork();
  const { project, marks } = await marking(untilOpen);
  await asked(tool, project, "one");
  await eventually(async () => marks() === "x", 60);
  const runs = join(tool.home, "runs");
  expect(processesBelow(runs).length).toBeGreaterThan(0);
  const deleted = await tool.run("delete", "deployment", "--async", "async-workflow-one", "--yes");
  expect(deleted.exitCode, deleted.stderr).toBe(0);
  expect(deleted.stdout).toContain("async-workflow-one");
  expect(processesBelow(runs)).toEqual([]);
  expect(await tool.runs()).toEqual([]);
  expect(await jobOf(tool, "one")).toBeUndefined();
  const log = await tool.run("get", "deployments", "--async", "--logs", "async-workflow-one");
  expect(log.exitCode).toBe(1);
}, 120_000);

const kills = times(4, 50);

test(
  `the server killed at any moment of a job (${kills} times): the next one brings it to its end, and its stage runs once`,
  async (context) => {
    const tool = bodywork();
    const { project, marks } = await marking("time.sleep(0.5)");
    const began = performance.now();
    await asked(tool, project, "usual");
    await ended(tool, "usual");
    const usual = performance.now() - began;
    let total = 0;
    for (let time = 0; time < kills; time++) {
      const random = createRandom(seed + time);
      const name = `job-${time}`;
      const created = await asked(tool, project, name);
      expect(created.exitCode, created.stderr).toBe(0);
      await sleep(random.below(usual));
      if (killServer(tool.home)) total += 1;
      if (random.chance(0.3)) {
        await tool.run("server", "start");
        await sleep(random.below(500));
        if (killServer(tool.home)) total += 1;
      }
      const started = await tool.run("server", "start");
      expect(started.exitCode, started.stderr).toBe(0);
      const where = `time ${time + 1}, seed ${seed + time}`;
      const job = await ended(tool, name);
      expect([job.status, job.runs.length], where).toEqual(["succeeded", 1]);
      const runs = (await tool.runs()).filter(({ request }) => request.job === job.id);
      expect(
        runs.map(({ id, status }) => [id, status]),
        where,
      ).toEqual([[job.runs[0], "succeeded"]]);
      expect(marks().length, where).toBe(time + 2);
    }
    tellCount(context, `${total} kills`);
  },
  120_000 + kills * 30_000,
);

function asked(tool: Bodywork, { url }: GitProject, name: string, ...options: readonly string[]) {
  return tool.run("create", "deployment", url, "--async", `--async-job-name=${name}`, ...options);
}

async function jobOf(tool: Bodywork, name: string): Promise<JobRecord | undefined> {
  const { stdout } = await tool.run("get", "deployments", "--async", "--output", "json");
  return (JSON.parse(stdout) as readonly JobRecord[]).find(({ id }) => id === `async-workflow-${name}`);
}

async function ended(tool: Bodywork, name: string): Promise<JobRecord> {
  return eventually(async () => {
    const job = await jobOf(tool, name);
    return job !== undefined && job.endedAt !== null && job;
  }, 90);
}
