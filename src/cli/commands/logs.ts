import type { CommandHandler } from "../command-spec.ts";
import { createLogLines, type LogName, logLabel } from "../log-lines.ts";
import { jsonText, outputFormat, paint, recordText } from "../output.ts";
import { printableText } from "../printable-text.ts";

/**
 * `logs NAME [STAGE]`. Lines bear the stage's name unless one stage was asked for. JSON gives one record a line, YAML
 * one document each.
 */
export const logs: CommandHandler = async (input, { io, wiring }) => {
  const format = outputFormat(input);
  const stage = input.optional("STAGE");
  const records = (await wiring.operations()).logs(
    {
      deployment: input.required("NAME"),
      stage,
      runId: input.text("run"),
      tail: input.number("tail"),
      follow: input.flag("follow"),
    },
    io.outputClosed,
  );
  const lines = createLogLines();
  const write = (log: LogName, line: string): void => {
    const label = stage === undefined ? logLabel(log) : logLabel({ ...log, stage: "" }).trim();
    const prefix = label === "" ? "" : `${paint(io.stdout).dim(`${printableText(label)} |`)} `;
    io.stdout.write(`${prefix}${line}\n`);
  };
  for await (const record of records) {
    if (io.outputClosed.aborted) break;
    if (format === "json") {
      io.stdout.write(`${jsonText(record)}\n`);
    } else if (format === "yaml") {
      io.stdout.write(`---\n${await recordText("yaml", record)}`);
    } else {
      const log = { stage: record.stage, source: record.source };
      for (const line of lines.add(log, record.text)) write(log, line);
    }
  }
  for (const { log, line } of lines.rest()) write(log, line);
  return 0;
};
