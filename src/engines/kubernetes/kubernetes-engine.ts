import { type Plan, type PlannedStage, plannedStages } from "../../core/plan.ts";
import type { RunCommit, TaskBase } from "../../core/run-state.ts";
import type { Engine, LogReader, RunTarget, TaskObserver } from "../../ports/engine.ts";
import { createClaims, withDefaultStorage } from "./claims.ts";
import { ClusterError, type KubernetesObject } from "./client/cluster.ts";
import { kinds } from "./client/kinds.ts";
import { clusterFailure } from "./client/to-failure.ts";
import type { EngineRooms, KubernetesEngineParts } from "./engine-parts.ts";
import { createLogs } from "./logs.ts";
import { namespaceObjects } from "./manifests/cluster-setup.ts";
import { namespaceName } from "./manifests/names.ts";
import type { PodContext } from "./manifests/pod-context.ts";
import { routeObjects } from "./manifests/route.ts";
import { sourceSecrets } from "./manifests/sources.ts";
import { stageJob } from "./manifests/stage-job.ts";
import { serviceObjects } from "./manifests/stage-service.ts";
import { leaveNamespace, prepareNamespace } from "./namespaces.ts";
import { programName, programObject } from "./pod/program.ts";
import { endRollOuts, forgetSnapshots, removeService, rollOut } from "./roll-out.ts";
import { findRouting } from "./routing.ts";
import { endJobs, forgetOutcomes, runBatch } from "./run-batch.ts";
import { createLiveServices } from "./services.ts";
import { createSources } from "./sources.ts";
import { storedKey } from "./stored-archives.ts";

export type { KubernetesEngineParts } from "./engine-parts.ts";

/** The engine that runs stages in a cluster. What it knows of services is as old as its last `load` or its own last change. */
export interface KubernetesEngine extends Engine {
  readonly kind: "kubernetes";
  /** Reads what services there are, of all namespaces or of one. */
  load(namespace?: string): Promise<void>;
  readonly logReader: LogReader;
  /** All objects that a run of this plan would make, as they would be; nothing is changed. Values of secrets are not among them. */
  manifests(plan: Plan, commit: RunCommit): Promise<readonly KubernetesObject[]>;
}

export function createKubernetesEngine(parts: KubernetesEngineParts): KubernetesEngine {
  const { cluster, settings, clock } = parts;
  const logs = createLogs(cluster, clock.sleep, settings.single_namespace);
  const services = createLiveServices(cluster, settings);
  const rooms: EngineRooms = { ...parts, logs, services, sources: createSources(parts) };
  return {
    kind: "kubernetes",
    load: (namespace) => inWords("read the services of the cluster", () => services.load(namespace)),
    logReader: logs,
    manifests: (plan, commit) => inWords("look at the cluster", () => manifestsOf(plan, commit, rooms)),
    prepare: (target, observer, signal) => prepare(target, observer, signal, rooms),
    leaveNamespace: (namespace, deployment, observer) =>
      inWords(`tidy up namespace ${namespace}`, () => leaveNamespace(namespace, deployment, observer, rooms)),
    runBatch: (task, observer, signal) =>
      inWords(`run stage "${task.stage.name}" in namespace ${task.namespace}`, () =>
        runBatch(task, observer, signal, rooms),
      ),
    rollOut: (task, observer, signal) =>
      inWords(`roll out service "${task.stage.name}" in namespace ${task.namespace}`, () =>
        rollOut(task, observer, signal, rooms),
      ),
    removeService: (service) =>
      inWords(`remove service "${service.stage}" from namespace ${service.namespace}`, () =>
        removeService(service, rooms),
      ),
    currentTask: services.current,
    services: services.statuses,
    endRun: (runId) =>
      inWords(`end what run ${runId} has left`, async () => {
        await Promise.all([endJobs(runId, rooms), endRollOuts(runId, rooms)]);
      }),
    removeRun: (runId) =>
      inWords(`remove the logs of run ${runId}`, async () => {
        forgetOutcomes(runId, rooms);
        forgetSnapshots(runId, rooms);
        await logs.removeRun(runId);
      }),
  };
}

