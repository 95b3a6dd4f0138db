import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { BatchTask, ServiceTask } from "../../src/core/run-state.ts";
import { kinds } from "../../src/engines/kubernetes/client/kinds.ts";
import { cluster } from "../support/cluster.ts";
import { type KubernetesMachine, kubernetesMachine } from "../support/kubernetes-machine.ts";
import { answering } from "../support/pipelines.ts";
import { batchStage, batchTask, serviceStage, serviceTask } from "../support/tasks.ts";

const files = {
  "ends.py": `print("made")\n`,
  "eats.py": `held = []\nwhile True:\n    held.append(bytearray(1 << 20))\n`,
  "waits.py": `import os, time\nprint("waiting", flush=True)\ntime.sleep(4)\n`,
  "serve.py": answering("one"),
};
const never = new AbortController().signal;

describe.skipIf(cluster === undefined)("the engine on a real cluster", { timeout: 120_000 }, () => {
  let machine: KubernetesMachine;
  beforeAll(async () => {
    if (cluster !== undefined) machine = await kubernetesMachine(cluster, files);
  }, 120_000);
  afterAll(async () => {
    await machine?.stop();
  });

  function listen() {
    const notes: string[] = [];
    const logs: string[] = [];
    return {
      notes,
      logs,
      log: (_: string, reference: string) => logs.push(reference),
      note: (_: string, text: string) => notes.push(text),
    };
  }

  function batch(
    name: string,
    module: keyof typeof files,
    change: Partial<BatchTask> = {},
    stage: Partial<BatchTask["stage"]> = {},
  ): BatchTask {
    return { ...machine.of(batchTask(batchStage(name, { modulePath: module, ...stage }))), ...change };
  }

  async function logOf(reference: string | undefined): Promise<string> {
    let text = "";
    for await (const part of machine.engine.logReader.read(reference ?? "", { follow: false })) text += part;
    return text;
  }

  test("the log of a stage is there after its Job, until its run is removed", async () => {
    const observer = listen();
    const task = batch("ends", "ends.py", { runId: "run-log" });
    expect(await machine.engine.runBatch(task, observer, never)).toEqual({ kind: "succeeded", outputs: [] });
    await machine.engine.endRun("run-log");
    expect(await logOf(observer.logs[0])).toMatch(/Attempting to run module = ends.py\nmade\n/);
    await machine.engine.removeRun("run-log");
    await machine.cluster.delete(kinds.pod, {
      namespace: machine.namespace,
      name: observer.logs[0]?.split(/[/?]/)[2] ?? "",
    });
    await expect.poll(() => logOf(observer.logs[0]), { timeout: 20_000 }).toBe("");
  });

  test("a log is followed as it grows, and comes whole though its pod goes", async () => {
    let text = "";
    let reading: Promise<void> = Promise.resolve();
    const follow = async (reference: string): Promise<void> => {
      for await (const part of machine.engine.logReader.read(reference, { follow: true })) text += part;
    };
    const outcome = machine.engine.runBatch(
      batch("follows", "waits.py"),
      {
        note: () => {},
        log: (_, reference) => {
          reading = follow(reference);
        },
      },
      never,
    );
    await expect.poll(() => text, { timeout: 30_000 }).toContain("waiting\n");
    expect(await outcome).toMatchObject({ kind: "succeeded" });
    await reading;
    expect(text).toContain("Successfully ran stage");
  });

  test("a stage that takes more memory than it may have is told so", async () => {
    const task = batch("eats", "eats.py", {}, { memoryLimitMb: 60 });
    expect(await machine.engine.runBatch(task, listen(), never)).toMatchObject({
      kind: "failed",
      reason: "out of memory (limit 60 MiB)",
    });
  });

  test("a stage that runs too long is told so", async () => {
    const task = batch("waits", "waits.py", {}, { maxCompletionTimeSeconds: 1 });
    expect(await machine.engine.runBatch(task, listen(), never)).toMatchObject({
      kind: "failed",
      reason: "timed out after 1 s",
    });
  });

  test("an image that is none fails at once, in the node's words", async () => {
    const task = batch("image", "ends.py", { image: "UPPER/case:1" });
    expect(await machine.engine.runBatch(task, listen(), never)).toMatchObject({
      kind: "failed",
      reason: expect.stringMatching(
        /^its image cannot be had: .*(InvalidImageName|invalid reference format)/,
      ),
    });
  });

  test("a stage that no node has room for is told of at once, and ends when it is cancelled", async () => {
    const observer = listen();
    const cancel = new AbortController();
    const task = batch("large", "ends.py", {}, { cpuRequest: 5_000 });
    const outcome = machine.engine.runBatch(task, observer, cancel.signal);
    await expect
      .poll(
        () =>
          observer.notes.some((text) => text.startsWith("Inadequate cluster cpu to start jobs (large): ")),
        {
          timeout: 20_000,
        },
      )
      .toBe(true);
    cancel.abort();
    expect(await outcome).toEqual({ kind: "cancelled" });
  });

  test("a stage whose pods a quota refuses is told of", async () => {
    if (cluster === undefined) return;
    const { namespace } = machine;
    await cluster.kubectl("-n", namespace, "create", "quota", "none", "--hard=pods=0");
    const observer = listen();
    const cancel = new AbortController();
    const outcome = machine.engine.runBatch(batch("quota", "ends.py"), observer, cancel.signal);
    try {
      await expect
        .poll(() => observer.notes.join("\n"), { timeout: 30_000 })
        .toMatch(/Its pods are refused: .*exceeded quota/);
    } finally {
      cancel.abort();
      await outcome;
      await cluster.kubectl("-n", namespace, "delete", "resourcequota", "none");
    }
  });

  test("a pod that is evicted is followed by another, which costs no attempt", async () => {
    if (cluster === undefined) return;
    const observer = listen();
    const task = batch("evicted", "waits.py");
    const outcome = machine.engine.runBatch(task, observer, never);
    await machine.begun(task);
    const pod = observer.logs[0]?.split(/[/?]/)[2] ?? "";
    const eviction = {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { name: pod, namespace: machine.namespace },
    };
    const path = `/api/v1/namespaces/${machine.namespace}/pods/${pod}/eviction`;
    await cluster.kubectlWithInput(JSON.stringify(eviction), "create", "--raw", path, "-f", "-");
    expect(await outcome).toMatchObject({ kind: "succeeded" });
    expect(observer.notes).toContainEqual(expect.stringMatching(/is lost \(.*\); another takes its place/));
    expect(new Set(observer.logs).size).toBe(2);
  });

  test("what the original has deployed is listed, replaced and put back as it was", async () => {
    const { cluster: api, namespace, engine } = machine;
    if (cluster === undefined) return;
    const labels = {
      ...{ app: "bodywork", stage: "served", "deployment-name": "story" },
      ...{ "git-commit-hash": "abc1234", "git-branch": "" },
    };
    const container = {
      name: "bodywork",
      image: cluster.image,
      imagePullPolicy: "IfNotPresent",
      command: ["python3", "-m", "http.server", "5000"],
      livenessProbe: { tcpSocket: { port: 5000 }, periodSeconds: 10 },
    };
    const original = {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "served", namespace, labels, annotations: { port: "5000" } },
      spec: {
        replicas: 1,
        revisionHistoryLimit: 0,
        selector: { matchLabels: { stage: "served" } },
        template: {
          metadata: { labels, annotations: { "last-updated": "2022-07-01T10:00:00" } },
          spec: {
            serviceAccountName: "bodywork-stage",
            terminationGracePeriodSeconds: 1,
            containers: [container],
          },
        },
      },
    };
    // By the name that the original's client has.
    await cluster.kubectlWithInput(
      JSON.stringify(original),
      ...["create", "--field-manager", "OpenAPI-Generator", "-f", "-"],
    );
    await cluster.kubectl("-n", namespace, "rollout", "status", "deployment/served", "--timeout=60s");
    const before = await api.get(kinds.deployment, { namespace, name: "served" });
    await engine.load(namespace);
    const name = { namespace, stage: "served" };
    const previous = engine.currentTask(name);
    expect(engine.services()).toMatchObject([{ deployment: "story", commit: "abc1234", state: "serving" }]);

    const stage = serviceStage("served", { modulePath: "serve.py" });
    const task: ServiceTask = machine.of(serviceTask(stage, { runId: "run-new", release: 1 }));
    expect(await engine.rollOut(task, listen(), never)).toEqual({ kind: "serving" });
    expect(engine.currentTask(name)).toEqual(task);
    expect(await engine.rollOut(previous as ServiceTask, listen(), never)).toEqual({ kind: "serving" });
    const after = await api.get(kinds.deployment, { namespace, name: "served" });
    expect([after?.spec, after?.metadata.labels]).toEqual([before?.spec, before?.metadata.labels]);
    await engine.removeService(name);
    expect(engine.services()).toEqual([]);
  });
});
