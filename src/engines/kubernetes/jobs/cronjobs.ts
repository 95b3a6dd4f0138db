import { cronjobName } from "../../../core/cron/cronjob-name.ts";
import { type CronjobCheck, cronjobProblems, refuseCronjob } from "../../../core/cron/cronjob-problems.ts";
import { Failure } from "../../../core/failure.ts";
import type { CronjobSpec } from "../../../core/job-state.ts";
import { isSshAddress } from "../../../core/repository-address.ts";
import { ClusterError, type KubernetesObject } from "../client/cluster.ts";
import { kinds } from "../client/kinds.ts";
import { cronJobObject, cronjobOf } from "../manifests/controller-job.ts";
import type {
  ClusterCronjobChange,
  ClusterJobCredentials,
  DeletedJob,
  RoomParts,
  SavedClusterCronjob,
} from "./cluster-jobs.ts";
import { startsAtOnce, yearlyDifferences } from "./cluster-schedule.ts";
import { removeSlots } from "./cron-slot.ts";
import { mostCount, refusedByCluster } from "./cronjob-problems.ts";
import { deleteJobs } from "./delete-jobs.ts";
import { lookAtJobs } from "./job-evidence.ts";

/** Fails: already-exists, usage (also in the cluster's words), repository-url. */
export async function createCronjob(
  asked: CronjobSpec,
  credentials: ClusterJobCredentials | undefined,
  parts: RoomParts,
): Promise<SavedClusterCronjob> {
  const spec = { ...asked, name: cronjobName(asked.name), request: forCron(asked) };
  refuseCronjob("create", spec.name, cronjobProblems(spec, checkOf(credentials, parts)));
  const { cluster, namespace } = parts;
  if ((await cluster.get(kinds.cronJob, { namespace, name: spec.name })) !== undefined) {
    throw alreadyThere(spec.name);
  }
  const object = await objectFor(spec, credentials, parts);
  try {
    return withWarnings(await cluster.create(object), spec, parts);
  } catch (error) {
    if (error instanceof ClusterError && error.kind === "already-exists") throw alreadyThere(spec.name);
    throw refusedByCluster(error, spec) ?? error;
  }
}

/** Tries, when somebody else changes it at the same time. */
const mostTries = 5;

/** Fails: not-found, and as `createCronjob` does. */
export async function updateCronjob(
  written: string,
  change: ClusterCronjobChange,
  credentials: ClusterJobCredentials | undefined,
  parts: RoomParts,
): Promise<SavedClusterCronjob> {
  const name = cronjobName(written);
  const { cluster, namespace, clock } = parts;
  for (let tries = 1; ; tries += 1) {
    const found = await cluster.get(kinds.cronJob, { namespace, name });
    const before = found === undefined ? undefined : cronjobOf(found);
    if (found === undefined || before === undefined) throw notThere(name);
    const changed = { ...before, ...withoutUndefined(change) };
    const { createdAt: _created, updatedAt: _updated, decidedUntil, ...asked } = changed;
    const spec: CronjobSpec = { ...asked, request: forCron(asked) };
    refuseCronjob("update", name, cronjobProblems(spec, checkOf(credentials, parts)));
    const object = await objectFor(spec, credentials, parts);
    try {
      const saved = await withWarnings(await cluster.replace(replacing(found, object)), spec, parts);
      const late = startsAtOnce(before, spec, { since: new Date(decidedUntil), now: clock.now() });
      return late === undefined ? saved : { ...saved, warnings: [...(saved.warnings ?? []), late] };
    } catch (error) {
      if (error instanceof ClusterError && error.kind === "conflict" && tries < mostTries) continue;
      throw refusedByCluster(error, spec) ?? error;
    }
  }
}

/** With its jobs and their runs; what goes on of it is cancelled. Also what is left of one that somebody else deleted. */
export async function deleteCronjob(written: string, parts: RoomParts): Promise<Omit<DeletedJob, "id">> {
  const name = cronjobName(written);
  const { cluster, namespace } = parts;
  const isOurs = (await lookAtJobs(parts)).cronjobs.some((cronjob) => cronjob.name === name);
  // First of all, so that nothing begins any more.
  if (isOurs) await cluster.delete(kinds.cronJob, { namespace, name });
  const evidence = await lookAtJobs(parts);
  const jobs = evidence.jobs.filter(({ cronjob }) => cronjob === name);
  if (!isOurs && jobs.length === 0) return { found: false };
  const cancelled = await deleteJobs(jobs, evidence, parts);
  await removeSlots(parts, name, "all");
  return { found: true, cancelled };
}

async function objectFor(
  spec: CronjobSpec,
  credentials: ClusterJobCredentials | undefined,
  { settings, furtherSettings, secrets, clock, namespace }: RoomParts,
): Promise<KubernetesObject> {
  const { group } = spec.request;
  if (credentials !== undefined && group !== undefined) await secrets.keepSshKey(group, credentials.sshKey);
  const hasSshKey = group !== undefined && (await secrets.hasSshKey(group));
  return cronJobObject(spec, {
    settings,
    furtherSettings,
    namespace,
    hasSshKey,
    now: clock.now().toISOString(),
  });
}

/** What others have noted on it stays; what it does is ours alone. */
function replacing(found: KubernetesObject, ours: KubernetesObject): KubernetesObject {
  return {
    ...found,
    metadata: {
      ...found.metadata,
      labels: { ...found.metadata.labels, ...ours.metadata.labels },
      annotations: { ...found.metadata.annotations, ...ours.metadata.annotations },
    },
    spec: ours.spec,
  };
}

async function withWarnings(
  object: KubernetesObject,
  spec: CronjobSpec,
  { clock, secrets }: RoomParts,
): Promise<SavedClusterCronjob> {
  const saved = cronjobOf(object);
  if (saved === undefined)
    throw new Error(`The cluster keeps cronjob=${spec.name} otherwise than it was sent`);
  const warnings = [...yearlyDifferences(spec, clock.now()), ...(await keyWarnings(spec, secrets))];
  return warnings.length === 0 ? saved : { ...saved, warnings };
}

async function keyWarnings(
  { request: { url, group } }: CronjobSpec,
  secrets: RoomParts["secrets"],
): Promise<readonly string[]> {
  if (!isSshAddress(url) || (group !== undefined && (await secrets.hasSshKey(group)))) return [];
  const where =
    group === undefined ? "No secrets group is given" : `The secrets group ${group} keeps no ssh key`;
  return [
    `${where}: the repository can be read only with a key that a deployment of it keeps. Give one with --ssh and --group.`,
  ];
}

function forCron({ request }: Pick<CronjobSpec, "request">): CronjobSpec["request"] {
  return { ...request, startedBy: "cron" };
}

function withoutUndefined<T extends object>(change: T): Partial<T> {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function alreadyThere(name: string): Failure {
  return new Failure("already-exists", `Cannot create cronjob=${name} as it already exists`, {
    hint: "Change it with: bodywork update cronjob",
  });
}

function notThere(name: string): Failure {
  return new Failure("not-found", `Could not find cronjob=${name}`, { hint: "bodywork get cronjobs" });
}

function checkOf(
  credentials: ClusterJobCredentials | undefined,
  { source }: Pick<RoomParts, "source">,
): CronjobCheck {
  return { hasKey: credentials !== undefined, checkUrl: (url) => source.check(url), mostCount };
}
