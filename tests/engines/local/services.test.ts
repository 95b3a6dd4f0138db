import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { ServiceStage } from "../../../src/core/project.ts";
import type { ServiceStatus, ServiceTask } from "../../../src/core/run-state.ts";
import { systemClock } from "../../../src/lib/system-clock.ts";
import type { TaskObserver } from "../../../src/ports/engine.ts";
import type { Files } from "../../support/git-project.ts";
import {
  isAlive,
  type LocalMachine,
  type LocalServerLife,
  leaveMark,
  localMachine,
  until,
} from "../../support/local-machine.ts";
import { processesBelow } from "../../support/orphans.ts";
import { answering } from "../../support/pipelines.ts";
import { steadyLoad } from "../../support/steady-load.ts";
import { serviceStage, serviceTask } from "../../support/tasks.ts";

const never = new AbortController().signal;
const deaf: TaskObserver = { log: () => {}, note: () => {} };

/** Time that passes quickly: no sleep is longer than some milliseconds. */
const hasty = {
  ...systemClock,
  sleep: (milliseconds: number, signal?: AbortSignal) =>
    systemClock.sleep(Math.min(milliseconds, 40), signal),
};

async function machineOf(files: Files = {}): Promise<LocalMachine> {
  const machine = await localMachine({
    "serve.py": versioned("one"),
    "other.py": versioned("other"),
    ...files,
  });
  onTestFinished(() => machine.stop(), 60_000);
  return machine;
}

function versioned(version: string, port = 5000): string {
  return `${leaveMark}${answering(version, port)}`;
}

/** A release's task of the machine's newest commit. */
function releaseOf(machine: LocalMachine, release: number, stage: Partial<ServiceStage> = {}): ServiceTask {
  return machine.of(serviceTask(serviceStage("serve", stage), { release, runId: `run-${release}` }));
}

async function rollOut({ engine }: LocalServerLife, task: ServiceTask): Promise<void> {
  expect(await engine.rollOut(task, deaf, never)).toEqual({ kind: "serving" });
}

function statusOf({ engine }: LocalServerLife, stage = "serve"): ServiceStatus {
  const found = engine.services().find((service) => service.stage === stage);
  if (found === undefined) throw new Error(`there is no service ${stage}`);
  return found;
}

async function answer(url: string | undefined): Promise<string> {
  return (await fetch(`${url}/`)).text();
}

test("services with one port and several replicas run side by side, each at its own address", async () => {
  const machine = await machineOf();
  const life = await machine.connect();
  const serve = releaseOf(machine, 1, { replicas: 2 });
  const other = machine.of(serviceTask(serviceStage("other", { replicas: 2 })));
  await Promise.all([rollOut(life, serve), rollOut(life, other)]);
  const statuses = [statusOf(life), statusOf(life, "other")];
  const addresses = statuses.flatMap(({ address, replicas }) => [
    address,
    ...replicas.map((replica) => replica.address),
  ]);
  expect(new Set(addresses).size).toBe(6);
  expect(addresses.every((address) => address?.endsWith(":5000"))).toBe(true);
  expect(await Promise.all(statuses.map(({ url }) => answer(url)))).toEqual(["one", "other"]);
  expect(await Promise.all(statuses.map(({ address }) => answer(`http://${address}`)))).toEqual([
    "one",
    "other",
  ]);
  expect(life.store.services()).toEqual(statuses.toReversed());
});

test("a rolling update loses no request: new ones first, then the switch, then the old end", async () => {
  const machine = await machineOf();
  const life = await machine.connect();
  const one = releaseOf(machine, 1, { replicas: 2 });
  await rollOut(life, one);
  const before = machine.pids(one);
  const { address } = statusOf(life);
  const load = steadyLoad(`${statusOf(life).url}/`);
  await machine.push({ "serve.py": versioned("two") });
  const two = releaseOf(machine, 2, { replicas: 2 });
  const begun = performance.now();
  await rollOut(life, two);
  const took = performance.now() - begun;
  expect(await answer(statusOf(life).url)).toBe("two");
  await until(() => !before.some(isAlive));
  const { failures, answers } = await load.stop();
  process.stdout.write(`a redeploy of two replicas under load: ${took.toFixed(0)} ms\n`);
  expect(Object.fromEntries(failures)).toEqual({});
  expect([...answers.keys()]).toEqual(["one", "two"]);
  expect(statusOf(life)).toMatchObject({ address, release: 2, restarts: 0, state: "serving" });
  expect(machine.pids(two).filter(isAlive)).toHaveLength(2);
});

test("the number of replicas and the port may change from release to release", async () => {
  const machine = await machineOf();
  const life = await machine.connect();
  await rollOut(life, releaseOf(machine, 1));
  const first = statusOf(life);
  await rollOut(life, releaseOf(machine, 2, { replicas: 3 }));
  expect(statusOf(life)).toMatchObject({ readyReplicas: 3, address: first.address });
  await machine.push({ "serve.py": versioned("moved", 6000) });
  await rollOut(life, releaseOf(machine, 3, { port: 6000 }));
  const moved = statusOf(life);
  expect(moved).toMatchObject({ readyReplicas: 1, port: 6000, internalUrl: "http://serve:6000" });
  expect(moved.address).toMatch(/:6000$/);
  expect(await answer(moved.url)).toBe("moved");
  await until(() => livingPrograms(machine) === 1);
});

