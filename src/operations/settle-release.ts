import { asFailure, Failure } from "../core/failure.ts";
import type { Plan } from "../core/plan.ts";
import type { Stage } from "../core/project.ts";
import type { Release, Run, ServiceTask } from "../core/run-state.ts";
import type { SecretVersion } from "../core/secret-state.ts";
import type { RunReader } from "../ports/run-store.ts";
import type { PlannedRun } from "./carry-out-run.ts";

/**
 * Protects the commit and records the release: from here on the run has succeeded, whatever still happens.
 */
export async function saveRelease({ plan, environments, recorder, parts }: PlannedRun): Promise<void> {
  const { run } = recorder;
  const { store, engine, source } = parts;
  if (run.commit === undefined) throw new Failure("internal", "A run without a commit can't be a release.");
  const other = store.release(plan.namespace, plan.deployment, plan.release);
  if (other !== undefined && other.runId !== run.id) {
    throw new Failure(
      "superseded",
      `superseded by run ${other.runId}, which has made release ${plan.release}`,
    );
  }
  const { namespace, deployment, release } = plan;
  await source.keep(run.commit, protectionOf({ namespace, deployment, number: release }));
  const services = plan.nodes.flatMap(({ stage }): ServiceTask[] => {
    const task =
      stage.kind === "service"
        ? engine.currentTask({ namespace: plan.namespace, stage: stage.name })
        : undefined;
    return task === undefined ? [] : [task];
  });
  const createdAt = recorder.now();
  store.saveRelease(
    {
      namespace: plan.namespace,
      deployment: plan.deployment,
      number: plan.release,
      runId: run.id,
      commit: run.commit,
      createdAt,
      environments: Object.fromEntries(
        run.stages.flatMap(({ node, environment }) =>
          environment === undefined
            ? []
            : [[node, { ...environment, lock: environments.get(node)?.lock ?? "" }]],
        ),
      ),
      outputs: Object.fromEntries(
        run.stages.filter(({ outputs }) => outputs.length > 0).map(({ node, outputs }) => [node, outputs]),
      ),
      services,
      ...(run.image === undefined ? {} : { image: run.image }),
      secrets: secretVersions(plan),
    },
    {
      namespace: plan.namespace,
      name: plan.deployment,
      gitUrl: run.commit.url,
      branch: run.commit.branch,
      liveRelease: plan.release,
      updatedAt: createdAt,
      secretsGroup: plan.secretsGroup,
    },
  );
}

/** Each version once, by name; not those of a failure stage, which has not run. */
function secretVersions({ nodes }: Plan): readonly SecretVersion[] {
  const byName = new Map<string, SecretVersion>();
  for (const { group, name, version } of nodes.flatMap(({ secrets }) => Object.values(secrets))) {
    byName.set(name, { group, name, version });
  }
  return [...byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** The name under which the commit of a release is protected. */
export function protectionOf({
  namespace,
  deployment,
  number,
}: Pick<Release, "namespace" | "deployment" | "number">): string {
  return `release/${namespace}/${deployment}/${number}`;
}

/** Whether the run's release is on record: there is no way back then, and nothing that could make the run fail. */
export function isReleased(run: Run, store: RunReader): boolean {
  if (run.namespace === undefined || run.deployment === undefined || run.release === undefined) return false;
  return store.release(run.namespace, run.deployment, run.release)?.runId === run.id;
}

/** Removes what the previous release had and this one has not. */
export async function removeFormerServices({ plan, recorder, parts }: PlannedRun): Promise<void> {
  for (const service of plan.removals) {
    recorder.notice(
      "info",
      `Removing service: ${service.name} from previous deployment with git-commit-hash: ${service.commit}.`,
    );
    try {
      await parts.engine.removeService({ namespace: service.namespace, stage: service.stage });
    } catch (error) {
      recorder.notice(
        "warning",
        `Cannot remove service: ${service.name}: ${asFailure(error).message} The next deployment tries again.`,
      );
    }
  }
}

/** A pipeline without services leaves nothing that a namespace would be for, unless it has made files, which are kept there. */
export async function leaveIfEmpty({ plan, recorder, parts }: PlannedRun): Promise<void> {
  const isForSomething = (stage: Stage): boolean =>
    stage.kind === "service" || Object.keys(stage.outputs).length > 0;
  if (plan.nodes.some(({ stage }) => isForSomething(stage))) return;
  try {
    await parts.engine.leaveNamespace(plan.namespace, plan.deployment, { note: recorder.notice });
  } catch (error) {
    recorder.notice("warning", `Cannot tidy up namespace ${plan.namespace}: ${asFailure(error).message}`);
  }
}
