import { type ChildProcess, fork, type StdioOptions, spawn, spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";

/** A program that goes on when we end. Its environment is exactly `env`; its output goes to the end of `logFile`. */
export interface DetachedProgram {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly logFile: string;
}

/** Starts a program in a session of its own and lets go of it; its process id. Rejects when it can't be started. */
export async function spawnDetached(program: DetachedProgram): Promise<number> {
  const log = openSync(program.logFile, "a", 0o600);
  try {
    const stdio: StdioOptions = ["ignore", log, log];
    const child = spawn(program.file, [...program.args], {
      cwd: program.cwd,
      env: { ...program.env },
      detached: true,
      stdio,
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    child.unref();
    return child.pid as number;
  } finally {
    closeSync(log);
  }
}

/**
 * Starts a program in a session of its own, without input and output, and calls `onEnd` if it ends before we do. Its
 * environment is exactly `env`. Returns its process id; rejects when it can't be started.
 */
export async function spawnWatched(
  program: Omit<DetachedProgram, "logFile">,
  onEnd: () => void,
): Promise<number> {
  const child = spawn(program.file, [...program.args], {
    cwd: program.cwd,
    env: { ...program.env },
    detached: true,
    stdio: "ignore",
  });
  child.once("exit", onEnd);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  child.unref();
  return child.pid as number;
}

/** Starts a Node module as a child that talks with us over Node's message channel and ends with it. */
export function forkModule(
  module: string,
  args: readonly string[],
  options: {
    readonly env: Readonly<Record<string, string>>;
    readonly logFile: string;
    readonly cwd?: string;
    readonly execArgv?: readonly string[];
  },
): ChildProcess {
  const log = openSync(options.logFile, "a", 0o600);
  try {
    return fork(module, [...args], {
      env: { ...options.env },
      stdio: ["ignore", log, log, "ipc"],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.execArgv === undefined ? {} : { execArgv: [...options.execArgv] }),
    });
  } finally {
    closeSync(log);
  }
}

/** Standard output of a quick program of the system, waited for; empty when it can't be started. */
export function commandOutputSync(file: string, args: readonly string[]): string {
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };
  return spawnSync(file, [...args], { env, encoding: "utf8", timeout: 5000 }).stdout ?? "";
}
