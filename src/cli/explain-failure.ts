import { asFailure, type Failure } from "../core/failure.ts";
import { printableText } from "./printable-text.ts";

/**
 * What a person reads of a failure, and the exit code it gives: the one place where both are decided. Anything that is
 * not a Failure is a fault of ours and says so; with `debug` its stack is shown.
 */
export function explainFailure(
  error: unknown,
  { debug, version }: { readonly debug: boolean; readonly version: string },
): { readonly lines: readonly string[]; readonly exitCode: number } {
  const failure = asFailure(error);
  const stack = debug ? stackLines(failure) : [];
  const exitCode = failure.code === "usage" ? 2 : 1;
  if (failure.kind === "bug") {
    return {
      exitCode,
      lines: [
        `Error: Something went wrong inside Bodywork ${version}: ${printableText(failure.message)}`,
        ...indented(failure.details),
        debug
          ? "This is a fault of Bodywork, not of your project. Please report it, with what you did and the lines below."
          : "This is a fault of Bodywork, not of your project. Please report it, with what you did and what the same command prints when BODYWORK_DEBUG=1 is set.",
        ...stack,
      ],
    };
  }
  return {
    exitCode,
    lines: [`Error: ${printableText(failure.message)}`, ...belowFailure(failure), ...stack],
  };
}

/** The same as data, for `--output json` and `yaml`. */
export function failureRecord(error: unknown) {
  const { code, message, details, hint } = asFailure(error);
  return { error: { code, message, details, hint } };
}

/** The details, indented, and the hint of a failure or a failed run. */
export function belowFailure({
  details,
  hint,
}: {
  readonly details: readonly string[];
  readonly hint?: string | undefined;
}): readonly string[] {
  return [...indented(details), ...(hint === undefined ? [] : [`Hint: ${printableText(hint)}`])];
}

function indented(lines: readonly string[]): readonly string[] {
  return lines.flatMap((detail) => detail.split("\n")).map((line) => `  ${printableText(line)}`);
}

function stackLines(failure: Failure): readonly string[] {
  const lines: string[] = [];
  for (let error: unknown = failure; error instanceof Error; error = error.cause) {
    lines.push(...(error.stack ?? error.message).split("\n"));
  }
  return lines.map((line) => `  ${printableText(line)}`);
}
