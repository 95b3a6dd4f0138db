import type { Plan } from "../core/plan.ts";
import type { DeployRequest, RunCommit } from "../core/run-state.ts";
import type { SecretValue } from "../core/secret-value.ts";
import type { RepositoryAccess, RunParts } from "./carry-out-run.ts";
import { decidePlan, groupOf } from "./decide-plan.ts";
import { keepSshKey, keptSshKey } from "./keep-ssh-key.ts";
import { readProject, readRequirementsFiles } from "./read-deployment.ts";
import type { RunRecorder } from "./record-run.ts";

interface PreparedRun {
  readonly deployment: string;
  readonly namespace: string;
  /** Decided, and recorded, when called: what is live may have changed while the run waited for its turn. Fails: as `decidePlan`. */
  plan(): Plan;
}

/**
 * From a request to a commit and a project that may be deployed; nothing is changed yet.
 */
export async function prepareRun(
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
): Promise<PreparedRun> {
  const { request } = recorder.run;
  const commit = await resolveAndKeep(recorder, parts, signal);
  const { project, warnings } = await readProject(commit, request, parts.source);
  const { name, namespace } = project.pipeline;
  const secretsGroup = groupOf(project, request);
  // A run that is gone on with has told and recorded this already.
  if (recorder.run.namespace === undefined) {
    for (const warning of warnings) recorder.notice("warning", warning);
    recorder.update({ deployment: name, namespace, secretsGroup });
  }
  keepGivenKey(secretsGroup, recorder, parts);
  const requirementsFiles = await readRequirementsFiles(project, commit, parts.source);
  return {
    deployment: name,
    namespace,
    plan: () => decidePlan({ project, commit, requirementsFiles, request }, parts, recorder.run),
  };
}

async function resolveAndKeep(
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
): Promise<RunCommit> {
  const { run } = recorder;
  const hide = (key: SecretValue): void => recorder.hide([key]);
  if (run.commit !== undefined) {
    // A controller that goes on with a run may be on another machine than the one before it.
    if (parts.engine.kind === "kubernetes") {
      await resolveCommit({ ...run.request, branch: run.commit.hash }, parts, signal, hide);
      await parts.source.keep(run.commit, `run/${run.id}`);
    }
    return run.commit;
  }
  const commit = await resolveCommit(run.request, parts, signal, hide);
  await parts.source.keep(commit, `run/${run.id}`);
  recorder.update({ commit });
  recorder.notice(
    "info",
    `Commit ${commit.shortHash} of ${commit.branch ?? "no branch"}: ${commit.subject} (${commit.author})`,
  );
  return commit;
}

/**
 * The commit that is asked for, with the key that came with the request, else with the one that is kept for its
 * repository; `onKey` is told which before it is used. Fails: as `Source.resolve`.
 */
export async function resolveCommit(
  request: DeployRequest,
  { source, store, secrets, access }: Pick<RunParts, "source" | "store" | "secrets" | "access">,
  signal: AbortSignal,
  onKey: (key: SecretValue) => void = () => {},
): Promise<RunCommit> {
  const key = access.sshKey ?? keptSshKey(request, store, secrets);
  if (key !== undefined) onKey(key);
  return source.resolve(
    {
      url: access.url ?? request.url,
      ref: request.branch,
      sshKey: key?.reveal(),
      acceptHostKey: request.acceptHostKey,
    },
    signal,
  );
}

/** It has opened the repository, so it is worth keeping. */
function keepGivenKey(
  group: string,
  recorder: RunRecorder,
  { access, secrets }: { readonly access: RepositoryAccess } & Pick<RunParts, "secrets">,
): void {
  if (access.sshKey === undefined || !access.keep) return;
  if (keepSshKey(group, access.sshKey, secrets)) {
    recorder.notice("info", `Keeping the ssh key of the repository in secrets group = ${group}`);
  }
}
