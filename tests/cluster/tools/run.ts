import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";

/** A step that failed, in words for whoever started it. */
export class ClusterProblem extends Error {
  override readonly name = "ClusterProblem";
}

interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A file for standard input. */
  readonly input?: string;
}

/** Runs a program to its end; what it printed, trimmed. Throws a ClusterProblem with the end of its stderr. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): string {
  const result = tryRun(program, args, options);
  if (result.status === 0) return result.stdout.trim();
  const said =
    result.error?.message ?? `${result.stdout}${result.stderr}`.trim().split("\n").slice(-15).join("\n");
  throw new ClusterProblem(`${program} ${args.join(" ")} failed (exit ${result.status}):\n${said}`);
}

/** The same for a program that may fail. */
export function tryRun(
  program: string,
  args: readonly string[],
  { cwd, env = {}, input }: RunOptions = {},
): SpawnSyncReturns<string> {
  const standardInput = input === undefined ? "ignore" : openSync(input, "r");
  try {
    return spawnSync(program, [...args], {
      encoding: "utf8",
      cwd,
      env: { ...process.env, ...env },
      stdio: [standardInput, "pipe", "pipe"],
      maxBuffer: 64 * 1024 * 1024,
    });
  } finally {
    if (standardInput !== "ignore") closeSync(standardInput);
  }
}
