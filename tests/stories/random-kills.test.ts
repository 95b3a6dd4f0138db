import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Run } from "../../src/core/run-state.ts";
import type { Finished } from "../support/bodywork.ts";
import { processesBelow } from "../support/orphans.ts";
import { createRandom, type Random } from "../support/random.ts";
import { seed, shareOf, tellCount, times } from "../support/soak.ts";
import { type LoadResult, steadyLoad } from "../support/steady-load.ts";
import { type Found, faultsOf } from "./support/at-rest.ts";
import {
  killed,
  killIngress,
  killServer,
  type StandingService,
  standingService,
} from "./support/standing-service.ts";

/** Milliseconds for all of so many deployments, disturbed ones. */
const timeFor = (count: number): number => 120_000 + count * 60_000;

/** Of the load that goes on meanwhile, and milliseconds between two requests on each. */
const connections = 4;
const rest = 5;

const serverKills = times(3, 150);

test(
  `the server killed at any moment of a deploy (${serverKills} times): the run goes on to its end, its stage runs once, one version serves, nobody notices`,
  async (context) => {
    const standing = await standingService({ trainSeconds: 1 });
    const total = { kills: 0, requests: 0 };
    await eachTime(serverKills, async (random) => {
      const before = await standing.live();
      const { version, hash } = await standing.commit();
      const load = steadyLoad(standing.url, connections, rest);
      const command = standing.tool.start("create", "deployment", standing.project.url);
      await sleep(random.below(standing.usual * 1.2));
      if (killServer(standing.tool.home)) total.kills += 1;
      if (random.chance(0.25)) {
        await sleep(random.below(1_000));
        if (killServer(standing.tool.home)) total.kills += 1;
      }
      const ended = await command.finished;
      const faults = await standing.faults();
      const { answered, failures, answers } = await load.stop();
      total.requests += answered;
      const run = (await standing.tool.runs()).find(({ commit }) => commit?.hash === hash);
      expect([...faults, ...verdictFaults(ended, run), ...wrongVersions(answers, [before, version])]).toEqual(
        [],
      );
      expect(Object.fromEntries(failures)).toEqual({});
      expect(await standing.live()).toBe(run === undefined ? before : version);
    });
    tellCount(context, `${total.kills} kills; failed requests: ${shareOf(0, total.requests)}`);
  },
  timeFor(serverKills),
);

const trafficKills = times(3, 50);
test(
  `the ingress or a replica killed at any moment of a deploy (${trafficKills} times): nobody is refused, and no more is lost than was in flight`,
  async (context) => {
    const standing = await standingService({ trainSeconds: 0 });
    const total = { ingress: 0, replicas: 0, requests: 0, lost: 0 };
    await eachTime(trafficKills, async (random) => {
      await standing.commit();
      const load = steadyLoad(standing.url, connections, rest);
      const command = standing.tool.start("create", "deployment", standing.project.url);
      await sleep(random.below(standing.usual * 1.2));
      const ofIngress = random.chance(0.5);
      if (ofIngress ? killIngress(standing.tool.home) : killReplica(standing, random)) {
        total[ofIngress ? "ingress" : "replicas"] += 1;
      }
      const { exitCode, stdout, stderr } = await command.finished;
      const faults = await standing.faults();
      const { answered, failures } = await load.stop();
      const lost = sum(failures);
      total.requests += answered;
      total.lost += lost;
      expect(exitCode, stdout + stderr).toBe(0);
      expect(faults).toEqual([]);
      expect([...failures.keys()].filter((reason) => reason.includes("ECONNREFUSED"))).toEqual([]);
      expect(lost, JSON.stringify(Object.fromEntries(failures))).toBeLessThanOrEqual(connections);
    });
    tellCount(
      context,
      `${total.ingress} kills of the ingress, ${total.replicas} of a replica; of ${connections} requests in flight each time, ${total.lost} were lost in all, ${total.requests} answered`,
    );
  },
  timeFor(trafficKills),
);

const cancellations = times(3, 50);

