import type { CommandHandler } from "../command-spec.ts";

/** `version`, when it came with something `runCli` does not see to by itself. */
export const version: CommandHandler = async (_input, { io, wiring }) => {
  io.stdout.write(`${wiring.version}\n`);
  return 0;
};