test("the next server takes services up as they run: the same processes, not one restart", async () => {
  const machine = await machineOf();
  const first = await machine.connect();
  const task = releaseOf(machine, 1, { replicas: 2 });
  await rollOut(first, task);
  const before = statusOf(first);
  first.kill();
  expect(await answer(before.url), "they answer without a server").toBe("one");
  const next = await machine.connect();
  await until(() => statusOf(next).state === "serving");
  expect(statusOf(next)).toEqual(before);
  expect(machine.pids(task)).toHaveLength(2);
});

test("what was stopped with the server comes back with the next one, at the same address", async () => {
  const machine = await machineOf();
  const first = await machine.connect();
  const task = releaseOf(machine, 1, { replicas: 2 });
  await rollOut(first, task);
  const { address } = statusOf(first);
  await first.engine.stopServices();
  await first.ingress.stop();
  expect(first.store.services()).toMatchObject([{ state: "stopped", readyReplicas: 0 }]);
  expect(processesBelow(join(machine.home, "runs"))).toEqual([]);
  first.kill();
  const next = await machine.connect();
  await until(() => statusOf(next).state === "serving");
  expect(statusOf(next)).toMatchObject({ address, restarts: 0 });
  expect(await answer(statusOf(next).url)).toBe("one");
});

test("a killed replica is started again, and the other answers meanwhile", async () => {
  const machine = await machineOf();
  const life = await machine.connect();
  const task = releaseOf(machine, 1, { replicas: 2 });
  await rollOut(life, task);
  const load = steadyLoad(`${statusOf(life).url}/`, 2);
  const victim = statusOf(life).replicas[0]?.pid as number;
  process.kill(victim, "SIGKILL");
  await until(() => statusOf(life).state === "degraded");
  expect(statusOf(life).reason).toBe("1 of 2 replicas are ready; replica 1 ended (SIGKILL)");
  await until(() => statusOf(life).state === "serving");
  const { failures } = await load.stop();
  const lost = [...failures.values()].reduce((sum, count) => sum + count, 0);
  expect(lost, "only what was in flight").toBeLessThanOrEqual(2);
  expect(statusOf(life)).toMatchObject({ restarts: 1, reason: undefined });
  expect(life.store.services()).toMatchObject([{ restarts: 1, state: "serving" }]);
});

test("a service that keeps crashing is seen as a crash loop with its reason, and is well again when it is mended", async () => {
  const machine = await machineOf({
    "serve.py": `${leaveMark}
if os.path.exists(os.environ["MARKS"] + ".bad"):
    raise SystemExit("no model")
${answering("one")}`,
  });
  const life = await machine.connect({ clock: hasty });
  const task = releaseOf(machine, 1);
  await rollOut(life, task);
  const bad = `${task.variables.MARKS}.bad`;
  writeFileSync(bad, "");
  process.kill(machine.pids(task)[0] as number, "SIGKILL");
  await until(() => statusOf(life).state === "crash-loop");
  expect(statusOf(life).reason).toMatch(
    /^0 of 1 replicas are ready; replica 1 ended \(exit 1\), \d+ times in a row$/,
  );
  expect(life.store.services()[0]?.state).toBe("crash-loop");
  await until(() => statusOf(life).restarts > 12);
  rmSync(bad);
  await until(() => statusOf(life).state === "serving");
  const starts = readdirSync(join(machine.home, "runs", "run-1", "serve", "replica-1"));
  expect(starts.length, "the logs of the last starts are kept").toBeLessThanOrEqual(11);
});

test("a service that does not listen any more is started again", async () => {
  const machine = await machineOf({
    "serve.py": `${leaveMark}
import socket, threading
server = socket.socket()
server.bind(("0.0.0.0", 5000))
server.listen()
if not os.path.exists(os.environ["MARKS"] + ".deaf"):
    open(os.environ["MARKS"] + ".deaf", "w").close()
    time.sleep(1)
    server.close()
time.sleep(600)
`,
  });
  const life = await machine.connect({ clock: hasty });
  const task = releaseOf(machine, 1);
  await rollOut(life, task);
  await until(() => statusOf(life).restarts === 1 && statusOf(life).state === "serving");
  expect(machine.pids(task).map(isAlive)).toEqual([false, true]);
});

test("one that hangs when it is started again is not waited for for ever", async () => {
  const machine = await machineOf({
    "serve.py": `${leaveMark}
once = os.environ["MARKS"] + ".once"
if os.path.exists(once) and not os.path.exists(once + ".twice"):
    open(once + ".twice", "w").close()
    time.sleep(600)
open(once, "w").close()
${answering("one")}`,
  });
  const life = await machine.connect({ clock: hasty });
  const task = releaseOf(machine, 1, { maxStartupTimeSeconds: 2 });
  await rollOut(life, task);
  process.kill(machine.pids(task)[0] as number, "SIGKILL");
  await until(() => statusOf(life).reason?.includes("was not ready within 2 s") === true);
  await until(() => statusOf(life).state === "serving");
  expect(machine.pids(task).map(isAlive)).toEqual([false, false, true]);
});

