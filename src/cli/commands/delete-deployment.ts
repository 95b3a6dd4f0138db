import type { CommandHandler } from "../command-spec.ts";
import { announceEngine, notice, outputFormat, printResult } from "../output.ts";
import { printableText } from "../printable-text.ts";

/** `delete deployment NAME`. One that is not there is no failure, as in the original. */
export const deleteDeployment: CommandHandler = async (input, { io, wiring }) => {
  const name = input.required("NAME");
  await announceEngine(io, wiring);
  if (io.canAsk && !input.flag("yes")) {
    const answer = await io.ask(
      `Delete deployment ${printableText(name)} with its services, routes, runs and files? [y/N] `,
    );
    if (!/^y(es)?$/i.test(answer?.trim() ?? "")) {
      notice(io, "info", "Aborted!");
      return 1;
    }
  }
  const { found } = await (await wiring.operations()).deleteDeployment(name);
  await printResult(io, outputFormat(input), { deployment: name, found }, () =>
    printableText(found ? `deployment=${name} deleted.\n` : `deployment=${name} could not be found\n`),
  );
  return 0;
};
