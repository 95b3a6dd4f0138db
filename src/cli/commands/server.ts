import type { ServerStatus } from "../../operations/operations.ts";
import type { CliIo } from "../cli-io.ts";
import type { CommandHandler, CommandInput } from "../command-spec.ts";
import { time } from "../format.ts";
import { outputFormat, printResult, table } from "../output.ts";

/** `server start`; returns when it answers. */
export const startServer: CommandHandler = async (input, { io, wiring }) =>
  print(input, io, await (await wiring.serverControl()).start({ listen: input.text("listen") }));

/** `server stop`. */
export const stopServer: CommandHandler = async (input, { io, wiring }) =>
  print(input, io, await (await wiring.serverControl()).stop({ services: input.flag("services") }));

/** `server status`: 0 whether it runs or not, for it has answered the question. */
export const serverStatus: CommandHandler = async (input, { io, wiring }) =>
  print(input, io, await (await wiring.serverControl()).status());

/** `server run` (hidden): what `start` starts. */
export const runServer: CommandHandler = (input, { wiring }) =>
  wiring.serveForeground({ listen: input.text("listen") });

async function print(input: CommandInput, io: CliIo, status: ServerStatus): Promise<number> {
  await printResult(io, outputFormat(input), status, (found) =>
    table(io.stdout, {
      head: ["Field", "Value"],
      rows: [
        ["running", found.running ? "True" : "False"],
        ["pid", String(found.pid ?? "none")],
        ["version", found.version ?? "none"],
        ["started", time(found.startedAt) || "none"],
        ["home", found.home],
        ["api", found.api ?? "none"],
        ["ingress", found.ingress ?? "none"],
        ["ingress_running", found.ingressRunning ? "True" : "False"],
      ],
    }),
  );
  return 0;
}
