import type { EnvironmentRecord } from "../../ports/environments.ts";
import type { CliStream } from "../cli-io.ts";
import type { CommandHandler } from "../command-spec.ts";
import { bytes, shortDigest, time } from "../format.ts";
import { announceEngine, outputFormat, printResult, table } from "../output.ts";

/** `env list`. */
export const listEnvironments: CommandHandler = async (input, { io, wiring }) => {
  const records = await (await wiring.operations()).environments();
  await printResult(io, outputFormat(input), records, (found) =>
    found.length === 0 ? "No environments found\n" : describe(io.stdout, found),
  );
  return 0;
};

/** `env clean`; prints what went. */
export const cleanEnvironments: CommandHandler = async (input, { io, wiring }) => {
  await announceEngine(io, wiring);
  const unusedDays = input.number("unused-days") ?? 0;
  const removed = await (await wiring.operations()).cleanEnvironments({ unusedDays });
  await printResult(io, outputFormat(input), removed, (gone) => {
    if (gone.length === 0) return "No unused environments found\n";
    const freed = gone.reduce((sum, record) => sum + record.bytes, 0);
    return `${describe(io.stdout, gone)}Removed ${gone.length} (${bytes(freed)}).\n`;
  });
  return 0;
};

function describe(stream: CliStream, records: readonly EnvironmentRecord[]): string {
  return table(stream, {
    head: ["Environment", "Python", "Packages", "Size", "Created", "Last used"],
    rows: records.map((record) => [
      shortDigest(record.key),
      record.pythonVersion,
      String(record.lock.split("\n").filter((line) => line.trim() !== "").length),
      bytes(record.bytes),
      time(record.createdAt),
      time(record.lastUsedAt),
    ]),
  });
}
