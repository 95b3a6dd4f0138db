import { describe, expect, onTestFinished, test } from "vitest";

import type { KubernetesObject } from "../../src/engines/kubernetes/client/cluster.ts";
import { at } from "../../src/engines/kubernetes/client/objects.ts";
import { clusterObjects, namespaceObjects } from "../../src/engines/kubernetes/manifests/cluster-setup.ts";
import { asyncJobObject, cronJobObject } from "../../src/engines/kubernetes/manifests/controller-job.ts";
import type { Routing } from "../../src/engines/kubernetes/manifests/pod-context.ts";
import { routeObjects } from "../../src/engines/kubernetes/manifests/route.ts";
import { sourceSecrets } from "../../src/engines/kubernetes/manifests/sources.ts";
import { stageJob } from "../../src/engines/kubernetes/manifests/stage-job.ts";
import { serviceObjects } from "../../src/engines/kubernetes/manifests/stage-service.ts";
import {
  batchTask,
  podContext,
  podSettings,
  serviceTask,
  settings,
} from "../engines/kubernetes/manifests/support/tasks.ts";
import { eventually } from "../support/bodywork.ts";
import { cluster, type TestCluster } from "../support/cluster.ts";

const gateway: Routing = { kind: "gateway", gateway: { namespace: "traefik-test", name: "traefik" } };
const traefik: Routing = { kind: "traefik", ingressClass: "traefik" };
const nginx: Routing = { kind: "nginx", ingressClass: "nginx" };

