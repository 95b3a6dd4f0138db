import type { CliIo } from "./cli-io.ts";
import type { CommandInput } from "./command-spec.ts";
import { notice } from "./output.ts";
import { printableText } from "./printable-text.ts";

/** Asks a person before something is deleted, unless `--yes`. */
export async function mayDelete(what: string, input: CommandInput, io: CliIo): Promise<boolean> {
  if (!io.canAsk || input.flag("yes")) return true;
  const answer = await io.ask(`Delete ${printableText(what)}? [y/N] `);
  if (/^y(es)?$/i.test(answer?.trim() ?? "")) return true;
  notice(io, "info", "Aborted!");
  return false;
}
