import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import type { CommandResult } from "../../src/lib/run-command.ts";
import { type Machine, makeMachine } from "./support/machine.ts";

interface Started {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly node: string;
  readonly path: string;
}

/** What our program says of how it was started; nothing else may be on standard output. */
function started({ exitCode, stdout, stderr }: CommandResult): Started {
  expect(exitCode, stdout + stderr).toBe(0);
  return JSON.parse(stdout) as Started;
}

/** A machine whose checkout is set up. */
async function readyMachine(): Promise<Machine> {
  const machine = makeMachine();
  expect((await machine.setUp()).exitCode).toBe(0);
  return machine;
}

test("the first time it sets up, with what it says on standard error; then it starts the tool without a look at PATH's Node", async () => {
  const machine = makeMachine();
  const launcher = join(machine.checkout, "bodywork");
  const first = await machine.run(launcher, ["version"]);
  expect(started(first).argv).toEqual(["version"]);
  expect(started(first).node).toBe(process.execPath);
  expect(first.stderr).toMatch(
    /^Set-up: fetching Node .*\nSet-up: installing .*\nSet-up: Python 3 is not .*\n$/,
  );

  for (const name of ["node", "npm"]) rmSync(join(machine.bin, name));
  const second = await machine.run(launcher, ["version"]);
  expect(started(second)).toEqual(started(first));
  expect(second.stderr).toBe("");
});

test("it can be started from any folder, by any path, and the tool is given that folder and the arguments as they are", async () => {
  const machine = await readyMachine();
  const elsewhere = join(machine.folder, "else where");
  mkdirSync(elsewhere);
  const launcher = join(machine.checkout, "bodywork");
  symlinkSync(launcher, join(elsewhere, "absolute"));
  symlinkSync(relative(elsewhere, launcher), join(elsewhere, "relative link"));
  symlinkSync("relative link", join(elsewhere, "link to a link"));
  symlinkSync(machine.checkout, join(elsewhere, "folder"));
  const ways = ["absolute", "relative link", "link to a link", "folder/bodywork"].map((name) => `./${name}`);
  const args = ["a b", "", "*", "$HOME", "--flag=it's"];
  for (const way of [launcher, relative(elsewhere, launcher), ...ways]) {
    const result = await machine.run("sh", ["-c", `exec "$0" "$@"`, way, ...args], { cwd: elsewhere });
    expect(started(result), way).toMatchObject({ argv: args, cwd: elsewhere });
  }
  const byShell = await machine.run("sh", ["bodywork", "x"], { cwd: machine.checkout });
  expect(started(byShell).argv).toEqual(["x"]);
});

test("it can be found on PATH, through a link in a folder of it", async () => {
  const machine = await readyMachine();
  symlinkSync(join(machine.checkout, "bodywork"), join(machine.bin, "bw"));
  expect(started(await machine.run("sh", ["-c", "bw version"])).argv).toEqual(["version"]);
});

test("the tool's exit code is the launcher's", async () => {
  const machine = await readyMachine();
  expect((await machine.run(join(machine.checkout, "bodywork"), ["exit", "7"])).exitCode).toBe(7);
});

test("a lock file that has changed, or a Node that is gone, is set up anew", async () => {
  const machine = await readyMachine();
  const launcher = join(machine.checkout, "bodywork");
  writeFileSync(join(machine.checkout, "package-lock.json"), "{}\n");
  expect((await machine.run(launcher, [])).stderr).toContain("Set-up: installing the npm packages");
  expect((await machine.run(launcher, [])).stderr).toBe("");

  rmSync(machine.cache, { recursive: true });
  expect((await machine.run(launcher, [])).stderr).toContain("Set-up: fetching Node");
  expect((await machine.run(launcher, [])).stderr).toBe("");
});

test("without Node on PATH one line says so, and nothing is started", async () => {
  const machine = makeMachine();
  rmSync(join(machine.bin, "node"));
  const { exitCode, stdout, stderr } = await machine.run(join(machine.checkout, "bodywork"), ["version"]);
  expect([exitCode, stdout]).toEqual([1, ""]);
  expect(stderr).toBe(
    "bodywork: Node is not on PATH; install Node 20 or newer (24 is fetched when it is older).\n",
  );
});

test("when the set-up fails, the tool is not started", async () => {
  const machine = makeMachine();
  machine.program("npm", "echo no network >&2; exit 1");
  const { exitCode, stdout, stderr } = await machine.run(join(machine.checkout, "bodywork"), ["version"]);
  expect([exitCode, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(/Set-up failed: npm install .* failed \(exit 1\)\nno network\n$/);
});

test("the uv that was set up is on the tool's PATH, after what the machine has", async () => {
  const machine = await readyMachine();
  const launcher = join(machine.checkout, "bodywork");
  const stamp = join(machine.checkout, "node_modules", ".bodywork-tools");
  const [node = ""] = readFileSync(stamp, "utf8").split("\n");
  expect(started(await machine.run(launcher, [])).path).toBe(machine.bin);

  const ours = join(machine.cache, "uv", "bin", "uv");
  mkdirSync(dirname(ours), { recursive: true });
  copyFileSync(join(machine.bin, "npm"), ours);
  writeFileSync(stamp, `${node}\n${ours}\n`);
  expect(started(await machine.run(launcher, [])).path).toBe(`${machine.bin}:${dirname(ours)}`);

  machine.program("uv", "");
  writeFileSync(stamp, `${node}\n${join(machine.bin, "uv")}\n`);
  expect(started(await machine.run(launcher, [])).path).toBe(machine.bin);
});
