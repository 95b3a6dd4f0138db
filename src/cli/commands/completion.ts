import type { CommandHandler } from "../command-spec.ts";
import { completionScript, completionShells } from "../completion.ts";

/** `completion bash|zsh|fish|powershell`. */
export const completion: CommandHandler = async (input, { io }) => {
  const shell = completionShells.find((known) => known === input.required("SHELL"));
  if (shell !== undefined) io.stdout.write(completionScript(shell));
  return 0;
};
