import type { CommandSpec, OptionSpec } from "../command-spec.ts";
import { acceptHostKey, gitUrl, group, output, yes } from "./shared.ts";

/** What an option is that was left out: said by `create`; to `update` it stays as it is. */
function cronjobOptions(verb: "create" | "update"): readonly OptionSpec[] {
  const otherwise = (value: string): { readonly default?: string } =>
    verb === "create" ? { default: value } : {};
  return [
    {
      kind: "value",
      name: "name",
      value: "NAME",
      type: "nonempty",
      required: true,
      summary: "Name of the cronjob",
    },
    {
      kind: "value",
      name: "schedule",
      value: "SCHEDULE",
      ...(verb === "create" ? { type: "nonempty", required: true } : {}),
      summary: "When to deploy: five fields, as in cron, or @daily and the like",
    },
    {
      kind: "value",
      name: "timezone",
      value: "ZONE",
      ...otherwise("UTC"),
      summary: "Whose clock the schedule goes by, as Europe/Berlin",
    },
    {
      kind: "value",
      name: "branch",
      value: "BRANCH",
      summary: "Branch to deploy; the repository's default branch if left out at first",
    },
    {
      kind: "value",
      name: "retries",
      value: "N",
      type: "count",
      most: 1_000,
      ...otherwise("1"),
      summary: "Further runs of the whole deployment after one that failed",
    },
    {
      kind: "value",
      name: "history-limit",
      value: "N",
      type: "count",
      most: 10_000,
      ...otherwise("1"),
      summary: "Succeeded and failed jobs, each, whose runs and logs are kept",
    },
    {
      kind: "value",
      name: "concurrency",
      value: "POLICY",
      choices: ["forbid", "allow", "replace"],
      ...otherwise("forbid"),
      summary: "What becomes of a due time while the job before it is unfinished",
    },
    {
      kind: "value",
      name: "catch-up",
      value: "POLICY",
      choices: ["latest", "none", "all"],
      ...otherwise("latest"),
      summary: "Which of the due times that passed while no server ran are made up for",
    },
    { kind: "flag", name: "suspend", negatable: true, summary: "Skip all due times until --no-suspend" },
    {
      kind: "value",
      name: "ssh",
      aliases: ["ssh-key-path"],
      value: "PATH",
      summary: "Private key file for an ssh repository; kept in the secrets group",
    },
    group,
    acceptHostKey,
    { kind: "flag", name: "strict", negatable: true, summary: "Refuse a project with warnings" },
    output,
  ];
}

/** Rows of the command table. */
export const cronjobCommands: readonly CommandSpec[] = [
  {
    words: ["create", "cronjob"],
    plural: "cronjobs",
    summary: "Deploy a pipeline at the times of a schedule",
    description: [
      "At each due time the newest commit of the branch is deployed, as create deployment does it. The command says the schedule in words, and the next three times.",
    ],
    arguments: [gitUrl],
    options: cronjobOptions("create"),
    examples: [
      'bodywork create cronjob https://github.com/me/my-project --name nightly --schedule "15 3 * * *" --timezone Europe/Berlin',
      "bodywork create cronjob git@github.com:me/private.git --name weekly --schedule @weekly --ssh ~/.ssh/id_ed25519 --group prod",
    ],
    load: async () => (await import("../commands/cronjob-save.ts")).createCronjob,
  },
  {
    words: ["update", "cronjob"],
    plural: "cronjobs",
    summary: "Change a cronjob: only what is given changes",
    arguments: [gitUrl],
    options: cronjobOptions("update"),
    examples: [
      'bodywork update cronjob https://github.com/me/my-project --name nightly --schedule "0 4 * * MON-FRI"',
      "bodywork update cronjob https://github.com/me/my-project --name nightly --suspend",
    ],
    load: async () => (await import("../commands/cronjob-save.ts")).updateCronjob,
  },
  {
    words: ["get", "cronjob"],
    plural: "cronjobs",
    summary: "Show cronjobs, what became of their due times, and logs",
    description: [
      "--history shows the jobs that have run, and below them every due time: ran, how late, skipped or missed, and why.",
    ],
    arguments: [{ name: "NAME", required: false, summary: "Name of a cronjob" }],
    options: [
      { kind: "flag", name: "history", negatable: true, summary: "The jobs and due times of NAME" },
      {
        kind: "value",
        name: "limit",
        value: "N",
        type: "count",
        most: 1_000,
        summary: "With --history: how many of the newest due times (50 if left out)",
      },
      {
        kind: "value",
        name: "logs",
        value: "JOB",
        summary: "The log of this job's newest run, by its run ID as --history shows it",
      },
      output,
    ],
    examples: [
      "bodywork get cronjobs",
      "bodywork get cronjob nightly --history",
      "bodywork get cronjob nightly --logs nightly-29900115",
    ],
    load: async () => (await import("../commands/cronjob-get.ts")).getCronjob,
  },
  {
    words: ["delete", "cronjob"],
    plural: "cronjobs",
    summary: "Delete a cronjob with its history; what it has deployed lives on",
    arguments: [{ name: "NAME", required: true, summary: "Name of the cronjob" }],
    options: [yes, output],
    examples: ["bodywork delete cronjob nightly --yes"],
    load: async () => (await import("../commands/cronjob-delete.ts")).deleteCronjob,
  },
];
