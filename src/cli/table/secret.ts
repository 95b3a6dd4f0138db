import type { ArgumentSpec, CommandSpec, OptionSpec } from "../command-spec.ts";
import { output, yes } from "./shared.ts";

const secretName: ArgumentSpec = { name: "NAME", required: true, summary: "Name of the secret" };

const group = {
  kind: "value",
  name: "group",
  value: "GROUP",
  aliases: ["secrets-group"],
  summary: "Group of the secret, such as dev or prod",
} as const satisfies OptionSpec;

const requiredGroup: OptionSpec = { ...group, type: "nonempty", required: true };

const data: readonly OptionSpec[] = [
  {
    kind: "value",
    name: "data",
    value: "KEY=VALUE",
    repeatable: true,
    summary: "A key with its value; others on this machine can see it while the command runs",
  },
  {
    kind: "value",
    name: "data-file",
    value: "KEY=PATH",
    repeatable: true,
    summary: "A key whose value is in a file; - is standard input",
  },
];

const passphraseFile: OptionSpec = {
  kind: "value",
  name: "passphrase-file",
  value: "PATH",
  type: "nonempty",
  summary: "File with the passphrase; - is standard input",
};

/** Rows of the command table. */
export const secretCommands: readonly CommandSpec[] = [
  {
    words: ["create", "secret"],
    plural: "secrets",
    summary: "Create a secret: keys with values, which stages get as environment variables",
    description: ["The line end of a file with one line is left out."],
    arguments: [secretName],
    options: [requiredGroup, ...data, output],
    examples: [
      "bodywork create secret db-credentials --group prod --data USERNAME=me --data-file PASSWORD=password.txt",
      "bodywork create secret api --group dev --data-file TOKEN=-",
    ],
    load: async () => (await import("../commands/secret-save.ts")).createSecret,
  },
  {
    words: ["update", "secret"],
    plural: "secrets",
    summary: "Change values of a secret, or add keys to it; the others stay",
    description: [
      "What is live keeps the values that it was started with; the next deployment uses the new ones.",
    ],
    arguments: [secretName],
    options: [requiredGroup, ...data, output],
    examples: ["bodywork update secret db-credentials --group prod --data-file PASSWORD=password.txt"],
    load: async () => (await import("../commands/secret-save.ts")).updateSecret,
  },
  {
    words: ["get", "secret"],
    plural: "secrets",
    summary: "Show a secret or all of a group with their values, or list all without",
    arguments: [{ ...secretName, required: false }],
    options: [group, output],
    examples: ["bodywork get secrets", "bodywork get secret db-credentials --group prod"],
    load: async () => (await import("../commands/secret-get.ts")).getSecret,
  },
  {
    words: ["delete", "secret"],
    plural: "secrets",
    summary: "Delete a secret, or all of a group",
    description: ["What is live keeps the values that it was started with."],
    arguments: [{ ...secretName, required: false }],
    options: [group, yes, output],
    examples: [
      "bodywork delete secret db-credentials --group dev",
      "bodywork delete secrets --group dev --yes",
    ],
    load: async () => (await import("../commands/secret-delete.ts")).deleteSecret,
  },
  {
    words: ["secret", "export"],
    summary: "Write secrets with their values to a file encrypted with age",
    description: [
      "A file that is there is replaced. As text where its name ends in .asc, and on standard output.",
    ],
    arguments: [{ name: "FILE", required: true, summary: "The file to write; - is standard output" }],
    options: [
      { ...group, summary: "Only this group" },
      {
        kind: "value",
        name: "recipient",
        value: "AGE1…",
        repeatable: true,
        summary: "Public key of age, whose owner can open it",
      },
      passphraseFile,
      output,
    ],
    conflicts: [["recipient", "passphrase-file"]],
    examples: [
      "bodywork secret export secrets.age --passphrase-file passphrase.txt",
      "bodywork secret export prod.age --group prod --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
    ],
    load: async () => (await import("../commands/secret-files.ts")).exportSecrets,
  },
  {
    words: ["secret", "import"],
    summary: "Create the secrets of a file that secret export wrote",
    arguments: [{ name: "FILE", required: true, summary: "The file to read; - is standard input" }],
    options: [
      {
        kind: "value",
        name: "identity",
        value: "PATH",
        type: "nonempty",
        summary: "File with the private key of age that opens it",
      },
      passphraseFile,
      {
        kind: "flag",
        name: "overwrite",
        summary: "Update secrets that are there already; without it they are refused",
      },
      output,
    ],
    conflicts: [["identity", "passphrase-file"]],
    examples: [
      "bodywork secret import secrets.age --passphrase-file passphrase.txt",
      "bodywork secret import prod.age --identity key.txt --overwrite",
    ],
    load: async () => (await import("../commands/secret-files.ts")).importSecrets,
  },
];