describe.skipIf(cluster === undefined)("the objects that are made for a pipeline", () => {
  // Looked at by tests only, which are skipped without one.
  const { kubectl, kubectlWithInput, json, namespace: newNamespace, image } = cluster ?? ({} as TestCluster);
  const apply = (objects: readonly KubernetesObject[], ...args: readonly string[]): Promise<string> =>
    kubectlWithInput(
      listOf(objects),
      ...["apply", "--server-side", "--field-manager=bodywork", "--validate=strict", "--filename", "-"],
      ...args,
    );

  test("are all taken by the cluster", async () => {
    const namespace = await newNamespace("bw-manifests");
    const objects = allObjects(namespace);
    const taken = await apply(objects, "--dry-run=server");
    expect(taken.trim().split("\n")).toHaveLength(objects.length);
  }, 60_000);

  test("give a stage its commit, its program, its variables and arguments as they are", async () => {
    const namespace = await newNamespace("bw-manifests");
    const archive = Buffer.from(`${"x".repeat(900 * 1024)}the end of the commit`);
    const parts = sourceSecrets({ namespace, commit: "12".repeat(20), archive }) ?? [];
    const program = [
      "cat /bodywork/sources/part-000 /bodywork/sources/part-001 | tail -c 21",
      'printf "\\n%s %s %s\\n" "$2" "$PRICE" "$BODYWORK_ATTEMPT"',
      "touch /bodywork/work/x /bodywork/cache/x && echo written",
      "touch /bodywork/program/x /bodywork/sources/x 2>/dev/null || echo kept",
    ];
    const context = podContext({
      settings: settings({ image_pull_policy: "IfNotPresent", variables: { PRICE: "5$(HOME)$$" } }),
      sources: { kind: "secrets", names: parts.map(({ metadata }) => metadata.name) },
    });
    const task = batchTask(
      { name: "stage_$(HOME)", cpuRequest: 0, memoryRequestMb: 0 },
      { namespace, image },
    );
    const job = stageJob(task, context);
    await apply([
      ...namespaceObjects({ namespace, deployment: "my-project", create: false }),
      ...parts,
      programObject(namespace, program),
      job,
    ]);
    const name = `job/${job.metadata.name}`;
    await kubectl("wait", "--namespace", namespace, "--for=condition=Complete", name, "--timeout=60s");
    const log = await kubectl("logs", "--namespace", namespace, name);
    expect(log.split("\n")).toEqual([
      "the end of the commit",
      "stage_$(HOME) 5$(HOME)$$ 1",
      "written",
      "kept",
      "",
    ]);
  }, 120_000);

  test.each([
    ["a Gateway", gateway],
    ["Traefik's Ingress", traefik],
  ])(
    "lead requests through %s to the service that they are for, and to no other",
    async (_, routing) => {
      const { ingress } = cluster as TestCluster;
      const namespace = await newNamespace("bw-manifests");
      const context = podContext({
        settings: settings({ image_pull_policy: "IfNotPresent", drain_seconds: 0 }),
        sources: { kind: "secrets", names: [] },
      });
      const stage = { name: "stage_2", cpuRequest: 0, memoryRequestMb: 0, replicas: 1 };
      const task = serviceTask(stage, { namespace, image });
      const { deployment, service } = serviceObjects(task, context);
      await apply([
        ...namespaceObjects({ namespace, deployment: "my-project", create: false }),
        programObject(namespace, [`exec python3 -u -c '${echoPath}' "$0"`]),
        deployment,
        service,
        ...routeObjects(task, routing),
      ]);
      await kubectl("rollout", "status", "--namespace", namespace, "deployment/stage-2", "--timeout=60s");
      const ask = async (path: string): Promise<string> =>
        (await fetch(`${ingress}/${namespace}/${path}`)).text();
      await eventually(async () => (await ask("stage-2/")) === "path=/", 30);
      expect(await ask("stage-2/score/v1?x=1")).toBe("path=/score/v1?x=1");
      expect(await ask("stage-2")).toBe("path=/");
      expect(await ask("stage-20/score")).not.toContain("path=");
    },
    120_000,
  );

  test("meet the Pod Security Standards that they are meant to", async () => {
    const pods = async (level: string): Promise<(pod: KubernetesObject) => Promise<string>> => {
      const namespace = await newNamespace("bw-manifests");
      await kubectl("label", "namespace", namespace, `pod-security.kubernetes.io/enforce=${level}`);
      await apply([
        ...clusterObjects({ singleNamespace: namespace }),
        ...namespaceObjects({ namespace, deployment: "my-project", create: false }),
      ]);
      return (pod) => {
        const placed = { ...pod, metadata: { ...pod.metadata, namespace } };
        return kubectlWithInput(JSON.stringify(placed), "create", "--dry-run=server", "--filename", "-");
      };
    };
    const baseline = podOf(stageJob(batchTask(), podContext()), "spec");
    const strict = batchTask({ pod: podSettings({ security: "restricted" }) });
    const restricted = podOf(stageJob(strict, podContext()), "spec");
    const controller = podOf(cronJobObject(cronjob, controllerContext("x")), "spec", "jobTemplate", "spec");
    await expect((await pods("baseline"))(baseline)).resolves.toContain("created");
    const tryRestricted = await pods("restricted");
    await expect(tryRestricted(restricted)).resolves.toContain("created");
    await expect(tryRestricted(controller)).resolves.toContain("created");
    await expect(tryRestricted(baseline)).rejects.toThrow("violates PodSecurity");
  }, 60_000);

  test("can be made by a controller that has no rights beyond its one namespace", async () => {
    const namespace = await newNamespace("bw-manifests");
    await apply(clusterObjects({ singleNamespace: namespace }));
    const account = `system:serviceaccount:${namespace}:bodywork-workflow-controller`;
    const as = `--as=${account}`;
    // For the binding the role must be there; the rest need not be made to be taken.
    await apply(namespaceObjects({ namespace, deployment: "my-project", create: false }), as);
    const accounts = ["ServiceAccount", "Role", "RoleBinding"];
    const others = allObjects(namespace).filter(
      ({ kind, metadata }) => metadata.namespace === namespace && !accounts.includes(kind),
    );
    const taken = await apply(others, "--dry-run=server", as);
    expect(taken.trim().split("\n")).toHaveLength(others.length);
    await expect(kubectl("get", "secrets", "--namespace", "default", as)).rejects.toThrow("forbidden");
  }, 60_000);

  test("take what the original's roles give, under their names", async () => {
    const namespace = await newNamespace("bw-manifests");
    const account = `system:serviceaccount:${namespace}:bodywork-workflow-controller`;
    const role = clusterObjects().find(({ kind }) => kind === "ClusterRole") as KubernetesObject;
    const name = `${namespace}-role`;
    onTestFinished(async () => {
      await kubectl("delete", "clusterrole,clusterrolebinding", name, "--ignore-not-found");
    });
    await apply([{ ...role, metadata: { ...role.metadata, name } }]);
    const subject = `--serviceaccount=${namespace}:bodywork-workflow-controller`;
    await kubectl("create", "clusterrolebinding", name, `--clusterrole=${name}`, subject);
    const made = namespaceObjects({ namespace: `${namespace}-2`, deployment: "my-project", create: true });
    const taken = await apply(made.slice(0, 1), "--dry-run=server", `--as=${account}`);
    expect(taken).toContain("serverside-applied");
    const inPlace = namespaceObjects({ namespace, deployment: "my-project", create: false });
    expect((await apply(inPlace, `--as=${account}`)).trim().split("\n")).toHaveLength(3);
    const found = await json("role", "bodywork-stage", "--namespace", namespace);
    expect(at(found, "rules", 0, "verbs")).toEqual(["get", "list"]);
  }, 60_000);
});

