import { printable } from "../core/printable.ts";

/** Pieces of text, cut anywhere, put together to whole printable lines, for each of several logs. */
export interface LogLines {
  /** The lines that `text` completes; the rest waits for more. */
  add(log: string, text: string): readonly string[];
  /** What waits, of all logs, as lines. */
  rest(): readonly { readonly log: string; readonly line: string }[];
}

/** A line longer than this is shown in parts. */
const longestLine = 64 * 1024;

export function createLogLines(): LogLines {
  const waiting = new Map<string, string>();
  return {
    add(log, text) {
      const lines = ((waiting.get(log) ?? "") + text).split("\n");
      const last = lines.pop() ?? "";
      if (last.length > longestLine) {
        lines.push(last);
        waiting.delete(log);
      } else {
        waiting.set(log, last);
      }
      return lines.map(asShown);
    },
    rest() {
      const left = [...waiting].filter(([, text]) => text !== "");
      waiting.clear();
      return left.map(([log, text]) => ({ log, line: asShown(text) }));
    },
  };
}

/** A progress bar draws over itself with carriage returns: what it drew last is what a terminal would show. */
function asShown(line: string): string {
  const shown = line.replace(/\r+$/, "");
  return printable(shown.slice(shown.lastIndexOf("\r") + 1));
}

/** `train`, `serve replica 2`, `train environment`: the first replica and any attempt need no more than the stage. */
export function logLabel(stage: string, source: string): string {
  return source === "replica 1" || source.startsWith("attempt ") ? stage : `${stage} ${source}`;
}
