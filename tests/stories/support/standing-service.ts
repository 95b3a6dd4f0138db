import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { Run } from "../../../src/core/run-state.ts";
import { type Bodywork, bodywork } from "../../support/bodywork.ts";
import { type GitProject, makeProject } from "../../support/git-project.ts";
import { processesBelow, serverProcesses } from "../../support/orphans.ts";
import { answering, batch, projectFile, service } from "../../support/pipelines.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { type Found, faultsOf } from "./at-rest.ts";

/** A deployment of one batch stage and one service with two replicas, which is redeployed again and again. */
export interface StandingService {
  readonly tool: Bodywork;
  readonly project: GitProject;
  /** Where the service answers with its version. */
  readonly url: string;
  /** Milliseconds that a redeployment took when nothing disturbed it. */
  readonly usual: number;
  /** Commits the next version. */
  commit(): Promise<{ readonly version: string; readonly hash: string }>;
  /** The version of the live release. */
  live(): Promise<string>;
  /**
   * What is wrong, one line each, after a server was seen to and what still goes on has had a minute to end; looks at
   * what has happened since the last call.
   */
  faults(): Promise<readonly string[]>;
}

export interface StandingOptions {
  /** How long the batch stage works, in seconds. */
  readonly trainSeconds?: number;
  /** The service's program for a version; answers with the version by default. */
  readonly program?: (version: string) => string;
}

export async function standingService({
  trainSeconds = 1,
  program = answering,
}: StandingOptions = {}): Promise<StandingService> {
  const tool = bodywork();
  const marks = join(temporaryFolder("marks"), "marks");
  const versions = new Map<string, string>();
  const filesOf = (version: string) => ({
    "bodywork.yaml": projectFile({
      name: "story",
      dag: "train >> serve",
      stages: { train: batch(), serve: service(5000, { replicas: 2 }) },
    }),
    "train.py": train(marks, trainSeconds),
    "serve.py": program(version),
    "version.txt": version,
  });
  const project = await makeProject({ files: filesOf("v0"), path: temporaryFolder("project") });
  versions.set(await project.git("rev-parse", "HEAD"), "v0");

  const deploy = async (): Promise<number> => {
    const began = performance.now();
    const { exitCode, stdout, stderr } = await tool.run("create", "deployment", project.url);
    expect(exitCode, stdout + stderr).toBe(0);
    return performance.now() - began;
  };
  const commit = async () => {
    const version = `v${versions.size}`;
    const hash = await project.commit(filesOf(version), version);
    versions.set(hash, version);
    return { version, hash };
  };
  await deploy();
  await commit();
  const usual = await deploy();
  const url = `${(await tool.service("story", "serve")).url}/`;
  let seen = (await tool.runs())[0]?.id ?? "";
  rmSync(marks);

  const liveRelease = async () => {
    const [deployment] = await tool.deployments();
    const { release } = deployment ?? {};
    if (deployment === undefined || release === undefined) throw new Error("There is no live release");
    const version = versions.get(release.commit.hash) ?? release.commit.hash;
    return { deployment, live: { number: release.number, runId: release.runId, version } };
  };

  const look = async (): Promise<Found> => {
    const { deployment, live } = await liveRelease();
    const runs = (await allRuns(tool)).filter(({ id }) => id > seen);
    const stages = processesBelow(join(tool.home, "runs"));
    const liveRun = new Set(processesBelow(join(tool.home, "runs", live.runId)).map(({ pid }) => pid));
    const lines = (found: typeof stages) => found.map(({ pid, command }) => `${pid} ${command.slice(-150)}`);
    return {
      runs,
      lastRun: deployment.lastRun,
      liveRelease: live,
      services: deployment.services,
      marks: existsSync(marks) ? readFileSync(marks, "utf8").trim().split("\n") : [],
      answers: await answersOf(url),
      ofLiveRun: lines(stages.filter(({ pid }) => liveRun.has(pid))),
      strays: lines(stages.filter(({ pid }) => !liveRun.has(pid))),
      servers: serverProcesses(tool.home).length,
      integrity: integrityOf(join(tool.home, "store.db")),
    };
  };

  return {
    tool,
    project,
    url,
    usual,
    commit,
    live: async () => (await liveRelease()).live.version,
    async faults() {
      const { exitCode, stderr } = await tool.run("server", "start");
      if (exitCode !== 0) return [`the server does not start: ${stderr}`];
      const deadline = performance.now() + 60_000;
      let found = await look();
      while (faultsOf(found).length > 0 && performance.now() < deadline) {
        await sleep(200);
        found = await look();
      }
      seen = found.runs[0]?.id ?? seen;
      rmSync(marks, { force: true });
      return faultsOf(found);
    },
  };
}

/** One line in one write, so that two at once are both seen. */
function train(marks: string, seconds: number): string {
  return `
import os, time
line = os.environ["BODYWORK_RUN_ID"] + " " + os.environ["BODYWORK_ATTEMPT"] + "\\n"
file = os.open(${JSON.stringify(marks)}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(file, line.encode())
time.sleep(${seconds})
`;
}

/** Many more than are shown when nothing is said of how many. */
async function allRuns(tool: Bodywork): Promise<readonly Run[]> {
  const { stdout } = await tool.run("get", "runs", "--limit", "1000", "--output", "json");
  return JSON.parse(stdout) as readonly Run[];
}

/** Enough requests to meet both replicas. */
async function answersOf(url: string): Promise<readonly string[]> {
  const answers = new Set<string>();
  for (let time = 0; time < 6; time++) {
    const answer = await fetch(url).then(
      (response) => response.text(),
      (error: Error) => `${error.message} ${error.cause}`,
    );
    answers.add(answer);
  }
  return [...answers];
}

function integrityOf(file: string): string {
  const database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
  try {
    const rows = database.prepare("PRAGMA integrity_check").all() as { integrity_check: string }[];
    return rows.map(({ integrity_check }) => integrity_check).join("; ");
  } finally {
    database.close();
  }
}

/** Kills the server of a home folder, if one runs. */
export function killServer(home: string): boolean {
  return killed(pidIn(join(home, "server.json"), "pid"));
}

/** Kills the process that carries the requests; another one holds its sockets. */
export function killIngress(home: string): boolean {
  return killed(pidIn(join(home, "ingress", "state.json"), "ingress"));
}

function pidIn(file: string, key: string): number | undefined {
  try {
    return (JSON.parse(readFileSync(file, "utf8")) as Record<string, number>)[key];
  } catch {
    return undefined;
  }
}

export function killed(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, "SIGKILL");
    return true;
  } catch {
    return false;
  }
}
