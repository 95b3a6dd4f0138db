import { expect, test } from "vitest";

import { ClusterError, type KubernetesObject } from "../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../src/engines/kubernetes/client/kinds.ts";
import {
  clusterReadiness,
  configureCluster,
  removeCluster,
} from "../../../src/engines/kubernetes/cluster-admin.ts";
import { namespaceObjects } from "../../../src/engines/kubernetes/manifests/cluster-setup.ts";
import {
  managementNamespace,
  workflowAccount,
  workflowRoleBinding,
} from "../../../src/engines/kubernetes/vocabulary.ts";
import { type FakeCluster, fakeCluster, namespaceObject } from "../../support/fake-cluster.ts";

function emptyCluster(): FakeCluster {
  const cluster = fakeCluster();
  cluster.remove(kinds.namespace, { name: managementNamespace });
  return cluster;
}

async function configuredCluster(): Promise<FakeCluster> {
  const cluster = emptyCluster();
  await configureCluster(cluster, {});
  cluster.calls.length = 0;
  return cluster;
}

const texts = ({ lines }: Awaited<ReturnType<typeof configureCluster>>): readonly string[] =>
  lines.map(({ level, text }) => `${level}: ${text}`);

function writes(cluster: FakeCluster): readonly string[] {
  return cluster.calls.filter((call) => /^(?:create|replace|delete|apply|merge) /.test(call));
}

/** As kubectl or the original makes it: without a label of ours. */
function plain(
  apiVersion: string,
  kind: string,
  place: KubernetesObject["metadata"],
  fields: Readonly<Record<string, unknown>> = {},
): KubernetesObject {
  return { apiVersion, kind, metadata: place, ...fields };
}

test("a cluster is configured once, with what controllers need, and says so as the original does", async () => {
  const cluster = emptyCluster();
  expect(texts(await configureCluster(cluster, {}))).toEqual([
    `info: Creating namespace=${managementNamespace}`,
    `info: Creating service-account=${workflowAccount} in namespace=${managementNamespace}`,
    `info: Creating cluster-role=${workflowAccount}`,
    `info: Creating cluster-role-binding=${workflowRoleBinding}`,
  ]);
  expect(await clusterReadiness(cluster, {})).toEqual({ ready: true, lines: [] });
  cluster.calls.length = 0;
  expect(texts(await configureCluster(cluster, {}))).toEqual([
    `warning: namespace=${managementNamespace} already exists`,
    `warning: service-account=${workflowAccount} already exists in namespace=${managementNamespace}`,
  ]);
  expect(writes(cluster)).toEqual([]);
});

test("a dry run changes nothing, and shows the objects", async () => {
  const cluster = emptyCluster();
  const { lines, objects } = await configureCluster(cluster, { dryRun: true });
  expect(lines).toHaveLength(4);
  expect(objects.map(({ kind }) => kind)).toEqual([
    "Namespace",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
  ]);
  expect(writes(cluster)).toEqual([]);
});

test("what is missing of a cluster is made, whichever part it is", async () => {
  for (const [kind, place, line] of [
    [
      kinds.namespace,
      { name: managementNamespace },
      `Could not find namespace=${managementNamespace} on k8s cluster`,
    ],
    [
      kinds.serviceAccount,
      { namespace: managementNamespace, name: workflowAccount },
      `Missing service-account=${workflowAccount} from namespace=${managementNamespace}`,
    ],
    [
      kinds.clusterRoleBinding,
      { name: workflowRoleBinding },
      `Missing cluster-role-binding=${workflowRoleBinding}`,
    ],
  ] as const) {
    const cluster = await configuredCluster();
    cluster.remove(kind, place);
    const { ready, lines } = await clusterReadiness(cluster, {});
    expect([ready, lines[0]]).toEqual([false, line]);
    await configureCluster(cluster, {});
    expect(await clusterReadiness(cluster, {})).toEqual({ ready: true, lines: [] });
  }
});

