import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";

import {
  type Cluster,
  ClusterError,
  type KubernetesObject,
  type WatchEvent,
} from "../../src/engines/kubernetes/client/cluster.ts";
import { connectCluster } from "../../src/engines/kubernetes/client/connect.ts";
import { kinds } from "../../src/engines/kubernetes/client/kinds.ts";
import { textAt } from "../../src/engines/kubernetes/client/objects.ts";
import { type TestCluster, cluster as testCluster } from "../support/cluster.ts";
import { temporaryFolder } from "../support/temporary.ts";

describe.skipIf(testCluster === undefined)("the client and a real API server", () => {
  // Where there is none, nothing here is called.
  const { kubeconfig, image, kubectl, kubectlWithInput, namespace } = (testCluster ?? {}) as TestCluster;

  async function connected(): Promise<Cluster> {
    const cluster = await connectCluster({ kubeconfigFiles: kubeconfig, inCluster: false, version: "4.0.0" });
    onTestFinished(cluster.close);
    return cluster;
  }

  function configMap(space: string, data: Readonly<Record<string, string>>): KubernetesObject {
    const metadata = { name: "x", namespace: space, labels: { app: "bodywork" } };
    return { apiVersion: "v1", kind: "ConfigMap", metadata, data };
  }

  test("the server says what it is, what it serves and what we may", async () => {
    const cluster = await connected();
    expect(await cluster.version()).toMatch(/^v1\.\d+/);
    expect(await cluster.has(kinds.deployment)).toBe(true);
    expect(await cluster.has({ ...kinds.deployment, apiVersion: "none.example/v1" })).toBe(false);
    expect(await cluster.may("create", kinds.job, "default")).toBe(true);
  });

  test("objects are created, changed, replaced, listed and deleted", async () => {
    const cluster = await connected();
    const space = await namespace("bw-client");
    const place = { namespace: space, name: "x" };
    const made = await cluster.create(configMap(space, { a: "1" }));
    await expect(cluster.create(configMap(space, {}))).rejects.toMatchObject({ kind: "already-exists" });
    await cluster.merge(kinds.configMap, place, { data: { b: "2" } });
    await expect(cluster.replace({ ...made, data: { a: "3" } })).rejects.toMatchObject({ kind: "conflict" });
    const found = await cluster.list(kinds.configMap, { namespace: space, labels: "app=bodywork" });
    expect(found).toMatchObject([{ apiVersion: "v1", kind: "ConfigMap", data: { a: "1", b: "2" } }]);
    expect(await cluster.delete(kinds.configMap, place, { uid: crypto.randomUUID() })).toBe(false);
    expect(await cluster.delete(kinds.configMap, place, { uid: made.metadata.uid })).toBe(true);
    expect(await cluster.get(kinds.configMap, place)).toBeUndefined();
    expect(await cluster.delete(kinds.configMap, place)).toBe(false);
  });

  test("a pod is watched to its end, and its log is read while it is written", async () => {
    const cluster = await connected();
    const space = await namespace("bw-client");
    const code = "import time\nfor i in range(6): print('zeile', i, '☃', flush=True); time.sleep(0.3)";
    await cluster.apply({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "p", namespace: space },
      spec: {
        restartPolicy: "Never",
        containers: [
          { name: "bodywork", image, imagePullPolicy: "IfNotPresent", command: ["python3", "-c", code] },
        ],
      },
    });
    const text = (async () => {
      await untilPhase(cluster, space, ["Running", "Succeeded"]);
      const texts: string[] = [];
      const options = { container: "bodywork", follow: true };
      const { signal } = new AbortController();
      for await (const some of cluster.logs({ namespace: space, name: "p" }, options, signal))
        texts.push(some);
      return texts.join("");
    })();
    await untilPhase(cluster, space, ["Succeeded"]);
    expect(await text).toBe([0, 1, 2, 3, 4, 5].map((i) => `zeile ${i} ☃\n`).join(""));
    const whole: string[] = [];
    const options = { follow: false, tail: 2 };
    for await (const some of cluster.logs(
      { namespace: space, name: "p" },
      options,
      new AbortController().signal,
    )) {
      whole.push(some);
    }
    expect(whole.join("")).toBe("zeile 4 ☃\nzeile 5 ☃\n");
  });

  test("fields of the original's client are taken over, and what an apply leaves out goes", async () => {
    const cluster = await connected();
    const space = await namespace("bw-client");
    await kubectlWithInput(
      JSON.stringify(configMap(space, { a: "1", old: "1" })),
      ...[
        "create",
        "--raw",
        `/api/v1/namespaces/${space}/configmaps?fieldManager=OpenAPI-Generator`,
        "-f",
        "-",
      ],
    );
    const told: string[] = [];
    const applied = await cluster.apply(configMap(space, { a: "2" }), {
      onTakeOver: (manager) => told.push(manager),
    });
    expect(told).toEqual(["OpenAPI-Generator"]);
    expect(applied.data).toEqual({ a: "2" });
    expect(applied.metadata.managedFields).toMatchObject([{ manager: "bodywork", operation: "Apply" }]);
    await cluster.apply(configMap(space, { a: "3" }), { onTakeOver: () => expect.unreachable() });
  });

  test("a Deployment of the original's client is taken over with all its fields", async () => {
    const cluster = await connected();
    const space = await namespace("bw-client");
    const deployment = (replicas: number, name: string): KubernetesObject => ({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "x", namespace: space, labels: { app: "bodywork" } },
      spec: {
        replicas,
        selector: { matchLabels: { app: "bodywork", stage: "x" } },
        template: {
          metadata: { labels: { app: "bodywork", stage: "x" } },
          spec: { containers: [{ name, image, command: ["sleep", "60"], imagePullPolicy: "IfNotPresent" }] },
        },
      },
    });
    await kubectlWithInput(
      JSON.stringify(deployment(0, "theirs")),
      ...[
        "create",
        "--raw",
        `/apis/apps/v1/namespaces/${space}/deployments?fieldManager=OpenAPI-Generator`,
        "-f",
        "-",
      ],
    );
    const tried = await cluster.apply(deployment(1, "ours"), { dryRun: true });
    expect(tried.spec).toMatchObject({ replicas: 1 });
    const changed = await cluster.apply(deployment(1, "ours"));
    expect(changed.spec).toMatchObject({
      replicas: 1,
      template: { spec: { containers: [{ name: "ours" }] } },
    });
    const containers = (changed.spec as { template: { spec: { containers: unknown[] } } }).template.spec
      .containers;
    expect(containers).toHaveLength(1);
  });

  test("a field of another tool is a conflict that names the tool and the field", async () => {
    const cluster = await connected();
    const space = await namespace("bw-client");
    await kubectlWithInput(
      JSON.stringify(configMap(space, { a: "1" })),
      ...["create", "--raw", `/api/v1/namespaces/${space}/configmaps?fieldManager=argocd`, "-f", "-"],
    );
    const error = await cluster.apply(configMap(space, { a: "2" })).catch((failed: unknown) => failed);
    expect(error).toBeInstanceOf(ClusterError);
    expect(error).toMatchObject({ kind: "conflict", causes: ['.data.a: conflict with "argocd" using v1'] });
  });

  test("a right that is missing is told with the verb and the resource", async () => {
    const space = await namespace("bw-client");
    await kubectl("create", "serviceaccount", "nobody", "--namespace", space);
    const token = (await kubectl("create", "token", "nobody", "--namespace", space)).trim();
    const config = JSON.parse(await kubectl("config", "view", "--raw", "--output", "json")) as {
      clusters: unknown[];
    };
    const path = join(temporaryFolder(), "kubeconfig");
    writeFileSync(
      path,
      JSON.stringify({
        clusters: config.clusters,
        users: [{ name: "nobody", user: { token } }],
        contexts: [
          { name: "c", context: { cluster: textAt(config, "clusters", 0, "name"), user: "nobody" } },
        ],
        "current-context": "c",
      }),
    );
    const cluster = await connectCluster({ kubeconfigFiles: path, inCluster: false, version: "4.0.0" });
    onTestFinished(cluster.close);
    await expect(cluster.list(kinds.job, { namespace: space })).rejects.toMatchObject({
      kind: "forbidden",
      message: expect.stringMatching(/cannot list resource "jobs" in API group "batch" in the namespace/),
    });
    expect(await cluster.may("list", kinds.job, space)).toBe(false);
  });
});

async function untilPhase(cluster: Cluster, namespace: string, phases: readonly string[]): Promise<void> {
  const stop = new AbortController();
  for await (const event of cluster.watch(kinds.pod, { namespace, fields: "metadata.name=p" }, stop.signal)) {
    if (objectsOf(event).some((pod) => phases.includes(textAt(pod, "status", "phase") ?? ""))) return;
  }
}

function objectsOf(event: WatchEvent): readonly KubernetesObject[] {
  return event.type === "listed" ? event.objects : [event.object];
}
