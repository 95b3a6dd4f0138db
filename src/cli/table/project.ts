import type { CommandSpec } from "../command-spec.ts";
import { output } from "./shared.ts";

/** Rows of the command table. */
export const projectCommands: readonly CommandSpec[] = [
  {
    words: ["validate"],
    summary: "Check a bodywork.yaml",
    description: [
      "All problems are listed, with their place in the file. Warnings do not change the exit code unless --strict is given.",
    ],
    arguments: [],
    options: [
      { kind: "value", name: "file", value: "FILE", default: "bodywork.yaml", summary: "The file to check" },
      {
        kind: "flag",
        name: "check-files",
        negatable: true,
        summary: "Also check that the files it names are there, beside it",
      },
      { kind: "flag", name: "strict", summary: "Warnings are errors" },
      output,
    ],
    examples: [
      "bodywork validate --check-files",
      "bodywork validate --file my-project/bodywork.yaml --strict",
    ],
    load: async () => (await import("../commands/validate.ts")).validate,
  },
  {
    words: ["schema"],
    summary: "Print the JSON Schema of bodywork.yaml, for editors",
    arguments: [],
    options: [],
    examples: ["bodywork schema > bodywork.schema.json"],
    load: async () => (await import("../commands/schema.ts")).schema,
  },
];
