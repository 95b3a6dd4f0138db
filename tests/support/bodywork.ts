import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";
import type { Run, ServiceStatus } from "../../src/core/run-state.ts";
import { runCommand } from "../../src/lib/run-command.ts";
import type { DeploymentView, ServerStatus } from "../../src/operations/operations.ts";
import { temporaryFolder } from "./temporary.ts";

const main = join(import.meta.dirname, "..", "..", "src", "main.ts");

export interface Finished {
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that was started and goes on. */
export interface Running {
  readonly process: ChildProcess;
  readonly finished: Promise<Finished>;
  /** Resolves when both streams together have shown the text. */
  shown(text: string | RegExp): Promise<void>;
}

/** The real tool, as a user has it: the program from this checkout with a home folder of its own. */
export interface Bodywork {
  readonly home: string;
  /** Runs a command to its end. */
  run(...args: readonly string[]): Promise<Finished>;
  /** The same, with a text on standard input. */
  runWithInput(input: string, ...args: readonly string[]): Promise<Finished>;
  start(...args: readonly string[]): Running;
  deployments(): Promise<readonly DeploymentView[]>;
  service(deployment: string, stage: string): Promise<ServiceStatus>;
  runs(): Promise<readonly Run[]>;
  server(): Promise<ServerStatus>;
}

/** Call it inside a test: everything that was started ends with it. */
export function bodywork(variables: Readonly<Record<string, string>> = {}): Bodywork {
  const home = join(temporaryFolder("story"), "home");
  const tool = bodyworkOf(home, variables);
  onTestFinished(async () => {
    if (existsSync(home)) await stopAll(tool);
  }, 120_000);
  return tool;
}

/** With a home folder that somebody else looks after. `program`: the `main.ts` of another copy. */
export function bodyworkOf(
  home: string,
  variables: Readonly<Record<string, string>> = {},
  program = main,
): Bodywork {
  const env = { ...inherited(), BODYWORK_HOME: home, ...variables };
  const runWithInput = async (input: string, ...args: readonly string[]): Promise<Finished> =>
    runCommand(process.execPath, [program, ...args], { env, input, timeout: 240_000 });
  const run = async (...args: readonly string[]): Promise<Finished> =>
    runCommand(process.execPath, [program, ...args], { env, timeout: 240_000 });
  const json = async <T>(...args: readonly string[]): Promise<T> => {
    const { stdout, stderr } = await run(...args, "--output", "json");
    if (stdout === "") throw new Error(`bodywork ${args.join(" ")} printed nothing: ${stderr}`);
    return JSON.parse(stdout) as T;
  };
  return {
    home,
    run,
    runWithInput,
    start: (...args) => startCommand([program, ...args], env),
    deployments: () => json("get", "deployments"),
    service: (deployment, stage) => json("get", "deployment", deployment, stage),
    runs: () => json("get", "runs"),
    server: () => json("server", "status"),
  };
}

/** The server of this machine, and all that it looks after. */
export async function stopAll(tool: Bodywork): Promise<void> {
  const { exitCode, stderr } = await tool.run("server", "stop", "--services");
  if (exitCode !== 0) throw new Error(`the server could not be stopped: ${stderr}`);
}

function inherited(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

function startCommand(args: readonly string[], env: Record<string, string>): Running {
  const child = spawn(process.execPath, [...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const text = { stdout: "", stderr: "" };
  const listeners = new Set<() => void>();
  for (const name of ["stdout", "stderr"] as const) {
    child[name].on("data", (chunk: Buffer) => {
      text[name] += chunk.toString();
      for (const listener of listeners) listener();
    });
  }
  const finished = new Promise<Finished>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ exitCode: code ?? undefined, ...text }));
  });
  return {
    process: child,
    finished,
    shown: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const all = text.stdout + text.stderr;
          if (typeof wanted === "string" ? !all.includes(wanted) : !wanted.test(all)) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        look();
        void finished.then(() => {
          look();
          reject(new Error(`it ended without showing ${wanted}:\n${text.stdout}${text.stderr}`));
        });
      }),
  };
}

/** Waits until `look` gives something; the last thing it threw is the reason when it does not in time. */
export async function eventually<T>(look: () => Promise<T | undefined | false>, seconds = 30): Promise<T> {
  const end = performance.now() + seconds * 1000;
  let reason: unknown = new Error(`nothing within ${seconds} s`);
  while (performance.now() < end) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      reason = error;
    }
    await sleep(100);
  }
  throw reason;
}
