/** The controller's pod is killed in the middle of a deployment: the next one goes on, and nothing is done twice. */

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, test } from "vitest";
import type { Job } from "../../../src/core/job-state.ts";
import { cluster, type TestCluster } from "../../support/cluster.ts";
import { makeProject } from "../../support/git-project.ts";
import { answering, batch, projectFile, service } from "../../support/pipelines.ts";
import { clusterTool, expectDone } from "./support/cluster-tool.ts";

const management = "bodywork-deployment-jobs";

const records = ["secrets", "-n", management, "-l"];

/** What is in the cluster when the controller dies: arguments of `kubectl get` that then find something. */
const moments: readonly (readonly [when: string, get: (namespace: string) => readonly string[]])[] = [
  ["the run is on record", () => [...records, "bodywork.io/record=run,bodywork.io/finished=false"]],
  ["the namespace is made", (namespace) => ["serviceaccount", "bodywork-stage", "-n", namespace]],
  ["the stage's Job is made", (namespace) => ["jobs", "-n", namespace, "-l", "stage=train"]],
  [
    "the stage runs",
    (namespace) => ["pods", "-n", namespace, "-l", "stage=train", "--field-selector=status.phase=Running"],
  ],
  [
    "the outcome of the stage is on record",
    (namespace) => [...records, `bodywork.io/record=document,bodywork.io/namespace=${namespace}`],
  ],
  ["the service is rolled out", (namespace) => ["deployments", "-n", namespace, "-l", "stage=serve"]],
  [
    "the release is on record",
    (namespace) => [...records, `bodywork.io/record=deployment,bodywork.io/namespace=${namespace}`],
  ],
];

const lastMoment = moments.at(-1)?.[0];

describe.skipIf(cluster?.controllerImage === undefined)("a controller in the cluster is killed", () => {
  const there = cluster as TestCluster;

  const namespaces = moments.map((_, index) => `kill-story-${index}`);
  afterAll(async () => {
    await Promise.all(namespaces.map((namespace) => there.deleteNamespace(namespace)));
  }, 180_000);

  test.each(moments)(
    "when %s: the next one goes on with the same run, and each stage runs once",
    async (when, get) => {
      const name = `kill-story-${moments.findIndex(([other]) => other === when)}`;
      const id = `async-workflow-${name}`;
      const tool = await clusterTool(there);
      const files = {
        "bodywork.yaml": projectFile({
          name,
          dag: "train >> serve",
          stages: { train: batch(), serve: service(5000, { ingress: false }) },
        }),
        "train.py": "import time\ntime.sleep(3)\n",
        "serve.py": answering("one"),
      };
      const url = tool.serve(await makeProject({ files }), name);
      expectDone(
        await tool.run(
          ...["create", "deployment", url, "--async", `--async-job-name=${name}`, "--retries=3", tool.image],
        ),
        `Created workflow-job=${id}`,
      );

      await until(
        async () => (await there.kubectl("get", ...get(name), "--ignore-not-found", "-o", "name")) !== "",
      );
      // All but the first process, which reaps: it ends as its child did. No signal that could be handled is sent.
      const pod = await there.kubectl("get", "pods", "-n", management, "-l", `job-name=${id}`, "-o", "name");
      const killed = there.kubectl("exec", "-n", management, pod.trim(), "--", "sh", "-c", "kill -9 -1");
      // After the last moment it may have ended by itself before the signal comes.
      await (when === lastMoment ? killed.catch(() => {}) : killed);

      await until(async () => (await jobOf(tool, id))?.status === "succeeded");
      const job = await jobOf(tool, id);
      expect(job?.runs).toHaveLength(1);
      const events = await there.json<{ items: readonly { reason: string; message: string }[] }>(
        ...["events", "-n", name, "--field-selector=involvedObject.kind=Job"],
      );
      const started = events.items.filter(({ reason }) => reason === "SuccessfulCreate");
      expect(started.map(({ message }) => message.replace(/-[a-z0-9]{5}$/, ""))).toEqual([
        "Created pod: train",
      ]);
      const { stdout } = await tool.run("get", "deployments", name, "--output", "json");
      expect(JSON.parse(stdout)).toMatchObject([
        { liveRelease: 1, services: [{ stage: "serve", state: "serving", readyReplicas: 1 }] },
      ]);
    },
    300_000,
  );
});

async function jobOf(tool: Awaited<ReturnType<typeof clusterTool>>, id: string): Promise<Job | undefined> {
  const { stdout } = await tool.run("get", "deployments", "--async", "--output", "json");
  return (JSON.parse(stdout) as readonly Job[]).find((job) => job.id === id);
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 150_000;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error("it has not come so far in 150 s");
    await sleep(50);
  }
}
