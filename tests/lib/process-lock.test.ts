import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { acquireLock, tryLock } from "../../src/lib/process-lock.ts";
import { runCommand } from "../../src/lib/run-command.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { startProgram } from "./support/programs.ts";

test("a lock has one holder at a time, also within one process", async () => {
  const path = join(temporaryFolder(), "locks/one");
  const first = tryLock(path);
  expect(first).toBeDefined();
  expect(tryLock(path)).toBeUndefined();
  let looks = 0;
  const second = acquireLock(path, { onWait: () => (looks += 1) });
  await sleep(120);
  first?.release();
  (await second).release();
  expect(looks).toBeGreaterThan(1);
  expect(readdirSync(join(path, ".."))).toEqual([]);
});

test("waiting ends with the signal's reason", async () => {
  const path = join(temporaryFolder(), "one");
  const held = tryLock(path);
  const reason = new Error("enough");
  const controller = new AbortController();
  const waiting = acquireLock(path, { signal: controller.signal, onWait: () => controller.abort(reason) });
  await expect(waiting).rejects.toBe(reason);
  held?.release();
});

test("a holder that was killed keeps nobody waiting, and leaves nothing behind", async () => {
  const path = join(temporaryFolder(), "one");
  for (let round = 0; round < 5; round += 1) {
    const holder = startProgram(
      `const { tryLock } = await src("lib/process-lock.ts");
       console.log(tryLock(process.argv[1]) === undefined ? "refused" : "held");
       setInterval(() => {}, 1000);`,
      [path],
    );
    await holder.printed("held");
    expect(tryLock(path)).toBeUndefined();
    await holder.kill();
    const lock = tryLock(path);
    expect(lock).toBeDefined();
    lock?.release();
    expect(readdirSync(join(path, ".."))).toEqual([]);
  }
});

/** Takes the lock and, while it has it, counts up a file by reading and writing; some die with the lock in their hands. */
const contending = `
  import { readFileSync, writeFileSync } from "node:fs";
  import { setTimeout as sleep } from "node:timers/promises";
  const { acquireLock } = await src("lib/process-lock.ts");
  const [path, counter, naive, dies] = process.argv.slice(1);
  for (let round = 0; round < 12; round += 1) {
    const lock = naive === "" ? await acquireLock(path) : undefined;
    const count = Number(readFileSync(counter, "utf8"));
    await sleep(1);
    writeFileSync(counter, String(count + 1));
    if (dies !== "" && round === 5) process.kill(process.pid, "SIGKILL");
    lock?.release();
    await sleep(0);
  }`;

async function countUp(naive: string): Promise<number> {
  const folder = temporaryFolder();
  const [path, counter] = [join(folder, "one"), join(folder, "counter")];
  writeFileSync(counter, "0");
  const programs = Array.from({ length: 8 }, (_, index) =>
    startProgram(contending, [path, counter, naive, index < 3 ? "dies" : ""]),
  );
  for (const program of programs) await program.end();
  return Number(readFileSync(counter, "utf8"));
}

test("of eight processes, three of which die holding it, no two ever hold it together", async () => {
  expect(await countUp("")).toBe(3 * 6 + 5 * 12);
});

test("control: without the lock, counts are lost", async () => {
  expect(await countUp("naive")).toBeLessThan(3 * 6 + 5 * 12);
});

/** For each path in turn: spins until the file "go" is beside it, looks once, says what it got, and keeps it. */
const looking = `
  import { existsSync } from "node:fs";
  const { tryLock } = await src("lib/process-lock.ts");
  for (const path of process.argv.slice(1)) {
    console.log("ready " + path);
    while (!existsSync(path + ".go"));
    console.log(tryLock(path) === undefined ? "refused" : "held", path);
    await new Promise(setImmediate);
  }
  setInterval(() => {}, 1000);`;

test("a dead holder is replaced by one only, however many look at the same time", async () => {
  const folder = temporaryFolder();
  const paths = Array.from({ length: 20 }, (_, index) => join(folder, `lock-${index}.`));
  for (const path of paths) {
    const dead = { boot: "another", namespace: "", pid: 1, started: "1", nonce: "dead" };
    writeFileSync(path, JSON.stringify(dead));
  }
  const programs = Array.from({ length: 3 }, () => startProgram(looking, paths));
  for (const path of paths) {
    for (const program of programs) await program.printed(`ready ${path}`);
    writeFileSync(`${path}.go`, "");
    for (const program of programs) await program.printed(`d ${path}`);
    expect(programs.filter((program) => program.output().includes(`held ${path}`))).toHaveLength(1);
  }
});

test("a lock file that a power cut left empty, or with half a text, is taken over", () => {
  const folder = temporaryFolder();
  for (const [index, text] of ["", '{"boot":"x', "\0\0\0"].entries()) {
    const path = join(folder, String(index));
    writeFileSync(path, text);
    const lock = tryLock(path);
    expect(lock).toBeDefined();
    expect(tryLock(path)).toBeUndefined();
    lock?.release();
  }
  expect(readdirSync(folder)).toEqual([]);
});

test("a process with a dead holder's id but another start is not taken for it", () => {
  const path = join(temporaryFolder(), "one");
  tryLock(path);
  const owner = JSON.parse(readFileSync(path, "utf8")) as { started: string; nonce: string };
  writeFileSync(path, JSON.stringify({ ...owner, started: "1", nonce: "earlier" }));
  const lock = tryLock(path);
  expect(lock).toBeDefined();
  lock?.release();
});

test("a holder whose lock was taken over does not release its successor's", () => {
  const path = join(temporaryFolder(), "one");
  const first = tryLock(path);
  const successor = readFileSync(path, "utf8").replace(/"nonce":"\w+"/, '"nonce":"successor"');
  writeFileSync(path, successor);
  first?.release();
  expect(readFileSync(path, "utf8")).toBe(successor);
});

test("a holder in another PID namespace, who can't be seen, is taken for dead", async (context) => {
  const folder = temporaryFolder();
  const path = join(folder, "one");
  const code = `const { tryLock } = await import(${JSON.stringify(new URL("../../src/lib/process-lock.ts", import.meta.url).href)});
    tryLock(${JSON.stringify(path)});
    (await import("node:fs")).writeFileSync(${JSON.stringify(join(folder, "held"))}, "");
    setTimeout(() => {}, 1500);`;
  const elsewhere = runCommand(
    "unshare",
    ["--pid", "--fork", "--mount-proc", process.execPath, "--input-type=module", "-e", code],
    { env: { PATH: process.env.PATH ?? "" } },
  );
  const isHeld = await Promise.race([
    elsewhere.then(() => false),
    (async () => {
      while (!existsSync(join(folder, "held"))) await sleep(10);
      return true;
    })(),
  ]);
  if (!isHeld) context.skip("another PID namespace needs root: run the tests as root to see it");
  const lock = tryLock(path);
  expect(lock).toBeDefined();
  lock?.release();
  expect((await elsewhere).exitCode).toBe(0);
});
