import type { BatchStage, PodSettings, ServiceStage } from "../../src/core/project.ts";
import type { BatchTask, ServiceTask, TaskBase } from "../../src/core/run-state.ts";
import { aRun } from "../cli/support/records.ts";

/** Of a project file that says nothing of Kubernetes. */
export const plainPod: PodSettings = {
  nodeSelector: {},
  tolerations: [],
  imagePullSecrets: [],
  serviceAccountToken: false,
  security: "baseline",
  extra: {},
};

const aStage = {
  args: [],
  cpuRequest: 0.1,
  memoryRequestMb: 50,
  cpuLimit: undefined,
  memoryLimitMb: undefined,
  gpuRequest: 0,
  pod: plainPod,
  requirements: [],
  requirementsFile: undefined,
  secrets: {},
  needs: undefined,
  outputs: {},
  inputs: [],
} as const;

export function batchStage(name: string, change: Partial<BatchStage> = {}): BatchStage {
  return {
    ...aStage,
    name,
    kind: "batch",
    modulePath: `${name}.py`,
    maxCompletionTimeSeconds: 60,
    retries: 0,
    ...change,
  };
}

export function serviceStage(name: string, change: Partial<ServiceStage> = {}): ServiceStage {
  return {
    ...aStage,
    name,
    kind: "service",
    modulePath: `${name}.py`,
    maxStartupTimeSeconds: 30,
    replicas: 1,
    port: 5000,
    ingress: true,
    healthPath: undefined,
    ...change,
  };
}

function taskBase(node: string): TaskBase {
  const { commit } = aRun();
  if (commit === undefined) throw new Error("the run has no commit");
  return {
    runId: "run-1",
    node,
    deployment: "story",
    namespace: "space",
    release: 1,
    commit,
    environment: { key: "e", folder: "/environment", python: "python3" },
    inputs: [],
    variables: {},
  };
}

export function batchTask(stage: BatchStage, change: Partial<BatchTask> = {}): BatchTask {
  return { ...taskBase(stage.name), stage, attempt: 1, outputs: stage.outputs, ...change };
}

export function serviceTask(stage: ServiceStage, change: Partial<ServiceTask> = {}): ServiceTask {
  return { ...taskBase(stage.name), stage, ...change };
}
