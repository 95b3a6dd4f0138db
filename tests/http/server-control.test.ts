import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { createServerControl, type LocalServer } from "../../src/http/server-control.ts";
import { temporaryFolder } from "../support/temporary.ts";

const program = join(import.meta.dirname, "support", "stand-in-server.ts");

/** How a command of that version reaches the server of a home folder; what runs at the end is stopped. */
function control(
  home: string,
  options: { version?: string; start?: string; back?: string } = {},
): LocalServer {
  const { version = "4.1.0", start = "0", back = "0" } = options;
  const made = createServerControl({
    home,
    version,
    command: [process.execPath, program, home, version, start, back],
    environment: { TMPDIR: process.env.TMPDIR ?? "" },
    offlineStatus: () => ({ ingress: "http://127.0.0.1:8080", ingressRunning: true }),
    sleep: (milliseconds) => sleep(milliseconds),
  });
  onTestFinished(async () => {
    await made.stop({ services: false });
  });
  return made;
}

function logOf(home: string): string {
  return readFileSync(join(home, "server.log"), "utf8");
}

test("looking starts nothing; starting starts one that the next command finds; stopping ends it", async () => {
  const home = temporaryFolder("home");
  const server = control(home);
  expect(await server.status()).toMatchObject({ running: false, home, ingress: "http://127.0.0.1:8080" });
  await expect(server.client({ unlessStopped: true })).rejects.toMatchObject({ code: "server-unreachable" });
  expect(existsSync(join(home, "server.log"))).toBe(false);
  const started = await server.start({ listen: "127.0.0.1:9000" });
  expect(started).toMatchObject({ running: true, version: "4.1.0", home, ingress: "http://127.0.0.1:9000" });
  expect((await control(home).start({})).pid).toBe(started.pid);
  expect(statSync(join(home, "server.json")).mode & 0o777).toBe(0o600);
  expect((await server.stop({ services: false })).running).toBe(false);
  expect(isAlive(started.pid)).toBe(false);
  expect(existsSync(join(home, "server.json"))).toBe(false);
  expect(logOf(home)).toBe("ended\n");
}, 60_000);

test("a server that is just starting is waited for, and then stopped", async () => {
  const home = temporaryFolder("home");
  const starting = control(home, { start: "1000" }).start({});
  const outcome = starting.catch((error: unknown) => error);
  while (!existsSync(join(home, "server.json"))) await sleep(10);
  const { pid }: { pid: number } = JSON.parse(readFileSync(join(home, "server.json"), "utf8"));
  expect((await control(home).stop({ services: false })).running).toBe(false);
  expect(isAlive(pid)).toBe(false);
  await outcome;
}, 60_000);

test("services are stopped when asked, by a server that is started for it when none runs", async () => {
  const home = temporaryFolder("home");
  const server = control(home);
  await server.stop({ services: true });
  expect(logOf(home)).toBe("services stopped\nended\n");
}, 60_000);

test("ten commands at once end up at one server, however long it takes to start", async () => {
  const home = temporaryFolder("home");
  const all = Array.from({ length: 10 }, () => control(home, { start: "1500" }));
  const started = await Promise.all(all.map((server) => server.start({})));
  expect(new Set(started.map(({ pid }) => pid)).size).toBe(1);
  expect(logOf(home).split("gave way").length - 1).toBe(9);
}, 60_000);

test("a newer command replaces an older server in place; two that do so at once end up at the same one", async () => {
  const home = temporaryFolder("home");
  const old = await control(home, { version: "4.0.9" }).start({});
  const started = await Promise.all([control(home).start({}), control(home).start({})]);
  expect(started.map(({ version }) => version)).toEqual(["4.1.0", "4.1.0"]);
  expect(started[0]?.pid).toBe(started[1]?.pid);
  expect(isAlive(old.pid)).toBe(false);
  expect(logOf(home)).not.toContain("services stopped");
}, 60_000);

test("an older command refuses a newer server, and leaves it running", async () => {
  const home = temporaryFolder("home");
  const newer = await control(home).start({});
  await expect(control(home, { version: "4.0.9" }).client()).rejects.toMatchObject({
    code: "version-mismatch",
    message: `The server of ${home} is of version 4.1.0, and this command is the older 4.0.9.`,
  });
  expect((await control(home).status()).pid).toBe(newer.pid);
}, 60_000);

