import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Bodywork, bodywork, eventually } from "../support/bodywork.ts";
import { type Files, makeProject } from "../support/git-project.ts";
import { processesBelow } from "../support/orphans.ts";
import { answering, trainAndServe } from "../support/pipelines.ts";
import { steadyLoad } from "../support/steady-load.ts";
import { temporaryFolder } from "../support/temporary.ts";

test("the server killed in the middle of a deploy: services answer, the stage runs once, the run ends well", async () => {
  const tool = bodywork();
  const marks = join(temporaryFolder("marks"), "marks");
  const project = await makeProject({ files: trainAndServe("one"), path: temporaryFolder("project") });
  expect((await tool.run("create", "deployment", project.url)).exitCode).toBe(0);
  const load = steadyLoad(`${(await tool.service("story", "serve")).url}/`);
  await project.commit({
    ...trainAndServe("two"),
    "train.py": `import time\nopen(${JSON.stringify(marks)}, "a").write("ran\\n")\nprint("at work")\ntime.sleep(3)\n`,
  });
  const command = tool.start("create", "deployment", project.url);
  await command.shown("at work");
  process.kill((await tool.server()).pid as number, "SIGKILL");
  const ended = await command.finished;
  expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0);
  const { failures, answers } = await load.stop();
  expect(Object.fromEntries(failures)).toEqual({});
  expect([...answers.keys()]).toEqual(["one", "two"]);
  expect(readFileSync(marks, "utf8")).toBe("ran\n");
  const [run] = await tool.runs();
  expect(run?.stages[0]?.attempts).toHaveLength(1);
}, 120_000);

test("a killed ingress is back at once and refuses nobody; services and server never notice", async () => {
  const tool = bodywork();
  const url = await served(tool);
  const load = steadyLoad(url, 2);
  for (let time = 0; time < 3; time++) {
    const pid = await eventually(async () => ingressPid(tool));
    process.kill(pid, "SIGKILL");
    await eventually(async () => {
      const now = await ingressPid(tool);
      return now !== undefined && now !== pid && (await fetch(url)).ok;
    });
  }
  const { answered, failures } = await load.stop();
  expect(answered).toBeGreaterThan(20);
  expect([...failures.keys()].filter((reason) => reason.includes("ECONNREFUSED"))).toEqual([]);
  const lost = [...failures.values()].reduce((sum, count) => sum + count, 0);
  expect(lost, "only what was in flight is lost: two connections, three kills").toBeLessThanOrEqual(6);
}, 120_000);

test("a killed service process is started again, and the other replica answers meanwhile", async () => {
  const tool = bodywork();
  const url = await served(tool);
  const before = await tool.service("story", "serve");
  const load = steadyLoad(url, 2);
  const victim = before.replicas[0]?.pid as number;
  process.kill(victim, "SIGKILL");
  const after = await eventually(async () => {
    const now = await tool.service("story", "serve");
    return now.restarts === 1 && now.state === "serving" && now;
  });
  const { failures } = await load.stop();
  expect([...failures.values()].reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(2);
  expect(after.replicas.map(({ pid }) => pid)).not.toContain(victim);
}, 120_000);

test("a stopped server leaves everything answering; `get` tells the truth without it; the next one takes it up", async () => {
  const tool = bodywork();
  const url = await served(tool);
  const pids = (await tool.service("story", "serve")).replicas.map(({ pid }) => pid);
  expect((await tool.run("server", "stop")).exitCode).toBe(0);
  expect((await tool.server()).running).toBe(false);
  expect(await (await fetch(url)).text()).toBe("one");
  expect((await tool.service("story", "serve")).state).toBe("serving");
  expect((await tool.server()).running, "looking starts no server").toBe(false);
  expect((await tool.run("server", "start")).exitCode).toBe(0);
  const taken = await eventually(async () => {
    const now = await tool.service("story", "serve");
    return now.state === "serving" && now;
  });
  expect(taken.replicas.map(({ pid }) => pid)).toEqual(pids);
}, 120_000);

test("`server stop --services` ends every process, `get` says how to bring it back, and `server start` does", async () => {
  const tool = bodywork();
  const url = await served(tool, { "serve.py": `import time\ntime.sleep(2)\n${answering("one")}` });
  expect((await tool.run("server", "stop", "--services")).exitCode).toBe(0);
  expect(processesBelow(tool.home)).toEqual([]);
  await expect(fetch(url)).rejects.toThrow();
  const shown = await tool.run("get", "deployments");
  expect(shown.stdout).toContain("stopped");
  expect(shown.stderr).toContain("bodywork server start");
  expect((await tool.run("server", "start")).exitCode).toBe(0);
  const again = await tool.service("story", "serve");
  expect(await (await fetch(`${again.url}/`)).text(), "it is there when the command is over").toBe("one");
}, 120_000);

async function served(tool: Bodywork, change: Files = {}): Promise<string> {
  const project = await makeProject({
    files: trainAndServe("one", change),
    path: temporaryFolder("project"),
  });
  const { exitCode, stdout, stderr } = await tool.run("create", "deployment", project.url);
  expect(exitCode, stdout + stderr).toBe(0);
  return `${(await tool.service("story", "serve")).url}/`;
}

/** The process that has the routes; undefined while there is none. */
async function ingressPid(tool: Bodywork): Promise<number | undefined> {
  const state: { ingress: number } = JSON.parse(
    readFileSync(join(tool.home, "ingress", "state.json"), "utf8"),
  );
  return processesBelow(join(tool.home, "ingress")).some(({ pid }) => pid === state.ingress)
    ? state.ingress
    : undefined;
}
