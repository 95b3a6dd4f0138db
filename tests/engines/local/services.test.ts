import { copyFileSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import type { ServiceStage } from "../../../src/core/project.ts";
import type { ServiceStatus, ServiceTask } from "../../../src/core/run-state.ts";
import { systemClock } from "../../../src/lib/system-clock.ts";
import type { Clock } from "../../../src/ports/clock.ts";
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
const hasty = clockOf(40);
/** Slow enough for the test to see what is waited for. */
const brisk = clockOf(300);

function clockOf(longestSleep: number): Clock {
  return {
    ...systemClock,
    sleep: (milliseconds, signal) => systemClock.sleep(Math.min(milliseconds, longestSleep), signal),
  };
}

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

test("what went with its machine is started at once by the next server, and has not crashed", async () => {
  const machine = await machineOf();
  const first = await machine.connect();
  const task = releaseOf(machine, 1);
  await rollOut(first, task);
  first.kill();
  await loseMachine(machine, task);
  // Waiting before a start would be waiting for ever.
  const patient = { ...systemClock, sleep: longSleepsNeverEnd };
  const next = await machine.connect({ clock: patient });
  await until(() => statusOf(next).state === "serving");
  expect(statusOf(next)).toMatchObject({ restarts: 0, reason: undefined });
  expect(machine.pids(task).map(isAlive)).toEqual([false, true]);
  expect(readdirSync(join(machine.home, "runs", "run-1", "serve", "replica-1", "start-1"))).toEqual([
    "process",
  ]);
  next.kill();

  // The control: on the same machine the same end is a crash, and is waited for.
  for (const { pid } of processesBelow(join(machine.home, "runs"))) process.kill(pid, "SIGKILL");
  const same = await machine.connect({ clock: patient });
  await until(() => statusOf(same).replicas[0]?.state === "waiting-to-restart");
  expect(statusOf(same).reason).toContain("replica 1 was lost; next start after 1 s");
});

test("a service that comes back is known as such until it is ready, or has failed once", async () => {
  const machine = await machineOf({ "other.py": "raise SystemExit(1)" });
  const first = await machine.connect();
  const [good, bad] = [releaseOf(machine, 1), machine.of(serviceTask(serviceStage("other")))];
  await rollOut(first, good);
  expect(first.engine.comingBack()).toEqual([]);
  const [[, record] = []] = first.store.documents<{ readonly task: ServiceTask }>("services");
  first.store.saveDocument("services", "space/other", { ...record, task: bad });
  await first.engine.stopServices();
  first.kill();
  const next = await machine.connect();
  expect(next.engine.comingBack()).toEqual([
    { namespace: "space", stage: "other" },
    { namespace: "space", stage: "serve" },
  ]);
  await until(() => next.engine.comingBack().length === 0);
  expect(statusOf(next).state).toBe("serving");
  expect(statusOf(next, "other").reason).toContain("replica 1 ended (exit 1)");
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
  expect(statusOf(life)).toMatchObject({
    reason: "1 of 2 replicas are ready; replica 1 ended (SIGKILL); next start after 1 s",
    restarts: 1,
  });
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
  expect(life.store.services()[0]?.state).toBe("crash-loop");
  await until(() => statusOf(life).restarts > 12);
  rmSync(bad);
  await until(() => statusOf(life).state === "serving");
  const starts = readdirSync(join(machine.home, "runs", "run-1", "serve", "replica-1"));
  expect(starts.length, "the logs of the last starts are kept").toBeLessThanOrEqual(11);
});

test("three ends in a row are a crash loop, which tells the last end and as many restarts", async () => {
  const machine = await machineOf();
  const life = await machine.connect({ clock: brisk });
  const task = releaseOf(machine, 1);
  await rollOut(life, task);
  for (const [ends, state] of [
    [1, "starting"],
    [2, "starting"],
    [3, "crash-loop"],
  ] as const) {
    await until(() => statusOf(life).state === "serving");
    process.kill(machine.pids(task).at(-1) as number, "SIGKILL");
    await until(() => statusOf(life).replicas[0]?.state === "waiting-to-restart");
    const { reason, ...found } = statusOf(life);
    expect(found).toMatchObject({ state, restarts: ends });
    const inARow = ends === 1 ? "" : `, ${ends} times in a row`;
    expect(reason).toMatch(
      new RegExp(
        `^0 of 1 replicas are ready; replica 1 ended \\(SIGKILL\\)${inARow}; next start after \\d s$`,
      ),
    );
    expect(life.store.services()).toMatchObject([{ state, restarts: ends, reason }]);
  }
  await until(() => statusOf(life).state === "serving");
  expect(statusOf(life)).toMatchObject({ restarts: 3, reason: undefined });
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

/** Serves one request after the other; while its first process sees a file, with 500, or does not come back from it. */
const moody = `${leaveMark}
from http.server import BaseHTTPRequestHandler, HTTPServer
marks, node = os.environ["MARKS"], os.environ["TASK_NODE"]
starts = sum(f" {node} " in line for line in open(marks))

def told(mood):
    return starts == 1 and os.path.exists(f"{marks}.{node}.{mood}")

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        while told("silent"):
            time.sleep(0.1)
        self.send_response(500 if told("ill") else 200)
        self.end_headers()

HTTPServer(("0.0.0.0", 5000), Handler).serve_forever()
`;

test("one with a health path that answers nothing any more is started again, for all that the system accepts for it", async () => {
  const machine = await machineOf({ "serve.py": moody });
  const life = await machine.connect({ clock: brisk });
  const task = releaseOf(machine, 1, { healthPath: "/health" });
  await rollOut(life, task);
  writeFileSync(`${task.variables.MARKS}.serve.silent`, "");
  await until(() => statusOf(life).reason?.includes("/health gave no answer within 10 s") === true);
  await until(() => statusOf(life).restarts === 1 && statusOf(life).state === "serving");
  expect(machine.pids(task).map(isAlive)).toEqual([false, true]);
});

test("whatever it answers there is a sign of life, and without a health path its silence is its own", async () => {
  const machine = await machineOf({ "serve.py": moody });
  const life = await machine.connect({ clock: brisk });
  const [ill, silent] = [
    releaseOf(machine, 1, { healthPath: "/health" }),
    machine.of(serviceTask(serviceStage("silent", { modulePath: "serve.py" }))),
  ];
  await rollOut(life, ill);
  await rollOut(life, silent);
  writeFileSync(`${ill.variables.MARKS}.serve.ill`, "");
  writeFileSync(`${ill.variables.MARKS}.silent.silent`, "");
  await sleep(4_000); // Six probes.
  expect([statusOf(life), statusOf(life, "silent")]).toMatchObject([
    { restarts: 0, state: "serving" },
    { restarts: 0, state: "serving" },
  ]);
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

test("several replicas on one wrong port: the reason names it, though all but one could only end", async () => {
  const machine = await machineOf({ "serve.py": versioned("wrong", 6001) });
  const life = await machine.connect();
  const outcome = await life.engine.rollOut(releaseOf(machine, 1, { replicas: 3 }), deaf, never);
  expect(outcome).toMatchObject({
    kind: "failed",
    reason: expect.stringMatching(
      /^ended \(exit 1\) before it was ready, 3 times; replica \d listened on 0\.0\.0\.0:6001 and not on port 5000$/,
    ),
  });
});

test("the roll-out that opens the ingress elsewhere than it should be says so, and no later one", async () => {
  const machine = await machineOf();
  const life = await machine.connect({
    wrapIngress: (ingress) => ({ ...ingress, note: () => "Port 8080 was taken." }),
  });
  const notes: string[] = [];
  const observer: TaskObserver = { ...deaf, note: (level, text) => notes.push(`${level}: ${text}`) };
  const other = machine.of(serviceTask(serviceStage("other")));
  await Promise.all([releaseOf(machine, 1), other].map((task) => life.engine.rollOut(task, observer, never)));
  await life.engine.rollOut(releaseOf(machine, 2), observer, never);
  expect(notes).toEqual(["warning: Port 8080 was taken."]);
});

test("what runs and is on no record, because an older store was put back, is ended by the next server", async () => {
  const machine = await machineOf();
  const store = join(machine.home, "store.db");
  const [first, second] = [releaseOf(machine, 1), releaseOf(machine, 2)];
  const before = await machine.connect();
  await rollOut(before, first);
  before.kill();
  copyFileSync(store, `${store}.backup`);
  const meanwhile = await machine.connect();
  await rollOut(meanwhile, second);
  await until(() => machine.pids(first).every((pid) => !isAlive(pid)));
  meanwhile.kill();
  renameSync(`${store}.backup`, store);

  // While its run is unfinished it is the run's to end.
  const unsure = await machine.connect({ isUnfinished: (runId) => runId === second.runId });
  await until(() => statusOf(unsure).state === "serving");
  expect(machine.pids(second).map(isAlive)).toEqual([true]);
  unsure.kill();

  const life = await machine.connect({ isUnfinished: () => false });
  await until(() => machine.pids(second).every((pid) => !isAlive(pid)));
  expect(statusOf(life)).toMatchObject({ release: 1, state: "serving" });
  expect(isAlive(machine.pids(first).at(-1) ?? 0)).toBe(true);
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

/** As a power cut leaves it: nothing runs, nobody wrote down how it ended, and the next boot has another name. */
async function loseMachine(machine: LocalMachine, task: ServiceTask): Promise<void> {
  for (const { pid } of processesBelow(join(machine.home, "runs"))) process.kill(pid, "SIGKILL");
  await until(() => !machine.pids(task).some(isAlive));
  const folder = join(machine.home, "runs", task.runId, task.node, "replica-1", "start-1", "process");
  const intent: object = JSON.parse(readFileSync(join(folder, "intent"), "utf8"));
  writeFileSync(join(folder, "intent"), JSON.stringify({ ...intent, boot: "another" }));
  rmSync(join(folder, "exit"), { force: true });
}

async function longSleepsNeverEnd(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await systemClock.sleep(milliseconds > 500 ? 2 ** 30 : milliseconds, signal);
}

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
