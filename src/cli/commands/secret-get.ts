import { Failure } from "../../core/failure.ts";
import type { SecretSummary } from "../../core/secret-state.ts";
import { revealed } from "../../core/secret-value.ts";
import type { RevealedSecret } from "../../operations/operations.ts";
import type { CliIo, CliStream } from "../cli-io.ts";
import type { CommandContext, CommandHandler, CommandInput } from "../command-spec.ts";
import { time } from "../format.ts";
import { announceEngine, notice, outputFormat, printResult, table } from "../output.ts";
import { printableText } from "../printable-text.ts";
import { orRefused } from "./refusal.ts";

/**
 * `get secret(s) [NAME] [--group]`: one secret or all of a group, with their values; without a group all there are, without
 * values. That there is none is an answer: 0, as in the original. JSON and YAML give lists; with NAME the secret alone,
 * `null` when there is none.
 */
export const getSecret: CommandHandler = async (input, context) => {
  const name = input.optional("NAME");
  const group = input.text("group") || undefined;
  if (group !== undefined) return showValues(group, name, input, context);
  if (name === undefined) return listAll(input, context);
  return orRefused(input, context.io, async () => {
    throw new Failure("usage", `Cannot show secret=${name} without its group.`, {
      hint: "Name it: --group GROUP",
    });
  });
};

async function listAll(input: CommandInput, { io, wiring }: CommandContext): Promise<number> {
  const secrets = await (await wiring.operations()).secrets({});
  await printResult(io, outputFormat(input), secrets, (found) =>
    found.length === 0 ? "No secrets found\n" : summaries(io.stdout, found),
  );
  return 0;
}

async function showValues(
  group: string,
  name: string | undefined,
  input: CommandInput,
  { io, wiring }: CommandContext,
): Promise<number> {
  await announceEngine(io, wiring);
  const secrets = await (await wiring.operations()).readSecrets({ group, name });
  const records = secrets.map((secret) => ({ ...secret, data: revealed(secret.data) }));
  await printResult(io, outputFormat(input), name === undefined ? records : (records[0] ?? null), () => {
    if (name !== undefined && secrets.length === 0) return printableText(`Cannot find secret=${name}\n`);
    return secrets.map((secret) => values(io.stdout, secret)).join("\n");
  });
  tellEmptyGroup(group, name, secrets, io);
  return 0;
}

function tellEmptyGroup(group: string, name: string | undefined, found: readonly unknown[], io: CliIo): void {
  if (name === undefined && found.length === 0) notice(io, "info", `There are no secrets in group=${group}`);
}

function summaries(stream: CliStream, secrets: readonly SecretSummary[]): string {
  return table(stream, {
    title: "all secrets",
    head: ["Secret Name", "Bodywork Secret Group", "Keys", "Version", "Updated"],
    rows: secrets.map(({ name, group, keys, version, updatedAt }) => [
      name,
      group,
      keys.join(", "),
      String(version),
      time(updatedAt),
    ]),
  });
}

function values(stream: CliStream, { name, group, data }: RevealedSecret): string {
  return table(stream, {
    title: `${name} in group ${group}`,
    head: ["Field", "Value"],
    rows: Object.entries(revealed(data)).toSorted(([one], [other]) => (one < other ? -1 : 1)),
  });
}
