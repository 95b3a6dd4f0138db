import type { CommandSpec } from "../command-spec.ts";
import { gitUrl, output } from "./shared.ts";

/** Rows of the command table. */
export const toolCommands: readonly CommandSpec[] = [
  {
    words: ["configure-cluster"],
    summary: "Make the engine ready for deployments; they do it by themselves",
    description: [
      "On this machine there is no cluster to configure: the home folder is made, and the server started.",
    ],
    arguments: [],
    options: [output],
    examples: ["bodywork configure-cluster"],
    load: async () => (await import("../commands/configure-cluster.ts")).configureCluster,
  },
  {
    words: ["doctor"],
    summary: "Check this machine: what deployments need, and whether it is there",
    description: [
      "Each line is ok, a warning, or a problem that keeps something from working, and says what to do. Nothing is changed.",
    ],
    arguments: [],
    options: [output],
    examples: ["bodywork doctor"],
    load: async () => (await import("../commands/doctor.ts")).doctor,
  },
  {
    words: ["stage"],
    hidden: true,
    summary: "Run one stage of a repository here, in the foreground",
    description: [
      "The newest commit is put into ./bodywork_project, which must not be there or be empty, and stays there.",
      "The stage gets this shell's variables. TIMEOUT counts from the start of its program; 0 means no limit.",
    ],
    arguments: [
      gitUrl,
      { name: "STAGE_NAME", required: true, summary: "The stage, as in bodywork.yaml" },
      { name: "TIMEOUT", required: false, type: "count", default: "0", summary: "Seconds" },
    ],
    options: [
      {
        kind: "value",
        name: "branch",
        value: "BRANCH",
        summary: "Branch, tag or commit; the repository's default branch if left out",
      },
    ],
    examples: ["bodywork stage https://github.com/me/my-project train 60 --branch main"],
    load: async () => (await import("../commands/stage.ts")).stage,
  },
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
    arguments: [{ name: "SECONDS", required: false, type: "count", default: "600", summary: "How long" }],
    options: [],
    examples: ["bodywork debug 10"],
    load: async () => (await import("../commands/debug.ts")).debug,
  },
];
