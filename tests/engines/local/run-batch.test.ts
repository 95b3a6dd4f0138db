import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import type { BatchTask } from "../../../src/core/run-state.ts";
import type { BatchOutcome, Engine, TaskObserver } from "../../../src/ports/engine.ts";
import type { Files } from "../../support/git-project.ts";
import { isAlive, type LocalMachine, leaveMark, localMachine, until } from "../../support/local-machine.ts";
import { batchStage, batchTask } from "../../support/tasks.ts";

const never = new AbortController().signal;
const deaf: TaskObserver = { log: () => {}, note: () => {} };

async function machineOf(files: Files): Promise<LocalMachine> {
  const machine = await localMachine(files);
  onTestFinished(() => machine.stop(), 60_000);
  return machine;
}

/** Runs a batch stage of one module to its end. */
async function outcomeOf(
  program: string,
  stage: Parameters<typeof batchStage>[1] = {},
  observer = deaf,
): Promise<BatchOutcome> {
  const machine = await machineOf({ "stage.py": program });
  const { engine } = await machine.connect();
  return engine.runBatch(machine.of(batchTask(batchStage("stage", stage))), observer, never);
}

test("how a stage ended is told exactly", async () => {
  const machine = await machineOf({
    "three.py": "raise SystemExit(3)\n",
    "killed.py": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
    "segfault.py": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "code137.py": "raise SystemExit(137)\n",
    "importing.py": "import nowhere_to_be_found\n",
  });
  const { engine } = await machine.connect();
  const reasons = await Promise.all(
    ["three", "killed", "segfault", "code137", "importing"].map(async (name) => {
      const outcome = await engine.runBatch(machine.of(batchTask(batchStage(name))), deaf, never);
      return outcome.kind === "failed" ? [outcome.reason, outcome.lastLines.at(-1)] : [outcome.kind];
    }),
  );
  expect(reasons).toEqual([
    ["exit 3", undefined],
    ["SIGKILL", undefined],
    ["SIGSEGV", undefined],
    ["exit 137", undefined],
    ["exit 1", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"],
  ]);
});

test("at its time limit the whole process tree is ended, also what has left its session", async () => {
  const machine = await machineOf({
    "stage.py": `${leaveMark}
import subprocess, sys
child = "import os, time; open(os.environ['MARKS'] + '.child', 'w').write(str(os.getpid())); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
print("at work", flush=True)
time.sleep(600)
`,
  });
  const { engine } = await machine.connect();
  const task = machine.of(batchTask(batchStage("stage", { maxCompletionTimeSeconds: 2 })));
  const outcome = await engine.runBatch(task, deaf, never);
  expect(outcome).toEqual({ kind: "failed", reason: "timed out after 2 s", lastLines: ["at work"] });
  const child = Number(readFileSync(`${task.variables.MARKS}.child`, "utf8"));
  expect([...machine.pids(task), child].filter(isAlive)).toEqual([]);
});

test("a stage that ignores SIGTERM is killed when it is cancelled", async () => {
  const machine = await machineOf({
    "stage.py": `import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n${leaveMark}time.sleep(600)\n`,
  });
  const { engine } = await machine.connect();
  const task = machine.of(batchTask(batchStage("stage")));
  const cancel = new AbortController();
  const outcome = engine.runBatch(task, deaf, cancel.signal);
  await until(() => machine.pids(task).length === 1);
  cancel.abort();
  expect(await outcome).toEqual({ kind: "cancelled" });
  expect(machine.pids(task).filter(isAlive)).toEqual([]);
}, 60_000);

test("no limit is no limit, and one of a month does not end the stage at once", async () => {
  for (const maxCompletionTimeSeconds of [0, 30 * 24 * 3600]) {
    const outcome = await outcomeOf("import time\ntime.sleep(0.3)\n", { maxCompletionTimeSeconds });
    expect(outcome.kind).toBe("succeeded");
  }
});

test("an attempt that ended well while no server looked is not timed out by the time nobody looked", async () => {
  const machine = await machineOf({ "stage.py": `${leaveMark}time.sleep(0.5)\n` });
  const first = await machine.connect();
  const task = machine.of(batchTask(batchStage("stage", { maxCompletionTimeSeconds: 1 })));
  void first.engine.runBatch(task, deaf, never).catch(() => {});
  await until(() => machine.pids(task).length === 1);
  first.kill();
  await sleep(2_000);
  const { engine } = await machine.connect();
  expect((await engine.runBatch(task, deaf, never)).kind).toBe("succeeded");
});

test("one that goes on while no server looks has its time counted all the same", async () => {
  const machine = await machineOf({ "stage.py": `${leaveMark}time.sleep(600)\n` });
  const first = await machine.connect();
  const task = machine.of(batchTask(batchStage("stage", { maxCompletionTimeSeconds: 2 })));
  void first.engine.runBatch(task, deaf, never).catch(() => {});
  await until(() => machine.pids(task).length === 1);
  first.kill();
  await sleep(2_500);
  const { engine } = await machine.connect();
  expect(await engine.runBatch(task, deaf, never)).toMatchObject({ reason: "timed out after 2 s" });
});

test("a memory limit ends a stage with that reason where it is enforced, and is warned of where it is not", async () => {
  const notes: string[] = [];
  const machine = await machineOf({ "stage.py": "data = bytearray(400 * 1024 * 1024)\nprint(len(data))\n" });
  const { engine, processes } = await machine.connect();
  const task = machine.of(batchTask(batchStage("stage", { memoryLimitMb: 100 })));
  const outcome = await engine.runBatch(task, { log: () => {}, note: (_, text) => notes.push(text) }, never);
  if (processes.memoryLimitEnforced) {
    expect(outcome).toMatchObject({ kind: "failed", reason: "out of memory (limit 100 MiB)" });
    expect(notes).toEqual([]);
  } else {
    expect(outcome.kind).toBe("succeeded");
    expect(notes).toEqual([
      expect.stringContaining("memory_limit_mb: 100, which this machine gives no means"),
    ]);
  }
});

test("what a stage makes goes to those who ask for it, and its working copy goes when it has ended", async () => {
  const machine = await machineOf({
    "steps/make.py": `import os
os.makedirs("out")
open("out/a", "w").write("A")
open(os.environ["BODYWORK_OUTPUT_REPORT_1"], "w").write("R")
`,
    "steps/use.py": `import os
print(open("in/copy/a").read(), open("report.txt").read(), os.path.relpath(os.environ["BODYWORK_INPUT_REPORT_1"]))
open("in/copy/a", "w").write("changed by the consumer")
`,
  });
  const { engine } = await machine.connect();
  const outputs = { folder: "out", "report-1": "report.txt" };
  const make = machine.of(batchTask(batchStage("make", { modulePath: "steps/make.py", outputs })));
  const made = await engine.runBatch(make, deaf, never);
  if (made.kind !== "succeeded") throw new Error(JSON.stringify(made));
  expect(made.outputs.map(({ name, kind, bytes }) => [name, kind, bytes])).toEqual([
    ["folder", "folder", 1],
    ["report-1", "file", 1],
  ]);
  const inputs = made.outputs.map((artifact, index) => ({
    name: artifact.name,
    path: index === 0 ? "in/copy" : "report.txt",
    artifact,
  }));
  const use = machine.of(batchTask(batchStage("use", { modulePath: "steps/use.py" }), { inputs }));
  for (const attempt of [1, 2]) {
    const logs: string[] = [];
    const observer = { log: (_: string, reference: string) => logs.push(reference), note: () => {} };
    expect((await engine.runBatch({ ...use, attempt }, observer, never)).kind).toBe("succeeded");
    expect(readFileSync(join(machine.home, logs[0] ?? ""), "utf8")).toBe("A R report.txt\n");
  }
  const left = readdirSync(join(machine.home, "runs", "run-1", "make", "attempt-1"));
  expect(left).not.toContain("work");
});

test("an output that is not there fails the stage, and says which", async () => {
  const outcome = await outcomeOf("print('did something')\n", { outputs: { model: "model.bin" } });
  expect(outcome).toMatchObject({ kind: "failed", lastLines: ["did something"] });
  expect(outcome.kind === "failed" && outcome.reason).toMatch(/^output "model" \(model\.bin\): .+/);
});

test("a module that is not there, or leads out of the repository, fails the stage", async () => {
  const machine = await machineOf({ "stage.py": "", "out.py": { link: "/etc/hostname" } });
  const { engine } = await machine.connect();
  const ending = (modulePath: string): Promise<BatchOutcome> =>
    engine.runBatch(machine.of(batchTask(batchStage(modulePath, { modulePath }))), deaf, never);
  expect(await ending("gone.py")).toMatchObject({ kind: "failed", reason: "exit 2" });
  expect(await ending("out.py")).toMatchObject({
    kind: "failed",
    reason: expect.stringContaining("leads outside the repository"),
  });
});

test("a stage's environment is built from nothing, and its folder and arguments are as the file says", async () => {
  process.env.CANARY_TOKEN = "canary";
  onTestFinished(() => {
    delete process.env.CANARY_TOKEN;
  });
  const logs: string[] = [];
  const machine = await machineOf({
    "lib/helper.py": "NAME = 'helper'\n",
    "a b/stage.py": `import json, os, sys
from lib.helper import NAME
print(json.dumps([NAME, os.path.basename(os.getcwd()), sys.argv[1:], sorted(os.environ)]))
`,
  });
  const { engine } = await machine.connect();
  const args = ["--x", "two words", "$HOME", "'; exit 9", ""];
  const task = machine.of(batchTask(batchStage("stage", { modulePath: "a b/stage.py", args })));
  const outcome = await engine.runBatch(task, { log: (_, path) => logs.push(path), note: () => {} }, never);
  expect(outcome.kind).toBe("succeeded");
  const [name, folder, argv, variables] = JSON.parse(readFileSync(join(machine.home, logs[0] ?? ""), "utf8"));
  expect([name, folder, argv]).toEqual(["helper", "a b", args]);
  expect(variables).toEqual(
    expect.arrayContaining(["BODYWORK_RUN_ID", "BODYWORK_STAGE", "MARKS", "PYTHONPATH"]),
  );
  expect(variables).not.toContain("CANARY_TOKEN");
  expect(variables).not.toContain("BODYWORK_HOME");
});

test("a copy of the commit that can't be made is the stage's failure, not ours", async () => {
  const machine = await machineOf({ "stage.py": "" });
  const { engine } = await machine.connect();
  const task: BatchTask = machine.of(batchTask(batchStage("stage")));
  const damaged = {
    ...task,
    inputs: [
      {
        name: "m",
        path: "m",
        artifact: { digest: `sha256:${"0".repeat(64)}`, kind: "file" as const, bytes: 1 },
      },
    ],
  };
  expect(await engine.runBatch(damaged, deaf, never)).toMatchObject({ kind: "failed" });
});

test("twenty stages that do nothing cost little more than starting Python twenty times", async () => {
  const machine = await machineOf({ "stage.py": "" });
  const { engine } = await machine.connect();
  const times: number[] = [];
  for (let attempt = 1; attempt <= 20; attempt++)
    times.push(await timeOf(engine, { ...machine.of(batchTask(batchStage("stage"))), attempt }));
  times.sort((a, b) => a - b);
  process.stdout.write(
    `a trivial stage: median ${times[10]?.toFixed(0)} ms, slowest ${times.at(-1)?.toFixed(0)} ms\n`,
  );
  expect(times[10]).toBeLessThan(1_000);
  expect(existsSync(join(machine.home, "runs", "run-1", "stage", "attempt-20"))).toBe(true);
});

async function timeOf(engine: Engine, task: BatchTask): Promise<number> {
  const begun = performance.now();
  expect((await engine.runBatch(task, deaf, never)).kind).toBe("succeeded");
  return performance.now() - begun;
}
