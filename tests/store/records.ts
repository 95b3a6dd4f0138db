import type { Cronjob, Job } from "../../src/core/job-state.ts";
import type { Deployment, Release, Run, ServiceStatus, StageRun } from "../../src/core/run-state.ts";
import type { SealedSecret } from "../../src/ports/secrets.ts";

export function aRun(id: string, changes: Partial<Run> = {}): Run {
  return {
    id,
    request: { url: "file:///project", branch: "main", strict: false, startedBy: "command" },
    status: "succeeded",
    reason: undefined,
    code: undefined,
    details: [],
    hint: undefined,
    createdAt: "2026-11-23T19:05:12.000Z",
    startedAt: undefined,
    endedAt: undefined,
    deployment: "iris",
    namespace: "ml",
    commit: undefined,
    release: undefined,
    stages: [],
    changed: [],
    cancelRequested: false,
    ...changes,
  };
}

export function aStage(node: string): StageRun {
  return {
    node,
    stage: node,
    kind: "batch",
    after: [],
    status: "waiting",
    startedAt: undefined,
    endedAt: undefined,
    environment: undefined,
    attempts: [],
    outputs: [],
  };
}

export function aDeployment(liveRelease: number, changes: Partial<Deployment> = {}): Deployment {
  return {
    namespace: "ml",
    name: "iris",
    gitUrl: "file:///project",
    branch: "main",
    liveRelease,
    updatedAt: "2026-11-23T19:05:12.000Z",
    ...changes,
  };
}

export function aRelease(number: number, changes: Partial<Release> = {}): Release {
  return {
    namespace: "ml",
    deployment: "iris",
    number,
    runId: `run-${number}`,
    commit: {
      repository: "r",
      hash: "0".repeat(40),
      url: "file:///project",
      shortHash: "0000000",
      branch: "main",
      author: "A",
      subject: "S",
      committedAt: "2026-11-23T19:05:12.000Z",
    },
    createdAt: "2026-11-23T19:05:12.000Z",
    environments: {},
    outputs: {},
    services: [],
    ...changes,
  };
}

export function aService(stage: string): ServiceStatus {
  return {
    namespace: "ml",
    deployment: "iris",
    stage,
    name: stage,
    release: 1,
    runId: "run-1",
    gitUrl: "file:///project",
    branch: "main",
    commit: "0000000",
    port: 5000,
    wantedReplicas: 1,
    readyReplicas: 1,
    restarts: 0,
    state: "serving",
    reason: undefined,
    internalUrl: `http://${stage}:5000`,
    address: undefined,
    ingressRoute: undefined,
    url: undefined,
    replicas: [],
  };
}

export function aCronjob(name: string, changes: Partial<Cronjob> = {}): Cronjob {
  return {
    name,
    schedule: "0 * * * *",
    timezone: "Europe/Berlin",
    request: { url: "file:///project", branch: "main", strict: false, startedBy: "cron" },
    retries: 0,
    historyLimit: 1,
    concurrency: "forbid",
    catchUp: "latest",
    suspended: false,
    createdAt: "2026-11-25T08:00:00.000Z",
    updatedAt: "2026-11-25T08:00:00.000Z",
    decidedUntil: "2026-11-25T08:00:00.000Z",
    ...changes,
  };
}

export function aJob(id: string, changes: Partial<Job> = {}): Job {
  return {
    id,
    cronjob: undefined,
    dueAt: "2026-11-25T08:00:00.000Z",
    status: "waiting",
    why: undefined,
    request: { url: "file:///project", branch: "main", strict: false, startedBy: "cron" },
    retries: 0,
    runs: [],
    nextRunAt: undefined,
    startedAt: undefined,
    endedAt: undefined,
    ...changes,
  };
}

export function aSecret(
  group: string,
  name: string,
  version: number,
  changes: Partial<SealedSecret> = {},
): SealedSecret {
  return {
    group,
    name,
    version,
    keys: ["PASSWORD"],
    createdAt: "2026-11-25T08:00:00.000Z",
    updatedAt: "2026-11-25T08:00:00.000Z",
    current: true,
    keyId: "k1",
    sealed: new Uint8Array([0, 255, 10, 0]),
    ...changes,
  };
}
