import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { uvVersion as uvOfTheTool } from "../../src/environments/find-uv.ts";
import { runCommand } from "../../src/lib/run-command.ts";
import { SetupProblem } from "../../tools/problems.mjs";
import { withLock } from "../../tools/programs.mjs";
import { provideFolder } from "../../tools/provide-folder.mjs";
import { cacheFolder, isolated, uvVersion, withTools } from "../../tools/setup.mjs";
import { startProgram } from "../lib/support/programs.ts";
import { eventually } from "../support/bodywork.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { type Machine, makeMachine } from "./support/machine.ts";

test.each([
  [{ BODYWORK_CACHE: "/c", XDG_CACHE_HOME: "/x", HOME: "/h" }, "/c"],
  [{ BODYWORK_CACHE: "c", HOME: "/h" }, join(process.cwd(), "c")],
  [{ BODYWORK_CACHE: "", XDG_CACHE_HOME: "/x", HOME: "/h" }, "/x/bodywork"],
  [{ XDG_CACHE_HOME: "relative", HOME: "/h" }, "/h/.cache/bodywork"],
  [{ HOME: "/h" }, "/h/.cache/bodywork"],
])("with %j, what is fetched is kept in %s", (env, folder) => {
  expect(cacheFolder(env)).toBe(folder);
});

test("a job has a home folder of its own and the local engine, and no way to a cluster", () => {
  const elsewhere = {
    KUBECONFIG: "/k",
    KUBERNETES_SERVICE_HOST: "10.0.0.1",
    KUBERNETES_PORT: "tcp://10.0.0.1:443",
    BODYWORK_HOME: "/mine",
    BODYWORK_ENGINE: "kubernetes",
    BODYWORK_GIT_SSH_PRIVATE_KEY: "secret",
  };
  const kept = { PATH: "/bin", CI: "true", BODYWORK_CACHE: "/c", BODYWORK_CORPUS: "/o", BODYWORK_SOAK: "1" };
  expect(isolated({ ...elsewhere, ...kept }, "/own")).toEqual({
    ...kept,
    BODYWORK_HOME: "/own",
    BODYWORK_ENGINE: "local",
  });
});

test("a job finds the right Node first on PATH, and uv where the machine has none that works", () => {
  const { bin, program } = makeMachine();
  const own = { node: "/cache/node/bin/node", uv: "/cache/uv/bin/uv" };
  expect(withTools({ PATH: bin }, own).PATH).toBe(`/cache/node/bin:/cache/uv/bin:${bin}`);
  expect(withTools({ PATH: bin }, { ...own, uv: undefined }).PATH).toBe(`/cache/node/bin:${bin}`);
  program("uv", "exit 127");
  expect(withTools({ PATH: bin }, own).PATH).toBe(`/cache/node/bin:/cache/uv/bin:${bin}`);
  expect(withTools({ PATH: bin }, { ...own, uv: join(bin, "uv") }).PATH).toBe(`/cache/node/bin:${bin}`);
});

test("the set-up provides the uv that the tool would install", () => {
  expect(uvVersion).toBe(uvOfTheTool);
});

test("with an old Node and without uv, a first set-up fetches both and the packages, and a second one does nothing", async () => {
  const machine = makeMachine();
  machine.program("python3", pythonWithPip);
  const first = await machine.setUp();
  expect(first.stderr).toMatch(
    /^Set-up: fetching Node \(node-\S+\), once\nSet-up: installing .*\nSet-up: fetching uv .*, once\n$/,
  );
  expect(first.exitCode).toBe(0);
  expect(machine.npmCalls()).toHaveLength(2);
  for (const call of machine.npmCalls()) expect(call).toContain("--include=dev --no-dry-run");
  const stamp = readFileSync(join(machine.checkout, "node_modules", ".bodywork-tools"), "utf8");
  const [node = "", uv = ""] = stamp.split("\n");
  expect(node).toMatch(/^.*\/cache\/node-.*\/bin\/node$/);
  expect(uv).toBe(join(machine.cache, `uv@${uvVersion}-${process.platform}-${process.arch}`, "bin", "uv"));

  for (const name of ["npm", "python3"]) machine.program(name, "echo called >&2; exit 1");
  const before = [...filesOf(machine.cache), ...filesOf(machine.checkout)];
  const second = await machine.setUp();
  expect([second.exitCode, second.stdout, second.stderr]).toEqual([0, "", ""]);
  expect([...filesOf(machine.cache), ...filesOf(machine.checkout)]).toEqual(before);

  // The same look does see a change.
  writeFileSync(join(machine.checkout, "package-lock.json"), '{ "lockfileVersion": 3, "packages": {} }\n');
  const third = await machine.setUp();
  expect(third.exitCode).toBe(1);
  expect(third.stderr).toMatch(
    /^Set-up: installing .*\nSet-up failed: npm install .* failed \(exit 1\)\ncalled\n$/,
  );
});

