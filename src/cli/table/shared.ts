import type { ArgumentSpec, OptionSpec } from "../command-spec.ts";

export const output: OptionSpec = {
  kind: "value",
  name: "output",
  value: "FORMAT",
  choices: ["table", "json", "yaml"],
  default: "table",
  summary: "Form of the result on standard output",
};

export const yes: OptionSpec = { kind: "flag", name: "yes", summary: "Do not ask" };

export const gitUrl: ArgumentSpec = {
  name: "GIT_URL",
  required: true,
  summary: "https, ssh, scp-like or file URL of the repository",
};