test("a cluster that the original has configured gets the rights that are missing, and keeps its own", async () => {
  const cluster = await configuredCluster();
  const originals = [
    { apiGroups: ["apps", "batch"], resources: ["*"], verbs: ["*"] },
    { apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] },
  ];
  const [role] = cluster.objects(kinds.clusterRole);
  cluster.put({ ...role, rules: originals } as KubernetesObject);
  expect(await clusterReadiness(cluster, {})).toEqual({
    ready: true,
    lines: [expect.stringContaining(`The cluster-role=${workflowAccount} lacks rights`)],
  });
  expect(texts(await configureCluster(cluster, {}))).toContainEqual(
    expect.stringMatching(
      /^info: Adding rights to cluster-role=bodywork-workflow-controller: .*get pods\/log/,
    ),
  );
  const rules = (cluster.objects(kinds.clusterRole)[0]?.rules ?? []) as { apiGroups: string[] }[];
  expect(rules.slice(0, 2)).toEqual(originals);
  // It has all of these by the wider ones.
  expect(rules.slice(2).flatMap(({ apiGroups }) => apiGroups)).not.toContain("batch");
  expect(await clusterReadiness(cluster, {})).toEqual({ ready: true, lines: [] });
});

test("rights to single objects don't count as rights to all", async () => {
  const cluster = await configuredCluster();
  const [role] = cluster.objects(kinds.clusterRole);
  const everything = { apiGroups: ["*"], resources: ["*"], verbs: ["*"] };
  cluster.put({ ...role, rules: [everything] } as KubernetesObject);
  expect((await clusterReadiness(cluster, {})).lines).toEqual([]);
  cluster.put({ ...role, rules: [{ ...everything, resourceNames: ["x"] }] } as KubernetesObject);
  expect((await clusterReadiness(cluster, {})).lines).toHaveLength(1);
});

test("a binding without the account gets it; one to another role is refused, for it can't be changed", async () => {
  const cluster = await configuredCluster();
  const [binding] = cluster.objects(kinds.clusterRoleBinding);
  const somebody = { kind: "User", name: "ann" };
  cluster.put({ ...binding, subjects: [somebody] } as KubernetesObject);
  expect(texts(await configureCluster(cluster, {}))).toContain(
    `info: Adding service-account=${workflowAccount} to cluster-role-binding=${workflowRoleBinding}`,
  );
  expect(cluster.objects(kinds.clusterRoleBinding)[0]?.subjects).toMatchObject([
    somebody,
    { kind: "ServiceAccount", name: workflowAccount, namespace: managementNamespace },
  ]);
  cluster.put({ ...binding, roleRef: { kind: "ClusterRole", name: "view" } } as KubernetesObject);
  await expect(configureCluster(cluster, {})).rejects.toMatchObject({
    code: "cluster-refused",
    message: expect.stringContaining("gives the rights of ClusterRole view"),
    hint: expect.stringContaining(`kubectl delete clusterrolebinding ${workflowRoleBinding}`),
  });
});

test("a namespace that is being deleted is waited for by the person, not filled", async () => {
  const cluster = await configuredCluster();
  const [namespace] = cluster
    .objects(kinds.namespace)
    .filter(({ metadata }) => metadata.name === managementNamespace);
  cluster.put({
    ...namespace,
    metadata: { name: managementNamespace, deletionTimestamp: "2026-11-25T12:00:00Z", finalizers: ["x"] },
  } as KubernetesObject);
  await expect(configureCluster(cluster, {})).rejects.toMatchObject({
    code: "cluster-refused",
    message: `Cannot configure the cluster: namespace=${managementNamespace} is being deleted.`,
  });
});

test("what may not be looked at counts as there, for who deploys needs no rights to the cluster's own parts", async () => {
  const cluster = emptyCluster();
  cluster.before = ({ verb, kind }) => {
    if (verb === "get") throw new ClusterError("forbidden", `${kind} is forbidden`, { status: 403 });
  };
  expect(await clusterReadiness(cluster, {})).toEqual({ ready: true, lines: [] });
  cluster.before = () => {
    throw new ClusterError("unreachable", "ECONNREFUSED");
  };
  await expect(clusterReadiness(cluster, {})).rejects.toMatchObject({ code: "cluster-unreachable" });
});

test("who may not configure the cluster is told what failed", async () => {
  const cluster = emptyCluster();
  cluster.before = ({ verb, kind }) => {
    if (verb === "create" && kind === "ClusterRole") {
      throw new ClusterError("forbidden", 'User "ann" cannot create resource "clusterroles"', {
        status: 403,
      });
    }
  };
  await expect(configureCluster(cluster, {})).rejects.toMatchObject({
    code: "not-allowed",
    message: expect.stringContaining(`configure the cluster: create ClusterRole ${workflowAccount}`),
  });
});

