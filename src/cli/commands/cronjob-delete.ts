import { cronjobName } from "../../core/cron/cronjob-name.ts";
import type { CommandHandler } from "../command-spec.ts";
import { mayDelete } from "../confirm.ts";
import { announceEngine, outputFormat, printResult, tellCancelled } from "../output.ts";
import { printableText } from "../printable-text.ts";

/** `delete cronjob NAME`. One that is not there is no failure, as in the original. */
export const deleteCronjob: CommandHandler = async (input, { io, wiring }) => {
  const name = cronjobName(input.required("NAME"));
  await announceEngine(io, wiring);
  if (!(await mayDelete(`cronjob ${name} with its history, and cancel what runs of it`, input, io))) return 1;
  const { found, cancelled = [] } = await (await wiring.operations()).deleteCronjob(name);
  await printResult(io, outputFormat(input), { cronjob: name, found, cancelled }, () =>
    printableText(found ? `Deleted cronjob=${name}\n` : `Could not find cronjob=${name}\n`),
  );
  tellCancelled(cancelled, io);
  return 0;
};
