import { join } from "node:path";
import { finishedJobStatuses, type Job } from "../../src/core/job-state.ts";
import {
  type DeployRequest,
  finishedRunStatuses,
  type Run,
  type RunEvent,
} from "../../src/core/run-state.ts";
import { createJobs, type Jobs } from "../../src/operations/jobs.ts";
import type { RepositoryCredentials } from "../../src/operations/operations.ts";
import { createRunActions, type RunActions, type SharedParts } from "../../src/operations/run-actions.ts";
import { createRunFeed } from "../../src/operations/run-feed.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Store } from "../../src/ports/store.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { type FakeEngine, type FakeMachine, fakeLogs, fakeMachine } from "./fake-engine.ts";
import {
  type FakeArtifacts,
  type FakeEnvironments,
  type FakeSource,
  fakeArtifacts,
  fakeEnvironments,
  fakeSource,
  quickClock,
} from "./fake-parts.ts";
import { type FakeSecrets, fakeSecrets } from "./fake-secrets.ts";
import { temporaryFolder } from "./temporary.ts";

/** What outlives servers. */
export interface World {
  readonly storeFile: string;
  readonly machine: FakeMachine;
  readonly source: FakeSource;
  readonly environments: FakeEnvironments;
  readonly artifacts: FakeArtifacts;
  readonly secrets: FakeSecrets;
  readonly clock: Clock;
}

export function world(change: Partial<World> = {}): World {
  return {
    storeFile: join(temporaryFolder("store"), "store.db"),
    machine: fakeMachine(),
    source: fakeSource(),
    environments: fakeEnvironments(),
    artifacts: fakeArtifacts(),
    secrets: fakeSecrets(),
    clock: quickClock(),
    ...change,
  };
}

/** A server of that world: the real operations on the real store. */
export interface TestServer {
  readonly actions: RunActions;
  readonly jobs: Jobs;
  readonly store: Store;
  readonly engine: FakeEngine;
  /** Deploys what was pushed last to the URL, without waiting. */
  deploy(url?: string, change?: Partial<DeployRequest>, credentials?: RepositoryCredentials): Promise<string>;
  /** Follows a run to its end. */
  finished(runId: string): Promise<Run>;
  /** Deploys and follows to the end. */
  deployed(url?: string): Promise<Run>;
  /** The job when it has ended. */
  jobEnded(id: string): Promise<Job>;
  events(runId: string): readonly RunEvent[];
}

export const projectUrl = "https://forge.test/me/project";

export interface ServerOptions {
  readonly maxParallelStages?: number;
  readonly maxParallelRuns?: number;
  readonly maxUnfinishedRuns?: number;
  /** Between the operations and the real store. */
  readonly wrapStore?: (store: Store) => Store;
  readonly parts?: Partial<SharedParts>;
}

export function serverOf(of: World, options: ServerOptions = {}): TestServer {
  const real = openStore(of.storeFile);
  const store = options.wrapStore?.(real) ?? real;
  const engine = of.machine.connect();
  const { source, environments, artifacts, secrets, clock } = of;
  const feed = createRunFeed(store, fakeLogs, () => clock.now());
  const { maxParallelStages = 8, maxParallelRuns = 8, maxUnfinishedRuns = 1_000 } = options;
  const parts = {
    store,
    source,
    environments,
    artifacts,
    engine,
    secrets,
    secretReader: secrets,
    clock,
    maxParallelStages,
    maxParallelRuns,
    maxUnfinishedRuns,
    ...options.parts,
  };
  const actions = createRunActions(parts, feed);
  const jobs = createJobs({ ...parts, store, runs: actions, retryDelaySeconds: 10 });
  const deploy: TestServer["deploy"] = async (url = projectUrl, change = {}, credentials) => {
    const request = { url, branch: undefined, strict: false, startedBy: "command", ...change };
    return (await actions.deploy(request, credentials)).runId;
  };
  const finished: TestServer["finished"] = async (runId) => {
    for await (const _ of actions.followRun(runId, 0)) {
      // To the end.
    }
    const run = real.run(runId);
    if (run === undefined || !finishedRunStatuses.has(run.status))
      throw new Error(`run ${runId} is ${run?.status}`);
    return run;
  };
  const jobEnded: TestServer["jobEnded"] = async (id) => {
    for (;;) {
      const job = real.job(id);
      if (job === undefined || finishedJobStatuses.has(job.status)) return job as Job;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return {
    actions,
    jobs,
    store: real,
    engine,
    deploy,
    finished,
    deployed: async (url) => finished(await deploy(url)),
    jobEnded,
    events: (runId) => real.events(runId, 0),
  };
}
