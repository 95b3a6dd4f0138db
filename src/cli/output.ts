import CliTable3 from "cli-table3";
import picocolors from "picocolors";
import type { CliIo, CliStream, CliWiring } from "./cli-io.ts";
import type { CommandInput } from "./command-spec.ts";
import { belowFailure } from "./explain-failure.ts";
import { escapeUnprintable, printableText } from "./printable-text.ts";

export type OutputFormat = "table" | "json" | "yaml";

export function outputFormat(input: CommandInput): OutputFormat {
  const format = input.text("output");
  return format === "json" || format === "yaml" ? format : "table";
}

/** Prints records as they are, or for people by `asText` (whole lines). */
export async function printResult<T>(
  io: CliIo,
  format: OutputFormat,
  record: T,
  asText: (record: T) => string,
): Promise<void> {
  io.stdout.write(format === "table" ? asText(record) : await recordText(format, record));
}

export async function recordText(format: "json" | "yaml", record: unknown): Promise<string> {
  if (format === "json") return `${jsonText(record, 2)}\n`;
  const { yamlText } = await import("./yaml-text.ts");
  return yamlText(record);
}

/** JSON that a terminal shows as it is: also characters that JSON lets stand are written out. */
export function jsonText(record: unknown, indent?: number): string {
  return escapeUnprintable(JSON.stringify(record, null, indent));
}

/** Something to know that is not the result: on standard error. With `--quiet` only what is wrong is said. */
export function notice(
  io: CliIo,
  level: "info" | "warning" | "error",
  text: string,
  details: readonly string[] = [],
): void {
  if (io.quiet && level === "info") return;
  io.stderr.write(noticeText(io.stderr, level, text, details));
}

/** The lines of a notice, as `stream` can show them. */
export function noticeText(
  stream: CliStream,
  level: "info" | "warning" | "error",
  text: string,
  details: readonly string[] = [],
): string {
  const colors = paint(stream);
  const line = printableText(text);
  const first = {
    info: line,
    warning: colors.yellow(`Warning: ${line}`),
    error: colors.red(`Error: ${line}`),
  }[level];
  return `${[first, ...belowFailure({ details })].join("\n")}\n`;
}

/** Says which engine a command that acts goes to, and why; returns which. `deployment`: the one that the command is about. */
export async function announceEngine(
  io: CliIo,
  wiring: Pick<CliWiring, "engineNotice">,
  deployment?: string,
): Promise<string> {
  const { engine, why } = await wiring.engineNotice(deployment);
  notice(io, "info", `engine: ${engine} (${why})`);
  return engine;
}

/** Runs that a deletion has ended. */
export function tellCancelled(runIds: readonly string[], io: CliIo): void {
  for (const id of runIds) notice(io, "info", `Cancelled run ${id} of it.`);
}

export function paint(stream: CliStream): ReturnType<typeof picocolors.createColors> {
  return picocolors.createColors(stream.color);
}

/**
 * A table as lines: with borders on a terminal, plain columns elsewhere; never wrapped or cut. A cell may have several
 * lines.
 */
export function table(
  stream: CliStream,
  {
    title,
    head,
    rows,
  }: {
    readonly title?: string;
    readonly head: readonly string[];
    readonly rows: readonly (readonly string[])[];
  },
): string {
  const drawn = new CliTable3({
    head: [...head],
    style: {
      head: [],
      border: [],
      "padding-left": stream.isTerminal ? 1 : 0,
      "padding-right": stream.isTerminal ? 1 : 0,
    },
    ...(stream.isTerminal ? {} : { chars: noBorders }),
  });
  for (const row of rows) drawn.push(row.map(printableText));
  const lines = drawn
    .toString()
    .split("\n")
    .map((line) => line.trimEnd());
  return `${[...(title === undefined ? [] : [printableText(title)]), ...lines].join("\n")}\n`;
}

const noBorders = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};