test("a server that goes past the hook is routed to where it listens, and refused when there are several of it", async () => {
  const port = await freePort();
  const machine = await machineOf({
    // A child with an empty environment knows nothing of the hook.
    "serve.py": `${leaveMark}
import subprocess, sys
subprocess.run([sys.executable, "-c", ${JSON.stringify(answering("past", port))}], env={})`,
  });
  const life = await machine.connect();
  await rollOut(life, releaseOf(machine, 1, { port }));
  expect(statusOf(life).replicas[0]?.address).toBe(`127.0.0.1:${port}`);
  expect(await answer(statusOf(life).url)).toBe("past");
  expect(await answer(`http://${statusOf(life).address}`)).toBe("past");
  await expect(life.engine.rollOut(releaseOf(machine, 3, { port }), deaf, never)).rejects.toMatchObject({
    code: "port-taken",
    message: expect.stringContaining(`listens on 127.0.0.1:${port} itself`),
  });
  await life.engine.removeService({ namespace: "space", stage: "serve" });
  const two = await life.engine.rollOut(releaseOf(machine, 2, { port, replicas: 2 }), deaf, never);
  expect(two).toMatchObject({ kind: "failed", reason: expect.stringContaining("use replicas: 1") });
  expect(processesBelow(join(machine.home, "runs"))).toEqual([]);
});

test("a removed service is gone: processes, route, name and record", async () => {
  const machine = await machineOf();
  const life = await machine.connect();
  await rollOut(life, releaseOf(machine, 1));
  await rollOut(life, releaseOf(machine, 2, { replicas: 2 }));
  const { url } = statusOf(life);
  await life.engine.removeService({ namespace: "space", stage: "serve" });
  expect(processesBelow(join(machine.home, "runs")), "also those of earlier releases").toEqual([]);
  expect((await fetch(`${url}/`)).status).toBe(404);
  expect(life.store.services()).toEqual([]);
  expect([...life.store.documents("services"), ...life.store.documents("asides")]).toEqual([]);
  expect(readFileSync(join(machine.home, "names", "space.hosts"), "utf8")).toBe("");
});

test("a release that is put back starts anew and keeps the logs of its first life", async () => {
  const machine = await machineOf();
  const life = await machine.connect();
  const one = releaseOf(machine, 1);
  for (const task of [one, releaseOf(machine, 2), one]) await rollOut(life, task);
  expect(statusOf(life)).toMatchObject({ release: 1, restarts: 0, state: "serving" });
  expect(readdirSync(join(machine.home, "runs", "run-1", "serve", "replica-1")).toSorted()).toEqual([
    "start-1",
    "start-2",
  ]);
});

test("when the ingress can't be told, the old release serves on and nothing of the new is left", async () => {
  const machine = await machineOf();
  let broken = false;
  const life = await machine.connect({
    wrapIngress: (ingress) => ({
      ...ingress,
      apply: (routes) => (broken ? Promise.reject(new Error("no ingress")) : ingress.apply(routes)),
    }),
  });
  const one = releaseOf(machine, 1);
  await rollOut(life, one);
  broken = true;
  await machine.push({ "serve.py": versioned("two") });
  const two = releaseOf(machine, 2);
  await expect(life.engine.rollOut(two, deaf, never)).rejects.toThrow("no ingress");
  expect(life.engine.currentTask({ namespace: "space", stage: "serve" })).toEqual(one);
  expect(machine.pids(two).map(isAlive)).toEqual([false]);
  expect([...life.store.documents("asides")]).toEqual([]);
  broken = false;
  expect(await answer(statusOf(life).url)).toBe("one");
});

test("a store that refuses (a full disk) ends no service, and what it missed is stored later", async () => {
  const machine = await machineOf();
  let full = false;
  const life = await machine.connect({
    clock: hasty,
    wrapStore: (store) => ({
      ...store,
      saveDocument(...document) {
        if (full) throw new Error("the disk is full");
        store.saveDocument(...document);
      },
    }),
  });
  const task = releaseOf(machine, 1, { replicas: 2 });
  await rollOut(life, task);
  full = true;
  process.kill(machine.pids(task)[0] as number, "SIGKILL");
  await until(() => statusOf(life).reason?.includes("could not be started: the disk is full") === true);
  expect(await answer(statusOf(life).url)).toBe("one");
  full = false;
  await until(() => statusOf(life).state === "serving");
  expect(life.store.services()[0]?.state).toBe("serving");
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}

function livingPrograms(machine: LocalMachine): number {
  return processesBelow(join(machine.home, "runs")).filter(({ command }) =>
    /^\S*python\S* serve\.py/.test(command),
  ).length;
}
