import type { ServiceStage } from "../../../../../src/core/project.ts";
import { plainPod } from "../../../../support/tasks.ts";

export function serviceStage(port: number, change: Partial<ServiceStage> = {}): ServiceStage {
  return {
    name: "stage_4",
    kind: "service",
    modulePath: "serve.py",
    args: [],
    cpuRequest: 0.25,
    memoryRequestMb: 100,
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
    maxStartupTimeSeconds: 30,
    replicas: 1,
    port,
    ingress: true,
    healthPath: undefined,
    ...change,
  };
}
