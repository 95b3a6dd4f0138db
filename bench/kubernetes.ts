import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { answering, batch, projectFile, service } from "../tests/support/pipelines.ts";
import type { BenchRow } from "./row.ts";
import { type BenchTool, benchTool, inTurn, timed } from "./tool.ts";

/** Of what plain kubectl makes; each pipeline has its own, which is there before and stays. */
const namespace = "bodywork-bench";
const namespaces = [namespace, ...["one", "five", "rollout"].map(namespaceOf)];

function namespaceOf(pipeline: string): string {
  return `${namespace}-${pipeline}`;
}

/**
 * What a deployment costs more than the same by plain kubectl, on the cluster of BODYWORK_TEST_KUBECONFIG: a trivial batch
 * stage and a chain of five against Jobs that are waited for, a new version of a service against `rollout status` of an
 * equal Deployment, and the list of 1,000 services against kubectl's.
 */
export async function run(): Promise<readonly BenchRow[]> {
  const kubeconfig = process.env.BODYWORK_TEST_KUBECONFIG;
  if (!kubeconfig) {
    process.stderr.write(
      'skipped: it needs a cluster. eval "$(node tests/cluster/tools/cluster.ts up)" starts one.\n',
    );
    return [];
  }
  const image = process.env.BODYWORK_TEST_IMAGE || "docker.io/local/python:3.11";
  const tool = benchTool({ KUBECONFIG: kubeconfig, BODYWORK_ENGINE: "kubernetes" });
  let configured = true;
  try {
    writeFileSync(
      join(tool.home, "settings.yaml"),
      JSON.stringify({ kubernetes: { image_check: false, image_pull_policy: "IfNotPresent" } }),
    );
    await kubectl(tool, "delete", "namespace", ...namespaces, "--ignore-not-found");
    for (const name of namespaces) await kubectl(tool, "create", "namespace", name);
    configured = await isConfigured(tool);
    await tool.bodywork("configure-cluster");
    return [
      ...(await batches(tool, image)),
      ...(await rollOuts(tool, image)),
      ...(await listing(tool, image)),
    ];
  } finally {
    await kubectl(tool, "delete", "namespace", ...namespaces, "--ignore-not-found", "--wait=false");
    if (!configured) await tool.bodywork("cluster", "remove", "--yes", "--with-deployments");
    await tool.remove();
  }
}

/** Whether somebody else's Bodywork is there, which stays. */
async function isConfigured(tool: BenchTool): Promise<boolean> {
  const there = ["get", "namespace", "bodywork-deployment-jobs", "--ignore-not-found", "--output=name"];
  return (await kubectl(tool, ...there)).stdout !== "";
}

async function batches(tool: BenchTool, image: string): Promise<readonly BenchRow[]> {
  const one = await chain(tool, "one", 1);
  const five = await chain(tool, "five", 5);
  const deploy = (url: string) => () =>
    tool.bodywork("create", "deployment", url, `--bodywork-image=${image}`);
  let jobs = 0;
  const job = async (): Promise<void> => {
    const name = `job-${++jobs}`;
    const there = ["--namespace", namespace];
    await kubectl(tool, "create", "job", name, ...there, `--image=${image}`, "--", "python3", "-c", "pass");
    await kubectl(tool, "wait", "--for=condition=complete", `job/${name}`, ...there, "--timeout=120s");
  };
  const fiveJobs = async (): Promise<void> => {
    for (let count = 0; count < 5; count++) await job();
  };
  for (const url of [one, five]) await deploy(url)();
  const [oneTime = 0, oneJob = 0, fiveTime = 0, fiveJob = 0] = await inTurn(3, [
    deploy(one),
    job,
    deploy(five),
    fiveJobs,
  ]);
  const further = (fiveTime - oneTime - (fiveJob - oneJob)) / 4;
  return [
    {
      name: "Kubernetes: a deployment of one trivial batch stage, over kubectl create job and wait",
      value: oneTime - oneJob,
      unit: "ms",
      goal: "≤ 1500",
      note: `${Math.round(oneTime)} ms, kubectl ${Math.round(oneJob)} ms`,
    },
    {
      name: "Kubernetes: each further stage of a chain of five, over kubectl",
      value: further,
      unit: "ms",
      goal: "≤ 500",
      note: `5 stages ${Math.round(fiveTime)} ms, kubectl ${Math.round(fiveJob)} ms`,
    },
  ];
}

function chain(tool: BenchTool, name: string, count: number): Promise<string> {
  const stages = Array.from({ length: count }, (_, index) => `s${index}`);
  return tool.project(name, {
    "bodywork.yaml": projectFile({
      name,
      dag: stages.join(" >> "),
      pipeline: [`namespace: ${namespaceOf(name)}`],
      stages: Object.fromEntries(stages.map((stage) => [stage, batch()])),
    }),
    ...Object.fromEntries(stages.map((stage) => [`${stage}.py`, "pass\n"])),
  });
}

