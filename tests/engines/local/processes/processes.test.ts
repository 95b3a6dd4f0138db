import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";

import { createBench, endQuietly, path, runs, text, until } from "./support.ts";

test.each([
  ["exit 0", { kind: "exited", code: 0 }],
  ["exit 3", { kind: "exited", code: 3 }],
  ["exit 137", { kind: "exited", code: 137 }],
  ["kill -KILL $$", { kind: "signalled", signal: "SIGKILL" }],
  ["kill -SEGV $$", { kind: "signalled", signal: "SIGSEGV" }],
  ["kill -TERM $$", { kind: "signalled", signal: "SIGTERM" }],
  ["kill -INT $$", { kind: "signalled", signal: "SIGINT" }],
  ["kill -PIPE $$", { kind: "signalled", signal: "SIGPIPE" }],
])("how a program ends is told exactly: %s", async (script, expected) => {
  const { script: start } = await createBench();
  expect(await (await start(script)).exited).toEqual(expected);
});

test("the log has standard output and error as they were written", async () => {
  const { script } = await createBench();
  const running = await script("echo one; echo two >&2; printf three");
  await running.exited;
  expect(text(running.logFile)).toBe("one\ntwo\nthree");
});

test("arguments reach the program as they are", async () => {
  const { script } = await createBench();
  const odd = ["", "a b", "$HOME", "`id`", "*", "-n", 'x"y', "l1\nl2", "'"];
  const running = await script("", { command: ["printf", "<%s>", ...odd] });
  await running.exited;
  expect(text(running.logFile)).toBe(odd.map((one) => `<${one}>`).join(""));
});

test("a prefix goes before the command, and the program keeps its place in the tree", async () => {
  const { script } = await createBench();
  const running = await script("", { command: ["echo", "c"], prefix: ["printf", "%s-%s", "a"] });
  await running.exited;
  expect(text(running.logFile)).toBe("a-echoc-");
});

test.each<[string, Record<string, string>]>([
  ["nothing else", { PATH: path }],
  ["the usual", { PATH: path, LANG: "C.UTF-8", TZ: "UTC", EMPTY: "", LINES: "a\nb=c\n" }],
  [
    "names that no shell can have",
    { PATH: path, "my-key": "1", "dotted.name": "2", "-dash": "3", "1st": "4" },
  ],
  [
    "names that shells keep for themselves",
    { PATH: path, PWD: "/x", OLDPWD: "/y", IFS: ":", SHLVL: "7", PS1: "p", _: "u" },
  ],
  [
    "names that the shim might use",
    { PATH: path, status: "s", how: "h", file: "f", oom: "o", key: "k", stat: "t" },
  ],
])("the environment is exactly what was asked for, and the nonce: %s", async (_, env) => {
  const { script } = await createBench();
  const command = ["/usr/bin/env", "-0"];
  const running = await script("", { command, env, nonce: "the-nonce" });
  await running.exited;
  const seen = text(running.logFile).split("\0").filter(Boolean);
  const asked = Object.entries({ ...env, BODYWORK_INSTANCE: "the-nonce" });
  expect(seen.sort()).toEqual(asked.map((pair) => pair.join("=")).sort());
});

test("SIGINT and SIGPIPE are not ignored in the program, as they would be in a background job", async () => {
  const { script } = await createBench();
  const running = await script("grep SigIgn /proc/self/status");
  await running.exited;
  expect(text(running.logFile)).toBe("SigIgn:\t0000000000000000\n");
  const control = await script("(grep SigIgn /proc/self/status) & wait");
  await control.exited;
  expect(text(control.logFile)).not.toBe("SigIgn:\t0000000000000000\n");
});

test("a program or a working folder that is not there is told in the log", async () => {
  const { script, root } = await createBench();
  const noProgram = await script("", { command: ["no-such-program", "x"] });
  expect(await noProgram.exited).toEqual({ kind: "exited", code: 127 });
  expect(text(noProgram.logFile)).toBe("bodywork: cannot find the program no-such-program\n");
  const noFolder = await script("", { cwd: join(root, "nowhere") });
  expect(await noFolder.exited).toEqual({ kind: "exited", code: 126 });
  expect(text(noFolder.logFile)).toContain(`cannot enter the working folder ${join(root, "nowhere")}`);
  const noRight = await script("", { command: [root] });
  expect(await noRight.exited).toEqual({ kind: "exited", code: 126 });
});

test("what a program leaves behind is ended with it, also in a session of its own", async () => {
  const { script, root } = await createBench();
  const running = await script(
    "sleep 300 & setsid sh -c 'echo $$ >escaped; exec sleep 300' & until [ -s escaped ]; do sleep 0.01; done",
  );
  expect(await running.exited).toEqual({ kind: "exited", code: 0 });
  expect(runs(Number(text(join(root, "escaped"))))).toBe(false);
  expect(running.pids()).toEqual([]);
});

test("a signal to the process group alone leaves what has a session of its own", async () => {
  const { root } = await createBench();
  const script = "setsid sh -c 'echo $$ >escaped; exec sleep 300' & sleep 300";
  const group = spawn("sh", ["-c", script], { cwd: root, detached: true, stdio: "ignore" });
  const escaped = Number(await until(() => text(join(root, "escaped")).trim()));
  process.kill(-(group.pid as number), "SIGKILL");
  await until(() => !runs(group.pid as number));
  expect(runs(escaped)).toBe(true);
  endQuietly(escaped);
});

