import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { type CommandResult, runCommand } from "../src/lib/run-command.ts";

const root = dirname(import.meta.dirname);

/** The package as it is installed: compiled and bundled (`npm run build` has been done). */
export const installed = join(root, "bin", "bodywork.cjs");

/** The tool with a home folder of its own, and room for projects beside it. */
export interface BenchTool {
  readonly folder: string;
  readonly home: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs a command; throws with its output when it does not exit with 0. */
  bodywork(...args: readonly string[]): Promise<CommandResult>;
  /** Runs any program in `folder`, the same way. */
  program(file: string, args: readonly string[], options?: { cwd?: string }): Promise<CommandResult>;
  /** A Git repository of these files in `folder/NAME`; its URL. Called again, it commits what has changed. */
  project(name: string, files: Readonly<Record<string, string>>): Promise<string>;
  remove(): Promise<void>;
}

/** On this machine, unless the variables name another engine. */
export function benchTool(variables: Readonly<Record<string, string>> = {}): BenchTool {
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const home = join(folder, "home");
  mkdirSync(home, { mode: 0o700 });
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && name !== "PYTHONDONTWRITEBYTECODE") env[name] = value;
  }
  Object.assign(env, {
    BODYWORK_HOME: home,
    BODYWORK_ENGINE: "local",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_AUTHOR_NAME: "Bench",
    GIT_AUTHOR_EMAIL: "bench@localhost",
    GIT_COMMITTER_NAME: "Bench",
    GIT_COMMITTER_EMAIL: "bench@localhost",
    ...variables,
  });
  const program: BenchTool["program"] = async (file, args, options = {}) => {
    const result = await runCommand(file, args, { env, cwd: options.cwd ?? folder, timeout: 600_000 });
    if (result.exitCode === 0) return result;
    throw new Error(
      `${file} ${args.join(" ")} failed:\n${result.stdout}${result.stderr}${result.startError ?? ""}`,
    );
  };
  const bodywork = (...args: readonly string[]) => program(process.execPath, [installed, ...args]);
  return {
    folder,
    home,
    env,
    program,
    bodywork,
    async project(name, files) {
      const path = join(folder, name);
      mkdirSync(path, { recursive: true });
      for (const [file, text] of Object.entries(files)) {
        mkdirSync(dirname(join(path, file)), { recursive: true });
        writeFileSync(join(path, file), text);
      }
      await program("git", ["init", "--quiet", "--initial-branch=main"], { cwd: path });
      await program("git", ["add", "--all"], { cwd: path });
      await program("git", ["commit", "--quiet", "--allow-empty", "--message", "Change"], { cwd: path });
      return pathToFileURL(path).href;
    },
    async remove() {
      if (env.BODYWORK_ENGINE === "local") await bodywork("server", "stop", "--services");
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** Milliseconds that an action takes. */
export async function timed(action: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** Medians of several actions that are run in turn, so that a busy moment of the machine meets them all. */
export async function inTurn(
  rounds: number,
  actions: readonly (() => Promise<unknown>)[],
): Promise<readonly number[]> {
  const times: number[][] = actions.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, action] of actions.entries()) times[index]?.push(await timed(action));
  }
  return times.map(median);
}
