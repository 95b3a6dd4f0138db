import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

import { processLives } from "../../../../src/engines/local/processes/process-folder.ts";
import { type Bench, createBench, endQuietly, runs, text, until } from "./support.ts";

const program = fileURLToPath(new URL("./fixtures/server.ts", import.meta.url));

interface Server {
  readonly stateFolder: string;
  readonly folder: string;
  output(): string;
  start(): void;
  kill(): Promise<void>;
}

/** A process that is about to start `script`, and will be killed. */
async function createServer(bench: Bench, script: string): Promise<Server> {
  const folder = bench.folder();
  const stateFolder = join(bench.root, `server-${folder.split("-").at(-1)}`);
  const child: ChildProcess = spawn(process.execPath, [program, stateFolder, folder, script], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  onTestFinished(() => endQuietly(child.pid as number));
  let output = "";
  child.stdout?.on("data", (data: Buffer) => {
    output += String(data);
  });
  await until(() => output.includes("ready"));
  await until(() => existsSync(join(stateFolder, "spawner.pid")));
  return {
    stateFolder,
    folder,
    output: () => output,
    start: () => child.stdin?.write("\n"),
    async kill() {
      child.kill("SIGKILL");
      await new Promise((resolve) => child.once("close", resolve));
    },
  };
}

test("the exit code outlives the server in 20 of 20 kills, and nothing runs twice", async () => {
  const bench = await createBench();
  let adopted = 0;
  for (let round = 0; round < 20; round++) {
    const marker = join(bench.root, `marker-${round}`);
    const server = await createServer(bench, `echo x >>${marker}; sleep 0.2; echo end; exit 7`);
    server.start();
    // The first rounds kill it somewhere in the middle of the start, the others while the program runs.
    if (round < 8) await sleep(round);
    else await until(() => server.output().includes("started"));
    await server.kill();
    const found = await bench.processes.adopt(server.folder);
    if (found === undefined) {
      await sleep(50);
      expect(text(marker)).toBe("");
      continue;
    }
    adopted += 1;
    expect(await found.exited).toEqual({ kind: "exited", code: 7 });
    expect(text(marker)).toBe("x\n");
    expect(text(found.logFile)).toBe("end\n");
  }
  expect(adopted).toBeGreaterThanOrEqual(12);
}, 60_000);

test("a program that ended while there was no server is found with its exit code", async () => {
  const bench = await createBench();
  const server = await createServer(bench, "sleep 0.2; exit 9");
  server.start();
  await until(() => server.output().includes("started"));
  await until(() => processLives(server.folder));
  await server.kill();
  await until(() => !processLives(server.folder));
  const [one, two] = await Promise.all([
    bench.processes.adopt(server.folder),
    bench.processes.adopt(server.folder),
  ]);
  expect(await one?.exited).toEqual({ kind: "exited", code: 9 });
  expect(await two?.exited).toEqual({ kind: "exited", code: 9 });
  expect(await (await bench.processes.adopt(server.folder))?.exited).toEqual({ kind: "exited", code: 9 });
});

test("what an adopted program has started is ended when it is stopped", async () => {
  const bench = await createBench();
  const server = await createServer(bench, "setsid sh -c 'echo $$ >escaped; exec sleep 300' & sleep 300");
  server.start();
  const escaped = Number(await until(() => text(join(server.stateFolder, "escaped")).trim()));
  await server.kill();
  const found = await bench.processes.adopt(server.folder);
  expect(await found?.stop({ graceMs: 2000 })).toEqual({ kind: "signalled", signal: "SIGTERM" });
  expect(runs(escaped)).toBe(false);
});

test("where nothing was ever started there is nothing to adopt", async () => {
  const bench = await createBench();
  expect(await bench.processes.adopt(bench.folder())).toBeUndefined();
});

test("a program whose shim was killed is lost, and ended", async () => {
  const bench = await createBench();
  const running = await bench.script("echo $$; sleep 300");
  const pid = Number(await until(() => text(running.logFile).trim()));
  const shim = Number(text(`/proc/${pid}/stat`).match(/\) \w (\d+)/)?.[1]);
  process.kill(shim, "SIGKILL");
  expect(await running.exited).toEqual({ kind: "lost" });
  expect(runs(pid)).toBe(false);
  const folder = join(running.logFile, "..");
  expect(processLives(folder)).toBe(false);
  expect(await (await bench.processes.adopt(folder))?.exited).toEqual({ kind: "lost" });
});

test("what ran before the machine restarted is lost, and what had ended is known", async () => {
  const bench = await createBench();
  for (const [ended, expected] of [
    [false, { kind: "lost" }],
    [true, { kind: "exited", code: 3 }],
  ] as const) {
    const running = await bench.script("exit 3");
    await running.exited;
    const folder = join(running.logFile, "..");
    const intent = JSON.parse(readFileSync(join(folder, "intent"), "utf8"));
    writeFileSync(join(folder, "intent"), JSON.stringify({ ...intent, boot: "an-earlier-boot" }));
    if (!ended) rmSync(join(folder, "exit"));
    expect(processLives(folder)).toBe(false);
    const adopted = await bench.processes.adopt(folder);
    expect(await adopted?.exited).toEqual(expected);
  }
});

/** Killed when its helper had the order to start but had not begun: the shim comes late. */
async function diedBeforeTheSpawn(bench: Bench, marker: string): Promise<{ server: Server; helper: number }> {
  const server = await createServer(bench, `echo x >>${marker}`);
  const helper = Number(text(join(server.stateFolder, "spawner.pid")));
  process.kill(helper, "SIGSTOP");
  server.start();
  await until(() => existsSync(join(server.folder, "intent")));
  await sleep(50);
  await server.kill();
  return { server, helper };
}

test("a shim that comes after the start was given up finds itself shut out", async () => {
  const bench = await createBench();
  const marker = join(bench.root, "marker");
  const { server, helper } = await diedBeforeTheSpawn(bench, marker);
  expect(await bench.processes.adopt(server.folder)).toBeUndefined();
  const again = await bench.script(`echo again >>${marker}; sleep 0.3`, { folder: server.folder });
  process.kill(helper, "SIGCONT");
  await until(() => !runs(helper));
  expect(await again.exited).toEqual({ kind: "exited", code: 0 });
  expect(text(marker)).toBe("again\n");
});

test("a shim that comes late and was not given up does run, and is adopted", async () => {
  const bench = await createBench();
  const marker = join(bench.root, "marker");
  const { server, helper } = await diedBeforeTheSpawn(bench, marker);
  process.kill(helper, "SIGCONT");
  await until(() => text(marker));
  expect(await (await bench.processes.adopt(server.folder))?.exited).toEqual({ kind: "exited", code: 0 });
  expect(text(marker)).toBe("x\n");
});

test("the helper of a dead server stays while a program runs, and goes when it ends or another takes over", async () => {
  const bench = await createBench();
  const server = await createServer(bench, "sleep 0.8");
  const helper = Number(text(join(server.stateFolder, "spawner.pid")));
  server.start();
  await until(() => server.output().includes("started"));
  await server.kill();
  await sleep(300);
  expect(runs(helper)).toBe(true);
  await until(() => !runs(helper));

  const other = await createServer(bench, "sleep 300");
  const second = Number(text(join(other.stateFolder, "spawner.pid")));
  other.start();
  await until(() => other.output().includes("started"));
  await other.kill();
  writeFileSync(join(other.stateFolder, "spawner.pid"), "1");
  await until(() => !runs(second));
  const left = await bench.processes.adopt(other.folder);
  await left?.stop({ graceMs: 1000 });
});