test("a program that is asked to stop may take its time to do so", async () => {
  const { script } = await createBench();
  const running = await script("trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.02; done");
  await until(() => text(running.logFile).includes("up"));
  expect(await running.stop({ graceMs: 5_000 })).toEqual({ kind: "exited", code: 4 });
  expect(text(running.logFile)).toContain("bye");
});

test("a program that ignores SIGTERM is killed after the grace time, and so are all its children", async () => {
  const { script } = await createBench();
  const running = await script(
    "trap '' TERM; echo up; sleep 300 & setsid sleep 300 & while :; do sleep 1; done",
  );
  await until(() => running.pids().length >= 4);
  const pids = running.pids();
  const start = performance.now();
  expect(await running.stop({ graceMs: 300 })).toEqual({ kind: "signalled", signal: "SIGKILL" });
  expect(performance.now() - start).toBeGreaterThan(290);
  expect(pids.filter(runs)).toEqual([]);
});

test("a stop right after the start is not missed", async () => {
  const { script } = await createBench();
  for (let round = 0; round < 40; round++) {
    const running = await script("", { command: ["sleep", "300"] });
    const start = performance.now();
    const exit = await running.stop({ graceMs: 20_000 });
    expect(exit).toEqual({ kind: "signalled", signal: "SIGTERM" });
    expect(performance.now() - start).toBeLessThan(10_000);
  }
});

test("the process id shown is the program's own", async () => {
  const { script } = await createBench();
  const running = await script("echo $$; sleep 300");
  const pid = Number(await until(() => text(running.logFile).trim()));
  expect(running.identity.pid).toBe(pid);
  await running.stop({ graceMs: 1000 });
});

test("out of memory is told from what the kernel did, not from the exit code", async ({ skip }) => {
  const { script, processes } = await createBench();
  skip(!processes.memoryLimitEnforced, "this machine has no memory cgroup that we may write to");
  const greedy = await script("", {
    command: ["python3", "-c", "x = bytearray(200 << 20)"],
    memoryLimitMb: 64,
  });
  expect(await greedy.exited).toEqual({ kind: "out-of-memory", limitMb: 64 });
  const killed = await script("kill -KILL $$", { memoryLimitMb: 64 });
  expect(await killed.exited).toEqual({ kind: "signalled", signal: "SIGKILL" });
  const modest = await script("", {
    command: ["python3", "-c", "x = bytearray(200 << 20)"],
    memoryLimitMb: 400,
  });
  expect(await modest.exited).toEqual({ kind: "exited", code: 0 });
  // A worker that was killed is not the end of a program that gets over it.
  const survivor = await script("python3 -c 'x = bytearray(200 << 20)'; exit 0", { memoryLimitMb: 64 });
  expect(await survivor.exited).toEqual({ kind: "exited", code: 0 });
});

test("one folder never gets a second process", async () => {
  const { script, folder } = await createBench();
  const mine = folder();
  const running = await script("echo once; sleep 300", { folder: mine });
  await until(() => text(running.logFile));
  await expect(script("echo twice", { folder: mine })).rejects.toThrow("was started there");
  await running.stop({ graceMs: 1000 });
  await expect(script("echo twice", { folder: mine })).rejects.toThrow("was started there");
  expect(text(running.logFile)).toBe("once\n");
});

test("fifty programs at once all end as they should, and no zombie stays", async () => {
  const { script, root } = await createBench();
  const codes = Array.from({ length: 50 }, (_, index) => index);
  const running = await Promise.all(codes.map((code) => script(`sleep 0.0${code % 10}; exit ${code}`)));
  const exits = await Promise.all(running.map((one) => one.exited));
  expect(exits).toEqual(codes.map((code) => ({ kind: "exited", code })));
  const helper = text(join(root, "state", "spawner.pid"));
  const children = (): string[] =>
    readdirSync("/proc")
      .filter((pid) => /^\d+$/.test(pid))
      .filter((pid) => text(`/proc/${pid}/stat`).match(/\) \w (\d+)/)?.[1] === helper);
  await until(() => children().length === 0);
});

test("a helper that is killed is replaced, and what it had started is still seen to end", async () => {
  const { script, root } = await createBench();
  const before = await script("sleep 0.5; exit 6");
  const helper = Number(text(join(root, "state", "spawner.pid")));
  process.kill(helper, "SIGKILL");
  const after = await script("exit 5");
  expect(await after.exited).toEqual({ kind: "exited", code: 5 });
  expect(await before.exited).toEqual({ kind: "exited", code: 6 });
  expect(Number(text(join(root, "state", "spawner.pid")))).not.toBe(helper);
});

test("a start whose helper is killed meanwhile happens once", async () => {
  const { script, root } = await createBench();
  let helper = 0;
  for (let round = 0; round < 5; round++) {
    // The one that was killed may take a moment to die; a start after that has made its successor.
    await until(() => !runs(helper));
    await (await script("true")).exited;
    helper = Number(text(join(root, "state", "spawner.pid")));
    const starting = script(`echo x >>ran-${round}`);
    await sleep(round);
    process.kill(helper, "SIGKILL");
    expect(await (await starting).exited).toEqual({ kind: "exited", code: 0 });
    expect(text(join(root, `ran-${round}`))).toBe("x\n");
  }
});
