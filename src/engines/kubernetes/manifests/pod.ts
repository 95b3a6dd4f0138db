import { posix } from "node:path";

import { Failure } from "../../../core/failure.ts";
import type { Stage } from "../../../core/project.ts";
import type { BatchTask, ServiceTask, TaskBase } from "../../../core/run-state.ts";
import type { KubernetesSettings } from "../../../core/settings.ts";
import { inputVariable, outputVariable } from "../../../core/stage-variables.ts";
import {
  type PodSpecification,
  type PodStorage,
  podPaths,
  specificationVariable,
  storageKeyVariables,
} from "../pod/pod-contract.ts";
import { containerName, stageAccount } from "../vocabulary.ts";
import { mergePodSpec, type PodSpec } from "./merge-pod-spec.ts";
import { secretCopyName, secretObjectName } from "./names.ts";
import type { PodContext } from "./pod-context.ts";

/** What a Job's pod and a Deployment's differ in. */
export interface PodDifferences {
  /** The whole pod's. */
  readonly pod: PodSpec;
  /** The stage's container's. */
  readonly container: PodSpec;
  readonly variables: Readonly<Record<string, string>>;
}

/** The spec of the pod that runs a stage, with what the project says of pods merged over it. Fails: internal, storage missing. */
export function stagePodSpec(
  task: BatchTask | ServiceTask,
  context: PodContext,
  differences: PodDifferences,
): PodSpec {
  const { pod } = task.stage;
  const ours = {
    serviceAccountName: stageAccount,
    automountServiceAccountToken: pod.serviceAccountToken,
    securityContext: {
      seccompProfile: { type: "RuntimeDefault" },
      ...(pod.security === "restricted" ? { runAsNonRoot: true } : {}),
    },
    ...filled("nodeSelector", pod.nodeSelector),
    ...filled("tolerations", pod.tolerations),
    ...filled(
      "imagePullSecrets",
      pod.imagePullSecrets.map((name) => ({ name })),
    ),
    ...differences.pod,
    containers: [{ ...container(task, context, differences.variables), ...differences.container }],
    volumes: volumes(task, context),
  };
  return mergePodSpec(ours, pod.extra);
}

/** `auto`: as in the original, `Always`; an image named by its digest never changes, though. */
export function pullPolicy(image: string, settings: Pick<KubernetesSettings, "image_pull_policy">): string {
  if (settings.image_pull_policy !== "auto") return settings.image_pull_policy;
  return image.includes("@sha256:") ? "IfNotPresent" : "Always";
}

/**
 * Kubernetes puts variables in place of `$(NAME)` in a container's arguments and variables, and takes `$$` for one `$`;
 * this text comes out as it was.
 */
export function literal(text: string): string {
  return text.replaceAll("$", "$$$$");
}

function container(
  task: BatchTask | ServiceTask,
  context: PodContext,
  variables: Readonly<Record<string, string>>,
): PodSpec {
  const { stage, image } = task;
  if (image === undefined) {
    throw new Failure("internal", `Stage "${stage.name}" was to start in a pod before its image was known.`);
  }
  return {
    name: containerName,
    image,
    imagePullPolicy: pullPolicy(image, context.settings),
    command: ["/bin/sh", `${podPaths.program}/start.sh`],
    args: stageArguments(task).map(literal),
    env: environment(task, context, variables),
    ...filled("resources", resources(stage)),
    securityContext: {
      allowPrivilegeEscalation: false,
      ...(stage.pod.security === "restricted" ? { capabilities: { drop: ["ALL"] } } : {}),
    },
    volumeMounts: volumes(task, context).map(({ name }) => ({
      name,
      mountPath: mountPaths[name],
      ...(name === "sources" || name === "program" ? { readOnly: true } : {}),
    })),
  };
}

/** What the original's container is started with. Ours is told by its specification; people and old tools read these. */
function stageArguments({ stage, commit }: BatchTask | ServiceTask): readonly string[] {
  const limit = stage.kind === "batch" ? stage.maxCompletionTimeSeconds : 0;
  return [
    commit.url,
    stage.name,
    ...(commit.branch === undefined ? [] : [`--branch=${commit.branch}`]),
    ...(limit > 0 ? [String(limit)] : []),
  ];
}

/** A later one wins: the cluster's, the stage's secrets, the run's, and ours, which nothing else may be called. */
function environment(
  task: BatchTask | ServiceTask,
  context: PodContext,
  variables: Readonly<Record<string, string>>,
): readonly PodSpec[] {
  const byName = new Map<string, PodSpec>([
    ...plain({ PYTHONUNBUFFERED: "1", ...context.settings.variables }),
    ...Object.entries(task.secrets ?? {}).map(
      ([variable, { name, key }]) => [variable, secretKey(secretCopyName(name), key)] as const,
    ),
    ...plain({
      ...task.variables,
      BODYWORK_RUN_ID: task.runId,
      BODYWORK_DEPLOYMENT: task.deployment,
      BODYWORK_NAMESPACE: task.namespace,
      BODYWORK_STAGE: task.stage.name,
      ...places(task),
      ...variables,
    }),
    ...storageKeys(task, context),
  ]);
  // Only what is a secret in the end: an ordinary value of the same name may be in the log.
  const secretVariables = [...byName].filter(([, from]) => "valueFrom" in from).map(([name]) => name);
  const specification = podSpecification(task, context, secretVariables);
  for (const [name, from] of plain({ [specificationVariable]: JSON.stringify(specification) })) {
    byName.set(name, from);
  }
  return [...byName].map(([name, from]) => ({ name, ...from }));
}

type Variable = readonly [name: string, from: PodSpec];

