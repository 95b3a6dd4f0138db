import { randomInt } from "node:crypto";
import { urlProblems } from "../../../core/cron/cronjob-problems.ts";
import { Failure } from "../../../core/failure.ts";
import { asyncJobId, madeUpJobId } from "../../../core/job-name.ts";
import type { Job } from "../../../core/job-state.ts";
import type { DeployRequest } from "../../../core/run-state.ts";
import { ClusterError } from "../client/cluster.ts";
import { asyncJobObject } from "../manifests/controller-job.ts";
import type { ClusterJobCredentials, DeletedJob, RoomParts } from "./cluster-jobs.ts";
import { deleteJobs } from "./delete-jobs.ts";
import { lookAtJobs, meantJob } from "./job-evidence.ts";
import { jobOf } from "./job-of-cluster.ts";

export interface NewJob {
  readonly name: string | undefined;
  readonly request: DeployRequest;
  readonly retries: number;
}

/** Names are made up by chance. */
const mostNames = 1_000_000;

/** A Job of the cluster whose controller deploys once. Fails: already-exists, repository-url, secret-missing. */
export async function createJob(
  { name, request: asked, retries }: NewJob,
  credentials: ClusterJobCredentials | undefined,
  parts: RoomParts,
): Promise<Job> {
  parts.source.check(asked.url);
  const [problem] = urlProblems(asked.url);
  if (problem !== undefined) throw problem;
  const { key: _key, ...rest } = asked;
  const request = { ...rest, startedBy: "async" };
  const hasSshKey = await keyOf(request, credentials, parts);
  const { cluster, settings, furtherSettings, namespace, clock } = parts;
  const context = { settings, furtherSettings, namespace, hasSshKey, now: clock.now().toISOString() };
  for (;;) {
    const id = name === undefined ? madeUpJobId(request, randomInt(mostNames)) : asyncJobId(name);
    try {
      const object = await cluster.create(asyncJobObject({ id, request, retries }, context));
      return jobOf({ object, pods: [], runs: [], request });
    } catch (error) {
      if (!(error instanceof ClusterError) || error.kind !== "already-exists") throw error;
      if (name !== undefined) throw alreadyThere(id);
    }
  }
}

/** By its id, or by its name. With its runs; what goes on is cancelled. */
export async function deleteJob(written: string, parts: RoomParts): Promise<DeletedJob> {
  const evidence = await lookAtJobs(parts);
  const job = meantJob(evidence.jobs, written);
  if (job === undefined) return { found: false };
  return { found: true, id: job.id, cancelled: await deleteJobs([job], evidence, parts) };
}

/** Whether its group keeps a key when its controller starts; what is given to be kept is. */
async function keyOf(
  { group }: DeployRequest,
  credentials: ClusterJobCredentials | undefined,
  { secrets }: RoomParts,
): Promise<boolean> {
  if (credentials?.keep === true) {
    if (group === undefined) {
      throw new Failure(
        "secret-missing",
        "Cannot keep the ssh key for runs that nobody waits for: it needs a secrets group.",
        { hint: "Please specify a secrets group for it with --group." },
      );
    }
    await secrets.keepSshKey(group, credentials.sshKey);
    return true;
  }
  const isKept = group !== undefined && (await secrets.hasSshKey(group));
  if (credentials === undefined || isKept) return isKept;
  throw new Failure(
    "secret-missing",
    "Cannot hand the ssh key of BODYWORK_GIT_SSH_PRIVATE_KEY on to the cluster: it would have to be kept there.",
    { hint: "Unset the variable, and give the key by --ssh FILE with the --group that is to keep it." },
  );
}

function alreadyThere(id: string): Failure {
  return new Failure("already-exists", `Cannot create workflow-job=${id} as it already exists.`, {
    hint: `Choose another name, or remove it with: bodywork delete deployment --async ${id}`,
  });
}
