import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { execa } from "execa";

/** How a short command is to be run. Nothing is inherited: the environment is what `env` says. */
export interface CommandOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to standard input, which is closed after it; empty by default. */
  readonly input?: string | Uint8Array;
  /** Milliseconds; the whole process group is ended after it. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
  /** Standard output and error as they come, for progress. */
  readonly onOutput?: (text: string) => void;
  /** The program writes to our own standard output and error, as it likes; nothing of it is kept. */
  readonly inheritOutput?: true;
  /** Bytes kept of each stream (the command goes on, the rest is dropped); 64 MiB by default. */
  readonly maxOutput?: number;
}

export interface CommandResult {
  /** Undefined when a signal ended it or it could not be started. */
  readonly exitCode: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stdoutBytes: Buffer;
  readonly stderr: string;
  readonly timedOut: boolean;
  readonly aborted: boolean;
  /** `ENOENT` and its like, when the program could not be started. */
  readonly startError: string | undefined;
}

/**
 * Runs a program to its end with arguments as a list (never through a shell) in a process group of its own, so that a
 * time-out or an abort ends its children too. Never throws for what the program did: read the result.
 */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  options.signal?.throwIfAborted();
  const running = execa(file, args, {
    env: { ...options.env },
    extendEnv: false,
    reject: false,
    detached: true,
    buffer: false,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.inheritOutput ? { stdout: "inherit" as const, stderr: "inherit" as const } : {}),
    ...(options.input === undefined ? { stdin: "ignore" as const } : { input: options.input }),
  });
  const stdout = keepOutput(running.stdout, options);
  const stderr = keepOutput(running.stderr, options);
  let timedOut = false;
  let aborted = false;
  const endGroup = (): void => {
    signalGroup(running.pid, "SIGTERM");
    setTimeout(() => {
      signalGroup(running.pid, "SIGKILL");
      // A descendant that has left the group may hold these open for as long as it likes.
      running.stdout?.destroy();
      running.stderr?.destroy();
    }, 2000).unref();
  };
  const timer =
    options.timeout === undefined
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          endGroup();
        }, options.timeout);
  const onAbort = (): void => {
    aborted = true;
    endGroup();
  };
  options.signal?.addEventListener("abort", onAbort, { once: true });
  const result = await running;
  clearTimeout(timer);
  options.signal?.removeEventListener("abort", onAbort);
  const stdoutBytes = stdout();
  return {
    exitCode: result.exitCode,
    signal: result.signal,
    stdout: stdoutBytes.toString("utf8"),
    stdoutBytes,
    stderr: stderr().toString("utf8"),
    timedOut,
    aborted,
    startError: result.exitCode === undefined && result.signal === undefined ? result.code : undefined,
  };
}

const mostOutput = 64 * 1024 * 1024;

/** Takes all that comes, so that the program never waits; gives what is kept of it. */
function keepOutput(
  stream: Readable | null,
  { onOutput, maxOutput = mostOutput }: CommandOptions,
): () => Buffer {
  const chunks: Buffer[] = [];
  let room = maxOutput;
  // A character may come in two pieces.
  const decoder = new StringDecoder("utf8");
  stream?.on("data", (chunk: Buffer) => {
    const kept = chunk.subarray(0, room);
    room -= kept.length;
    if (kept.length > 0) chunks.push(kept);
    onOutput?.(decoder.write(chunk));
  });
  return () => Buffer.concat(chunks);
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone already.
  }
}