function plain(values: Readonly<Record<string, string>>): readonly Variable[] {
  return Object.entries(values).map(([name, value]) => [name, { value: literal(value) }]);
}

function secretKey(name: string, key: string): PodSpec {
  return { valueFrom: { secretKeyRef: { name, key } } };
}

/** Where the stage's outputs are to be put and its inputs are, in the checkout. */
function places({ stage, inputs }: TaskBase & { readonly stage: Stage }): Record<string, string> {
  const folder = posix.join(podPaths.work, "bodywork_project", posix.dirname(stage.modulePath));
  return Object.fromEntries([
    ...Object.entries(stage.outputs).map(([name, path]) => [outputVariable(name), posix.join(folder, path)]),
    ...inputs.map(({ name, path }) => [inputVariable(name), posix.join(folder, path)]),
  ]);
}

function podSpecification(
  task: BatchTask | ServiceTask,
  context: PodContext,
  secretVariables: readonly string[],
): PodSpecification {
  const { stage, commit } = task;
  return {
    stage: stage.name,
    kind: stage.kind,
    url: commit.url,
    branch: commit.branch,
    commit: commit.hash,
    module: stage.modulePath,
    args: stage.args,
    requirements: stage.requirements,
    requirementsFile: stage.requirementsFile,
    python: /^python(\d+\.\d+)$/.exec(task.environment.python)?.[1],
    timeoutSeconds:
      stage.kind === "batch" && stage.maxCompletionTimeSeconds > 0
        ? stage.maxCompletionTimeSeconds
        : undefined,
    outputs: stage.outputs,
    inputs: task.inputs.map(({ name, path, artifact }) => ({ name, path, ...artifact })),
    storage: neededStorage(task, context),
    storedSources: context.sources.kind === "stored" ? context.sources.key : undefined,
    cacheIsShared: context.settings.environment_cache !== "none",
    secretVariables,
  };
}

/** Undefined also when the stage keeps and gets nothing there: its pod then depends on no claim and knows no keys. */
function neededStorage(
  { stage, inputs }: TaskBase & { readonly stage: Stage },
  { settings, sources }: PodContext,
): PodStorage | undefined {
  const isNeeded = sources.kind === "stored" || inputs.length > 0 || Object.keys(stage.outputs).length > 0;
  const { storage } = settings;
  if (!isNeeded || storage === undefined) return undefined;
  if ("claim" in storage) return { kind: "claim" };
  const { bucket, region, prefix, endpoint = `https://s3.${region}.amazonaws.com` } = storage.s3;
  return { kind: "s3", bucket, endpoint, region, prefix };
}

/** The bucket's keys, in the copy of their secret that bears its whole name: the pipeline's own secrets are not in its way. */
function storageKeys(task: BatchTask | ServiceTask, context: PodContext): readonly Variable[] {
  const { storage } = context.settings;
  if (neededStorage(task, context)?.kind !== "s3" || storage === undefined || !("s3" in storage)) return [];
  const [group = "", secret = ""] = storage.s3.secret.split("/");
  const name = secretObjectName(group, secret);
  return Object.entries(storageKeyVariables).map(([key, variable]) => [variable, secretKey(name, key)]);
}

/** Requests as in the original (megabytes); limits only where they are asked for (mebibytes). */
function resources(stage: Stage): Record<string, unknown> {
  const { cpuRequest, memoryRequestMb, cpuLimit, memoryLimitMb, gpuRequest } = stage;
  return {
    ...filled("requests", {
      ...(cpuRequest > 0 ? { cpu: String(cpuRequest) } : {}),
      ...(memoryRequestMb > 0 ? { memory: `${memoryRequestMb}M` } : {}),
    }),
    ...filled("limits", {
      ...(cpuLimit === undefined ? {} : { cpu: String(cpuLimit) }),
      ...(memoryLimitMb === undefined ? {} : { memory: `${memoryLimitMb}Mi` }),
      ...(gpuRequest > 0 ? { "nvidia.com/gpu": String(gpuRequest) } : {}),
    }),
  };
}

type VolumeName = keyof typeof podPaths;
const mountPaths: Readonly<Record<VolumeName, string>> = podPaths;

function volumes(
  task: BatchTask | ServiceTask,
  context: PodContext,
): readonly (PodSpec & { readonly name: VolumeName })[] {
  const { settings, sources, program } = context;
  const parts = sources.kind === "secrets" ? sources.names : [];
  const storage = neededStorage(task, context);
  return [
    ...(parts.length === 0
      ? []
      : [{ name: "sources" as const, projected: { sources: parts.map(partSource) } }]),
    { name: "program", configMap: { name: program, defaultMode: 0o555 } },
    { name: "work", emptyDir: {} },
    { name: "cache", ...cacheVolume(settings.environment_cache) },
    ...(storage?.kind === "claim" && settings.storage !== undefined && "claim" in settings.storage
      ? [{ name: "storage" as const, persistentVolumeClaim: { claimName: settings.storage.claim } }]
      : []),
  ];
}

function partSource(name: string, index: number): PodSpec {
  const path = `part-${String(index).padStart(3, "0")}`;
  return { secret: { name, items: [{ key: "part", path }] } };
}

function cacheVolume(cache: KubernetesSettings["environment_cache"]): PodSpec {
  if (cache === "none") return { emptyDir: {} };
  if ("claim" in cache) return { persistentVolumeClaim: { claimName: cache.claim } };
  return { hostPath: { path: cache.node, type: "DirectoryOrCreate" } };
}

/** The field, unless there is nothing in it. */
function filled<K extends string>(key: K, value: object): Partial<Record<K, object>> {
  return Object.keys(value).length === 0 ? {} : ({ [key]: value } as Record<K, object>);
}
