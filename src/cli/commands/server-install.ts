import type { CommandHandler } from "../command-spec.ts";
import { notice } from "../output.ts";

/** `server install`: has systemd run the server from the next start of the machine on. */
export const installServer: CommandHandler = async (input, { io, wiring }) => {
  const scope = input.flag("system") ? "system" : "user";
  const machine = await wiring.serverMachine();
  const { file, text, written } = await machine.installUnit({
    scope,
    listenApi: input.text("listen-api"),
    force: input.flag("force"),
    printOnly: input.flag("print"),
  });
  if (input.flag("print")) {
    io.stdout.write(text);
    return 0;
  }
  io.stdout.write(written ? `Wrote ${file}\n` : `${file} is as it should be\n`);
  notice(io, "info", "Run next:", nextSteps[scope]);
  return 0;
};

/** The server that a command has started in the background gives way to the one that systemd starts. */
const nextSteps = {
  user: [
    "systemctl --user daemon-reload",
    "bodywork server stop",
    "systemctl --user enable --now bodywork",
    "loginctl enable-linger  # so that it runs while you are not logged in",
  ],
  system: ["sudo systemctl daemon-reload", "bodywork server stop", "sudo systemctl enable --now bodywork"],
} as const;
