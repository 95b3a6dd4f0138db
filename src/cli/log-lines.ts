import { printable } from "../core/printable.ts";

/** Which log a piece of text is from: a stage, and `attempt 1`, `replica 2 of 3` or `environment`. */
export interface LogName {
  readonly stage: string;
  readonly source: string;
}

/** Pieces of text, cut anywhere, put together to whole printable lines, for each of several logs. */
export interface LogLines {
  /** The lines that `text` completes; the rest waits for more. */
  add(log: LogName, text: string): readonly string[];
  /** What waits, as lines: of all logs, or of those of one stage. */
  rest(stage?: string): readonly { readonly log: LogName; readonly line: string }[];
}

/** A line longer than this is shown in parts. */
const longestLine = 64 * 1024;

export function createLogLines(): LogLines {
  const waiting = new Map<string, { readonly log: LogName; readonly text: string }>();
  return {
    add(log, text) {
      const key = `${log.stage}\n${log.source}`;
      const lines = ((waiting.get(key)?.text ?? "") + text).split("\n");
      const last = lines.pop() ?? "";
      if (last.length > longestLine) {
        lines.push(last);
        waiting.delete(key);
      } else {
        waiting.set(key, { log, text: last });
      }
      return lines.map(asShown);
    },
    rest(stage) {
      const left = [...waiting].filter(([, { log }]) => stage === undefined || log.stage === stage);
      for (const [key] of left) waiting.delete(key);
      return left.flatMap(([, { log, text }]) => (text === "" ? [] : [{ log, line: asShown(text) }]));
    },
  };
}

/**
 * A progress bar draws over itself with carriage returns: what it drew last is what a terminal would show. Colours are
 * left out; all other control characters are written out.
 */
function asShown(line: string): string {
  const shown = line.replace(/\r+$/, "");
  return printable(shown.slice(shown.lastIndexOf("\r") + 1).replace(colours, ""));
}

/** SGR sequences of ECMA-48. Put together from pieces because a pattern with control characters in it reads as a mistake. */
const colours = new RegExp(["\\x1b", "\\[[0-9;:]*m"].join(""), "g");

/** `train`, `serve replica 2 of 3`, `train environment`: an only replica and any attempt need no more than the stage. */
export function logLabel({ stage, source }: LogName): string {
  return source === "replica 1" || source.startsWith("attempt ") ? stage : `${stage} ${source}`;
}
