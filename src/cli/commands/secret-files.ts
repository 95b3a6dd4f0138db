import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Failure } from "../../core/failure.ts";
import { sanitisedName } from "../../core/naming.ts";
import { SecretValue } from "../../core/secret-value.ts";
import { writeFileAtomic } from "../../lib/files.ts";
import type { Operations } from "../../operations/operations.ts";
import type { CarriedSecret, FileKeys } from "../../ports/secrets.ts";
import type { CliIo } from "../cli-io.ts";
import type { CommandHandler, CommandInput } from "../command-spec.ts";
import { announceEngine, outputFormat, printResult } from "../output.ts";
import { printableText } from "../printable-text.ts";
import { nameOf, readNamedFile, readNamedText } from "../read-named-file.ts";
import { noFolder } from "./no-folder.ts";
import { orRefused } from "./refusal.ts";

/** Bytes. */
const mostOfKeys = 64 * 1024;
const mostOfSecrets = 64 * 1024 * 1024;

/** `secret export FILE`: secrets with their values, encrypted with age. To standard output, `-`, and to `.asc` as text. */
export const exportSecrets: CommandHandler = async (input, { io, wiring }) => {
  const file = input.required("FILE");
  await refuseWithoutKeys("recipient", input, io);
  await announceEngine(io, wiring);
  return orRefused(input, io, async () => {
    const recipients = input.texts("recipient");
    const to = recipients.length > 0 ? { recipients } : { passphrase: await newPassphrase(input, io) };
    const secrets = await secretsToExport(input.text("group") || undefined, await wiring.operations());
    const asText = file === "-" || file.endsWith(".asc");
    const bytes = await (await wiring.secretFiles()).write(secrets, to, asText);
    if (file === "-") {
      io.stdout.write(Buffer.from(bytes).toString("latin1"));
      return 0;
    }
    writeExport(resolve(io.workingFolder, file), bytes);
    return printDone("Exported", { file, text: `to ${file}` }, secrets, input, io);
  });
};

/** `secret import FILE`. Nothing is written when one of the secrets is there already, but with `--overwrite`. */
export const importSecrets: CommandHandler = async (input, { io, wiring }) => {
  const file = input.required("FILE");
  await refuseWithoutKeys("identity", input, io);
  if (file === "-" && (input.text("identity") ?? input.text("passphrase-file")) === "-") {
    throw new Failure("usage", "Cannot read both the secrets and what opens them from standard input.");
  }
  await announceEngine(io, wiring);
  return orRefused(input, io, async () => {
    const keys = await fileKeys(input, io);
    const bytes = await readNamedFile(file, mostOfSecrets, io);
    const secrets = await (await wiring.secretFiles()).read(bytes, keys);
    const operations = await wiring.operations();
    const existing = await existingOf(secrets, operations);
    if (existing.size > 0 && !input.flag("overwrite")) {
      throw new Failure(
        "already-exists",
        `Cannot import the secrets of ${nameOf(file)}: some are there already.`,
        {
          details: [...existing].map(({ group, name }) => `secret=${name} in group=${group}`),
          hint: "With --overwrite they are updated; keys that the file does not have stay as they are.",
        },
      );
    }
    for (const secret of secrets) {
      const { group, name, data } = secret;
      if (existing.has(secret)) await operations.updateSecret(group, name, data);
      else await operations.createSecret(group, name, data);
    }
    const text = `from ${nameOf(file)}`;
    return printDone("Imported", { file, text }, secrets, input, io);
  });
};

/** What makes or opens the file must be given, or be asked for. */
async function refuseWithoutKeys(
  option: "recipient" | "identity",
  input: CommandInput,
  io: CliIo,
): Promise<void> {
  const given = option === "recipient" ? input.texts(option).length > 0 : input.text(option) !== undefined;
  if (given || input.text("passphrase-file") !== undefined || io.canAsk) return;
  throw new Failure("usage", `Missing option '--${option}' or '--passphrase-file'.`);
}

async function secretsToExport(
  group: string | undefined,
  operations: Operations,
): Promise<readonly CarriedSecret[]> {
  const groups = new Set((await operations.secrets({ group })).map((secret) => secret.group));
  if (groups.size === 0) {
    throw new Failure(
      "not-found",
      `Cannot export secrets: there are none${group === undefined ? "" : ` in group=${group}`}.`,
    );
  }
  const found = [];
  for (const one of groups) found.push(...(await operations.readSecrets({ group: one })));
  return found;
}

function writeExport(path: string, bytes: Uint8Array): void {
  if (!existsSync(dirname(path))) throw noFolder(path);
  try {
    writeFileAtomic(path, bytes);
  } catch (error) {
    throw new Failure("usage", `Cannot write ${path}: ${(error as NodeJS.ErrnoException).code}.`, {
      cause: error,
    });
  }
}

async function existingOf(
  secrets: readonly CarriedSecret[],
  operations: Operations,
): Promise<ReadonlySet<CarriedSecret>> {
  const identity = (group: string, name: string): string => JSON.stringify([group, sanitisedName(name)]);
  const there = new Set((await operations.secrets({})).map(({ group, name }) => identity(group, name)));
  return new Set(secrets.filter(({ group, name }) => there.has(identity(group, name))));
}

async function fileKeys(input: CommandInput, io: CliIo): Promise<FileKeys> {
  const file = input.text("identity");
  if (file === undefined) return { passphrase: await passphrase(input, io) };
  const lines = (await readNamedText(file, mostOfKeys, io)).split(/\r?\n/).map((line) => line.trim());
  const identities = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (identities.length === 0) {
    throw new Failure("usage", `Cannot use the identity file ${file}: it has no key.`);
  }
  return { identities: identities.map((line) => new SecretValue(line)) };
}

/** What is typed unseen is typed twice: nobody could open the file with a slip in it. */
async function newPassphrase(input: CommandInput, io: CliIo): Promise<SecretValue> {
  const text = await passphrase(input, io);
  if (
    input.text("passphrase-file") === undefined &&
    (await io.askHidden("The same again: ")) !== text.reveal()
  ) {
    throw new Failure("usage", "Cannot use the passphrase: these are two different ones.");
  }
  return text;
}

async function passphrase(input: CommandInput, io: CliIo): Promise<SecretValue> {
  const file = input.text("passphrase-file");
  const text =
    file === undefined
      ? await io.askHidden("Passphrase of the file: ")
      : (await readNamedText(file, mostOfKeys, io)).replace(/\r?\n$/, "");
  if (!text) throw new Failure("usage", "Cannot use the passphrase: it is empty.");
  return new SecretValue(text);
}

async function printDone(
  done: "Exported" | "Imported",
  { file, text }: { readonly file: string; readonly text: string },
  secrets: readonly CarriedSecret[],
  input: CommandInput,
  io: CliIo,
): Promise<number> {
  const record = {
    file,
    secrets: secrets.map(({ group, name, data }) => ({ group, name, keys: Object.keys(data) })),
  };
  const count = `${secrets.length} ${secrets.length === 1 ? "secret" : "secrets"}`;
  await printResult(io, outputFormat(input), record, () => printableText(`${done} ${count} ${text}\n`));
  return 0;
}
