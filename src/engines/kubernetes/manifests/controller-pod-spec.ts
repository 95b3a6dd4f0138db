import type { Job } from "../../../core/job-state.ts";
import type { DeployRequest } from "../../../core/run-state.ts";
import { sshKeySecret } from "../../../core/secret-state.ts";
import type { KubernetesSettings } from "../../../core/settings.ts";
import type { Fields } from "../client/objects.ts";
import { containerName, workflowAccount } from "../vocabulary.ts";
import { secretObjectName } from "./names.ts";
import { literal, pullPolicy } from "./pod.ts";

/** What the pod of a controller depends on besides what it deploys. */
export interface ControllerContext {
  readonly settings: KubernetesSettings;
  /** Other blocks of the settings that count there, too. */
  readonly furtherSettings?: Fields | undefined;
  /** The management namespace unless everything is in one of the user's. */
  readonly namespace?: string | undefined;
  /** Whether the request's group keeps an ssh key: a pod that waits for a secret which is not there never starts. */
  readonly hasSshKey: boolean;
  /** ISO 8601. */
  readonly now: string;
}

/** The controller's variable with its settings, as JSON: those of whoever made the job. */
const settingsVariable = "BODYWORK_SETTINGS";

/** The spec of a Job whose pod deploys as somebody would at a terminal. */
export function controllerJobSpec(
  { request, retries }: Pick<Job, "request" | "retries">,
  ours: Readonly<Record<string, string>>,
  variables: Readonly<Record<string, string>>,
  context: ControllerContext,
): Fields {
  return {
    completions: 1,
    parallelism: 1,
    backoffLimit: retries,
    podFailurePolicy: {
      rules: [{ action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] }],
    },
    template: { metadata: { labels: ours }, spec: podSpec(request, variables, context) },
  };
}

function podSpec(
  request: DeployRequest,
  variables: Readonly<Record<string, string>>,
  context: ControllerContext,
): Fields {
  const { image } = context.settings;
  return {
    restartPolicy: "Never",
    // A run that is cancelled puts back what it changed, which takes as long as services take to start.
    terminationGracePeriodSeconds: 600,
    serviceAccountName: workflowAccount,
    securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
    containers: [
      {
        name: containerName,
        image,
        imagePullPolicy: pullPolicy(image, context.settings),
        command: ["bodywork", "create", "deployment"],
        args: deployArguments(request).map(literal),
        env: environment(request, variables, context),
        resources: { requests: { cpu: "0.1", memory: "256M" } },
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
      },
    ],
  };
}

/** The request as somebody would type it. */
function deployArguments(request: DeployRequest): readonly string[] {
  const { url, branch, group, image, checkImage, strict, acceptHostKey } = request;
  const option = (name: string, value: string | undefined): readonly string[] =>
    value === undefined ? [] : [`--${name}=${value}`];
  return [
    url,
    ...option("branch", branch),
    ...option("group", group),
    ...option("bodywork-image", image),
    ...(checkImage === false ? ["--no-image-check"] : []),
    ...option("accept-host-key", acceptHostKey),
    ...(strict ? ["--strict"] : []),
  ];
}

function environment(
  { group }: DeployRequest,
  variables: Readonly<Record<string, string>>,
  { settings, furtherSettings, hasSshKey }: ControllerContext,
): readonly Fields[] {
  // A context of the user's kubeconfig means nothing inside the cluster.
  const { context: _context, ...inside } = settings;
  const text = JSON.stringify({ ...furtherSettings, kubernetes: inside });
  const plain = { ...settings.variables, ...variables, [settingsVariable]: text };
  return [
    ...Object.entries(plain).map(([name, value]) => ({ name, value: literal(value) })),
    { name: "BODYWORK_JOB", valueFrom: { fieldRef: { fieldPath: "metadata.labels['job-name']" } } },
    ...(group === undefined || !hasSshKey ? [] : [sshKey(group)]),
  ];
}

function sshKey(group: string): Fields {
  const { name, key } = sshKeySecret;
  return { name: key, valueFrom: { secretKeyRef: { name: secretObjectName(group, name), key } } };
}
