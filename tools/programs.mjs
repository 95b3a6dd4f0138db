/** Finds programs and runs them, for the set-up. Runs on Node 20. */

import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { constants as system } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Interrupted, SetupProblem } from "./problems.mjs";
import { makeFolder } from "./provide-folder.mjs";

/** @typedef {Readonly<Record<string, string | undefined>>} Environment */

/**
 * Every program of that name on PATH, in its order.
 *
 * @param {string} program
 * @param {Environment} env
 */
export function allOnPath(program, env) {
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

/**
 * What a program prints, trimmed; empty when it can't be run or fails.
 *
 * @param {string} program
 * @param {readonly string[]} args
 */
export function outputOf(program, args) {
  const result = spawnSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return result.status === 0 ? result.stdout.trim() : "";
}

/**
 * Runs a program in silence. Throws a SetupProblem with the last of what it printed when it fails, and Interrupted
 * when a signal came.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ env: Environment, cwd?: string }} options
 * @returns {Promise<void>}
 */
export async function run(program, args, { env, cwd }) {
  const child = spawn(program, args, { cwd, env: definedOnly(env), stdio: ["ignore", "pipe", "pipe"] });
  const signals = handOnSignals(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk) => {
      output += chunk;
    });
  }
  try {
    /** @type {number | null} */
    const code = await new Promise((resolve, reject) => {
      child.once("error", (error) => reject(startProblem(program, error)));
      child.once("close", resolve);
    });
    const signal = signals.came();
    if (signal !== undefined) throw new Interrupted(signal);
    if (code !== 0) {
      const lines = output.trim().split("\n").slice(-20).join("\n");
      throw new SetupProblem(`${program} ${args.join(" ")} failed (exit ${code})\n${lines}`);
    }
  } finally {
    signals.stop();
  }
}

/** @param {string} program @param {NodeJS.ErrnoException} error */
function startProblem(program, error) {
  return new SetupProblem(
    error.code === "ENOENT"
      ? `${program} is not on PATH; install it (Debian: apt install ${program})`
      : `${program} can't be run: ${error.message}`,
  );
}

/**
 * Keeps us alive while the child ends by the signals that ask us to end. `came` is the first of them.
 *
 * @param {import("node:child_process").ChildProcess} child
 */
export function handOnSignals(child) {
  /** @type {NodeJS.Signals | undefined} */
  let first;
  const handOn = (/** @type {NodeJS.Signals} */ signal) => {
    first ??= signal;
    if (!(signal === "SIGINT" && isFromTerminal())) child.kill(signal);
  };
  const signals = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);
  for (const signal of signals) process.on(signal, handOn);
  return {
    came: () => first,
    stop: () => {
      for (const signal of signals) process.off(signal, handOn);
    },
  };
}

/** A terminal sends Ctrl-C to the child as well; a second one from us would mean "force". */
function isFromTerminal() {
  return [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY);
}

/** What a shell shows for a process that a signal ended. @param {NodeJS.Signals | null} signal */
export function exitCodeOf(signal) {
  return 128 + (signal === null ? 0 : system.signals[signal]);
}

/**
 * Does the action while it holds a lock, one at a time among all processes. The lock is the tool's own, which needs
 * our Node: a process of its own holds it until we let go, or are gone.
 *
 * @param {{ path: string, node: string, onWait: () => void }} options
 * @param {() => Promise<void>} action
 */
export async function withLock({ path, node, onWait }, action) {
  makeFolder(dirname(path));
  const holder = spawn(node, ["--no-warnings", holderProgram, path], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => holder.once("close", resolve));
  try {
    await new Promise((resolve, reject) => {
      holder.once("error", reject);
      holder.once("close", (code) => reject(new Error(`${holderProgram} ended (exit ${code})`)));
      holder.stdout.setEncoding("utf8").on("data", (said) => {
        if (said.includes("waiting")) onWait();
        if (said.includes("held")) resolve(undefined);
      });
    });
    await action();
  } finally {
    holder.stdin.end();
    await ended;
  }
}

const holderProgram = fileURLToPath(new URL("./hold-lock.ts", import.meta.url));

/** @param {Environment} env @returns {Record<string, string>} */
export function definedOnly(env) {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
