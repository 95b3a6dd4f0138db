import type { Plan } from "../core/plan.ts";
import type { ServiceTask } from "../core/run-state.ts";
import type { Environment } from "../ports/environments.ts";
import type { RunParts } from "./carry-out-run.ts";
import type { RunRecorder } from "./record-run.ts";

/** Runs kept of each deployment, with their logs. */
const keptRuns = 200;

/** Records the release, protects its commit, and removes what the previous release had and this one has not. */
export async function settleRelease(
  plan: Plan,
  environments: ReadonlyMap<string, Environment>,
  recorder: RunRecorder,
  parts: RunParts,
): Promise<void> {
  const { run } = recorder;
  const { store, engine, source } = parts;
  if (run.commit === undefined) return;
  await source.keep(run.commit, `release/${plan.namespace}/${plan.deployment}/${plan.release}`);
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
    },
    {
      namespace: plan.namespace,
      name: plan.deployment,
      gitUrl: run.commit.url,
      branch: run.commit.branch,
      liveRelease: plan.release,
      updatedAt: createdAt,
    },
  );
  for (const service of plan.removals) {
    recorder.notice(
      "info",
      `Removing service: ${service.name} from previous deployment with git-commit-hash: ${service.commit}.`,
    );
    await engine.removeService({ namespace: service.namespace, stage: service.stage });
  }
  for (const runId of store.removeOldRuns(keptRuns)) await engine.removeRun(runId);
}
