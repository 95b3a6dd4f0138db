import { randomBytes } from "node:crypto";
import { describe, expect, onTestFinished, test } from "vitest";

import { concealed, revealed } from "../../src/core/secret-value.ts";
import type { Cluster, KubernetesObject } from "../../src/engines/kubernetes/client/cluster.ts";
import { connectCluster } from "../../src/engines/kubernetes/client/connect.ts";
import {
  clusterReadiness,
  configureCluster,
  removeCluster,
} from "../../src/engines/kubernetes/cluster-admin.ts";
import { namespaceObjects } from "../../src/engines/kubernetes/manifests/cluster-setup.ts";
import { createClusterSecrets } from "../../src/engines/kubernetes/secrets/cluster-secrets.ts";
import {
  managementNamespace,
  workflowAccount,
  workflowRoleBinding,
} from "../../src/engines/kubernetes/vocabulary.ts";
import { type TestCluster, cluster as testCluster } from "../support/cluster.ts";

describe.skipIf(testCluster === undefined)("a cluster as a whole", () => {
  const { kubectl, kubectlWithInput, kubeconfig } = testCluster ?? ({} as TestCluster);

  test("is configured so that controllers may do their work, and mended when somebody took rights away", async () => {
    const { cluster, real } = await ownPart(kubeconfig, kubectl);
    expect((await clusterReadiness(cluster, {})).lines).toEqual([
      `Could not find namespace=${managementNamespace} on k8s cluster`,
      `Missing service-account=${workflowAccount} from namespace=${managementNamespace}`,
      `Missing cluster-role-binding=${workflowRoleBinding}`,
    ]);
    expect((await configureCluster(cluster, { dryRun: true })).lines).toHaveLength(4);
    expect((await clusterReadiness(cluster, {})).ready).toBe(false);
    expect((await configureCluster(cluster, {})).lines.map(({ level }) => level)).toEqual(
      Array(4).fill("info"),
    );
    expect(await clusterReadiness(cluster, {})).toEqual({ ready: true, lines: [] });

    const may = async (verb: string, what: string): Promise<boolean> => {
      const account = `system:serviceaccount:${real(managementNamespace)}:${real(workflowAccount)}`;
      const answer = await kubectl("auth", "can-i", verb, what, "--as", account).catch(() => "no");
      return answer.trim() === "yes";
    };
    expect(await may("get", "pods/log")).toBe(true);
    expect(await may("create", "leases.coordination.k8s.io")).toBe(true);
    expect(await may("delete", "nodes")).toBe(false);
    await kubectl(
      ...["patch", "clusterrole", real(workflowAccount), "--type=merge"],
      ...["--patch", JSON.stringify({ rules: [{ apiGroups: ["apps"], resources: ["*"], verbs: ["*"] }] })],
    );
    expect(await may("get", "pods/log")).toBe(false);
    expect((await clusterReadiness(cluster, {})).lines).toHaveLength(1);
    await configureCluster(cluster, {});
    expect(await may("get", "pods/log")).toBe(true);
    expect((await configureCluster(cluster, {})).lines.map(({ level }) => level)).toEqual([
      "warning",
      "warning",
    ]);
  }, 60_000);

  test("keeps secrets of groups, kubectl's among them, and copies them to where pods find them", async () => {
    const { cluster, real, pipelineNamespace } = await ownPart(kubeconfig, kubectl);
    await configureCluster(cluster, {});
    const namespace = await pipelineNamespace();
    const secrets = createClusterSecrets({ cluster, clock: { now: () => new Date() } });
    const home = real(managementNamespace);
    await kubectl("create", "secret", "generic", "dev-login", "--namespace", home, "--from-literal=USER=me");
    await kubectl("label", "secret", "dev-login", "--namespace", home, "group=dev");
    await kubectlWithInput(
      JSON.stringify({
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "dev-binary", namespace: home, labels: { group: "dev" } },
        data: { DER: "/wCA" },
      }),
      ...["apply", "--filename", "-"],
    );
    await secrets.createSecret("dev", "made_here", concealed({ A: "ä\n" }));
    await secrets.createSecret("My Group", "db", concealed({ A: "1" }));
    await expect(secrets.createSecret("dev", "made-here", concealed({ A: "2" }))).rejects.toMatchObject({
      code: "already-exists",
    });
    expect(await secrets.updateSecret("dev", "login", concealed({ PASSWORD: "x" }))).toMatchObject({
      version: 2,
      keys: ["PASSWORD", "USER"],
    });
    expect((await secrets.list({})).map(({ group, name }) => `${group}/${name}`)).toEqual([
      "My Group/db",
      "dev/binary",
      "dev/login",
      "dev/made-here",
    ]);
    const [made] = await secrets.readSecrets({ group: "dev", name: "made_here" });
    expect(revealed(made?.data ?? {})).toEqual({ A: "ä\n" });
    expect(Date.now() - Date.parse(made?.updatedAt ?? "")).toBeLessThan(60_000);

    expect(await secrets.replicate("dev", namespace)).toBe(3);
    const copied = async (path: string): Promise<string> =>
      kubectl("get", "secret", "--namespace", namespace, "--output", `jsonpath=${path}`);
    expect(await copied("{.items[*].metadata.name}")).toBe("binary login made-here");
    expect(await copied("{.items[0].data.DER}")).toBe("/wCA");
    await secrets.deleteSecret("dev", "binary");
    await secrets.replicate("dev", namespace);
    expect(await copied("{.items[*].metadata.name}")).toBe("login made-here");

    await kubectl("create", "secret", "generic", "mine", "--namespace", namespace, "--from-literal=TOKEN=t");
    await secrets.createSecret("dev", "mine", concealed({ TOKEN: "other" }));
    await expect(secrets.replicate("dev", namespace)).rejects.toMatchObject({ code: "cluster-refused" });
    await secrets.load({ namespace });
    expect(secrets.reveal({ group: "prod", name: "mine", version: 0, key: "TOKEN" }).reveal()).toBe("t");
    expect(await secrets.deleteSecretGroup("dev")).toEqual(["login", "made-here", "mine"]);
  }, 60_000);

  test("is left without a trace of Bodywork, but not while a service is deployed", async () => {
    const { cluster, real, pipelineNamespace, inventory } = await ownPart(kubeconfig, kubectl);
    const before = await inventory();
    await configureCluster(cluster, {});
    const namespace = await pipelineNamespace();
    const secrets = createClusterSecrets({ cluster, clock: { now: () => new Date() } });
    await secrets.createSecret("dev", "db", concealed({ A: "1" }));
    await secrets.replicate("dev", namespace);
    await cluster.create(sleepingService(namespace));
    await expect(removeCluster(cluster, { withDeployments: false })).rejects.toMatchObject({
      code: "not-allowed",
      details: [expect.stringContaining(`service=serve in namespace=${namespace}`)],
    });
    const { removed, kept } = await removeCluster(cluster, { withDeployments: true });
    expect(kept).toEqual([]);
    expect(removed).toContain(`Deployment ${namespace}/serve`);
    expect(removed.slice(-2)).toEqual([`Namespace ${namespace}`, `Namespace ${managementNamespace}`]);
    expect(await inventory()).toEqual(before);
    await expect(kubectl("get", "clusterrole", real(workflowAccount))).rejects.toThrow("NotFound");
  }, 180_000);
});

