import { asFailure } from "../core/failure.ts";
import type { Operations } from "../operations/operations.ts";
import type { CliIo } from "./cli-io.ts";
import { jsonText, notice, type OutputFormat, recordText } from "./output.ts";
import { printableText } from "./printable-text.ts";
import { rule } from "./rule.ts";
import { createRunProgress } from "./run-progress.ts";

/**
 * The story of a job's newest run on standard output, between two rules; to a program one record for each event. Returns
 * the exit code: 1 when there is none. Fails so when a program asks.
 */
export async function printJobLog(
  id: string,
  format: OutputFormat,
  { jobLog }: Pick<Operations, "jobLog">,
  io: CliIo,
): Promise<number> {
  const stdout = { ...io.stdout, isTerminal: false };
  // All of it is the result here, which on a terminal too is nothing to be drawn over.
  const progress = createRunProgress({ ...io, stderr: stdout }, stdout, { logsAreResult: true });
  let began = false;
  try {
    for await (const event of jobLog(id)) {
      if (io.outputClosed.aborted) break;
      if (format === "json") stdout.write(`${jsonText(event)}\n`);
      if (format === "yaml") stdout.write(`---\n${await recordText("yaml", event)}`);
      if (format !== "table") continue;
      if (!began) stdout.write(rule(io.stdout, io.columns, `logs for run ID = ${id}`));
      began = true;
      progress.show(event);
    }
  } catch (error) {
    const failure = asFailure(error);
    if (failure.code !== "not-found" || format !== "table") throw failure;
    io.stdout.write(printableText(`${failure.message}\n`));
    if (failure.hint !== undefined) notice(io, "info", `Hint: ${failure.hint}`);
    return 1;
  }
  progress.end();
  if (began) stdout.write(rule(io.stdout, io.columns));
  return 0;
}
