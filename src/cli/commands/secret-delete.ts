import { Failure } from "../../core/failure.ts";
import type { CommandContext, CommandHandler, CommandInput } from "../command-spec.ts";
import { mayDelete } from "../confirm.ts";
import { announceEngine, outputFormat, printResult } from "../output.ts";
import { printableText } from "../printable-text.ts";
import { orRefused } from "./refusal.ts";

/** `delete secret(s) [NAME] --group`: one secret, or all of a group. What is not there is no failure, as in the original. */
export const deleteSecret: CommandHandler = async (input, context) => {
  const name = input.optional("NAME");
  const group = input.text("group") || undefined;
  return orRefused(input, context.io, async () => {
    if (group === undefined) {
      const what = name === undefined ? "secrets" : `secret=${name}`;
      throw new Failure("usage", `Cannot delete ${what} without a group.`, {
        hint: "Name it: --group GROUP",
      });
    }
    await announceEngine(context.io, context.wiring);
    return name === undefined ? deleteGroup(group, input, context) : deleteOne(group, name, input, context);
  });
};

async function deleteOne(
  group: string,
  name: string,
  input: CommandInput,
  { io, wiring }: CommandContext,
): Promise<number> {
  if (!(await mayDelete(`secret ${name} of group ${group}`, input, io))) return 1;
  const { found } = await (await wiring.operations()).deleteSecret(group, name);
  await printResult(io, outputFormat(input), { group, name, found }, () =>
    printableText(
      found
        ? `Deleted secret=${name} from group=${group}\n`
        : `Could not find secret=${name} in group=${group}\n`,
    ),
  );
  return 0;
}

async function deleteGroup(
  group: string,
  input: CommandInput,
  { io, wiring }: CommandContext,
): Promise<number> {
  const operations = await wiring.operations();
  const names = (await operations.secrets({ group })).map(({ name }) => name);
  const what = `all ${names.length} secrets of group ${group} (${names.join(", ")})`;
  if (names.length > 0 && !(await mayDelete(what, input, io))) return 1;
  const deleted = await operations.deleteSecretGroup(group);
  await printResult(io, outputFormat(input), { group, deleted }, () =>
    printableText(
      deleted.length > 0 ? `Deleted secret group=${group}\n` : `Could not find secret group=${group}\n`,
    ),
  );
  return 0;
}
