import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Bodywork, eventually } from "../support/bodywork.ts";
import { createRandom } from "../support/random.ts";
import { seed, shareOf, tellCount, times } from "../support/soak.ts";
import { steadyLoad } from "../support/steady-load.ts";
import { injections, needStrace, storeFiles, withFault } from "../support/strace.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { type StandingService, standingService } from "./support/standing-service.ts";

const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
const deployments = times(2, 30);

test(`a server whose store meets errors of the disk as it deploys (${deployments} times): the run that was accepted goes on to its end, and nobody notices`, {
  timeout: 120_000 + deployments * 60_000,
}, async (context) => {
  await needStrace(context);
  const standing = await standingService({ trainSeconds: 0.2 });
  const total = { errors: 0, refused: 0, requests: 0 };
  for (let time = 0; time < deployments; time += 1) {
    const random = createRandom(seed + time);
    const [calls, most] = random.pick([
      ["pwrite64", 60],
      ["fsync,fdatasync", 20],
    ] as const);
    const what = `error=${random.pick(["EIO", "ENOSPC"])}`;
    const fault = { calls, what, when: `${1 + random.below(most)}+${random.pick([10, 40])}` };
    const load = steadyLoad(standing.url, 4, 5);
    const log = join(temporaryFolder("calls"), "calls");
    const files = storeFiles(join(standing.tool.home, "store.db"));
    const { exitCode, output, alive } = await deployWith(standing, withFault({ files, log, ...fault }));
    const where = `seed ${seed + time}, ${JSON.stringify(fault)}: ${output}`;
    expect(await standing.faults(), where).toEqual([]);
    const { answered, failures } = await load.stop();
    expect(Object.fromEntries(failures), where).toEqual({});
    if (exitCode !== 0) expect(output).toMatch(/store/);
    expect(alive, where).toBe(true);
    total.errors += injections(log);
    total.requests += answered;
    total.refused += exitCode === 0 ? 0 : 1;
  }
  expect(total.errors).toBeGreaterThan(0);
  tellCount(
    context,
    `${total.errors} errors, ${total.refused} of ${deployments} deployments refused; failed requests: ${shareOf(0, total.requests)}`,
  );
});

test("a store that is damaged: services answer all along, nothing is written into it, and a backup brings everything back", async () => {
  const standing = await standingService({ trainSeconds: 0 });
  const { tool, project, url } = standing;
  const store = join(tool.home, "store.db");
  const backup = join(temporaryFolder("backup"), "backup.db");
  const load = steadyLoad(url, 2, 20);
  await succeeds(tool, "server", "backup", backup);
  const before = await tool.runs();
  await succeeds(tool, "server", "stop");
  const damaged = readFileSync(store).fill(0xa5, 2 * 4096, 6 * 4096);
  writeFileSync(store, damaged);
  for (const command of [
    ["server", "start"],
    ["create", "deployment", project.url],
    ["get", "deployments"],
  ]) {
    const { exitCode, stdout, stderr } = await tool.run(...command);
    expect(exitCode).toBe(1);
    expect(stdout + stderr).toContain(`Cannot use the store ${store}: it is damaged`);
    expect(stdout + stderr).toContain("bodywork server restore");
  }
  expect(readFileSync(store).equals(damaged)).toBe(true);
  await succeeds(tool, "server", "restore", backup, "--yes");
  expect(await standing.faults()).toEqual([]);
  expect(await tool.runs()).toEqual(before);
  await standing.commit();
  await succeeds(tool, "create", "deployment", project.url);
  expect(Object.fromEntries((await load.stop()).failures)).toEqual({});
}, 240_000);

async function succeeds(tool: Bodywork, ...args: readonly string[]): Promise<void> {
  const { exitCode, stdout, stderr } = await tool.run(...args);
  expect(exitCode, stdout + stderr).toBe(0);
}

test("a server that may open hardly any files: it lives on, deployments fail in words or are done, services never notice", async (context) => {
  const standing = await standingService({ trainSeconds: 0 });
  const load = steadyLoad(standing.url, 2, 20);
  const outcomes: string[] = [];
  for (const limit of [33, 36, 42]) {
    const before = ["/bin/sh", "-c", `ulimit -n ${limit} && exec "$@"`, "sh"];
    const { exitCode, output, alive } = await deployWith(standing, before);
    const where = `${limit} files: ${output}`;
    expect(alive, where).toBe(true);
    expect(output, where).toMatch(/Deployment (successful|failed --> )|Error: /);
    expect(output, where).not.toContain("Please report it");
    outcomes.push(`with ${limit} it ${exitCode === 0 ? "was done" : "failed"}`);
  }
  expect(outcomes.join(), "the limits were met").toContain("failed");
  expect(await standing.faults()).toEqual([]);
  expect(Object.fromEntries((await load.stop()).failures)).toEqual({});
  tellCount(context, outcomes.join(", "));
}, 240_000);

/** By a server that is run so; `alive` when it was there at the end. */
async function deployWith({ tool, project, commit }: StandingService, before: readonly string[]) {
  await succeeds(tool, "server", "stop");
  const [program = "", ...args] = [...before, process.execPath, main, "server", "run"];
  const env = { ...process.env, BODYWORK_HOME: tool.home };
  const server = spawn(program, args, { env, stdio: "ignore" });
  const gone = new Promise((resolve) => server.once("exit", resolve));
  await eventually(async () => (await tool.server()).running);
  await commit();
  const { exitCode, stdout, stderr } = await tool.run("create", "deployment", project.url);
  const alive = server.exitCode === null && server.signalCode === null;
  await tool.run("server", "stop");
  await gone;
  return { exitCode, output: stdout + stderr, alive };
}