test("a Node on PATH that is new enough is used, also when an older one comes first", async () => {
  const machine = makeMachine();
  const second = temporaryFolder("second");
  symlinkSync(process.execPath, join(second, "node"));
  await machine.setUp({ PATH: `${machine.bin}:${second}` });
  expect(machine.npmCalls()).toHaveLength(1);
  expect(readFileSync(join(machine.checkout, "node_modules", ".bodywork-tools"), "utf8")).toBe(
    `${join(second, "node")}\n\n`,
  );
});

test("where pip is missing, uv is installed by that of a virtual environment", async (context) => {
  const machine = makeMachine();
  const python = await realPython();
  const able = await machine.run(python, ["-c", "import venv, ensurepip"]);
  if (able.exitCode !== 0) context.skip("needs a Python with venv: apt install python3-venv");
  machine.program("python3", `[ "$1 $2" != "-m pip" ] || exit 1\nexec '${python}' "$@"`);
  // pip takes several folders there, with spaces between them.
  const wheels = temporaryFolder("wheels");
  await makeUvWheel(wheels, python);
  const { stderr } = await machine.setUp({
    PIP_NO_INDEX: "1",
    PIP_FIND_LINKS: wheels,
    PIP_CONFIG_FILE: "/dev/null",
    PIP_USER: "1",
    PIP_REQUIRE_VIRTUALENV: "1",
  });
  expect(stderr).not.toContain("going on without uv");
  const [folder = ""] = readdirSync(machine.cache).filter((name) => name.startsWith("uv@"));
  const uv = await machine.run(join(machine.cache, folder, "bin", "uv"), ["--version"]);
  expect(uv.stdout).toBe(`uv ${uvVersion}\n`);
  expect(existsSync(join(machine.cache, folder, "pip"))).toBe(false);
}, 120_000);

test("a uv on PATH that does not work, or is too old, is not used", async () => {
  const machine = makeMachine();
  machine.program("python3", pythonWithPip);
  for (const [script, isUsed] of [
    ["echo 'no uv in this version of Python' >&2; exit 127", false],
    ["echo 'uv 0.4.30'", false],
    ["echo 'uv 0.9.2 (abc 2026-01-01)'", true],
  ] as const) {
    machine.program("uv", script);
    await machine.setUp();
    const stamp = readFileSync(join(machine.checkout, "node_modules", ".bodywork-tools"), "utf8");
    expect(stamp.includes(join(machine.bin, "uv")), script).toBe(isUsed);
  }
});

test("a uv that was fetched and does not run here is told, and not kept", async () => {
  const machine = makeMachine();
  machine.program("python3", pythonWithPip.replace("echo uv", "exit 1 # "));
  const { exitCode, stderr } = await machine.setUp();
  expect(exitCode).toBe(0);
  expect(stderr).toContain("Set-up: going on without uv (it does not run on this machine)");
  expect(readdirSync(machine.cache).filter((name) => name.includes("uv"))).toEqual([]);
});

test("without npm, one line says so", async () => {
  const machine = makeMachine();
  rmSync(join(machine.bin, "npm"));
  const { exitCode, stderr } = await machine.setUp();
  expect(exitCode).toBe(1);
  expect(stderr.trim().split("\n").at(-1)).toBe(
    "Set-up failed: npm is not on PATH; install it (Debian: apt install npm)",
  );
  expect(readdirSync(machine.cache)).toEqual([]);
});

test.each([
  [
    "Python",
    undefined,
    "Set-up: Python 3 is not on PATH: install it (Debian: apt install python3 python3-venv)",
  ],
  [
    "pip and venv",
    "exit 1",
    "Set-up: going on without uv (neither pip nor venv is there; Debian: apt install python3-venv, or install uv)",
  ],
])(
  "without %s, one line says what to install, and the tool is there all the same",
  async (_, python, line) => {
    const machine = makeMachine();
    if (python !== undefined) machine.program("python3", python);
    const { exitCode, stderr } = await machine.setUp();
    expect(exitCode).toBe(0);
    expect(stderr.split("\n").filter((text) => text.includes(line))).toHaveLength(1);
  },
);

