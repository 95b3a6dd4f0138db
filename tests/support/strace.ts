import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "vitest";
import { runCommand } from "../../src/lib/run-command.ts";

/** Skips the test, and says why, where the calls of a process to the system can't be seen and changed. */
export async function needStrace(context: TestContext): Promise<void> {
  const trial = ["-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO", "true"];
  const { exitCode } = await runCommand("strace", trial, { env: { PATH: process.env.PATH ?? "" } });
  if (exitCode !== 0) {
    context.skip("faults of the disk need strace and the right to trace: install it, and see that it runs");
  }
}

/** The files that SQLite keeps of a store. */
export function storeFiles(file: string): readonly string[] {
  return ["", "-wal", "-journal"].map((suffix) => file + suffix);
}

/**
 * The beginning of a command line: the program behind it, as far as it calls these on these files, has the fault.
 * Only its main thread is looked at, which is where SQLite works.
 */
export function withFault(fault: {
  readonly files: readonly string[];
  /** `pwrite64,fsync`. */
  readonly calls: string;
  /** `error=EIO`, `signal=KILL`. */
  readonly what: string;
  /** `7`, `7+`, `7+3`: the seventh, from then on, each third from then on. */
  readonly when: string;
  /** Where each call is written down, those with the fault as `(INJECTED)`. */
  readonly log: string;
}): readonly string[] {
  return [
    "strace",
    "-qq",
    ...["-o", fault.log],
    ...fault.files.flatMap((file) => ["-P", file]),
    ...["-e", `trace=${fault.calls}`],
    ...["-e", `inject=${fault.calls}:${fault.what}:when=${fault.when}`],
  ];
}

/** How often the fault was met, by such a log. */
export function injections(log: string): number {
  return existsSync(log) ? readFileSync(log, "utf8").split("(INJECTED)").length - 1 : 0;
}

export const storeWriter = join(import.meta.dirname, "store-writer.ts");