/** It has no pods: whether they run is no matter here. */
function sleepingService(namespace: string): KubernetesObject {
  const labels = { app: "bodywork", stage: "serve", "deployment-name": "tides" };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "serve", namespace, labels },
    spec: {
      replicas: 0,
      selector: { matchLabels: { stage: "serve" } },
      template: { metadata: { labels }, spec: { containers: [{ name: "bodywork", image: "none" }] } },
    },
  };
}

/**
 * A part of the real cluster that looks like one of its own: what there is but once has other names in it, and nothing
 * outside is to be seen. All of it goes when the test has finished.
 */
async function ownPart(kubeconfig: string, kubectl: TestCluster["kubectl"]) {
  const mark = `bw-admin-${randomBytes(3).toString("hex")}`;
  const real = (text: string): string =>
    text.replaceAll(managementNamespace, `${mark}-home`).replaceAll(workflowAccount, `${mark}-controller`);
  const shown = (text: string): string =>
    text.replaceAll(`${mark}-home`, managementNamespace).replaceAll(`${mark}-controller`, workflowAccount);
  const cluster = await connectCluster({ kubeconfigFiles: kubeconfig, inCluster: false, version: "test" });
  onTestFinished(async () => {
    const listed = await kubectl("get", "namespaces", "--output", "name");
    const namespaces = listed.split("\n").filter((line) => line.includes(mark));
    const binding = real(workflowRoleBinding);
    await kubectl("delete", "clusterrolebinding", binding, "--ignore-not-found");
    await kubectl("delete", "clusterrole", real(workflowAccount), "--ignore-not-found");
    if (namespaces.length > 0) await kubectl("delete", ...namespaces, "--ignore-not-found", "--wait=false");
    cluster.close();
  });
  const part = renamed(cluster, mark, real, shown);
  return {
    cluster: part,
    real,
    async pipelineNamespace(): Promise<string> {
      const namespace = `${mark}-tides`;
      for (const object of namespaceObjects({ namespace, deployment: "tides", create: true })) {
        await part.create(object);
      }
      return namespace;
    },
    async inventory(): Promise<readonly string[]> {
      return (await (testCluster as TestCluster).inventory()).filter((line) => line.includes(mark));
    },
  };
}

function renamed(
  cluster: Cluster,
  mark: string,
  real: (text: string) => string,
  shown: (text: string) => string,
): Cluster {
  const through = <T>(value: T, change: (text: string) => string): T =>
    value === undefined ? value : (JSON.parse(change(JSON.stringify(value))) as T);
  const isOurs = ({ metadata }: KubernetesObject): boolean =>
    (metadata.namespace ?? metadata.name).includes(mark);
  return {
    ...cluster,
    get: async (kind, place) => through(await cluster.get(kind, through(place, real)), shown),
    list: async (kind, selection) => {
      const objects = await cluster.list(kind, through(selection, real));
      return through(objects.filter(isOurs), shown);
    },
    create: async (object) => through(await cluster.create(through(object, real)), shown),
    replace: async (object) => through(await cluster.replace(through(object, real)), shown),
    delete: (kind, place, options) => cluster.delete(kind, through(place, real), options),
  };
}
