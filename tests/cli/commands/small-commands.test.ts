import { describe, expect, test } from "vitest";
import { runCli } from "../../../src/cli/run-cli.ts";
import type { ServerStatus } from "../../../src/operations/operations.ts";
import type { EnvironmentRecord } from "../../../src/ports/environments.ts";
import { run, startOfTime, testTerminal, testWiring } from "../support/terminal.ts";

const status: ServerStatus = {
  running: true,
  pid: 4711,
  version: "4.0.0",
  home: "/home/me/.bodywork",
  api: "http://127.0.0.1:40001",
  ingress: "http://127.0.0.1:8080",
  ingressRunning: true,
  startedAt: "2026-11-23T19:05:12.345Z",
};

const environment: EnvironmentRecord = {
  key: "ab".repeat(32),
  folder: "/home/me/.bodywork/environments/x",
  python: "/home/me/.bodywork/environments/x/bin/python",
  pythonVersion: "3.11.7",
  lock: "flask==3.1.3\nwerkzeug==3.1.9\n",
  warnings: [],
  bytes: 3 * 1024 * 1024,
  createdAt: "2026-11-23T19:05:12.000Z",
  lastUsedAt: "2026-11-24T19:05:12.000Z",
};

describe("server", () => {
  test("status shows whether it runs and where, and exits with 0 either way", async () => {
    const { exitCode, stdout } = await run("server status", { server: { status: async () => status } });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^running +True$/m);
    expect(stdout).toMatch(/^started +2026-11-23 19:05:12\+00:00$/m);
    const stopped: ServerStatus = {
      ...{ running: false, pid: undefined, version: undefined, home: "/h", api: undefined },
      ...{ ingress: undefined, ingressRunning: false, startedAt: undefined },
    };
    const none = await run("server status", { server: { status: async () => stopped } });
    expect(none.exitCode).toBe(0);
    expect(none.stdout).toMatch(/^running +False$/m);
    expect(none.stdout).toMatch(/^pid +none$/m);
    expect(none.stdout).toMatch(/^ingress +opens with the first service$/m);
  });

  test("what the user should know of it is told on standard error", async () => {
    const told: ServerStatus = { ...status, ingressNote: "Port 80 was taken.", comingBack: ["a/b", "a/c"] };
    const server = { status: async () => told, start: async () => told, stop: async () => told };
    const note = "Warning: Port 80 was taken.\n";
    expect((await run("server status --output json", { server })).stderr).toBe(note);
    expect((await run("server start", { server })).stderr).toBe(
      `${note}Warning: Not ready yet: a/b, a/c. See: bodywork get deployments\n`,
    );
    expect((await run("server stop", { server })).stderr).toBe("");
  });

  test("start and stop hand on what was asked, and show what came of it", async () => {
    const calls: object[] = [];
    const server = {
      start: async (options: object) => {
        calls.push({ start: options });
        return status;
      },
      stop: async (options: object) => {
        calls.push({ stop: options });
        return status;
      },
    };
    const { stdout } = await run("server start --listen 0.0.0.0:80 --output json", { server });
    expect(JSON.parse(stdout)).toEqual(status);
    await run("server stop", { server });
    await run("server stop --services", { server });
    expect(calls).toEqual([
      { start: { listen: "0.0.0.0:80" } },
      { stop: { services: false } },
      { stop: { services: true } },
    ]);
  });

  test("run is the server itself, and ends with its exit code", async () => {
    const wiring = {
      serveForeground: async ({ listen }: { listen: string | undefined }) => (listen ? 3 : 0),
    };
    expect((await run("server run --listen localhost:1", { wiring })).exitCode).toBe(3);
    expect((await run("server run", { wiring })).exitCode).toBe(0);
  });
});

describe("env", () => {
  test("list shows the environments", async () => {
    const { stdout } = await run("env list", { operations: { environments: async () => [environment] } });
    expect(stdout.split("\n")[1]?.split(/ {2,}/)).toEqual([
      ...["abababababab", "3.11.7", "2", "3.0 MiB", "2026-11-23 19:05:12+00:00", "2026-11-24 19:05:12+00:00"],
    ]);
    const none = await run("env list", { operations: { environments: async () => [] } });
    expect(none).toMatchObject({ exitCode: 0, stdout: "No environments found\n" });
  });

  test("clean says what went and how much it freed", async () => {
    const days: number[] = [];
    const operations = {
      cleanEnvironments: async ({ unusedDays }: { unusedDays: number }) => {
        days.push(unusedDays);
        return unusedDays === 0 ? [environment, environment] : [];
      },
    };
    const { stdout, stderr } = await run("env clean", { operations });
    expect(stdout).toContain("Removed 2 (6.0 MiB).\n");
    expect(stderr).toContain("engine: local");
    expect((await run("env clean --unused-days 30", { operations })).stdout).toBe(
      "No unused environments found\n",
    );
    expect(days).toEqual([0, 30]);
  });
});

describe("version", () => {
  test.each(["version", "--version"])("%s prints the version alone", async (line) => {
    expect(await run(line)).toMatchObject({ exitCode: 0, stdout: "4.0.0\n", stderr: "" });
  });
});

describe("debug", () => {
  test("says how long it sleeps, and sleeps", async () => {
    const terminal = testTerminal();
    expect(await runCli(["debug", "3"], terminal.io, testWiring())).toBe(0);
    expect(terminal.stdout()).toBe("sleeping for 3s\n");
    expect(terminal.io.now() - startOfTime).toBe(3_000);
  });

  test("does not sleep for less than no time", async () => {
    const { exitCode, stdout, stderr } = await run("debug -- -1");
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toContain("Invalid value for 'SECONDS': '-1' is less than 0.");
  });

  test("sleeps ten minutes when it is told nothing", async () => {
    const terminal = testTerminal();
    const exit = runCli(["debug"], terminal.io, testWiring());
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(terminal.stdout()).toBe("sleeping for 600s\n");
    terminal.advance(600_000);
    expect(await exit).toBe(0);
  });
});
