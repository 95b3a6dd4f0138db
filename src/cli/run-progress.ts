import { finishedRunStatuses, type RunEvent } from "../core/run-state.ts";
import type { CliIo, CliStream } from "./cli-io.ts";
import { between, duration } from "./format.ts";
import { createLogLines, logLabel } from "./log-lines.ts";
import { noticeText, paint } from "./output.ts";
import { printableText } from "./printable-text.ts";

/** Shows a run as it goes. */
export interface RunProgress {
  show(event: RunEvent): void;
  /** Whole lines of the result, or beside it. */
  print(text: string): void;
  note(level: "info" | "warning" | "error", text: string): void;
  /** Shows what is left; nothing is drawn after it. */
  end(): void;
}

/**
 * Logs and notices of the run go to `results`, its progress with the elapsed time to standard error; on a terminal with
 * one line below it all that says what runs now. With `--quiet`: what is wrong, and the logs only when they are what was
 * asked for.
 */
export function createRunProgress(
  io: CliIo,
  results: CliStream,
  { logsAreResult = false }: { readonly logsAreResult?: boolean } = {},
): RunProgress {
  const showsLogs = logsAreResult || !io.quiet;
  const logs = createLogLines();
  const running = new Map<string, string>();
  let started: string | undefined;
  const live = createLiveLine(io, () => liveText(running, started, io.now()));
  const write = (stream: CliStream, text: string): void => {
    if (text === "") return;
    live.clear();
    stream.write(text);
    live.draw();
  };
  const prefixed = (label: string, line: string): string =>
    `${paint(results).dim(`${printableText(label)} |`)} ${line}`.trimEnd();
  const flushLogs = (stage?: string): void => {
    const lines = logs.rest(stage).map(({ log, line }) => `${prefixed(logLabel(log), line)}\n`);
    write(results, lines.join(""));
  };
  const progress = (at: string, text: string): void => {
    if (io.quiet) return;
    const elapsed = `[${between(started, at, io.now()).padStart(6)}]`;
    write(io.stderr, `${paint(io.stderr).dim(elapsed)} ${printableText(text)}\n`);
  };

  return {
    show(event) {
      started ??= event.at;
      switch (event.kind) {
        case "log": {
          if (!showsLogs) return;
          const log = { stage: event.node, source: event.source };
          const lines = logs.add(log, event.text);
          write(results, lines.map((line) => `${prefixed(logLabel(log), line)}\n`).join(""));
          return;
        }
        case "notice":
          if (io.quiet && event.level === "info") return;
          write(results, noticeText(results, event.level, event.text, event.details));
          return;
        case "stage": {
          // A program may end without a line end, and what comes next is another's.
          if (event.status === "running" || endedStatuses.has(event.status)) flushLogs(event.node);
          const since = running.get(event.node);
          if (event.status === "running") running.set(event.node, event.at);
          if (endedStatuses.has(event.status)) running.delete(event.node);
          const took =
            endedStatuses.has(event.status) && since !== undefined
              ? ` after ${between(since, event.at, io.now())}`
              : "";
          const attempt = (event.attempt ?? 1) > 1 ? ` (attempt ${event.attempt})` : "";
          const text = event.text === undefined ? "" : `: ${event.text}`;
          progress(event.at, `${event.node} ${event.status}${attempt}${took}${text}`);
          return;
        }
        case "run": {
          if (finishedRunStatuses.has(event.status)) flushLogs();
          const why = logsAreResult && event.reason !== undefined ? `: ${event.reason}` : "";
          const text =
            event.status === "reverting" ? "putting back what the run changed" : `run ${event.status}${why}`;
          progress(event.at, text);
          return;
        }
      }
    },
    print: (text) => write(results, text),
    note(level, text) {
      if (!io.quiet || level !== "info") write(io.stderr, noticeText(io.stderr, level, text));
    },
    end() {
      flushLogs();
      live.end();
    },
  };
}

const endedStatuses: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled", "skipped"]);

function liveText(running: ReadonlyMap<string, string>, started: string | undefined, now: number): string {
  if (started === undefined) return "waiting for the server";
  const stages = [...running].map(([node, since]) => `${node} ${duration(now - Date.parse(since))}`);
  return `${duration(now - Date.parse(started))}  ${stages.length === 0 ? "…" : stages.join(", ")}`;
}

/** One line that is drawn again below everything else; none when standard error is no terminal, or nobody wants it. */
function createLiveLine(io: CliIo, text: () => string): { clear(): void; draw(): void; end(): void } {
  if (!io.stderr.isTerminal || io.quiet) return { clear() {}, draw() {}, end() {} };
  const width = Math.max(10, (io.columns ?? 80) - 1);
  let ended = false;
  const clear = (): void => io.stderr.write("\r\x1b[2K");
  const draw = (): void => {
    if (!ended) io.stderr.write(`\r\x1b[2K${paint(io.stderr).dim(printableText(text()).slice(0, width))}`);
  };
  const stop = io.every(1_000, draw);
  return {
    clear,
    draw,
    end() {
      stop();
      clear();
      ended = true;
    },
  };
}
