import { resolve } from "node:path";
import { parseProject } from "../../core/parse-project.ts";
import type { Problem } from "../../core/project.ts";
import type { CommandHandler } from "../command-spec.ts";
import { noticeText, outputFormat, printResult } from "../output.ts";
import { printableText } from "../printable-text.ts";

/** What `--output json` prints. */
interface Verdict {
  /** As it was given. */
  readonly file: string;
  readonly valid: boolean;
  readonly problems: readonly Problem[];
}

/**
 * `validate`. The lines of the original with the place after each; warnings below them. 1 when there is an error, or
 * with `--strict` a warning.
 */
export const validate: CommandHandler = async (input, { io, wiring }) => {
  const file = input.text("file") ?? "bodywork.yaml";
  const found = await wiring.readProjectFile(resolve(io.workingFolder, file));
  const problems =
    found === undefined
      ? [missingFile(file)]
      : parseProject(found.bytes, { fileName: file, files: input.flag("check-files") ? found : undefined })
          .problems;
  const fatal = input.flag("strict") ? problems : problems.filter(({ severity }) => severity === "error");
  const verdict: Verdict = { file, valid: fatal.length === 0, problems };
  await printResult(io, outputFormat(input), verdict, (found) => {
    const warnings = found.problems.filter(({ severity }) => severity === "warning");
    const lines = warnings.map((warning) => noticeText(io.stdout, "warning", withPlace(warning, file)));
    return `${printableText(report(found))}\n${lines.join("")}`;
  });
  return verdict.valid ? 0 : 1;
};

function missingFile(file: string): Problem {
  return {
    severity: "error",
    code: "file-missing",
    path: "",
    message: `No config file found at ${file}`,
    line: undefined,
    column: undefined,
  };
}

/** In the form that scripts know from the original. */
function report({ file, valid, problems }: Verdict): string {
  const errors = problems.filter(({ severity }) => severity === "error");
  const [first] = errors;
  if (first === undefined) {
    return valid
      ? `--> ${file} is a valid Bodywork config file.`
      : `--> ${file} has warnings, which --strict takes for errors.`;
  }
  if (first.path === "") return `--> ${withPlace(first, file)}`;
  return [
    `Missing or invalid parameters found in ${file}:`,
    ...errors.map((error) => `* ${withPlace(error, file)}`),
  ].join("\n");
}

function withPlace({ message, line, column }: Problem, file: string): string {
  return line === undefined ? message : `${message} (${file}:${line}:${column ?? 1})`;
}
