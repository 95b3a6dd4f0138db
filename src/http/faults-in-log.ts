import { Failure, type FailureCode, failureCatalogue } from "../core/failure.ts";
import { printable } from "../core/printable.ts";

/**
 * What a server's log tells of the server's own faults, as lines for people: what Node or a command has printed, and the
 * messages of level `error` or above. What else the server tells in it is no reason for anything.
 */
export function faultsInLog(text: string): readonly string[] {
  return text.split("\n").flatMap((line) => {
    const told = entryOf(line);
    if (told === undefined) return line.trim() === "" ? [] : [printable(line)];
    return told.level === "error" || told.level === "fatal" ? linesOf(told) : [];
  });
}

/** Why a server could not start, when it is for the user to mend: it has said so itself. */
export function startFailureIn(text: string): Failure | undefined {
  const last = text
    .split("\n")
    .map(entryOf)
    .findLast((entry) => entry?.level === "fatal");
  if (last?.code === undefined || !(last.code in failureCatalogue)) return undefined;
  const { code, msg, hint, details = [] } = last;
  const failure = new Failure(code, msg, { hint, details });
  return failure.kind === "bug" ? undefined : failure;
}

interface LogEntry {
  readonly level: string;
  readonly msg: string;
  readonly stack?: string;
  readonly code?: FailureCode;
  readonly hint?: string;
  readonly details?: readonly string[];
}

/** Undefined for a line that is no entry of ours. */
function entryOf(line: string): LogEntry | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const entry = JSON.parse(line) as Partial<LogEntry>;
    return typeof entry.msg === "string" && typeof entry.level === "string" ? (entry as LogEntry) : undefined;
  } catch {
    return undefined;
  }
}

function linesOf({ msg, stack = "" }: LogEntry): readonly string[] {
  return [msg, ...stack.split("\n").slice(1)].map((line) => printable(line)).filter((line) => line !== "");
}
