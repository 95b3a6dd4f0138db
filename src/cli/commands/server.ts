import type { ServerStatus } from "../../operations/operations.ts";
import type { CliIo } from "../cli-io.ts";
import type { CommandHandler, CommandInput } from "../command-spec.ts";
import { time } from "../format.ts";
import { notice, outputFormat, printResult, table } from "../output.ts";

/** `server start`; returns when its services are back, as far as they are soon. */
export const startServer: CommandHandler = async (input, { io, wiring }) => {
  const status = await (await wiring.serverControl()).start({ listen: input.text("listen") });
  const { ingressNote, comingBack = [] } = status;
  if (ingressNote !== undefined) notice(io, "warning", ingressNote);
  if (comingBack.length > 0) {
    notice(io, "warning", `Not ready yet: ${comingBack.join(", ")}. See: bodywork get deployments`);
  }
  return print(input, io, status);
};

/** `server stop`. */
export const stopServer: CommandHandler = async (input, { io, wiring }) =>
  print(input, io, await (await wiring.serverControl()).stop({ services: input.flag("services") }));

/** `server status`: 0 whether it runs or not, for it has answered the question. */
export const serverStatus: CommandHandler = async (input, { io, wiring }) => {
  const status = await (await wiring.serverControl()).status();
  if (status.ingressNote !== undefined) notice(io, "warning", status.ingressNote);
  return print(input, io, status);
};

/** `server run`: what `start` and systemd start. */
export const runServer: CommandHandler = (input, { wiring }) =>
  wiring.serveForeground({ listen: input.text("listen"), listenApi: input.text("listen-api") });

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
        ["public_api", found.publicApi ?? "none"],
        ["ingress", found.ingress ?? "opens with the first service"],
        ["ingress_running", found.ingressRunning ? "True" : "False"],
      ],
    }),
  );
  return 0;
}