test("a server that was killed is replaced, whoever has its port now", async () => {
  const home = temporaryFolder("home");
  const server = control(home);
  const first = await server.start({});
  process.kill(first.pid as number, "SIGKILL");
  while (isAlive(first.pid)) await sleep(10);
  expect((await server.status()).running).toBe(false);
  for (const code of [200, 401, 404, 500]) {
    const stranger = createServer((_, response) => response.writeHead(code).end("something else"));
    await new Promise<void>((resolve) => stranger.listen(0, "127.0.0.1", resolve));
    const address = stranger.address();
    const port = typeof address === "object" ? address?.port : undefined;
    writeFileSync(
      join(home, "server.json"),
      JSON.stringify({ pid: first.pid, version: "4.1.0", api: `http://127.0.0.1:${port}`, token: "x" }),
    );
    expect((await server.status()).running, `${code}`).toBe(false);
    stranger.close();
  }
  const second = await server.start({});
  expect(second.pid).not.toBe(first.pid);
}, 60_000);

test("a server that can't start is told with the end of its log", async () => {
  const home = temporaryFolder("home");
  writeFileSync(join(home, "server.log"), "of an earlier server\n");
  const failing = control(home, { start: "fail" });
  const failure = await failing.start({}).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "internal", message: "The server ended as soon as it was started." });
  const { details } = failure as { details: readonly string[] };
  expect(details.join("\n")).toContain("the store is damaged");
  expect(details.join("\n")).not.toContain("earlier");
}, 60_000);

test("a server that is killed as it starts is no fault of its own: whoever follows a run may try again", async () => {
  const home = temporaryFolder("home");
  const starting = control(home, { start: "30000" }).start({});
  const outcome = starting.catch((error: unknown) => error);
  while (!existsSync(join(home, "server.json"))) await sleep(10);
  const { pid }: { pid: number } = JSON.parse(readFileSync(join(home, "server.json"), "utf8"));
  process.kill(pid, "SIGKILL");
  expect(await outcome).toMatchObject({
    code: "server-unreachable",
    message: "The Bodywork server was killed as it was started.",
  });
}, 60_000);

test("starting waits for the services that come back, a command that only needs the server does not", async () => {
  const home = temporaryFolder("home");
  const { client } = control(home, { back: "1500" });
  expect((await (await client()).status()).comingBack).toEqual(["story/serve"]);
  expect((await control(home).start({})).comingBack).toEqual([]);
}, 60_000);

test("services that do not come back soon are not waited for, and are told", async () => {
  const home = temporaryFolder("home");
  const begun = performance.now();
  const started = await control(home, { back: "3600000" }).start({});
  expect(started).toMatchObject({ running: true, comingBack: ["story/serve"] });
  expect(performance.now() - begun).toBeGreaterThan(10_000);
}, 60_000);

test("a server is not used any more once others may write into its home", async () => {
  const home = temporaryFolder("home");
  const server = control(home);
  await server.start({});
  chmodSync(home, 0o777);
  const refused = { code: "home-unsafe" };
  await expect(server.status()).rejects.toMatchObject(refused);
  await expect(server.client()).rejects.toMatchObject(refused);
  await expect(server.stop({ services: false })).rejects.toMatchObject(refused);
  chmodSync(home, 0o700);
  expect((await server.status()).running).toBe(true);
}, 60_000);

test("a half-written or senseless server.json is no server", async () => {
  const home = temporaryFolder("home");
  for (const text of ["", '{"pid": 1', "null", "[]", '{"pid": 1, "api": 5, "token": {}}']) {
    writeFileSync(join(home, "server.json"), text);
    expect((await control(home).status()).running, text).toBe(false);
  }
});

test("a server ends by SIGTERM as by the command", async () => {
  const home = temporaryFolder("home");
  const child: ChildProcess = spawn(process.execPath, [program, home, "4.1.0"], { stdio: "ignore" });
  while (!(await control(home).status()).running) await sleep(20);
  child.kill("SIGTERM");
  await new Promise((resolve) => child.once("exit", resolve));
  expect(existsSync(join(home, "server.json"))).toBe(false);
  expect(existsSync(join(home, "server.lock"))).toBe(false);
}, 60_000);

function isAlive(pid: number | undefined): boolean {
  try {
    process.kill(pid as number, 0);
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
