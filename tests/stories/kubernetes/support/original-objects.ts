/** What the original leaves on a cluster, field by field as its Python client sends it. */

import { answering } from "../../../support/pipelines.ts";

interface OriginalService {
  readonly namespace: string;
  readonly deployment: string;
  /** Sanitised, as its objects are named. */
  readonly name: string;
  /** As the project file has it. */
  readonly stage: string;
  readonly url: string;
  readonly image: string;
}

type Objects = readonly Readonly<Record<string, unknown>>[];

/** The namespace with its account and role, and one service with a route, which answers `original`. */
export function originalService(service: OriginalService): Objects {
  const { namespace, name } = service;
  const labels = { app: "bodywork", stage: name };
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    ...stageAccount(namespace),
    standInForItsImage(namespace),
    deployment(service),
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace, labels },
      spec: { type: "ClusterIP", selector: { stage: name }, ports: [{ port: 5000, targetPort: 5000 }] },
    },
    {
      apiVersion: "networking.k8s.io/v1",
      kind: "Ingress",
      metadata: {
        name,
        namespace,
        labels,
        annotations: {
          "kubernetes.io/ingress.class": "nginx",
          "nginx.ingress.kubernetes.io/rewrite-target": "/$2",
        },
      },
      spec: {
        rules: [
          {
            http: {
              paths: [
                {
                  path: `/${namespace}/${name}(/|$)(.*)`,
                  pathType: "Exact",
                  backend: { service: { name, port: { number: 5000 } } },
                },
              ],
            },
          },
        ],
      },
    },
  ];
}

function deployment({ namespace, deployment, name, stage, url, image }: OriginalService) {
  const labels = {
    app: "bodywork",
    stage: name,
    "deployment-name": deployment,
    "git-commit-hash": "abc1234",
    "git-branch": "",
  };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace, labels, annotations: { port: "5000" } },
    spec: {
      replicas: 1,
      revisionHistoryLimit: 0,
      selector: { matchLabels: { stage: name } },
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 2, maxUnavailable: 0 } },
      template: {
        metadata: { labels, annotations: { "last-updated": "2022-08-01T10:00:00.000000" } },
        spec: {
          serviceAccountName: "bodywork-stage",
          restartPolicy: "Always",
          volumes: [{ name: "stand-in", configMap: { name: "stand-in", defaultMode: 0o755 } }],
          containers: [
            {
              name: "bodywork",
              image,
              imagePullPolicy: "IfNotPresent",
              command: ["bodywork", "stage"],
              args: [url, stage],
              env: [{ name: "GIT_COMMIT_HASH", value: "abc1234" }],
              ports: [{ containerPort: 5000 }],
              resources: { requests: { cpu: "0.1", memory: "50M" } },
              startupProbe: { tcpSocket: { port: 5000 }, periodSeconds: 10, failureThreshold: 3 },
              livenessProbe: { tcpSocket: { port: 5000 }, periodSeconds: 10 },
              volumeMounts: [{ name: "stand-in", mountPath: "/usr/local/bin/bodywork", subPath: "bodywork" }],
            },
          ],
        },
      },
    },
  };
}

/** The program of its image, which is not to be had here. */
function standInForItsImage(namespace: string) {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "stand-in", namespace },
    data: { bodywork: `#!/usr/bin/env python3\n${answering("original")}` },
  };
}

function stageAccount(namespace: string): Objects {
  const metadata = { name: "bodywork-stage", namespace };
  const api = "rbac.authorization.k8s.io";
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata },
    {
      apiVersion: `${api}/v1`,
      kind: "Role",
      metadata,
      rules: [{ apiGroups: [""], resources: ["secrets", "configmaps"], verbs: ["get", "list"] }],
    },
    {
      apiVersion: `${api}/v1`,
      kind: "RoleBinding",
      metadata,
      roleRef: { apiGroup: api, kind: "Role", name: "bodywork-stage" },
      subjects: [{ kind: "ServiceAccount", name: "bodywork-stage", namespace }],
    },
  ];
}

/** A secret of a group, and a cronjob, in the namespace of the original's own things. */
export function originalManagement(cronjob: string, url: string): Objects {
  const namespace = "bodywork-deployment-jobs";
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "bodywork-workflow-controller", namespace },
    },
    {
      apiVersion: "v1",
      kind: "Secret",
      type: "Opaque",
      metadata: { name: "dev-storage", namespace, labels: { group: "dev" } },
      stringData: { USERNAME: "alex" },
    },
    {
      apiVersion: "batch/v1",
      kind: "CronJob",
      metadata: { name: cronjob, namespace, labels: { app: "bodywork", "deployment-name": cronjob } },
      spec: {
        schedule: "0 1 1 1 *",
        successfulJobsHistoryLimit: 1,
        failedJobsHistoryLimit: 1,
        jobTemplate: {
          spec: {
            backoffLimit: 2,
            completions: 1,
            ttlSecondsAfterFinished: 900,
            template: {
              spec: {
                serviceAccountName: "bodywork-workflow-controller",
                restartPolicy: "Never",
                containers: [
                  {
                    name: "bodywork",
                    image: "bodyworkml/bodywork-core:latest",
                    imagePullPolicy: "Always",
                    command: ["bodywork", "create", "deployment"],
                    args: [url, "--branch=master"],
                  },
                ],
              },
            },
          },
        },
      },
    },
  ];
}
