import { Failure } from "../../core/failure.ts";
import { type SecretData, SecretValue } from "../../core/secret-value.ts";
import type { CliIo } from "../cli-io.ts";
import type { CommandInput } from "../command-spec.ts";
import { readNamedText } from "../read-named-file.ts";

/** Bytes that are read of a file: what is too long for a value is refused by the one that keeps it. */
const mostBytes = 1024 * 1024;

/**
 * The values that are given by `--data KEY=VALUE` and `--data-file KEY=PATH`; of those with one key the last counts, a
 * file before a text. Fails: usage (no pair, a file that can't be read). No message has a value in it.
 */
export async function secretData(input: CommandInput, io: CliIo): Promise<SecretData> {
  const texts = pairs("data", input);
  const files = pairs("data-file", input);
  if (files.filter(([, path]) => path === "-").length > 1) {
    throw new Failure("usage", "Cannot read standard input for more than one key.");
  }
  const data = new Map(texts.map(([key, text]) => [key, new SecretValue(text)]));
  for (const [key, path] of files) {
    data.set(key, new SecretValue(withoutOnlyLineEnd(await readNamedText(path, mostBytes, io))));
  }
  return Object.fromEntries(data);
}

/** A value may have a `=` itself: the first one ends the key. */
function pairs(option: "data" | "data-file", input: CommandInput): readonly (readonly [string, string])[] {
  const given = input.texts(option);
  const read = given.map((text) => /^([^=]+)=(.+)$/s.exec(text));
  const wrong = read.flatMap((match, index) => (match === null ? [`value ${index + 1} of --${option}`] : []));
  if (wrong.length > 0) {
    throw new Failure(
      "usage",
      `Cannot parse the data of the secret: not all of it is KEY=${forms[option]}.`,
      {
        details: wrong,
        hint: `As in: --${option} ${examples[option]}`,
      },
    );
  }
  return read.map((match) => [match?.[1] ?? "", match?.[2] ?? ""]);
}

const forms = { data: "VALUE", "data-file": "PATH" } as const;
const examples = {
  data: "USERNAME=me PASSWORD=my-password",
  "data-file": "TOKEN=token.txt",
} as const;

/** `echo` and editors end a line; a key or a certificate, of several lines, stays as it is. */
function withoutOnlyLineEnd(text: string): string {
  return /^[^\r\n]*\r?\n$/.test(text) ? text.trimEnd() : text;
}
