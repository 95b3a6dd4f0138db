/**
 * The cluster's part of the composition root: the same operations as on this machine, with the cluster as engine and
 * record. The process that asks for a deployment carries it out. Only wiring.ts knows it.
 */

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";

import { Failure } from "./core/failure.ts";
import { isSshAddress } from "./core/repository-address.ts";
import type { DeployRequest, Run } from "./core/run-state.ts";
import type { KubernetesSettings, Settings } from "./core/settings.ts";
import { type ConnectOptions, connectCluster } from "./engines/kubernetes/client/connect.ts";
import { fencedCluster } from "./engines/kubernetes/client/fence.ts";
import { clusterReadiness, configureCluster, removeCluster } from "./engines/kubernetes/cluster-admin.ts";
import { createImages } from "./engines/kubernetes/images/check-image.ts";
import { createClusterJobs } from "./engines/kubernetes/jobs/cluster-jobs.ts";
import { slotIsTaken } from "./engines/kubernetes/jobs/cron-slot.ts";
import { createKubernetesEngine } from "./engines/kubernetes/kubernetes-engine.ts";
import { createPodEnvironments } from "./engines/kubernetes/pod-environments.ts";
import { abandonedRuns } from "./engines/kubernetes/records/claims.ts";
import { createClusterStore } from "./engines/kubernetes/records/cluster-store.ts";
import { createLeases } from "./engines/kubernetes/records/lease.ts";
import { createClusterSecrets } from "./engines/kubernetes/secrets/cluster-secrets.ts";
import { managementNamespace } from "./engines/kubernetes/vocabulary.ts";
import { systemClock } from "./lib/system-clock.ts";
import { withAdopted } from "./operations/adopted-deployments.ts";
import type { ClusterAdmin } from "./operations/cluster-admin.ts";
import { createLeasedTurns } from "./operations/leased-turns.ts";
import type { Operations } from "./operations/operations.ts";
import { createRunActions } from "./operations/run-actions.ts";
import { createRunFeed } from "./operations/run-feed.ts";
import { createViews } from "./operations/views.ts";
import type { JobReader } from "./ports/job-store.ts";
import type { Source } from "./ports/source.ts";

export interface KubernetesWiring {
  readonly connect: ConnectOptions;
  readonly settings: Settings;
  readonly source: Source;
  /** The job of the cluster that this process is the controller of. */
  readonly job: { readonly name: string; readonly cronjob: string | undefined } | undefined;
}

export interface ClusterTool {
  readonly operations: Operations;
  readonly admin: (singleNamespace: string | undefined) => ClusterAdmin;
  /** Waits until what this process carries out is done, and all of it is in the cluster. */
  finish(): Promise<void>;
}

/** Steps of one run that go on at once: they cost this machine next to nothing. */
const parallelStages = 64;

