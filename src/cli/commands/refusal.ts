import { asFailure, type FailureCode } from "../../core/failure.ts";
import type { CliIo } from "../cli-io.ts";
import type { CommandInput } from "../command-spec.ts";
import { belowFailure, failureRecord } from "../explain-failure.ts";
import { outputFormat, recordText } from "../output.ts";
import { printableText } from "../printable-text.ts";

/** Of a command line that was well formed: what it asks for can't be. */
const refusals: ReadonlySet<FailureCode> = new Set([
  "usage",
  "already-exists",
  "not-found",
  "repository-url",
]);

/**
 * What `act` returns; 1 when what is asked for is refused. The refusal is the result, on standard output as in the
 * original, with what to do about it on standard error.
 */
export async function orRefused(input: CommandInput, io: CliIo, act: () => Promise<number>): Promise<number> {
  try {
    return await act();
  } catch (error) {
    const failure = asFailure(error);
    if (!refusals.has(failure.code)) throw failure;
    const format = outputFormat(input);
    io.stdout.write(
      format === "table"
        ? `${printableText(failure.message)}\n`
        : await recordText(format, failureRecord(failure)),
    );
    for (const line of belowFailure(failure)) io.stderr.write(`${line}\n`);
    return 1;
  }
}
