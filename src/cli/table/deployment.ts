import type { CommandSpec, OptionSpec } from "../command-spec.ts";
import { acceptHostKey, gitUrl, group, listen, output, yes } from "./shared.ts";

const deployOptions: readonly OptionSpec[] = [
  {
    kind: "value",
    name: "branch",
    value: "BRANCH",
    summary: "Branch, tag or commit to deploy; the repository's default branch if left out",
  },
  {
    kind: "value",
    name: "ssh",
    value: "PATH",
    summary: "Private key file for an ssh repository; kept in the secrets group for later runs",
  },
  group,
  acceptHostKey,
  {
    kind: "flag",
    name: "strict",
    summary: "Refuse a project with warnings, and a Python version that is not there",
  },
  {
    kind: "value",
    name: "retries",
    value: "N",
    type: "count",
    most: 1_000,
    summary: "With --async: further runs after one that failed (1 if left out)",
  },
  listen,
  { kind: "flag", name: "dry-run", summary: "Print what would be done, and do nothing" },
  { kind: "flag", name: "detach", summary: "Return as soon as the run is accepted" },
  {
    kind: "flag",
    name: "async",
    summary: "Leave it to the server as a job, which tries again when it fails (see --retries)",
  },
  {
    kind: "value",
    name: "async-job-name",
    value: "NAME",
    summary: "Name of that job, without its prefix async-workflow-; made up if left out",
  },
  {
    kind: "value",
    name: "timeout",
    value: "SECONDS",
    type: "seconds",
    summary: "Cancel the run when it takes longer",
  },
  output,
  {
    kind: "value",
    name: "bodywork-image",
    value: "IMAGE",
    summary: "On Kubernetes: the image for the stages, in place of docker_image",
    hidden: true,
  },
  {
    kind: "flag",
    name: "image-check",
    negatable: true,
    summary:
      "On Kubernetes: ask whether the image exists; kubernetes.image_check of the settings if left out",
  },
];

const deployConflicts: CommandSpec["conflicts"] = [
  ["detach", "timeout"],
  ["dry-run", "detach"],
  ["dry-run", "async"],
  ["async", "detach"],
  ["async", "timeout"],
];

const deployDescription = [
  "Clones the repository, validates its bodywork.yaml, builds the Python environments, runs the batch stages and rolls out the service stages. Exits with 0 only when all of it succeeded; when something fails, every service is as it was before.",
  "Ctrl-C cancels the run and puts back what it changed; a second one stops watching at once. A closed terminal or a lost connection does not end the run.",
];

const deploymentName = { name: "NAME", summary: "Name of the deployment (pipeline.name in bodywork.yaml)" };

/** Rows of the command table. */
export const deploymentCommands: readonly CommandSpec[] = [
  {
    words: ["create", "deployment"],
    plural: "deployments",
    summary: "Deploy a pipeline from a Git repository",
    description: deployDescription,
    arguments: [gitUrl],
    options: deployOptions,
    conflicts: deployConflicts,
    examples: [
      "bodywork create deployment https://github.com/me/my-project --branch main",
      "bodywork create deployment git@github.com:me/private.git --ssh ~/.ssh/id_ed25519",
      "bodywork create deployment https://github.com/me/my-project --dry-run",
    ],
    load: async () => (await import("../commands/deploy.ts")).createDeployment,
  },
  {
    words: ["update", "deployment"],
    plural: "deployments",
    summary: "Deploy a newer commit of a pipeline; the same as create",
    description: deployDescription,
    arguments: [gitUrl],
    options: deployOptions,
    conflicts: deployConflicts,
    examples: ["bodywork update deployment https://github.com/me/my-project --branch main"],
    load: async () => (await import("../commands/deploy.ts")).updateDeployment,
  },
  {
    words: ["get", "deployment"],
    plural: "deployments",
    summary: "Show deployments and their services",
    arguments: [
      { ...deploymentName, required: false },
      {
        name: "SERVICE",
        required: false,
        summary: "A service stage of it, as in bodywork.yaml or as in its URL",
      },
    ],
    options: [
      { kind: "value", name: "namespace", value: "NAMESPACE", summary: "Only those of this namespace" },
      { kind: "flag", name: "async", summary: "The jobs of create deployment --async instead" },
      {
        kind: "value",
        name: "logs",
        value: "JOB",
        summary: "With --async: the log of this job's newest run, by its name or its run ID",
      },
      output,
    ],
    examples: [
      "bodywork get deployments",
      "bodywork get deployment my-project serve --output json",
      "bodywork get deployments --async --logs async-workflow-nightly",
    ],
    load: async () => (await import("../commands/get-deployment.ts")).getDeployment,
  },
  {
    words: ["get", "run"],
    plural: "runs",
    summary: "Show runs: their stages, attempts, durations and outputs",
    arguments: [
      {
        name: "NAME_OR_ID",
        required: false,
        summary: "A deployment, to list its runs; or a run's id (its beginning will do), to show that run",
      },
    ],
    options: [
      {
        kind: "value",
        name: "limit",
        value: "N",
        type: "count",
        most: 1_000,
        default: "20",
        summary: "How many of the newest to list",
      },
      output,
    ],
    examples: ["bodywork get runs my-project", "bodywork get run 20261123-190512"],
    load: async () => (await import("../commands/get-run.ts")).getRun,
  },
  {
    words: ["delete", "deployment"],
    plural: "deployments",
    summary: "Delete a deployment with its services, releases, runs and logs; or one service of it",
    description: [
      "What runs of the deployment is cancelled. All of it goes: processes, routes and files, its releases, its runs and their logs.",
      "A service that is deleted comes back with the next deployment. Jobs and cronjobs go on, and may deploy it again.",
    ],
    arguments: [
      { ...deploymentName, required: true },
      {
        name: "SERVICE",
        required: false,
        summary: "Only this service, by its name in bodywork.yaml or in its URL",
      },
    ],
    options: [
      {
        kind: "flag",
        name: "async",
        summary: "NAME is a job of create deployment --async, with its prefix async-workflow- or without",
      },
      yes,
      output,
    ],
    examples: [
      "bodywork delete deployment my-project --yes",
      "bodywork delete deployment my-project serve",
      "bodywork delete deployment --async async-workflow-nightly",
    ],
    load: async () => (await import("../commands/delete-deployment.ts")).deleteDeployment,
  },
  {
    words: ["logs"],
    summary: "Show the logs of a deployment's stages",
    description: [
      "Without --run: the logs of the newest run that has any; once it has ended, those of its batch stages and of the live services.",
      "--follow waits for the first log while a run goes on. It ends when no stage writes one any more and no run goes on that may; a live service it follows until Ctrl-C.",
      "--output json and yaml print one record for each piece of text, as it comes.",
    ],
    arguments: [
      { ...deploymentName, required: true },
      { name: "STAGE", required: false, summary: "Only this stage" },
    ],
    options: [
      { kind: "value", name: "run", value: "ID", summary: "The logs of this run" },
      { kind: "flag", name: "follow", summary: "Go on with what is written from now on" },
      { kind: "value", name: "tail", value: "N", type: "count", summary: "Only the last lines of each log" },
      output,
    ],
    examples: [
      "bodywork logs my-project serve --follow",
      "bodywork logs my-project train --run 20261123-190512",
    ],
    load: async () => (await import("../commands/logs.ts")).logs,
  },
];
