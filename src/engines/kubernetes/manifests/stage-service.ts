import type { ServiceStage } from "../../../core/project.ts";
import type { ServiceTask } from "../../../core/run-state.ts";
import type { KubernetesObject } from "../client/cluster.ts";
import { annotations, labels } from "../vocabulary.ts";
import { labelValue, objectName, serviceName } from "./names.ts";
import { type PodDifferences, stagePodSpec } from "./pod.ts";
import type { PodContext } from "./pod-context.ts";
import { runLabels, stageLabels, stageNamespace, stageSelector, taskAnnotations } from "./stage-labels.ts";

export interface ServiceObjects {
  readonly deployment: KubernetesObject;
  readonly service: KubernetesObject;
  /** Only from two replicas on: a budget of one would keep its node from ever being drained. */
  readonly disruptionBudget: KubernetesObject | undefined;
}

/** What serves a stage inside the cluster; route.ts has the way from outside. */
export function serviceObjects(task: ServiceTask, context: PodContext): ServiceObjects {
  return {
    deployment: deployment(task, context),
    service: service(task),
    disruptionBudget: task.stage.replicas > 1 ? disruptionBudget(task) : undefined,
  };
}

function deployment(task: ServiceTask, context: PodContext): KubernetesObject {
  const { stage, commit } = task;
  const ours = {
    ...stageLabels(task),
    ...runLabels(task),
    [labels.commit]: labelValue(commit.shortHash),
    [labels.branch]: labelValue(commit.branch ?? ""),
  };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name: objectName(stage.name),
      namespace: stageNamespace(task),
      labels: ours,
      annotations: { [annotations.port]: String(stage.port), ...taskAnnotations(task) },
    },
    spec: {
      replicas: stage.replicas,
      revisionHistoryLimit: 0,
      progressDeadlineSeconds: context.settings.start_timeout_seconds + startUpSeconds(stage),
      selector: { matchLabels: stageSelector(task) },
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 2, maxUnavailable: 0 } },
      template: {
        metadata: { labels: ours, annotations: { [annotations.lastUpdated]: context.now } },
        spec: stagePodSpec(task, context, differences(stage, context.settings.drain_seconds)),
      },
    },
  };
}

function differences(stage: ServiceStage, drainSeconds: number): PodDifferences {
  const drain = { exec: { command: ["/bin/sh", "-c", `sleep ${drainSeconds}`] } };
  return {
    pod: { restartPolicy: "Always", terminationGracePeriodSeconds: drainSeconds + 30 },
    container: {
      ports: [{ containerPort: stage.port, protocol: "TCP" }],
      startupProbe: { ...isReady(stage), periodSeconds: 1, failureThreshold: startUpSeconds(stage) },
      readinessProbe: { ...isReady(stage), periodSeconds: 2, failureThreshold: 3 },
      livenessProbe: { ...isOpen(stage), periodSeconds: 10, failureThreshold: 3 },
      // It goes on answering until every proxy of the cluster has heard that it is gone.
      ...(drainSeconds === 0 ? {} : { lifecycle: { preStop: drain } }),
    },
    variables: { HOST: "0.0.0.0", PORT: String(stage.port) },
  };
}

/** As in the original at least a minute, for requirements are installed in this time as well. */
function startUpSeconds(stage: ServiceStage): number {
  return Math.max(60, stage.maxStartupTimeSeconds);
}

type Probe = Readonly<Record<string, unknown>>;
/** Seconds that one answer may take, as on this machine. */
const answerSeconds = 2;

function isReady(stage: ServiceStage): Probe {
  const { healthPath, port } = stage;
  if (healthPath === undefined) return isOpen(stage);
  const path = healthPath.startsWith("/") ? healthPath : `/${healthPath}`;
  return { httpGet: { path, port }, timeoutSeconds: answerSeconds };
}

/** One that is slow to answer is kept from getting more requests, not killed. */
function isOpen({ port }: ServiceStage): Probe {
  return { tcpSocket: { port }, timeoutSeconds: answerSeconds };
}

function service(task: ServiceTask): KubernetesObject {
  const { port } = task.stage;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: serviceName(task.stage.name),
      namespace: stageNamespace(task),
      labels: stageLabels(task),
    },
    spec: {
      type: "ClusterIP",
      selector: stageSelector(task),
      ports: [{ port, targetPort: port, protocol: "TCP" }],
    },
  };
}

function disruptionBudget(task: ServiceTask): KubernetesObject {
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: {
      name: objectName(task.stage.name),
      namespace: stageNamespace(task),
      labels: stageLabels(task),
    },
    spec: { maxUnavailable: 1, selector: { matchLabels: stageSelector(task) } },
  };
}
