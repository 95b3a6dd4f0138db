import type { CommandHandler } from "../command-spec.ts";

/** `debug [SECONDS]` (hidden): what the original's image does when it is told nothing else. */
export const debug: CommandHandler = async (input, { io }) => {
  const seconds = Number(input.optional("SECONDS"));
  io.stdout.write(`sleeping for ${seconds}s\n`);
  await io.sleep(seconds * 1_000);
  return 0;
};
