import type { CommandSpec } from "../command-spec.ts";

/** Rows of the command table. */
export const toolCommands: readonly CommandSpec[] = [
  {
    words: ["completion"],
    summary: "Print the completion script of a shell",
    arguments: [
      {
        name: "SHELL",
        required: true,
        choices: ["bash", "zsh", "fish", "powershell"],
        summary: "The shell",
      },
    ],
    options: [],
    examples: ["source <(bodywork completion bash)"],
    load: async () => (await import("../commands/completion.ts")).completion,
  },
  {
    words: ["version"],
    summary: "Print the version",
    arguments: [],
    options: [],
    examples: ["bodywork version"],
    load: async () => (await import("../commands/version.ts")).version,
  },
  {
    words: ["debug"],
    hidden: true,
    summary: "Sleep for a while",
    arguments: [{ name: "SECONDS", required: false, type: "integer", default: "600", summary: "How long" }],
    options: [],
    examples: ["bodywork debug 10"],
    load: async () => (await import("../commands/debug.ts")).debug,
  },
];
