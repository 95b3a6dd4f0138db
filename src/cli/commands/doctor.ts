import { diagnose, type Finding } from "../../core/doctor.ts";
import type { CliStream } from "../cli-io.ts";
import type { CommandHandler } from "../command-spec.ts";
import { outputFormat, paint, printResult } from "../output.ts";
import { printableText } from "../printable-text.ts";

/** `doctor`: one line for each thing that was looked at. 1 when something can't work as it is. */
export const doctor: CommandHandler = async (input, { io, wiring }) => {
  const findings = diagnose(await wiring.doctorFacts());
  await printResult(io, outputFormat(input), findings, (found) =>
    found.map((one) => line(io.stdout, one)).join(""),
  );
  return findings.some(({ level }) => level === "problem") ? 1 : 0;
};

function line(stream: CliStream, { level, what, found, advice }: Finding): string {
  const colors = paint(stream);
  const color = { ok: colors.green, warning: colors.yellow, problem: colors.red }[level];
  const text = `${what}: ${found}${advice === undefined ? "" : ` → ${advice}`}`;
  return `${color(level.padEnd(7))}  ${printableText(text)}\n`;
}