test("a cache folder that can't be made is a line that names it and the way out", async () => {
  const machine = makeMachine();
  writeFileSync(machine.cache, "a file");
  const { exitCode, stderr } = await machine.setUp();
  expect(exitCode).toBe(1);
  expect(stderr).toBe(
    `Set-up failed: ${machine.cache} can't be made (EEXIST); set BODYWORK_CACHE to a folder that you may write to\n`,
  );
});

test("two set-ups of one checkout at once install its packages once", async () => {
  const machine = makeMachine();
  writeFileSync(join(machine.folder, "hang"), "");
  const both = [machine.setUp(), machine.setUp()];
  await eventually(async () => machine.npmCalls().length === 2);
  rmSync(join(machine.folder, "hang"));
  for (const { exitCode, stderr } of await Promise.all(both)) expect(exitCode, stderr).toBe(0);
  // Each fetched the Node, which needs no turn: the first one's stays.
  expect(machine.npmCalls().filter((call) => !call.includes("--prefix"))).toHaveLength(1);
  expect(readdirSync(machine.cache).toSorted()).toEqual([
    expect.stringMatching(/^locks$/),
    expect.stringMatching(/^node-/),
  ]);
});

test.each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
] as const)("%s ends what the set-up runs, and leaves nothing half-made", async (signal, exitCode) => {
  const machine = makeMachine();
  writeFileSync(join(machine.folder, "hang"), "");
  const setUp = startSetUp(machine);
  await eventually(async () => existsSync(join(machine.folder, "hanging")));
  setUp.process.kill(signal);
  expect(await setUp.end()).toBe(exitCode);
  expect(machine.npmCalls().at(-1)).toBe("ended by a signal");
  expect(readdirSync(machine.cache)).toEqual([]);
});

test("a set-up that was killed while it installed keeps no later one from it", async () => {
  const machine = makeMachine();
  await machine.setUp();
  rmSync(join(machine.checkout, "node_modules"), { recursive: true });
  writeFileSync(join(machine.folder, "hang"), "");
  const killed = startSetUp(machine);
  await eventually(async () => existsSync(join(machine.folder, "hanging")));
  await killed.kill();
  rmSync(join(machine.folder, "hang"));
  const { exitCode, stderr } = await machine.setUp();
  expect(exitCode, stderr).toBe(0);
  expect(readdirSync(join(machine.cache, "locks"))).toEqual([]);
});

test("who waits for a lock is told, and has it when the holder is done", async () => {
  const events: string[] = [];
  const lock = { path: join(temporaryFolder(), "locks", "one"), node: process.execPath };
  const taken = Promise.withResolvers<void>();
  const first = withLock({ ...lock, onWait: () => events.push("first waits") }, async () => {
    taken.resolve();
    while (!events.includes("second waits")) await sleep(5);
    events.push("first is done");
  });
  await taken.promise;
  const second = withLock({ ...lock, onWait: () => events.push("second waits") }, async () => {
    events.push("second has it");
  });
  await Promise.all([first, second]);
  expect(events).toEqual(["second waits", "first is done", "second has it"]);
  expect(readdirSync(dirname(lock.path))).toEqual([]);
});

test("the lock of a process that was killed is free", async () => {
  const path = join(temporaryFolder(), "one");
  const holder = startProgram(
    `const { withLock } = await src("../tools/programs.mjs");
     await withLock({ path: process.argv[1], node: process.execPath, onWait() {} }, async () => {
       console.log("has it");
       await new Promise((resolve) => setTimeout(resolve, 60_000));
     });`,
    [path],
  );
  await holder.printed("has it");
  await holder.kill();
  let isOurs = false;
  await withLock({ path, node: process.execPath, onWait() {} }, async () => {
    isOurs = true;
  });
  expect(isOurs).toBe(true);
});

test("an action that fails lets the lock go, and its error through", async () => {
  const path = join(temporaryFolder(), "one");
  const failing = withLock({ path, node: process.execPath, onWait() {} }, () =>
    Promise.reject(new Error("no")),
  );
  await expect(failing).rejects.toThrow("no");
  expect(existsSync(path)).toBe(false);
});

/** Fills a folder in two steps and, between them, waits to be killed. */
const halfFilling = `
  import { mkdirSync, writeFileSync } from "node:fs";
  const { provideFolder } = await src("../tools/provide-folder.mjs");
  const [cache, naive] = process.argv.slice(1);
  const fill = async (target) => {
    writeFileSync(target + "/first", "");
    console.log("half");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  };
  if (naive === "naive") {
    mkdirSync(cache + "/thing");
    await fill(cache + "/thing");
  } else await provideFolder(cache, "thing", fill);`;

