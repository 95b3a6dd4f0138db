/**
 * The fixed words of what we keep on a cluster. Those without `bodywork.io/` are the original's, so that either tool
 * finds what the other made; the names of its objects are interface, too.
 */

/** Where secrets, cronjobs, jobs of `--async` and our records live. */
export const managementNamespace = "bodywork-deployment-jobs";

export const workflowAccount = "bodywork-workflow-controller";
export const workflowRoleBinding = `${workflowAccount}--${managementNamespace}`;
/** Service account, Role and RoleBinding in each pipeline's namespace. */
export const stageAccount = "bodywork-stage";

export const fieldManager = "bodywork";
/** How the original's Python client appears in managedFields. */
export const originalManagers: readonly string[] = [
  "OpenAPI-Generator",
  "Swagger-Codegen",
  "python-requests",
];

export const labels = {
  app: "app",
  appValue: "bodywork",
  stage: "stage",
  deploymentName: "deployment-name",
  commit: "git-commit-hash",
  branch: "git-branch",
  group: "group",
  /** On everything that only we make; what `cluster remove` looks for beside `app`. */
  managedBy: "app.kubernetes.io/managed-by",
  run: "bodywork.io/run",
  /** A digest of the run's node, for its name may be no label. */
  node: "bodywork.io/node",
  attempt: "bodywork.io/attempt",
  /** `run`, `deployment`, `release`, `log`, `document`: what a Secret of ours records. */
  record: "bodywork.io/record",
  /** On records: `true` or `false`. */
  finished: "bodywork.io/finished",
  /** On records: the namespace and the pipeline they are about. */
  namespace: "bodywork.io/namespace",
  deployment: "bodywork.io/deployment",
  /** `sources`, `program`: what a Secret or ConfigMap of ours holds for the stages. */
  part: "bodywork.io/part",
  cronjob: "bodywork.io/cronjob",
} as const;

export const annotations = {
  port: "port",
  lastUpdated: "last-updated",
  /** The whole ServiceTask or BatchTask, as JSON. */
  task: "bodywork.io/task",
  /** The true value of a label that had to be made legal. */
  branch: "bodywork.io/git-branch",
  deploymentName: "bodywork.io/deployment-name",
  group: "bodywork.io/group",
  /** On a namespace: we have made it, and for which pipeline. */
  createdFor: "bodywork.io/created-for",
  /** On a secret of a group: how often it was changed, from 1. */
  version: "bodywork.io/version",
  /** What a CronJob or a Job of `--async` was asked for, as JSON. */
  spec: "bodywork.io/spec",
} as const;

/** The container of a stage, and of a controller. */
export const containerName = "bodywork";
