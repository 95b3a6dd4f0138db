import { setTimeout as sleep } from "node:timers/promises";
import type { CliIo, CliStream } from "./cli-io.ts";

/** What of the environment the terminal's behaviour depends on. */
export interface TerminalSettings {
  /** `NO_COLOR` set: false; `FORCE_COLOR` set: true; else undefined, and terminals get colours. */
  readonly color: boolean | undefined;
  /** `BODYWORK_DEBUG`. */
  readonly debug: boolean;
  /** `CI` set: nobody is asked anything, and nothing is drawn over. */
  readonly ci: boolean;
}

/** The command line's view of this process: its streams, signals and time. */
export function processIo({ color, debug, ci }: TerminalSettings): CliIo {
  const outputClosed = new AbortController();
  return {
    stdout: streamOf(process.stdout, { color, ci, onClosed: () => outputClosed.abort() }),
    stderr: streamOf(process.stderr, { color, ci, onClosed: () => {} }),
    get columns() {
      return process.stdout.columns ?? process.stderr.columns;
    },
    canAsk: process.stdin.isTTY === true && process.stderr.isTTY === true && !ci,
    ask,
    askHidden,
    readInput,
    workingFolder: process.cwd(),
    debug,
    quiet: false,
    now: () => Date.now(),
    sleep: (milliseconds, signal) => sleepWell(milliseconds, signal),
    every(milliseconds, callback) {
      const timer = setInterval(callback, milliseconds);
      timer.unref();
      return () => clearInterval(timer);
    },
    onSignal(signal, handler) {
      process.on(signal, handler);
      return () => process.off(signal, handler);
    },
    outputClosed: outputClosed.signal,
  };
}

/** A reader that goes away (`… | head`) ends what is written, not the command: a deployment is followed to its end. */
function streamOf(
  stream: NodeJS.WriteStream,
  { color, ci, onClosed }: { color: boolean | undefined; ci: boolean; onClosed: () => void },
): CliStream {
  let closed = false;
  stream.on("error", () => {
    closed = true;
    onClosed();
  });
  const isTerminal = stream.isTTY === true && !ci;
  return {
    write(text) {
      if (!closed) stream.write(text);
    },
    isTerminal,
    color: color ?? isTerminal,
  };
}

async function ask(question: string): Promise<string | undefined> {
  const { createInterface } = await import("node:readline");
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((resolve) => {
    reader.once("close", () => resolve(undefined));
    reader.question(question, (answer) => {
      resolve(answer);
      reader.close();
    });
  });
}

/** The terminal is told to show nothing by readline, which then writes what is typed to nowhere. */
async function askHidden(question: string): Promise<string | undefined> {
  const [{ createInterface }, { Writable }] = await Promise.all([
    import("node:readline"),
    import("node:stream"),
  ]);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  process.stderr.write(question); // Not before: who types at once would see it.
  const answer = await new Promise<string | undefined>((resolve) => {
    reader.once("close", () => resolve(undefined));
    reader.question("", (typed) => {
      resolve(typed);
      reader.close();
    });
  });
  process.stderr.write("\n");
  return answer;
}

async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

/** Timers hold no more than 24.8 days: longer sleeps are made of several. */
async function sleepWell(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  const longest = 2_000_000_000;
  try {
    for (let left = milliseconds; left > 0; left -= longest) {
      await sleep(Math.min(left, longest), undefined, { signal });
    }
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
}