/** What the API server answered, as a Failure that says what we were doing. */
async function inWords<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof ClusterError ? clusterFailure(error, doing) : error;
  }
}

/** In the original's order: a missing image leaves the namespace behind. */
async function prepare(
  { plan, commit, checkImage }: RunTarget,
  observer: Pick<TaskObserver, "note">,
  signal: AbortSignal,
  rooms: EngineRooms,
): Promise<{ readonly image: string }> {
  const { images, secrets, sources, settings, cluster } = rooms;
  const namespace = namespaceName(plan.namespace);
  await prepareNamespace(plan, observer, signal, rooms);
  const hasPullSecrets = plannedStages(plan).some(({ stage }) => stage.pod.imagePullSecrets.length > 0);
  const { image, warnings } = await images.resolve(plan.image, {
    check: checkImage ?? settings.image_check,
    hasPullSecrets,
    signal,
  });
  for (const warning of warnings) observer.note("warning", warning);
  return inWords(`prepare namespace ${namespace}`, async () => {
    await createClaims(namespace, plan, settings, cluster);
    if ((await secrets.replicate(plan.secretsGroup, namespace)) > 0) {
      observer.note(
        "info",
        `Replicating k8s secrets from group = ${plan.secretsGroup} into namespace = ${namespace}`,
      );
    }
    // Keys of the bucket are no secrets of the pipeline.
    if (settings.storage !== undefined && "s3" in settings.storage) {
      const [group = "", name = ""] = settings.storage.s3.secret.split("/");
      await secrets.copyOne(group, name, namespace);
    }
    signal.throwIfAborted();
    await sources.prepare(namespace, commit, image);
    await sources.sweep(namespace);
    return { image };
  });
}

async function manifestsOf(
  plan: Plan,
  commit: RunCommit,
  { cluster, settings, source, clock }: EngineRooms,
): Promise<readonly KubernetesObject[]> {
  const namespace = namespaceName(plan.namespace);
  const create =
    settings.single_namespace === undefined &&
    (await cluster.get(kinds.namespace, { name: namespace })) === undefined;
  const [archive, routing] = await Promise.all([source.archive(commit), findRouting(cluster, settings)]);
  const secrets = sourceSecrets({ namespace, commit: commit.hash, archive });
  const context: PodContext = {
    settings: withDefaultStorage(settings),
    sources:
      secrets === undefined
        ? { kind: "stored", key: storedKey(commit, archive) }
        : { kind: "secrets", names: secrets.map(({ metadata }) => metadata.name) },
    program: programName(),
    now: clock.now().toISOString(),
  };
  return [
    ...namespaceObjects({ namespace, deployment: plan.deployment, create }),
    programObject(namespace),
    ...(secrets ?? []),
    ...plannedStages(plan).flatMap((planned) => objectsOf(planned, plan, commit, context, routing)),
  ];
}

function objectsOf(
  { node, stage, environment, variables, secrets }: PlannedStage,
  plan: Plan,
  commit: RunCommit,
  context: PodContext,
  routing: Awaited<ReturnType<typeof findRouting>>,
): readonly KubernetesObject[] {
  const base: TaskBase = {
    runId: "dry-run",
    node,
    deployment: plan.deployment,
    namespace: plan.namespace,
    release: plan.release,
    commit,
    environment: { key: "", folder: "", python: `python${environment.python ?? ""}` },
    image: plan.image,
    inputs: [],
    variables,
    secrets,
  };
  if (stage.kind === "batch")
    return [stageJob({ ...base, stage, attempt: 1, outputs: stage.outputs }, context)];
  const task = { ...base, stage };
  const { deployment, service, disruptionBudget } = serviceObjects(task, context);
  return [
    deployment,
    service,
    ...(disruptionBudget === undefined ? [] : [disruptionBudget]),
    ...routeObjects(task, routing),
  ];
}
