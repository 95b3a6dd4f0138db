/** The commands of Bodywork 3 with their arguments and options, hidden ones too. */
export interface OriginalCommand {
  readonly words: string;
  readonly arguments: readonly string[];
  readonly options: readonly string[];
}

export const originalCommands: readonly OriginalCommand[] = [
  { words: "validate", arguments: [], options: ["file", "check-files", "no-check-files"] },
  { words: "version", arguments: [], options: [] },
  { words: "configure-cluster", arguments: [], options: [] },
  { words: "stage", arguments: ["GIT_URL", "STAGE_NAME", "TIMEOUT"], options: ["branch"] },
  { words: "debug", arguments: ["SECONDS"], options: [] },
  {
    words: "create deployment",
    arguments: ["GIT_URL"],
    options: [
      ...["branch", "ssh", "group", "secrets-group", "retries"],
      ...["async", "async-job-name", "bodywork-image"],
    ],
  },
  {
    words: "update deployment",
    arguments: ["GIT_URL"],
    options: ["branch", "ssh", "retries", "async", "async-job-name", "bodywork-image"],
  },
  {
    words: "get deployment",
    arguments: ["NAME", "SERVICE_NAME"],
    options: ["namespace", "logs", "async"],
  },
  { words: "delete deployment", arguments: ["NAME"], options: ["async"] },
  {
    words: "create cronjob",
    arguments: ["GIT_URL"],
    options: [
      ...["name", "schedule", "branch", "retries", "history-limit"],
      ...["ssh", "group", "secrets-group"],
    ],
  },
  {
    words: "update cronjob",
    arguments: ["GIT_URL"],
    options: ["name", "schedule", "branch", "retries", "history-limit"],
  },
  { words: "get cronjob", arguments: ["NAME"], options: ["history", "no-history", "logs"] },
  { words: "delete cronjob", arguments: ["NAME"], options: [] },
  { words: "create secret", arguments: ["NAME"], options: ["group", "data"] },
  { words: "update secret", arguments: ["NAME"], options: ["group", "data"] },
  { words: "get secret", arguments: ["NAME"], options: ["group"] },
  { words: "delete secret", arguments: ["NAME"], options: ["group"] },
];