test("one namespace for everything needs nothing outside of it", async () => {
  const cluster = emptyCluster();
  cluster.put(namespaceObject("team"));
  const scope = { singleNamespace: "team" };
  expect((await clusterReadiness(cluster, scope)).lines).toEqual([
    `Missing service-account=${workflowAccount} from namespace=team`,
    `Missing role-binding=${workflowAccount} from namespace=team`,
  ]);
  expect(texts(await configureCluster(cluster, scope))).toEqual([
    `info: Creating service-account=${workflowAccount} in namespace=team`,
    `info: Creating role=${workflowAccount} in namespace=team`,
    `info: Creating role-binding=${workflowAccount} in namespace=team`,
  ]);
  expect(await clusterReadiness(cluster, scope)).toEqual({ ready: true, lines: [] });
  expect(cluster.objects(kinds.clusterRole)).toEqual([]);
  const { removed, kept } = await removeCluster(cluster, { ...scope, withDeployments: false });
  expect(removed).toEqual([
    `RoleBinding team/${workflowAccount}`,
    `Role team/${workflowAccount}`,
    `ServiceAccount team/${workflowAccount}`,
  ]);
  expect(kept).toEqual(["Namespace team: Bodywork has not made it"]);
  expect(cluster.dump().map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
    "Namespace default",
    "Namespace team",
  ]);
});

const ours = { app: "bodywork", "app.kubernetes.io/managed-by": "bodywork" };

/** A cluster as it is after a while: two pipelines, a cronjob, history, secrets. */
async function usedCluster(): Promise<FakeCluster> {
  const cluster = await configuredCluster();
  const home = managementNamespace;
  for (const object of namespaceObjects({ namespace: "tides", deployment: "tides", create: true }))
    cluster.put(object);
  cluster.put(namespaceObject("shared"));
  for (const object of namespaceObjects({ namespace: "shared", deployment: "old", create: false }))
    cluster.put(object);
  const service = (namespace: string): KubernetesObject =>
    plain("apps/v1", "Deployment", {
      name: "serve",
      namespace,
      labels: { app: "bodywork", stage: "serve", "deployment-name": namespace },
    });
  const secret = (
    name: string,
    namespace: string,
    labels: Readonly<Record<string, string>>,
  ): KubernetesObject => plain("v1", "Secret", { name, namespace, labels });
  for (const object of [
    service("tides"),
    service("shared"),
    plain("v1", "Service", {
      name: "serve",
      namespace: "shared",
      labels: { app: "bodywork", stage: "serve" },
    }),
    plain("v1", "Service", { name: "theirs", namespace: "shared", labels: { app: "bodywork" } }),
    plain("v1", "PersistentVolumeClaim", { name: "cache", namespace: "shared", labels: ours }),
    plain("v1", "PersistentVolumeClaim", { name: "cache", namespace: "tides", labels: ours }),
    plain("batch/v1", "CronJob", {
      name: "daily",
      namespace: home,
      labels: { app: "bodywork", "deployment-name": "daily" },
    }),
    secret("prod-db", home, { group: "prod" }),
    secret("run-1", home, { ...ours, "bodywork.io/record": "run" }),
    secret("run-2", home, { ...ours, "bodywork.io/record": "run" }),
    secret("sources-1", "tides", { ...ours, "bodywork.io/part": "sources" }),
    secret("db", "shared", { ...ours, group: "prod" }),
    secret("db", "tides", { ...ours, group: "prod" }),
    plain("v1", "ConfigMap", { name: "kube-root-ca.crt", namespace: home }),
    plain("v1", "ServiceAccount", { name: "default", namespace: "tides" }),
    plain("v1", "Pod", { name: "serve-x", namespace: "tides", ownerReferences: [{ uid: "serve" }] }),
  ]) {
    cluster.put(object);
  }
  cluster.calls.length = 0;
  return cluster;
}

test("nothing is removed while services are deployed or jobs run", async () => {
  const cluster = await usedCluster();
  cluster.put({
    ...plain("batch/v1", "Job", { name: "async-workflow-a", namespace: managementNamespace, labels: ours }),
    status: { active: 1 },
  });
  await expect(removeCluster(cluster, { withDeployments: false })).rejects.toMatchObject({
    code: "not-allowed",
    details: [
      "job=async-workflow-a in namespace=bodywork-deployment-jobs runs",
      "service=serve in namespace=shared of deployment=shared",
      "service=serve in namespace=tides of deployment=tides",
    ],
  });
  expect(writes(cluster)).toEqual([]);
});

