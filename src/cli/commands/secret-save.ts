import { Failure } from "../../core/failure.ts";
import { isReservedVariable } from "../../core/stage-variables.ts";
import type { Operations, SecretActions } from "../../operations/operations.ts";
import type { CliIo } from "../cli-io.ts";
import type { CommandContext, CommandHandler, CommandInput } from "../command-spec.ts";
import { announceEngine, notice, outputFormat, printResult } from "../output.ts";
import { printableText } from "../printable-text.ts";
import { orRefused } from "./refusal.ts";
import { secretData } from "./secret-data.ts";

/** `create secret NAME`. */
export const createSecret: CommandHandler = (input, context) =>
  save("Created", input, context, (operations) => operations.createSecret);

/** `update secret NAME`. Keys that are not given stay as they are. */
export const updateSecret: CommandHandler = async (input, context) => {
  const exitCode = await save("Updated", input, context, (operations) => operations.updateSecret);
  if (exitCode === 0) {
    notice(context.io, "info", "What is live keeps its values; the next deployment uses the new ones.");
  }
  return exitCode;
};

async function save(
  done: "Created" | "Updated",
  input: CommandInput,
  { io, wiring }: CommandContext,
  actionOf: (operations: Operations) => SecretActions["createSecret"],
): Promise<number> {
  if (input.texts("data").length + input.texts("data-file").length === 0) {
    throw new Failure("usage", "Missing option '--data'.", { hint: "Or --data-file KEY=PATH." });
  }
  await announceEngine(io, wiring);
  return orRefused(input, io, async () => {
    const data = await secretData(input, io);
    const act = actionOf(await wiring.operations());
    const secret = await act(input.text("group") ?? "", input.required("NAME"), data);
    await printResult(io, outputFormat(input), secret, ({ group, name }) =>
      printableText(`${done} secret=${name} in group=${group}\n`),
    );
    warnOfReserved(Object.keys(data), io);
    return 0;
  });
}

/** They may be kept, for nobody knows yet what for. */
function warnOfReserved(keys: readonly string[], io: CliIo): void {
  for (const key of keys.filter(isReservedVariable)) {
    notice(
      io,
      "warning",
      `No stage can have ${key}: a deployment with this variable among its secrets is refused.`,
    );
  }
}
