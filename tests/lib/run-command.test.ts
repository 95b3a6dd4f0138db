import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { type CommandOptions, runCommand } from "../../src/lib/run-command.ts";
import { temporaryFolder } from "../support/temporary.ts";

const env = { PATH: process.env.PATH ?? "" };

function shell(script: string, options: Partial<CommandOptions> = {}) {
  return runCommand("/bin/sh", ["-c", script], { env, ...options });
}

function isRunning(pidFile: string): boolean {
  const pid = readFileSync(pidFile, "utf8").trim();
  try {
    return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("what a program prints, and how it ends, is given as it is", async () => {
  const result = await shell("printf '%s' \"$0\"; echo bad >&2; exit 3");
  expect(result).toMatchObject({ exitCode: 3, signal: undefined, stdout: "/bin/sh", stderr: "bad\n" });
  expect((await shell("kill -9 $$")).signal).toBe("SIGKILL");
  expect((await shell("cat", { input: "x".repeat(300_000) })).stdout).toHaveLength(300_000);
  expect((await shell("true", { input: "x".repeat(3_000_000) })).exitCode).toBe(0);
  const bytes = await shell("printf '\\377\\000'");
  expect([...bytes.stdoutBytes]).toEqual([255, 0]);
});

test("its environment is exactly what was given, and its input is empty", async () => {
  const result = await runCommand("/usr/bin/env", [], { env: { ONLY: "this" } });
  expect(result.stdout).toBe("ONLY=this\n");
  expect((await shell("cat")).stdout).toBe("");
});

test("arguments go to the program as they are, never through a shell", async () => {
  const text = "$(touch x) `id` ; * \n\"'";
  expect((await runCommand("printf", ["%s", text], { env })).stdout).toBe(text);
});

test("a program that can't be started says why", async () => {
  expect(await runCommand("/no/such/program", [], { env })).toMatchObject({
    exitCode: undefined,
    startError: "ENOENT",
  });
  expect((await runCommand("/dev/null", [], { env })).startError).toBe("EACCES");
  expect((await shell("true", { cwd: "/no/such/folder" })).startError).toBe("ENOENT");
});

test("a time-out ends the program and its children, also those that ignore the polite signal", async () => {
  const pidFile = join(temporaryFolder(), "pid");
  const script = `trap '' TERM; sleep 300 & echo $! > ${pidFile}; while :; do sleep 1; done`;
  const result = await shell(script, { timeout: 200 });
  expect(result).toMatchObject({ exitCode: undefined, signal: "SIGKILL", timedOut: true, aborted: false });
  await vi.waitFor(() => expect(isRunning(pidFile)).toBe(false));
});

test("an abort ends the program and its children; one that came before starts nothing", async () => {
  const pidFile = join(temporaryFolder(), "pid");
  const controller = new AbortController();
  const running = shell(`sleep 300 & echo $! > ${pidFile}; echo up; wait`, {
    signal: controller.signal,
    onOutput: () => controller.abort(),
  });
  expect(await running).toMatchObject({ signal: "SIGTERM", timedOut: false, aborted: true });
  await sleep(20);
  expect(isRunning(pidFile)).toBe(false);
  await expect(shell("true", { signal: controller.signal })).rejects.toBe(controller.signal.reason);
});

test("a descendant that leaves the group and keeps the output open holds nobody up after the time-out", async () => {
  const start = performance.now();
  const result = await shell("setsid sleep 300 & echo $!", { timeout: 100 });
  expect(result.timedOut).toBe(true);
  expect(performance.now() - start).toBeLessThan(15_000);
  process.kill(Number(result.stdout), "SIGKILL");
});

test("of more output than is to be kept the start is kept, and the program goes on to its end", async () => {
  const script = "head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2; exit 4";
  const result = await shell(script, { maxOutput: 1000 });
  expect(result).toMatchObject({ exitCode: 4, stdout: "x".repeat(1000), stderr: "end\n" });
});

test("output comes while the program runs, and a character in two pieces arrives whole", async () => {
  const seen: string[] = [];
  const script = "printf 'a\\303'; sleep 0.2; printf '\\251\\n'; sleep 0.1; echo err >&2";
  const result = await shell(script, { onOutput: (text) => seen.push(text) });
  expect(seen.join("")).toBe("aé\nerr\n");
  expect(seen.length).toBeGreaterThan(1);
  expect(result.stdout).toBe("aé\n");
});
