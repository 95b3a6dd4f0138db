import type { Job } from "../../../src/core/job-state.ts";
import type { Deployment, Run, RunEvent, ServiceStatus, StageRun } from "../../../src/core/run-state.ts";
import type { DeploymentView } from "../../../src/operations/operations.ts";

const commit = {
  repository: "0f".repeat(32),
  hash: "1234567890abcdef1234567890abcdef12345678",
  url: "https://forge.test/me/my-project",
  shortHash: "1234567",
  branch: "main",
  author: "Ada",
  subject: "Train again",
  committedAt: "2026-11-23T18:00:00.000Z",
};

export function aStage(change: Partial<StageRun> = {}): StageRun {
  return {
    node: "train",
    stage: "train",
    kind: "batch",
    after: [],
    status: "succeeded",
    startedAt: "2026-11-23T19:05:13.000Z",
    endedAt: "2026-11-23T19:05:16.200Z",
    environment: { key: "ab".repeat(32), pythonVersion: "3.11.7", built: false },
    attempts: [
      {
        number: 1,
        status: "succeeded",
        reason: undefined,
        lastLines: [],
        startedAt: "2026-11-23T19:05:13.000Z",
        endedAt: "2026-11-23T19:05:16.200Z",
        logs: [{ source: "attempt 1", reference: "train-1" }],
      },
    ],
    outputs: [
      {
        name: "model",
        path: "model.joblib",
        digest: `sha256:${"cd".repeat(32)}`,
        kind: "file",
        bytes: 12_288,
      },
    ],
    ...change,
  };
}

export function aRun(change: Partial<Run> = {}): Run {
  return {
    id: "20261123-190512000-k3f9",
    request: {
      url: "https://forge.test/me/my-project",
      branch: undefined,
      strict: false,
      startedBy: "command",
    },
    status: "succeeded",
    reason: undefined,
    code: undefined,
    details: [],
    hint: undefined,
    createdAt: "2026-11-23T19:05:12.000Z",
    startedAt: "2026-11-23T19:05:12.100Z",
    endedAt: "2026-11-23T19:05:20.000Z",
    deployment: "my-project",
    namespace: "my-project",
    commit,
    release: 3,
    stages: [aStage()],
    changed: [],
    cancelRequested: false,
    ...change,
  };
}

export function aService(change: Partial<ServiceStatus> = {}): ServiceStatus {
  return {
    namespace: "my-space",
    deployment: "my-project",
    stage: "stage_3",
    name: "stage-3",
    release: 3,
    runId: "20261123-190512000-k3f9",
    gitUrl: "https://forge.test/me/my-project",
    branch: "main",
    commit: "1234567",
    port: 5000,
    wantedReplicas: 2,
    readyReplicas: 1,
    restarts: 4,
    state: "degraded",
    reason: "replica 2 ended with exit 1",
    internalUrl: "http://stage-3:5000",
    address: "127.71.0.3:5000",
    ingressRoute: "/my-space/stage-3",
    url: "http://127.0.0.1:8080/my-space/stage-3",
    replicas: [
      {
        id: "1",
        state: "ready",
        pid: 4711,
        address: "127.71.0.4:5000",
        restarts: 0,
        startedAt: "2026-11-23T19:05:18.000Z",
        log: "stage_3-1",
      },
    ],
    ...change,
  };
}

export function aDeployment(change: Partial<DeploymentView> = {}): DeploymentView {
  const deployment: Deployment = {
    namespace: "my-space",
    name: "my-project",
    gitUrl: "https://forge.test/me/my-project",
    branch: "main",
    liveRelease: 3,
    updatedAt: "2026-11-23T19:05:20.000Z",
  };
  return {
    ...deployment,
    release: undefined,
    services: [aService()],
    lastRun: aRun(),
    changedSecrets: [],
    ...change,
  };
}

export function aJob(change: Partial<Job> = {}): Job {
  return {
    id: "async-workflow-nightly",
    cronjob: undefined,
    dueAt: "2026-11-23T19:05:12.000Z",
    status: "succeeded",
    why: undefined,
    request: aRun().request,
    retries: 1,
    runs: ["20261123-190512000-k3f9"],
    nextRunAt: undefined,
    startedAt: "2026-11-23T19:05:12.300Z",
    endedAt: "2026-11-23T19:05:20.000Z",
    ...change,
  };
}

type WithoutPlace<T> = T extends RunEvent ? Omit<T, "seq" | "at"> : never;

/** Numbers events and sets them 100 ms apart. */
export function events(...given: readonly WithoutPlace<RunEvent>[]): readonly RunEvent[] {
  return given.map((event, index) => {
    const at = new Date(Date.parse("2026-11-23T19:05:12.000Z") + index * 100).toISOString();
    return event.kind === "log" ? { ...event, at } : { ...event, at, seq: index + 1 };
  });
}
