import type { CommandSpec } from "../command-spec.ts";
import { gitUrl, output, yes } from "./shared.ts";

/** Rows of the command table. */
export const toolCommands: readonly CommandSpec[] = [
  {
    words: ["configure-cluster"],
    summary: "Make the engine ready for deployments; they do it by themselves",
    description: [
      "On Kubernetes: the namespace bodywork-deployment-jobs, with a service account and the rights that deployments need. What is missing is made, also of what an earlier version made.",
      "On this machine there is no cluster to configure: the home folder is made, and the server started.",
    ],
    arguments: [],
    options: [
      { kind: "flag", name: "dry-run", summary: "Print the objects, and change nothing" },
      {
        kind: "value",
        name: "namespace",
        value: "NAMESPACE",
        summary: "Rights inside this one namespace only, and none to the whole cluster",
      },
      output,
    ],
    examples: ["bodywork configure-cluster", "bodywork configure-cluster --dry-run"],
    load: async () => (await import("../commands/configure-cluster.ts")).configureCluster,
  },
  {
    words: ["cluster", "remove"],
    summary: "Remove all of Bodywork from a Kubernetes cluster",
    description: [
      "Cronjobs, jobs, history, groups of secrets, accounts and roles go. It refuses while deployments live, unless --with-deployments.",
    ],
    arguments: [],
    options: [
      { kind: "flag", name: "with-deployments", summary: "Delete every deployment first" },
      yes,
      output,
    ],
    examples: ["bodywork cluster remove --yes"],
    load: async () => (await import("../commands/configure-cluster.ts")).removeCluster,
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
