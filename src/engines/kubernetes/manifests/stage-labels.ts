import type { BatchTask, ServiceTask } from "../../../core/run-state.ts";
import { annotations, labels } from "../vocabulary.ts";
import { labelValue, namespaceName, nodeLabel, objectName } from "./names.ts";

type Task = BatchTask | ServiceTask;

/** What every object of a stage bears. */
export function stageLabels({ stage, deployment }: Task): Record<string, string> {
  return {
    [labels.app]: labels.appValue,
    [labels.stage]: objectName(stage.name),
    [labels.deploymentName]: labelValue(deployment),
    [labels.managedBy]: labels.appValue,
  };
}

/** What tells the run's objects from those of other runs. */
export function runLabels({ runId, node }: Task): Record<string, string> {
  return { [labels.run]: labelValue(runId), [labels.node]: nodeLabel(node) };
}

/** By these a Service, a Deployment and a PodDisruptionBudget find a stage's pods, as in the original. */
export function stageSelector({ stage }: Task): Record<string, string> {
  return { [labels.stage]: objectName(stage.name) };
}

/** The whole task, and the true values of labels that had to be made legal. */
export function taskAnnotations(task: Task): Record<string, string> {
  const { deployment, commit } = task;
  const branch = commit.branch ?? "";
  return {
    [annotations.task]: JSON.stringify(task),
    ...(labelValue(deployment) === deployment ? {} : { [annotations.deploymentName]: deployment }),
    ...(labelValue(branch) === branch ? {} : { [annotations.branch]: branch }),
  };
}

export function stageNamespace({ namespace }: Task): string {
  return namespaceName(namespace);
}