interface Deployment {
  readonly metadata: { readonly namespace: string };
  readonly spec: {
    readonly template: { readonly metadata: Readonly<Record<string, unknown>> };
  };
}

async function rollOuts(tool: BenchTool, image: string): Promise<readonly BenchRow[]> {
  const commit = (answer: string): Promise<string> =>
    tool.project("rollout", {
      "bodywork.yaml": projectFile({
        name: "rollout",
        dag: "serve",
        pipeline: [`namespace: ${namespaceOf("rollout")}`],
        stages: { serve: service(5000, { replicas: 2 }) },
      }),
      "serve.py": answering(answer),
    });
  let turn = 0;
  const deploy = async (): Promise<void> => {
    await tool.bodywork("update", "deployment", await commit(String(turn++)), `--bodywork-image=${image}`);
  };
  await deploy();
  const there = ["--namespace", namespaceOf("rollout")];
  await copyDeployment(tool, "serve", "plain", there);
  const plain = async (): Promise<void> => {
    const change = { spec: { template: { metadata: { annotations: { turn: String(turn++) } } } } };
    await kubectl(tool, "patch", "deployment", "plain", ...there, "--patch", JSON.stringify(change));
    await kubectl(tool, "rollout", "status", "deployment/plain", ...there, "--timeout=120s");
  };
  await plain();
  const [ours = 0, theirs = 0] = await inTurn(3, [deploy, plain]);
  return [
    {
      name: "Kubernetes: a new version of a service, over kubectl patch and rollout status of an equal Deployment",
      value: ours - theirs,
      unit: "ms",
      goal: "≤ 1500",
      note: `2 replicas; ${Math.round(ours)} ms, kubectl ${Math.round(theirs)} ms`,
    },
  ];
}

/** The same pods, under labels that make it nobody's. */
async function copyDeployment(
  tool: BenchTool,
  name: string,
  copy: string,
  there: readonly string[],
): Promise<void> {
  const { stdout } = await kubectl(tool, "get", "deployment", name, ...there, "--output", "json");
  const { metadata, spec } = JSON.parse(stdout) as Deployment;
  const labels = { plain: copy };
  await apply(tool, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: copy, namespace: metadata.namespace },
    spec: {
      ...spec,
      selector: { matchLabels: labels },
      template: { ...spec.template, metadata: { ...spec.template.metadata, labels } },
    },
  });
  await kubectl(tool, "rollout", "status", `deployment/${copy}`, ...there, "--timeout=120s");
}

const listed = 1_000;

async function listing(tool: BenchTool, image: string): Promise<readonly BenchRow[]> {
  const items = Array.from({ length: listed }, (_, index) => idleService(`many-${index}`, image));
  await apply(tool, { apiVersion: "v1", kind: "List", items });
  const ours = () => tool.bodywork("get", "deployments", "--output", "json");
  const theirs = () =>
    kubectl(
      tool,
      ...["get", "deployments,services", "--all-namespaces", "--selector=app=bodywork", "--output", "json"],
    );
  await ours();
  const [oursTime = 0, theirsTime = 0] = await inTurn(5, [ours, theirs]);
  const table = await timed(() => tool.bodywork("get", "deployments"));
  return [
    {
      name: `Kubernetes: get deployments of ${listed} services, to kubectl get deployments,services -o json`,
      value: oursTime / theirsTime,
      unit: "ratio",
      goal: "≤ 1.5",
      note: `${Math.round(oursTime)} ms (as a table ${Math.round(table)} ms), kubectl ${Math.round(theirsTime)} ms`,
    },
  ];
}

/** As the original makes them, with no replica: the nodes have nothing to do with it. */
function idleService(name: string, image: string) {
  const labels = {
    ...{ app: "bodywork", stage: name, "deployment-name": name },
    ...{ "git-commit-hash": "abc1234", "git-branch": "main" },
  };
  const container = {
    ...{ name: "bodywork", image, command: ["bodywork", "stage"] },
    args: ["https://example.com/many", name],
  };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace, labels, annotations: { port: "5000" } },
    spec: {
      replicas: 0,
      selector: { matchLabels: { stage: name } },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  };
}

async function apply(tool: BenchTool, object: unknown): Promise<void> {
  const file = join(tool.folder, "objects.json");
  writeFileSync(file, JSON.stringify(object));
  await kubectl(tool, "create", "--filename", file);
}

function kubectl(tool: BenchTool, ...args: readonly string[]) {
  return tool.program(process.env.BODYWORK_TEST_KUBECTL || "kubectl", args);
}
