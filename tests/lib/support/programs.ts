import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { onTestFinished } from "vitest";

/** A Node module given as text, running; `src(path)` in it is the URL of a module of ours. */
export interface Program {
  readonly process: ChildProcess;
  /** All it has printed so far. */
  readonly output: () => string;
  /** Waits until it has printed the text. */
  readonly printed: (text: string) => Promise<void>;
  /** SIGKILL, and waits for the end. */
  readonly kill: () => Promise<void>;
  /** Waits for its end; the exit code, null when a signal ended it. */
  readonly end: () => Promise<number | null>;
}

/** Starts a module in a process of its own; it is killed when the test has finished, if it still runs. */
export function startProgram(code: string, args: readonly string[] = []): Program {
  const root = JSON.stringify(new URL("../../../src/", import.meta.url).href);
  const text = `const src = (path) => import(${root} + path);\n${code}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", text, "--", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)));
  const ended = once(child, "close");
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  onTestFinished(kill);
  return {
    process: child,
    output: () => output,
    printed: async (text) => {
      while (!output.includes(text)) {
        if (child.exitCode !== null) throw new Error(`It ended without printing "${text}":\n${output}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    kill,
    end: async () => (await ended)[0] as number | null,
  };
}

/** Runs a module to its end; what it printed. Throws when it fails. */
export async function runProgram(code: string, args: readonly string[] = []): Promise<string> {
  const program = startProgram(code, args);
  if ((await program.end()) !== 0) throw new Error(program.output());
  return program.output();
}