test("all that is Bodywork's goes, and nothing else; it is told beforehand what would", async () => {
  const cluster = await usedCluster();
  const { removed, kept } = await removeCluster(cluster, { withDeployments: true, dryRun: true });
  expect(writes(cluster)).toEqual([]);
  expect(removed).toEqual([
    `CronJob ${managementNamespace}/daily`,
    "Deployment shared/serve",
    "Deployment tides/serve",
    "Service shared/serve",
    "PersistentVolumeClaim tides/cache",
    `Secret ${managementNamespace}: 2 of the history`,
    "Secret shared/db",
    "Secret tides/db",
    "Secret tides: 1 with code for stages",
    `Secret ${managementNamespace}/prod-db`,
    "RoleBinding shared/bodywork-stage",
    "RoleBinding tides/bodywork-stage",
    "Role shared/bodywork-stage",
    "Role tides/bodywork-stage",
    `ServiceAccount ${managementNamespace}/${workflowAccount}`,
    "ServiceAccount shared/bodywork-stage",
    "ServiceAccount tides/bodywork-stage",
    `ClusterRoleBinding ${workflowRoleBinding}`,
    `ClusterRole ${workflowAccount}`,
    "Namespace tides",
    `Namespace ${managementNamespace}`,
  ]);
  expect(kept).toEqual(["PersistentVolumeClaim shared/cache: what is in it may be worth keeping"]);
  expect(await removeCluster(cluster, { withDeployments: true })).toEqual({ removed, kept });
  expect(
    cluster.dump().map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? "-"}/${metadata.name}`),
  ).toEqual([
    "Namespace -/default",
    "Namespace -/shared",
    "Service shared/theirs",
    "PersistentVolumeClaim shared/cache",
  ]);
  // What would make new things goes first; the rest of a namespace goes with it.
  expect(writes(cluster)[0]).toBe(`delete CronJob ${managementNamespace}/daily`);
  expect(writes(cluster)).not.toContain(`delete Secret ${managementNamespace}/run-1`);
});

test("a namespace with something else in it stays, without what is Bodywork's", async () => {
  const cluster = await usedCluster();
  cluster.put(plain("v1", "Secret", { name: "mine", namespace: managementNamespace }));
  cluster.put(plain("apps/v1", "StatefulSet", { name: "database", namespace: "tides" }));
  const { removed, kept } = await removeCluster(cluster, { withDeployments: true });
  expect(removed.filter((line) => line.startsWith("Namespace"))).toEqual([]);
  expect(kept).toEqual([
    "PersistentVolumeClaim shared/cache: what is in it may be worth keeping",
    "PersistentVolumeClaim tides/cache: what is in it may be worth keeping",
    "Namespace tides: it has something else in it (StatefulSet database)",
    `Namespace ${managementNamespace}: it has something else in it (Secret mine)`,
  ]);
  expect(cluster.objects(kinds.secret).map(({ metadata }) => metadata.name)).toEqual(["mine"]);
  expect(cluster.objects(kinds.clusterRole)).toEqual([]);
});

test("the management namespace of the original goes, too, and a namespace that somebody else made does not", async () => {
  const cluster = emptyCluster();
  cluster.put(namespaceObject(managementNamespace));
  cluster.put({ ...namespaceObject("theirs"), metadata: { name: "theirs", labels: ours } });
  expect((await removeCluster(cluster, { withDeployments: false })).removed).toEqual([
    `Namespace ${managementNamespace}`,
  ]);
  expect(cluster.objects(kinds.namespace).map(({ metadata }) => metadata.name)).toEqual([
    "default",
    "theirs",
  ]);
  expect(await removeCluster(cluster, { withDeployments: false })).toEqual({ removed: [], kept: [] });
});

test("a cluster that does not serve a kind has none of it to remove", async () => {
  const cluster = await usedCluster();
  for (const kind of ["HTTPRoute", "Middleware"]) cluster.unserved.add(kind);
  cluster.before = ({ verb, kind }) => {
    if (verb === "list" && cluster.unserved.has(kind)) throw new ClusterError("not-found", "no such kind");
  };
  await removeCluster(cluster, { withDeployments: true });
  expect(cluster.objects(kinds.deployment)).toEqual([]);
});
