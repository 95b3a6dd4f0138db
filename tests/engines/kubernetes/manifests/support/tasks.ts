import type { BatchStage, PodSettings, ServiceStage } from "../../../../../src/core/project.ts";
import type { BatchTask, ServiceTask } from "../../../../../src/core/run-state.ts";
import { type KubernetesSettings, parseSettings } from "../../../../../src/core/settings.ts";
import type { PodContext } from "../../../../../src/engines/kubernetes/manifests/pod-context.ts";

const pod: PodSettings = {
  nodeSelector: {},
  tolerations: [],
  imagePullSecrets: [],
  serviceAccountToken: false,
  security: "baseline",
  extra: {},
};

export function podSettings(change: Partial<PodSettings>): PodSettings {
  return { ...pod, ...change };
}

const aStage = {
  args: [],
  cpuRequest: 0.5,
  memoryRequestMb: 100,
  cpuLimit: undefined,
  memoryLimitMb: undefined,
  gpuRequest: 0,
  pod,
  requirements: ["scikit-learn==1.5.2"],
  requirementsFile: undefined,
  secrets: {},
  needs: undefined,
  outputs: {},
  inputs: [],
} as const;

const aTask = {
  runId: "20261123-190512000-k3f9",
  deployment: "my-project",
  namespace: "space",
  release: 3,
  commit: {
    repository: "0f".repeat(32),
    hash: "1234567890abcdef1234567890abcdef12345678",
    url: "https://forge.test/me/my-project",
    shortHash: "1234567",
    branch: "main",
    author: "Ada",
    subject: "Train again",
    committedAt: "2026-11-23T18:00:00.000Z",
  },
  environment: { key: "e", folder: "/bodywork/cache/environments", python: "python3" },
  image: "bodyworkml/bodywork-core:latest",
  inputs: [],
  variables: { GIT_COMMIT_HASH: "1234567" },
};

export function batchTask(stage: Partial<BatchStage> = {}, change: Partial<BatchTask> = {}): BatchTask {
  const whole: BatchStage = {
    ...aStage,
    kind: "batch",
    name: "stage_1",
    modulePath: "stages/train.py",
    maxCompletionTimeSeconds: 30,
    retries: 2,
    ...stage,
  };
  return { ...aTask, node: whole.name, stage: whole, attempt: 1, outputs: whole.outputs, ...change };
}

export function serviceTask(
  stage: Partial<ServiceStage> = {},
  change: Partial<ServiceTask> = {},
): ServiceTask {
  const whole: ServiceStage = {
    ...aStage,
    kind: "service",
    name: "stage_2",
    modulePath: "serve.py",
    maxStartupTimeSeconds: 90,
    replicas: 2,
    port: 5000,
    ingress: true,
    healthPath: undefined,
    ...stage,
  };
  return { ...aTask, node: whole.name, stage: whole, ...change };
}

export function settings(change: Partial<KubernetesSettings> = {}): KubernetesSettings {
  return { ...parseSettings("", "settings.yaml").kubernetes, ...change };
}

export function podContext(change: Partial<PodContext> = {}): PodContext {
  return {
    settings: settings(),
    sources: { kind: "secrets", names: ["sources-0", "sources-1"] },
    program: "bodywork-program-1",
    now: "2026-11-23T19:05:12.000Z",
    ...change,
  };
}
