import type { BatchTask } from "../../../core/run-state.ts";
import type { KubernetesObject } from "../client/cluster.ts";
import { labels } from "../vocabulary.ts";
import { objectName } from "./names.ts";
import { stagePodSpec } from "./pod.ts";
import type { PodContext } from "./pod-context.ts";
import { runLabels, stageLabels, stageNamespace, taskAnnotations } from "./stage-labels.ts";

/** Seconds that a finished Job stays when nobody deletes it. */
const keptSeconds = 900;
/** As on this machine: seconds between SIGTERM and SIGKILL when a stage is cancelled. */
const graceSeconds = 10;

/**
 * The Job of one attempt. It never tries again by itself: attempts are counted by the run. A pod that the cluster takes
 * away (a node is drained, a more important pod needs the room) is no failed attempt: the Job starts another.
 */
export function stageJob(task: BatchTask, context: PodContext): KubernetesObject {
  const ours = { ...stageLabels(task), ...runLabels(task), [labels.attempt]: String(task.attempt) };
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: {
      name: objectName(task.stage.name),
      namespace: stageNamespace(task),
      labels: ours,
      annotations: taskAnnotations(task),
    },
    spec: {
      completions: 1,
      parallelism: 1,
      backoffLimit: 0,
      podFailurePolicy: {
        rules: [{ action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] }],
      },
      ttlSecondsAfterFinished: keptSeconds,
      ...deadline(task, context),
      template: {
        metadata: { labels: ours },
        spec: stagePodSpec(task, context, {
          pod: { restartPolicy: "Never", terminationGracePeriodSeconds: graceSeconds },
          container: {},
          variables: { BODYWORK_ATTEMPT: String(task.attempt) },
        }),
      },
    },
  };
}

/** The program in the pod keeps the stage's time limit; this one ends what hangs when nobody watches any more. */
function deadline(
  { stage }: BatchTask,
  { settings }: PodContext,
): { readonly activeDeadlineSeconds?: number } {
  const limit = stage.maxCompletionTimeSeconds;
  return limit === 0
    ? {}
    : { activeDeadlineSeconds: settings.start_timeout_seconds + Math.max(60, limit) + 90 };
}
