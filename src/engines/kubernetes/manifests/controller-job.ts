import type { Cronjob, CronjobSpec, Job } from "../../../core/job-state.ts";
import type { DeployRequest } from "../../../core/run-state.ts";
import { sshKeySecret } from "../../../core/secret-state.ts";
import type { KubernetesObject } from "../client/cluster.ts";
import { at, fieldsOf, listAt, numberAt, textAt } from "../client/objects.ts";
import { annotations, labels, managementNamespace } from "../vocabulary.ts";
import { type ControllerContext, controllerJobSpec } from "./controller-pod-spec.ts";
import { labelValue, objectName } from "./names.ts";

/** Seconds that a finished job of `--async` stays, as in the original. Those of cronjobs stay by `historyLimit`. */
const keptSeconds = 900;
/** Seconds that a due time may be late when none is made up for: Kubernetes looks at its schedules every ten. */
const startingDeadline = 60;

/** A CronJob that deploys, named as in the original. */
export function cronJobObject(spec: CronjobSpec, context: ControllerContext): KubernetesObject {
  const ours = { ...controllerLabels(spec.name), [labels.cronjob]: labelValue(spec.name) };
  const about = { [annotations.spec]: JSON.stringify({ ...spec, updatedAt: context.now }) };
  return {
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: { name: objectName(spec.name), namespace: placeOf(context), labels: ours, annotations: about },
    spec: {
      schedule: spec.schedule.trim(),
      timeZone: spec.timezone,
      concurrencyPolicy: policies[spec.concurrency],
      suspend: spec.suspended,
      ...(spec.catchUp === "none" ? { startingDeadlineSeconds: startingDeadline } : {}),
      successfulJobsHistoryLimit: spec.historyLimit,
      failedJobsHistoryLimit: spec.historyLimit,
      jobTemplate: {
        metadata: { labels: ours, annotations: about },
        spec: controllerJobSpec(spec, ours, { BODYWORK_CRONJOB: spec.name }, context),
      },
    },
  };
}

export type AsyncJobSpec = Pick<Job, "id" | "request" | "retries">;

/** A Job that deploys once. */
export function asyncJobObject(spec: AsyncJobSpec, context: ControllerContext): KubernetesObject {
  const ours = controllerLabels(spec.id);
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: {
      name: objectName(spec.id),
      namespace: placeOf(context),
      labels: ours,
      annotations: { [annotations.spec]: JSON.stringify(spec) },
    },
    spec: { ...controllerJobSpec(spec, ours, {}, context), ttlSecondsAfterFinished: keptSeconds },
  };
}

/**
 * A CronJob as a cronjob: ours, or the original's. What somebody has changed with kubectl counts. Undefined when it is
 * neither.
 */
export function cronjobOf(object: KubernetesObject): Cronjob | undefined {
  if (object.metadata.labels?.[labels.app] !== labels.appValue) return undefined;
  const noted = notedSpec(object);
  const request =
    noted?.request ?? requestOfPod(at(object, "spec", "jobTemplate", "spec", "template"), "cron");
  const schedule = textAt(object, "spec", "schedule");
  if (request === undefined || schedule === undefined) return undefined;
  const createdAt = object.metadata.creationTimestamp ?? noted?.updatedAt ?? unknownTime;
  return {
    name: object.metadata.name,
    schedule: noted?.schedule?.trim() === schedule ? noted.schedule : schedule,
    timezone: textAt(object, "spec", "timeZone") ?? "UTC",
    request,
    retries: numberAt(object, "spec", "jobTemplate", "spec", "backoffLimit") ?? kubernetesDefaults.retries,
    historyLimit: numberAt(object, "spec", "successfulJobsHistoryLimit") ?? kubernetesDefaults.historyLimit,
    concurrency: concurrencies[textAt(object, "spec", "concurrencyPolicy") ?? ""] ?? "allow",
    catchUp: catchUpOf(object, noted),
    suspended: at(object, "spec", "suspend") === true,
    createdAt: isoTime(createdAt),
    updatedAt: isoTime(noted?.updatedAt ?? createdAt),
    decidedUntil: isoTime(textAt(object, "status", "lastScheduleTime") ?? createdAt),
  };
}

/** What a Job of `--async` deploys, ours or the original's; undefined when it is neither. */
export function asyncRequestOf(object: KubernetesObject): DeployRequest | undefined {
  return notedSpec(object)?.request ?? requestOfPod(at(object, "spec", "template"), "async");
}

function placeOf({ namespace }: ControllerContext): string {
  return namespace ?? managementNamespace;
}

function controllerLabels(name: string): Record<string, string> {
  return {
    [labels.app]: labels.appValue,
    [labels.deploymentName]: labelValue(name),
    [labels.managedBy]: labels.appValue,
  };
}

const policies: Readonly<Record<CronjobSpec["concurrency"], string>> = {
  forbid: "Forbid",
  allow: "Allow",
  replace: "Replace",
};

const unknownTime = "1970-01-01T00:00:00.000Z";
const kubernetesDefaults = { retries: 6, historyLimit: 3 };

const concurrencies: Readonly<Record<string, CronjobSpec["concurrency"]>> = {
  Forbid: "forbid",
  Allow: "allow",
  Replace: "replace",
};

type NotedSpec = Partial<CronjobSpec> & { readonly updatedAt?: string };

/** Undefined also when what is noted is not what we would note. */
function notedSpec({ metadata }: KubernetesObject): NotedSpec | undefined {
  const text = metadata.annotations?.[annotations.spec];
  if (text === undefined) return undefined;
  try {
    const noted = fieldsOf(JSON.parse(text));
    return textAt(noted, "request", "url") === undefined ? undefined : (noted as NotedSpec);
  } catch {
    return undefined;
  }
}

/** The original writes `--branch=master`, and after an update the branch by itself. */
function requestOfPod(template: unknown, startedBy: string): DeployRequest | undefined {
  const container = at(template, "spec", "containers", 0);
  if (listAt(container, "command")[0] !== "bodywork") return undefined;
  const [url, ...others] = listAt(container, "args").filter((word) => typeof word === "string");
  if (url === undefined || url.startsWith("-")) return undefined;
  const named = others.find((word) => word.startsWith("--branch="))?.slice("--branch=".length);
  const bare = others.find((word) => !word.startsWith("-"));
  return {
    url,
    branch: (named ?? bare) || undefined,
    strict: false,
    startedBy,
    group: groupOfKey(container),
  };
}

/** The group by whose ssh key the repository is read. */
function groupOfKey(container: unknown): string | undefined {
  const key = listAt(container, "env").find((variable) => textAt(variable, "name") === sshKeySecret.key);
  const secret = textAt(key, "valueFrom", "secretKeyRef", "name");
  const end = `-${sshKeySecret.name}`;
  return secret?.endsWith(end) ? secret.slice(0, -end.length) : undefined;
}

/** Kubernetes makes up for the newest due time only, and with a deadline for none that is later than that. */
function catchUpOf(object: KubernetesObject, noted: NotedSpec | undefined): CronjobSpec["catchUp"] {
  if (numberAt(object, "spec", "startingDeadlineSeconds") !== undefined) return "none";
  return noted?.catchUp === "all" ? "all" : "latest";
}

function isoTime(text: string): string {
  const time = Date.parse(text);
  return Number.isNaN(time) ? unknownTime : new Date(time).toISOString();
}