test(
  `Ctrl-C at any moment of a deploy (${cancellations} times): it is cancelled or was done, the live version serves, every process of a cancelled run is gone`,
  async (context) => {
    const standing = await standingService({ trainSeconds: 0.5 });
    const total = { cancelled: 0, succeeded: 0, unborn: 0, requests: 0 };
    await eachTime(cancellations, async (random) => {
      const before = await standing.live();
      const { version, hash } = await standing.commit();
      const load = steadyLoad(standing.url, connections, rest);
      const command = standing.tool.start("create", "deployment", standing.project.url);
      await sleep(random.below(standing.usual * 1.1));
      command.process.kill("SIGINT");
      const ended = await command.finished;
      const run = (await standing.tool.runs()).find(({ commit }) => commit?.hash === hash);
      const faults = await standing.faults();
      const { answered, failures, answers } = await load.stop();
      total.requests += answered;
      total[run === undefined ? "unborn" : run.status === "succeeded" ? "succeeded" : "cancelled"] += 1;
      expect([...faults, ...wrongVersions(answers, [before, version])]).toEqual([]);
      expect(Object.fromEntries(failures)).toEqual({});
      expect(ended.exitCode === 0, ended.stdout + ended.stderr).toBe(run?.status === "succeeded");
      expect(run?.status ?? "cancelled").toMatch(/^(succeeded|cancelled)$/);
      expect(await standing.live()).toBe(run?.status === "succeeded" ? version : before);
    });
    tellCount(
      context,
      `${total.cancelled} cancelled, ${total.succeeded} too late, ${total.unborn} before anything began; failed requests: ${shareOf(0, total.requests)}`,
    );
  },
  timeFor(cancellations),
);

test("what these tests look at is seen when it is wrong", async () => {
  expect(faultsOf(allWell)).toEqual([]);
  const run = allWell.runs[0] as Run;
  const [service] = allWell.services;
  const wrong: readonly (readonly [Partial<Found>, string])[] = [
    [{ runs: [{ ...run, status: "running" }], lastRun: { id: "2", status: "running" } }, "stuck"],
    [{ lastRun: { id: "1", status: "succeeded" } }, "the deployment's is 1"],
    [{ liveRelease: { number: 2, runId: "1", version: "v1" } }, "the live release is of 1"],
    [{ marks: ["2 1", "2 1"] }, "ran 2 times"],
    [{ marks: ["2 1", "2 2"] }, "on no record"],
    [{ marks: [] }, "never ran"],
    [{ answers: ["v1", "v2"] }, "the answers are v1, v2"],
    [{ services: [{ ...service, release: 1 } as Found["services"][number]] }, "release 1 serves"],
    [{ services: [] }, "there are 0 services"],
    [{ strays: ["77 python train.py"] }, "left running: 77"],
    [{ ofLiveRun: ["1", "2", "3"] }, "3 processes instead of 2"],
    [{ servers: 2 }, "2 servers"],
    [{ integrity: "row 7 missing" }, "damaged"],
  ];
  for (const [change, fault] of wrong)
    expect(faultsOf({ ...allWell, ...change }).join("\n")).toContain(fault);
});

/** Each with a seed of its own, which is told when it fails. */
async function eachTime(count: number, action: (random: Random) => Promise<void>): Promise<void> {
  for (let time = 0; time < count; time++) {
    try {
      await action(createRandom(seed + time));
    } catch (error) {
      throw new Error(
        `Time ${time + 1}, seed ${seed + time}: ${error instanceof Error ? error.message : error}`,
        {
          cause: error,
        },
      );
    }
  }
}

/** A kill of the server fails no run; what the command says fits what became of it. */
function verdictFaults({ exitCode, stdout, stderr }: Finished, run: Run | undefined): readonly string[] {
  const said = stdout + stderr;
  if (exitCode === 0 && run?.status === "succeeded") return [];
  // The server was killed as it was asked for the run, or just before: it may have heard, or not.
  if (exitCode !== 0 && /Cannot reach the Bodywork server|killed as it was started/.test(said)) return [];
  return [`the command ended with ${exitCode}, the run is ${run?.status} (${run?.reason}): ${said}`];
}

function wrongVersions(answers: LoadResult["answers"], possible: readonly string[]): readonly string[] {
  return [...answers.keys()]
    .filter((answer) => !possible.includes(answer))
    .map((answer) => `answered: ${answer}`);
}

/** Of those that serve and those that are just being started, by chance. */
function killReplica({ tool }: StandingService, random: Random): boolean {
  const programs = processesBelow(join(tool.home, "runs")).filter(
    ({ command }) => command.endsWith("serve.py") && !command.includes("shim.sh"),
  );
  return programs.length > 0 && killed(random.pick(programs).pid);
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((all, count) => all + count, 0);
}

/** As much of what is found as the check looks at. */
const allWell = {
  runs: [
    {
      id: "2",
      deployment: "story",
      status: "succeeded",
      stages: [
        { kind: "batch", attempts: [{ number: 1, status: "succeeded" }] },
        { kind: "service", attempts: [{ number: 1, status: "succeeded" }] },
      ],
    },
  ],
  lastRun: { id: "2", status: "succeeded" },
  liveRelease: { number: 2, runId: "2", version: "v2" },
  services: [{ release: 2, state: "serving", wantedReplicas: 1, readyReplicas: 1 }],
  marks: ["2 1"],
  answers: ["v2"],
  ofLiveRun: ["10 shim.sh", "11 python serve.py"],
  strays: [],
  servers: 1,
  integrity: "ok",
} as unknown as Found;
