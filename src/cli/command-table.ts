import type { CommandSpec, GroupSpec } from "./command-spec.ts";
import { cronjobCommands } from "./table/cronjob.ts";
import { deploymentCommands } from "./table/deployment.ts";
import { imageCommands } from "./table/image.ts";
import { projectCommands } from "./table/project.ts";
import { secretCommands } from "./table/secret.ts";
import { serverCommands } from "./table/server.ts";
import { toolCommands } from "./table/tool.ts";

/** The groups of the tool, in the order of its help. */
export const commandGroups: readonly GroupSpec[] = [
  { words: ["create"], summary: "Create a deployment, cronjob or secret" },
  { words: ["update"], summary: "Update a deployment, cronjob or secret" },
  { words: ["get"], summary: "Show deployments, runs, cronjobs and secrets" },
  { words: ["delete"], summary: "Delete a deployment, cronjob or secret" },
  { words: ["secret"], summary: "Take secrets elsewhere, and bring them in" },
  { words: ["env"], summary: "Look after the Python environments" },
  { words: ["cluster"], summary: "Look after Bodywork in a Kubernetes cluster" },
  { words: ["image"], summary: "Make the image that a cluster deploys by itself with" },
  { words: ["server"], summary: "Look after the server" },
  { words: ["server", "token"], summary: "Look after the server's access tokens" },
];

/** Every command of the tool. A row costs nothing until its command is called. */
export const commandTable: readonly CommandSpec[] = [
  ...deploymentCommands,
  ...cronjobCommands,
  ...secretCommands,
  ...projectCommands,
  ...serverCommands,
  ...imageCommands,
  ...toolCommands,
];