/** Answers with the path that it was asked for. */
const echoPath = [
  "import http.server",
  "class Echo(http.server.BaseHTTPRequestHandler):",
  "    def do_GET(self):",
  '        text = ("path=" + self.path).encode()',
  "        self.send_response(200)",
  '        self.send_header("Content-Length", str(len(text)))',
  "        self.end_headers()",
  "        self.wfile.write(text)",
  'http.server.ThreadingHTTPServer(("0.0.0.0", 5000), Echo).serve_forever()',
].join("\n");

const cronjob = {
  name: "nightly",
  schedule: "@daily",
  timezone: "Europe/Berlin",
  request: {
    url: "https://forge.test/me/my-project",
    branch: "main",
    strict: false,
    startedBy: "cron",
    group: "dev",
  },
  retries: 1,
  historyLimit: 3,
  concurrency: "replace",
  catchUp: "none",
  suspended: false,
} as const;

function controllerContext(namespace: string) {
  return { settings: settings(), namespace, hasSshKey: true, now: "2026-11-23T10:00:00.000Z" };
}

/** One of everything, with all that can be in it. */
function allObjects(namespace: string): readonly KubernetesObject[] {
  const outputs = { model: "model.joblib" };
  const storage = { storage: { claim: "artifacts" }, environment_cache: { claim: "environments" } };
  const context = podContext({ settings: settings(storage) });
  const pod = podSettings({
    nodeSelector: { pool: "gpu" },
    tolerations: [{ key: "gpu", operator: "Exists" }],
    imagePullSecrets: ["registry"],
    extra: { priorityClassName: "system-node-critical", containers: [{ name: "bodywork", tty: false }] },
  });
  const secrets = { KEY: { group: "dev", name: "login", version: 1, key: "KEY" } };
  const batch = batchTask(
    { outputs, pod, cpuLimit: 2, memoryLimitMb: 500, gpuRequest: 1 },
    { namespace, secrets },
  );
  const service = serviceTask({ healthPath: "/healthz" }, { namespace });
  const odd = serviceTask({ name: "2nd.Service_" }, { namespace });
  const request = cronjob.request;
  return [
    ...clusterObjects({ singleNamespace: namespace }),
    ...clusterObjects().filter(({ kind }) => kind.startsWith("Cluster") || kind === "Namespace"),
    ...namespaceObjects({ namespace, deployment: "my-project", create: false }),
    ...(sourceSecrets({ namespace, commit: "12".repeat(20), archive: Buffer.alloc(2_000_000) }) ?? []),
    stageJob(batch, context),
    ...[service, odd].flatMap((task) => {
      const { deployment, service: inside, disruptionBudget } = serviceObjects(task, context);
      return [deployment, inside, ...(disruptionBudget === undefined ? [] : [disruptionBudget])];
    }),
    ...[gateway, traefik, nginx].flatMap((routing, index) =>
      routeObjects(serviceTask({ name: `route-${index}` }, { namespace }), routing),
    ),
    cronJobObject(cronjob, controllerContext(namespace)),
    asyncJobObject({ id: "async-workflow-once", request, retries: 1 }, controllerContext(namespace)),
  ];
}

function podOf(object: KubernetesObject, ...path: readonly string[]): KubernetesObject {
  const spec = at(object, ...path, "template", "spec");
  return { apiVersion: "v1", kind: "Pod", metadata: { name: "probe" }, spec };
}

function programObject(namespace: string, lines: readonly string[]): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: podContext().program, namespace },
    data: { "start.sh": `${lines.join("\n")}\n` },
  };
}

function listOf(items: readonly KubernetesObject[]): string {
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}
