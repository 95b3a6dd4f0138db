import type { CommandHandler } from "../command-spec.ts";
import { createLogLines, logLabel } from "../log-lines.ts";
import { outputFormat, paint, recordText } from "../output.ts";
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
  const write = (label: string, line: string): void => {
    const prefix = label === "" ? "" : `${paint(io.stdout).dim(`${printableText(label)} |`)} `;
    io.stdout.write(`${prefix}${line}\n`);
  };
  for await (const record of records) {
    if (io.outputClosed.aborted) break;
    if (format === "json") {
      io.stdout.write(`${JSON.stringify(record)}\n`);
    } else if (format === "yaml") {
      io.stdout.write(`---\n${await recordText("yaml", record)}`);
    } else {
      const label = stage === undefined ? logLabel(record.stage, record.source) : logLabel("", record.source).trim();
      for (const line of lines.add(label, record.text)) write(label, line);
    }
  }
  for (const { log, line } of lines.rest()) write(log, line);
  return 0;
};
