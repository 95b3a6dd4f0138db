import type { DeployRequest } from "../core/run-state.ts";
import type { RunParts } from "./carry-out-run.ts";
import { decidePlan } from "./decide-plan.ts";
import type { PlannedDeployment } from "./operations.ts";
import { resolveCommit } from "./prepare-run.ts";
import { readProject, readRequirementsFiles } from "./read-deployment.ts";

/**
 * What a run of that request would do, decided as a run decides it. Nothing is recorded, kept, built or started. Fails: as
 * a run does before its first stage, but for what shows only when the environments are built.
 */
export async function planRun(
  request: DeployRequest,
  parts: Pick<RunParts, "store" | "source" | "engine" | "secrets" | "secretReader" | "access" | "lookAt">,
  signal: AbortSignal = new AbortController().signal,
): Promise<PlannedDeployment> {
  const commit = await resolveCommit(request, parts, signal);
  const { project, warnings } = await readProject(commit, request, parts.source);
  await parts.lookAt?.(project.pipeline.namespace);
  const requirementsFiles = await readRequirementsFiles(project, commit, parts.source);
  const plan = decidePlan({ project, commit, requirementsFiles, request }, parts);
  return { commit, plan, warnings };
}
