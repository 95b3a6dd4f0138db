import { describe, expect, test } from "vitest";

import type { KubernetesObject } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import { listAt } from "../../../../src/engines/kubernetes/client/objects.ts";
import {
  clusterObjects,
  namespaceObjects,
} from "../../../../src/engines/kubernetes/manifests/cluster-setup.ts";

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

function rulesOf(objects: readonly KubernetesObject[], kind: string): readonly Rule[] {
  return listAt(
    objects.find((object) => object.kind === kind),
    "rules",
  ) as readonly Rule[];
}

function allows(rules: readonly Rule[], verb: string, group: string, resource: string): boolean {
  return rules.some(
    ({ apiGroups, resources, verbs }) =>
      apiGroups.includes(group) && resources.includes(resource) && verbs.includes(verb),
  );
}

const shown = (objects: readonly KubernetesObject[]): readonly string[] =>
  objects.map(({ kind, metadata }) => [kind, metadata.namespace, metadata.name].filter(Boolean).join(" "));

describe("what a cluster needs for cronjobs and --async", () => {
  test("is called as in the original", () => {
    expect(shown(clusterObjects())).toEqual([
      "Namespace bodywork-deployment-jobs",
      "ServiceAccount bodywork-deployment-jobs bodywork-workflow-controller",
      "ClusterRole bodywork-workflow-controller",
      "ClusterRoleBinding bodywork-workflow-controller--bodywork-deployment-jobs",
    ]);
    expect(clusterObjects().at(-1)).toMatchObject({
      roleRef: {
        apiGroup: "rbac.authorization.k8s.io",
        kind: "ClusterRole",
        name: "bodywork-workflow-controller",
      },
      subjects: [
        {
          kind: "ServiceAccount",
          name: "bodywork-workflow-controller",
          namespace: "bodywork-deployment-jobs",
        },
      ],
    });
  });

  const rules = rulesOf(clusterObjects(), "ClusterRole");

  test.each([
    ["", "pods", "get list"],
    ["", "namespaces", "get list create delete"],
    ["", "services", "get list create delete"],
    ["rbac.authorization.k8s.io", "clusterrolebindings", "get list create"],
    ["", "serviceaccounts", "list create"],
    ["rbac.authorization.k8s.io", "roles", "create"],
    ["rbac.authorization.k8s.io", "rolebindings", "create"],
    ["", "configmaps", "get list"],
    ["", "secrets", "get list create update patch"],
    ["apps", "deployments", "get list create patch delete"],
    ["apps", "replicasets", "get list"],
    ["batch", "jobs", "get list create patch delete"],
    ["networking.k8s.io", "ingresses", "get list create delete"],
  ])("lets the original's own image do there what it does: %s %s %s", (group, resource, verbs) => {
    for (const verb of verbs.split(" ")) expect(allows(rules, verb, group, resource)).toBe(true);
  });

  test("lets controllers read the logs of stages, which the original's may not", () => {
    expect(allows(rules, "get", "", "pods/log")).toBe(true);
  });

  test("lets controllers look at every kind that we use", () => {
    const unseen = Object.values(kinds)
      .filter(({ plural }) => plural !== "clusterroles")
      .filter(({ apiVersion, plural }) => {
        const group = apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
        return !allows(rules, "list", group, plural);
      });
    expect(unseen).toEqual([]);
  });

  test("lets nobody do just anything", () => {
    const words = rules.flatMap(({ apiGroups, resources, verbs }) => [...apiGroups, ...resources, ...verbs]);
    expect(words).not.toContain("*");
    for (const verb of ["escalate", "bind", "impersonate"]) expect(words).not.toContain(verb);
  });

  test("can be inside one namespace, without any right beyond it", () => {
    const objects = clusterObjects({ singleNamespace: "team" });
    expect(shown(objects)).toEqual([
      "ServiceAccount team bodywork-workflow-controller",
      "Role team bodywork-workflow-controller",
      "RoleBinding team bodywork-workflow-controller",
    ]);
    const inside = rulesOf(objects, "Role");
    expect(allows(inside, "create", "batch", "jobs")).toBe(true);
    for (const resource of ["namespaces", "nodes", "clusterrolebindings", "ingressclasses"]) {
      expect(inside.flatMap(({ resources }) => resources)).not.toContain(resource);
    }
  });
});

describe("what a pipeline's namespace needs", () => {
  test("is the original's account, role and binding", () => {
    const objects = namespaceObjects({ namespace: "space", deployment: "my-project", create: true });
    expect(shown(objects)).toEqual([
      "Namespace space",
      "ServiceAccount space bodywork-stage",
      "Role space bodywork-stage",
      "RoleBinding space bodywork-stage",
    ]);
    expect(objects[0]?.metadata).toMatchObject({
      labels: { "app.kubernetes.io/managed-by": "bodywork" },
      annotations: { "bodywork.io/created-for": "my-project" },
    });
    expect(rulesOf(objects, "Role")).toEqual([
      { apiGroups: [""], resources: ["secrets", "configmaps"], verbs: ["get", "list"] },
    ]);
    expect(objects[3]).toMatchObject({
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "bodywork-stage" },
      subjects: [{ kind: "ServiceAccount", name: "bodywork-stage", namespace: "space" }],
    });
  });

  test("leaves a namespace that was there already as it is", () => {
    const objects = namespaceObjects({ namespace: "space", deployment: "my-project", create: false });
    expect(objects.map(({ kind }) => kind)).toEqual(["ServiceAccount", "Role", "RoleBinding"]);
  });
});
