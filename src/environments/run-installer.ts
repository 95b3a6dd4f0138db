import { Failure } from "../core/failure.ts";
import { type CommandOptions, runCommand } from "../lib/run-command.ts";
import { nameOfSpec } from "./read-requirements.ts";
import { redact } from "./redact.ts";

/** What is being installed, and who is told about it. */
export interface InstallerRun {
  /** `uv` or `pip`, as the user knows it. */
  readonly tool: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly input?: string;
  /** To name the one at fault. */
  readonly specs: readonly string[];
  readonly onLine: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

const timeLimit = 30 * 60 * 1000;

/**
 * Runs an installer to its end; what it prints is passed on by lines, without passwords. Fails: environment-failed with
 * the installer's reason in `details`, disk-full, cancelled.
 */
export async function runInstaller(run: InstallerRun): Promise<void> {
  const lines = lineSplitter((line) => run.onLine(redact(line)));
  const options: CommandOptions = {
    env: run.env,
    cwd: run.cwd,
    timeout: timeLimit,
    maxOutput: 8 * 1024 * 1024,
    onOutput: lines.write,
    ...(run.input === undefined ? {} : { input: run.input }),
    ...(run.signal === undefined ? {} : { signal: run.signal }),
  };
  const result = await runCommand(run.program, run.args, options);
  lines.end();
  if (result.exitCode === 0) return;
  if (result.aborted) throw new Failure("cancelled", "Building a Python environment was cancelled.");
  const reason = essentialLines(redact(result.stderr));
  if (/No space left on device|\(os error 28\)/.test(result.stderr)) {
    throw new Failure("disk-full", "Building a Python environment: the disk is full.", { details: reason });
  }
  if (result.timedOut) {
    throw new Failure(
      "environment-failed",
      `Building a Python environment took ${run.tool} over 30 minutes.`,
      {
        details: reason,
      },
    );
  }
  if (result.exitCode === undefined) {
    const cause = result.signal ?? result.startError ?? "an unknown reason";
    throw new Failure(
      "environment-failed",
      `${run.tool} was ended by ${cause} while it built a Python environment.`,
      {
        details: reason,
      },
    );
  }
  const culprits = specsNamedIn(reason.join("\n"), run.specs).map((spec) => `"${redact(spec)}"`);
  const what = culprits.length === 0 ? "the requirements" : culprits.join(", ");
  throw new Failure("environment-failed", `${run.tool} could not install ${what}.`, {
    hint: "Correct the stage's requirements, and look at the reason above.",
    details: reason,
  });
}

const mostLines = 30;

/** The installer's own reason: from its first error on, without what it says on the way. */
function essentialLines(stderr: string): readonly string[] {
  const lines = stderr
    .split("\n")
    .map((line) => line.trimEnd())
    .filter(
      (line) =>
        line !== "" && !/^(Using Python|Resolved|Prepared|Downloading|WARNING: You are using pip)/.test(line),
    );
  const start = lines.findIndex((line) => /^\s*(error|ERROR|×)/.test(line));
  const reason = start < 0 ? lines : lines.slice(start);
  if (reason.length <= mostLines) return reason;
  const head = 10;
  return [...reason.slice(0, head), "…", ...reason.slice(reason.length - (mostLines - head - 1))];
}

function specsNamedIn(reason: string, specs: readonly string[]): readonly string[] {
  const words = new Set(
    reason
      .toLowerCase()
      .replace(/[-_.]+/g, "-")
      .match(/[a-z0-9][a-z0-9-]*/g),
  );
  return specs.filter((spec) => reason.includes(redact(spec)) || words.has(nameOfSpec(spec) ?? ""));
}

interface LineSplitter {
  readonly write: (text: string) => void;
  readonly end: () => void;
}

function lineSplitter(onLine: (line: string) => void): LineSplitter {
  let rest = "";
  return {
    write(text) {
      const lines = (rest + text).split(/\r?\n|\r/);
      rest = lines.pop() ?? "";
      for (const line of lines) onLine(line);
    },
    end() {
      if (rest !== "") onLine(rest);
      rest = "";
    },
  };
}