export async function createClusterTool(wiring: KubernetesWiring): Promise<ClusterTool> {
  const { source, job } = wiring;
  const settings = wiring.settings.kubernetes;
  const connected = await connectCluster(wiring.connect);
  const { cluster, fence, checkWith } = fencedCluster(connected);
  const clock = systemClock;
  const namespace = settings.single_namespace ?? managementNamespace;
  /** What a run is told of that is not its own fault. */
  const warnings = new Set<string>();
  const records = createClusterStore({
    cluster,
    clock,
    namespace,
    onWarning: (text) => warnings.add(text),
  });
  const secrets = createClusterSecrets({ cluster, clock, namespace });
  const engine = createKubernetesEngine({
    cluster,
    store: records,
    source,
    secrets,
    images: createImages({ settings }),
    settings,
    clock,
  });
  const store = withAdopted(records, engine.services);
  const identity = `${hostname()}-${process.pid}-${randomBytes(4).toString("hex")}`;
  /** The run that an earlier pod of this job has left. */
  let ownRun: string | undefined;
  const leases = createLeases({
    cluster: connected,
    clock,
    identity,
    namespace,
    isGone: (holder) => ownRun !== undefined && holder === `run ${ownRun}`,
  });
  checkWith(leases.check);
  const lookAt = async (namespace: string): Promise<void> => {
    await Promise.all([
      records.refresh({ kind: "namespace", namespace }),
      engine.load(),
      secrets.load({ namespace }),
    ]);
  };
  const turns = createLeasedTurns({
    leases,
    onTaken: lookAt,
    onLost(_namespace, why) {
      fence(why);
      void actions.cancelAll("another controller has taken over").catch(() => {});
    },
    beforeRelease: records.settled,
  });
  const feed = createRunFeed(store, engine.logReader, clock.now);
  const actions = createRunActions(
    {
      store,
      source,
      environments: createPodEnvironments(),
      // Outputs in a bucket or a claim stay until they are removed there (a rule of the bucket): no record is the last to name them.
      artifacts: { sweep: async () => 0 },
      engine,
      secrets,
      secretReader: secrets,
      clock,
      turns,
      lookAt,
      recorded: records.settled,
      maxParallelRuns: 8,
      maxUnfinishedRuns: 1_000,
      maxParallelStages: wiring.settings.max_parallel_stages ?? parallelStages,
    },
    feed,
  );
  const views = createViews({
    read: (look) => look({ ...store, ...noJobs, secrets: secrets.secrets }),
    logs: engine.logReader,
    environments: async () => createPodEnvironments(),
    correct: (service) => service,
    sleep: clock.sleep,
    now: clock.now,
  });
  const jobs = createClusterJobs({
    cluster,
    settings,
    furtherSettings: { insecure_git_hosts: wiring.settings.insecure_git_hosts, git: wiring.settings.git },
    store: records,
    source,
    secrets,
    clock,
    logReader: engine.logReader,
    engine,
  });

  return {
    admin: (singleNamespace = settings.single_namespace) => ({
      configure: ({ dryRun }) => configureCluster(cluster, { singleNamespace, dryRun }),
      remove: (options) => removeCluster(cluster, { ...options, singleNamespace }),
    }),
    operations: {
      ...views,
      async deployments(filter) {
        await Promise.all([
          records.refresh({ kind: "deployments" }),
          engine.load(filter.namespace),
          secrets.load({}),
        ]);
        return views.deployments(filter);
      },
      async runs(filter) {
        await records.refresh(
          filter.deployment === undefined
            ? { kind: "runs", limit: filter.limit ?? 1_000 }
            : { kind: "deployment", name: filter.deployment },
        );
        return views.runs(filter);
      },
      async run(id) {
        if (store.run(id) === undefined) await records.refresh({ kind: "run", id });
        return views.run(id);
      },
      async *logs(request, signal) {
        const look = async (): Promise<void> => {
          await Promise.all([
            records.refresh({ kind: "deployment", name: request.deployment }),
            engine.load(),
            ...(request.runId === undefined ? [] : [records.refresh({ kind: "run", id: request.runId })]),
          ]);
        };
        await look();
        const left = new AbortController();
        if (request.follow) void lookOn(look, left.signal);
        try {
          yield* views.logs(request, signal);
        } finally {
          left.abort();
        }
      },
      async secrets(filter) {
        return secrets.list(filter);
      },
      jobs: jobs.jobs,
      cronjobs: jobs.cronjobs,
      jobLog: jobs.jobLog,

      ...actions,
      async deploy(request, credentials) {
        await refuseTakenSlot();
        for (const line of await makeReady(cluster, settings)) warnings.add(line);
        await readForRun(request);
        // A job has one pod at a time: what an earlier one left is for this one to go on with.
        const own = records.unfinishedRuns().find(isMine);
        ownRun = own?.id;
        const left = own === undefined ? await abandonedRuns(records, leases) : [];
        actions.resume((run) => {
          if (run.id === own?.id) return "go on";
          return left.some(({ id }) => id === run.id) ? "end" : "leave";
        });
        // What they had changed is put back before anything new is decided.
        if (left.length > 0) await actions.idle();
        const accepted =
          own === undefined ? await actions.deploy(ofJob(request), credentials) : { runId: own.id };
        for (const text of warnings) {
          records.addEvent(accepted.runId, { kind: "notice", level: "warning", text }, clock.now());
        }
        warnings.clear();
        return accepted;
      },
      async plan(request, credentials) {
        await readForRun(request);
        const planned = await actions.plan(request, credentials);
        return { ...planned, objects: await engine.manifests(planned.plan, planned.commit) };
      },
      async deleteDeployment(name) {
        await Promise.all([records.refresh({ kind: "deployment", name }), engine.load()]);
        return actions.deleteDeployment(name);
      },
      async deleteService(deployment, service) {
        await engine.load();
        return actions.deleteService(deployment, service);
      },
      async createJob(...args) {
        await makeReady(cluster, settings);
        return jobs.createJob(...args);
      },
      deleteJob: jobs.deleteJob,
      async createCronjob(...args) {
        await makeReady(cluster, settings);
        return jobs.createCronjob(...args);
      },
      updateCronjob: jobs.updateCronjob,
      deleteCronjob: jobs.deleteCronjob,
      async createSecret(...args) {
        await makeReady(cluster, settings);
        return secrets.createSecret(...args);
      },
      updateSecret: secrets.updateSecret,
      deleteSecret: secrets.deleteSecret,
      deleteSecretGroup: secrets.deleteSecretGroup,
      readSecrets: secrets.readSecrets,
    },
    async finish() {
      await actions.idle();
      await turns.ended();
      if (job !== undefined) await jobs.pruneHistory(job.cronjob);
      await Promise.all([records.settled(), secrets.settled()]);
      cluster.close();
    },
  };

  /** Another pod of the same job has begun it. */
  function isMine({ request }: Run): boolean {
    return job !== undefined && request.job === job.name;
  }

  function ofJob(request: DeployRequest): DeployRequest {
    if (job === undefined) return request;
    return { ...request, startedBy: job.cronjob === undefined ? "async" : "cron", job: job.name };
  }

  /** Kubernetes may start a due time twice. Fails: superseded. */
  async function refuseTakenSlot(): Promise<void> {
    if (job?.cronjob === undefined) return;
    if (!(await slotIsTaken(cluster, { namespace, name: job.name }))) return;
    throw new Failure("superseded", `Another job carries out what was due of cronjob ${job.cronjob}.`);
  }

  /** What a run is decided by before it has its turn: who deploys from that repository, and with which key. */
  async function readForRun({ url }: DeployRequest): Promise<void> {
    await Promise.all([
      records.refresh({ kind: "unfinished" }),
      ...(isSshAddress(url) ? [records.refresh({ kind: "deployments" }), secrets.load({})] : []),
    ]);
  }

  /** What is followed is carried out elsewhere. */
  async function lookOn(look: () => Promise<void>, until: AbortSignal): Promise<void> {
    while (!until.aborted) {
      await clock.sleep(lookAgainPeriod, until).catch(() => {});
      if (!until.aborted) await look().catch(() => {});
    }
  }
}

/** Jobs are seen in the cluster itself. */
const noJobs: JobReader = {
  cronjobs: () => [],
  cronjob: () => undefined,
  job: () => undefined,
  jobs: () => [],
  unfinishedJobs: () => [],
};

/** Milliseconds between two looks at the record of what another controller carries out. */
const lookAgainPeriod = 2_000;

/** What was missing, one line each; it is made. */
async function makeReady(
  cluster: Parameters<typeof clusterReadiness>[0],
  { single_namespace: singleNamespace }: KubernetesSettings,
): Promise<readonly string[]> {
  const { ready, lines } = await clusterReadiness(cluster, { singleNamespace });
  if (ready) return lines;
  await configureCluster(cluster, { singleNamespace, dryRun: false });
  return [...lines, "The cluster was not configured for Bodywork: configure-cluster was run."];
}
