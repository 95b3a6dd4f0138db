import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../support/bodywork.ts";
import { createRandom } from "../support/random.ts";
import { seed, shareOf, soaking, tellCount } from "../support/soak.ts";
import { steadyLoad } from "../support/steady-load.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { type StandingService, standingService } from "./support/standing-service.ts";

const root = join(import.meta.dirname, "..", "..");
const preload = new URL("../support/crash-steps.ts", import.meta.url).href;
/** `npm run crash-points` only asks which steps there are. */
const listing = process.env.BODYWORK_CRASH_POINTS === "list";
const sample = listing ? 0 : 4;

test(
  `the real server killed right after ${soaking ? "each" : "some"} of the steps of a deploy: the next one goes on, the stage runs once, nobody notices`,
  async (context) => {
    const standing = await standingService({ trainSeconds: 0.2 });
    const steps = await deployWithCrash(standing, 0);
    context.task.meta.steps = steps;
    expect(await standing.faults()).toEqual([]);
    expect(steps.length).toBeGreaterThan(40);
    expect(steps).toEqual(expect.arrayContaining(["order start", "rename routes.json"]));
    expect(steps.filter((step) => step.startsWith("INSERT INTO runs")).length).toBeGreaterThan(5);

    const random = createRandom(seed);
    const points = soaking
      ? steps.map((_, index) => index + 1)
      : Array.from({ length: sample }, () => 1 + random.below(steps.length));
    let requests = 0;
    for (const point of points) {
      const load = steadyLoad(standing.url, 4, 5);
      const done = await deployWithCrash(standing, point);
      const faults = await standing.faults();
      const { answered, failures } = await load.stop();
      requests += answered;
      const where = `after step ${point}: ${done.at(-1)}`;
      expect(faults, where).toEqual([]);
      expect(Object.fromEntries(failures), where).toEqual({});
    }
    tellCount(
      context,
      `killed at ${points.length} of ${steps.length} points; failed requests: ${shareOf(0, requests)}`,
    );
  },
  soaking ? 3_600_000 : 180_000,
);

/** A deployment by a server that dies after so many steps (0: never); the steps that it came to. */
async function deployWithCrash(standing: StandingService, crashAfter: number): Promise<readonly string[]> {
  const { tool, project } = standing;
  const stopped = await tool.run("server", "stop");
  expect(stopped.exitCode, stopped.stderr).toBe(0);
  const stepsFile = join(temporaryFolder("steps"), "steps");
  const server = spawn(
    process.execPath,
    ["--import", preload, join(root, "src", "main.ts"), "server", "run"],
    {
      env: {
        ...process.env,
        BODYWORK_HOME: tool.home,
        CRASH_AFTER: String(crashAfter),
        CRASH_STEPS: stepsFile,
      },
      stdio: "ignore",
    },
  );
  const gone = new Promise((resolve) => server.once("exit", resolve));
  await eventually(async () => (await tool.server()).pid === server.pid);
  server.kill("SIGUSR2");
  await eventually(async () => existsSync(stepsFile));
  const { version } = await standing.commit();
  const { exitCode, stdout, stderr } = await tool.run("create", "deployment", project.url);
  const steps = readFileSync(stepsFile, "utf8").trim().split("\n").slice(1);
  // Whoever asks for a run as the server dies is told that nobody knows whether it was heard.
  const unheard = stdout.includes("Cannot reach the Bodywork server");
  expect(exitCode === 0 || unheard, `step ${steps.length}, ${steps.at(-1)}: ${stdout}${stderr}`).toBe(true);
  if (exitCode === 0) expect(await standing.live()).toBe(version);
  if (crashAfter === 0 || steps.length < crashAfter) await tool.run("server", "stop");
  await gone;
  return steps;
}