test.each([
  ["a folder of the cache whose filling was killed is not there", "", false],
  ["control: filled in its place, it would be there by half", "naive", true],
])("%s", async (_, naive, isThere) => {
  const cache = temporaryFolder();
  const filling = startProgram(halfFilling, [cache, naive]);
  await filling.printed("half");
  await filling.kill();
  expect(existsSync(join(cache, "thing"))).toBe(isThere);
});

test("what a killed filling left is swept when it is a day old, and not before", async () => {
  const cache = temporaryFolder();
  const killed = startProgram(halfFilling, [cache, ""]);
  await killed.printed("half");
  await killed.kill();
  const provide = (name: string) => provideFolder(cache, name, async () => {});
  await provide("one");
  const left = readdirSync(cache).filter((name) => name.startsWith("."));
  expect(left).toHaveLength(1);
  const before = new Date(Date.now() - 25 * 60 * 60 * 1000);
  utimesSync(join(cache, `${left[0]}`), before, before);
  await provide("two");
  expect(readdirSync(cache).toSorted()).toEqual(["one", "two"]);
});

test("a folder whose filling fails is not there, and the next one fills it", async () => {
  const cache = temporaryFolder();
  const failing = provideFolder(cache, "thing", async (target) => {
    writeFileSync(join(target, "half"), "");
    throw new SetupProblem("no network");
  });
  await expect(failing).rejects.toThrow("no network");
  expect(readdirSync(cache)).toEqual([]);
  await provideFolder(cache, "thing", async (target) => writeFileSync(join(target, "whole"), ""));
  expect(readdirSync(join(cache, "thing"))).toEqual(["whole"]);
});

test("of two that fill one folder at once, both get the first one's", async () => {
  const cache = temporaryFolder();
  const bothFill = Promise.withResolvers<void>();
  let filling = 0;
  const provide = (name: string) =>
    provideFolder(cache, "thing", async (target) => {
      filling += 1;
      if (filling === 2) bothFill.resolve();
      await bothFill.promise;
      writeFileSync(join(target, name), "");
    });
  const folders = await Promise.all([provide("one"), provide("two")]);
  expect(folders).toEqual([join(cache, "thing"), join(cache, "thing")]);
  expect(readdirSync(cache)).toEqual(["thing"]);
  expect(readdirSync(join(cache, "thing"))).toHaveLength(1);
});

/** Answers for pip; what it "installs" is a uv that says its version. */
const pythonWithPip = `
[ "$3" = install ] || { echo pip 25; exit 0; }
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/bin"
printf '#!/bin/sh\\necho uv ${uvVersion}\\n' >"$2/bin/uv"
/bin/chmod +x "$2/bin/uv"`;

function startSetUp(machine: Machine) {
  return startProgram(
    `process.chdir(${JSON.stringify(machine.checkout)});
     Object.assign(process.env, ${JSON.stringify(machine.env)});
     Object.defineProperty(process.versions, "node", { value: "20.19.0" });
     process.argv = [process.execPath, "tools/with-setup.mjs", "setup"];
     await import(${JSON.stringify(join(machine.checkout, "tools", "with-setup.mjs"))});`,
  );
}

/** Path, identity and time of everything in a folder: equal when nothing was made anew. */
function filesOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, String(name)))
    .map((path) => ({ path, stat: lstatSync(path) }))
    .map(({ path, stat }) => `${path} ${stat.ino} ${stat.mtimeMs}`)
    .toSorted();
}

async function realPython(): Promise<string> {
  const { stdout } = await runCommand("python3", ["-c", "import sys; print(sys.executable)"], {
    env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "" },
  });
  return stdout.trim();
}

/** A package named uv whose program only says its version: what pip does with it is what pip does with the real one. */
async function makeUvWheel(folder: string, python: string): Promise<void> {
  const code = `import sys, zipfile
version = sys.argv[1]
about = f"uv-{version}.dist-info"
with zipfile.ZipFile(f"uv-{version}-py3-none-any.whl", "w") as wheel:
    program = zipfile.ZipInfo(f"uv-{version}.data/scripts/uv")
    program.external_attr = 0o100755 << 16
    wheel.writestr(program, f"#!/bin/sh\\necho uv {version}\\n")
    wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\\nName: uv\\nVersion: {version}\\n")
    wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{about}/RECORD", "")`;
  const made = await runCommand(python, ["-c", code, uvVersion], { env: {}, cwd: folder });
  expect(made.exitCode, made.stderr).toBe(0);
}
