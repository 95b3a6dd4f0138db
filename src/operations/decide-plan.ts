import { Failure } from "../core/failure.ts";
import { type Plan, planDeployment } from "../core/plan.ts";
import type { Project } from "../core/project.ts";
import { isSameRepository } from "../core/repository-address.ts";
import type { Deployment, DeployRequest, Run, RunCommit } from "../core/run-state.ts";
import { findStageSecrets, type MissingKey, type StageSecrets } from "../core/stage-secrets.ts";
import type { RunParts } from "./carry-out-run.ts";
import { shortened } from "./read-deployment.ts";

/** What was read of a commit, and what was asked for. */
export interface PlanSubject {
  readonly project: Project;
  readonly commit: RunCommit;
  readonly requirementsFiles: ReadonlyMap<string, string>;
  readonly request: DeployRequest;
}

/**
 * What a deployment does, by what is live and which secrets there are at this moment: for a run, and for `--dry-run`. A
 * run that is gone on with keeps what was decided `before`. Fails: namespace-taken, secret-missing.
 */
export function decidePlan(
  { project, commit, requirementsFiles, request }: PlanSubject,
  parts: Pick<RunParts, "store" | "engine" | "secretReader">,
  before: Pick<Run, "release" | "secrets"> = { release: undefined },
): Plan {
  refuseForeignNamespace(project, commit, parts);
  const { name, namespace } = project.pipeline;
  const secretsGroup = groupOf(project, request);
  return planDeployment({
    project,
    commit,
    // It keeps its number also when its release was recorded before the crash.
    lastRelease:
      before.release !== undefined
        ? before.release - 1
        : (parts.store.releases(namespace, name)[0]?.number ?? 0),
    services: parts.engine.services(),
    requirementsFiles,
    secretsGroup,
    image: request.image,
    secrets: before.secrets ?? findSecrets(project, secretsGroup, parts),
  });
}

/** The group of a deployment's secrets: of the request, else of the project file, else the pipeline's name. */
export function groupOf({ pipeline }: Project, { group }: Pick<DeployRequest, "group">): string {
  return group ?? pipeline.secretsGroup ?? pipeline.name;
}

/**
 * Two repositories must not deploy into one namespace: they would replace each other's services. In a cluster what is there
 * counts, as in the original, and not the record: others may have deleted the namespace.
 */
function refuseForeignNamespace(
  project: Project,
  commit: RunCommit,
  { store, engine }: Pick<RunParts, "store" | "engine">,
): void {
  const { namespace } = project.pipeline;
  const isThere = ({ name }: Deployment): boolean =>
    engine.kind === "local" ||
    engine.services().some((service) => service.namespace === namespace && service.deployment === name);
  const foreign = store
    .deployments()
    .find(
      (other) =>
        other.namespace === namespace && !isSameRepository(other.gitUrl, commit.url) && isThere(other),
    );
  if (foreign === undefined) return;
  throw new Failure(
    "namespace-taken",
    `A project with the same name (or namespace): ${namespace} originating from a different git repository (${foreign.gitUrl}) is deployed already.`,
    {
      hint: `Choose another pipeline.name or pipeline.namespace, or remove the other: bodywork delete deployment ${foreign.name}`,
    },
  );
}

function findSecrets(
  project: Project,
  group: string,
  { secretReader }: Pick<RunParts, "secretReader">,
): StageSecrets {
  const { secrets, missing } = findStageSecrets(project, group, secretReader.secrets({ group }));
  if (missing.length > 0) throw missingSecrets(project, group, missing);
  return secrets;
}

/** All that is missing, and the commands that mend it. */
function missingSecrets(project: Project, group: string, missing: readonly MissingKey[]): Failure {
  const { name, namespace } = project.pipeline;
  const told = (key: string, secret: string): string =>
    `cannot find key=${key} in secret=${secret} in namespace=${namespace}`;
  const byKey = [...Map.groupBy(missing, ({ key, secret }) => told(key, secret))];
  const details = byKey.map(([line, [first, ...others]]) => {
    const stages = [first, ...others].map((key) => key?.stage).join(", ");
    const found = first?.secretIsThere
      ? `the secret ${first.secret} of group ${group} has no such key`
      : `group ${group} has no secret ${first?.secret}`;
    return `${line}: ${found} (needed by ${stages})`;
  });
  const commands = [...Map.groupBy(missing, ({ secret }) => secret)].map(([secret, keys]) => {
    const verb = keys[0]?.secretIsThere ? "update" : "create";
    const data = [...new Set(keys.map(({ key }) => `--data ${key}=VALUE`))].join(" ");
    return `bodywork ${verb} secret ${secret} --group ${shellWord(group)} ${data}`;
  });
  return new Failure(
    "secret-missing",
    `Cannot deploy "${name}": ${shortened(byKey.map(([line]) => line))}.`,
    {
      details,
      hint: commands.join("\n"),
    },
  );
}

function shellWord(text: string): string {
  return /^[\w.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
