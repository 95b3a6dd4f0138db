import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { BatchTask, ServiceTask } from "../../src/core/run-state.ts";
import { parseSettings } from "../../src/core/settings.ts";
import {
  type Cluster,
  ClusterError,
  type KubernetesObject,
} from "../../src/engines/kubernetes/client/cluster.ts";
import { connectCluster } from "../../src/engines/kubernetes/client/connect.ts";
import { kinds } from "../../src/engines/kubernetes/client/kinds.ts";
import {
  createKubernetesEngine,
  type KubernetesEngine,
} from "../../src/engines/kubernetes/kubernetes-engine.ts";
import { runLabels } from "../../src/engines/kubernetes/manifests/stage-labels.ts";
import { podState } from "../../src/engines/kubernetes/read-status/pod-state.ts";
import { labels, managementNamespace } from "../../src/engines/kubernetes/vocabulary.ts";
import { runCommand } from "../../src/lib/run-command.ts";
import { systemClock } from "../../src/lib/system-clock.ts";
import type { Engine, RunTarget } from "../../src/ports/engine.ts";
import type { TestCluster } from "./cluster.ts";
import { memoryDocuments } from "./memory-documents.ts";

/** The Kubernetes engine on a real cluster, in a namespace of its own. */
export interface KubernetesMachine {
  readonly namespace: string;
  readonly cluster: Cluster;
  readonly engine: KubernetesEngine;
  /** Nothing of the engine before goes on, as if its process had been killed. */
  restart(): Promise<KubernetesEngine>;
  /** In this machine's namespace, with an image that the cluster has. */
  of<T extends BatchTask | ServiceTask>(task: T): T;
  /** How often a container of the task was started. */
  starts(task: BatchTask | ServiceTask): number;
  runs(task: BatchTask | ServiceTask): boolean;
  /** Resolves when the module of the task runs. */
  begun(task: BatchTask | ServiceTask): Promise<void>;
  stop(): Promise<void>;
}

/** @param files of the commit, by their paths */
export async function kubernetesMachine(
  test: TestCluster,
  files: Readonly<Record<string, string>>,
): Promise<KubernetesMachine> {
  const cluster = await connectCluster({
    kubeconfigFiles: test.kubeconfig,
    inCluster: false,
    version: "test",
  });
  const namespace = await test.makeNamespace("engine");
  const archive = await archiveOf(files);
  const claim = await makeClaim(test, namespace);
  await makeManagementNamespace(cluster);
  const settings = parseSettings(
    JSON.stringify({
      kubernetes: {
        image_pull_policy: "IfNotPresent",
        drain_seconds: 0,
        routes: "none",
        storage: { claim },
        start_timeout_seconds: 60,
      },
    }),
    "settings.yaml",
  ).kubernetes;
  const store = memoryDocuments();
  const pods = await lookAtPods(cluster, namespace);
  let life = begin();
  await life.engine.prepare(target(namespace, test.image), { note: () => {} }, new AbortController().signal);

  return {
    namespace,
    cluster,
    get engine() {
      return life.engine;
    },
    async restart() {
      life.kill();
      life = begin();
      await life.engine.load(namespace);
      return life.engine;
    },
    of: (task) => ({ ...task, namespace, image: test.image }),
    starts: pods.starts,
    runs: pods.runs,
    begun: pods.begun,
    async stop() {
      life.kill();
      pods.close();
      await test.kubectl("delete", "namespace", namespace, "--wait=false");
      const kept = `${labels.record}=log,${labels.namespace}=${namespace}`;
      await test.kubectl("-n", managementNamespace, "delete", "secret", "-l", kept);
      await test.kubectl("delete", "persistentvolume", namespace, "--wait=false");
      // Where the node is this machine.
      await rm(folderOf(namespace), { recursive: true, force: true });
      cluster.close();
    },
  };

  function begin(): { readonly engine: KubernetesEngine; kill(): void } {
    const alive = mortal(cluster);
    const engine = createKubernetesEngine({
      cluster: alive.cluster,
      store,
      source: { archive: async () => archive },
      secrets: { replicate: async () => 0, copyOne: async () => {} },
      images: { resolve: async (image) => ({ image, warnings: [] }) },
      settings,
      clock: systemClock,
    });
    return { engine: { ...engine, ...afterLooking(engine, pods.look) }, kill: alive.kill };
  }
}

function target(namespace: string, image: string): RunTarget {
  return {
    runId: "run-0",
    checkImage: false,
    commit: {
      ...{ repository: "r", hash: "0".repeat(40), url: "file:///r", shortHash: "0000000", branch: undefined },
      ...{ author: "a", subject: "s", committedAt: "2026-11-25T12:00:00Z" },
    },
    plan: {
      ...{ deployment: "story", namespace, secretsGroup: "story", release: 1, image, nodes: [] },
      ...{ removals: [], onFailure: undefined },
    },
  };
}

/** Where logs are kept; others may have made it, and it stays for them. */
async function makeManagementNamespace(cluster: Cluster): Promise<void> {
  const name = managementNamespace;
  if ((await cluster.get(kinds.namespace, { name })) !== undefined) return;
  await cluster
    .create({ apiVersion: "v1", kind: "Namespace", metadata: { name } })
    .catch((error: unknown) => {
      if (!(error instanceof ClusterError) || error.kind !== "already-exists") throw error;
    });
}

async function archiveOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), "archive-"));
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const packed = await runCommand("sh", ["-c", `cd ${folder} && tar -cz * | base64 -w0`], {
      env: { PATH: "/usr/bin:/bin" },
    });
    return Buffer.from(packed.stdout, "base64");
  } finally {
    await rm(folder, { recursive: true });
  }
}

function folderOf(namespace: string): string {
  return `/tmp/bodywork-test-${namespace}`;
}

/** A volume of the node: not every cluster makes volumes by itself. */
async function makeClaim(test: TestCluster, namespace: string): Promise<string> {
  const size = { storage: "1Gi" };
  const volume = {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: namespace },
    spec: {
      capacity: size,
      accessModes: ["ReadWriteOnce"],
      storageClassName: "",
      persistentVolumeReclaimPolicy: "Retain",
      claimRef: { namespace, name: "artifacts" },
      hostPath: { path: folderOf(namespace), type: "DirectoryOrCreate" },
    },
  };
  const claim = {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: "artifacts", namespace },
    spec: {
      accessModes: ["ReadWriteOnce"],
      storageClassName: "",
      volumeName: namespace,
      resources: { requests: size },
    },
  };
  const list = { apiVersion: "v1", kind: "List", items: [volume, claim] };
  await test.kubectlWithInput(JSON.stringify(list), "apply", "-f", "-");
  return "artifacts";
}

/** The cluster as a process sees it that can be killed: no call comes back after that, and none is made. */
function mortal(cluster: Cluster): { readonly cluster: Cluster; kill(): void } {
  const death = new AbortController();
  const never = new Promise<never>(() => {});
  const unlessDead = async <T>(call: () => Promise<T>): Promise<T> => {
    if (death.signal.aborted) return never;
    try {
      const answer = await call();
      return death.signal.aborted ? await never : answer;
    } catch (error) {
      if (death.signal.aborted) return never;
      throw error;
    }
  };
  async function* untilDead<T>(make: (signal: AbortSignal) => AsyncIterable<T>, signal: AbortSignal) {
    if (death.signal.aborted) await never;
    yield* make(AbortSignal.any([signal, death.signal]));
    if (death.signal.aborted) await never;
  }
  return {
    kill: () => death.abort(),
    cluster: {
      ...cluster,
      get: (...args) => unlessDead(() => cluster.get(...args)),
      list: (...args) => unlessDead(() => cluster.list(...args)),
      create: (...args) => unlessDead(() => cluster.create(...args)),
      apply: (...args) => unlessDead(() => cluster.apply(...args)),
      replace: (...args) => unlessDead(() => cluster.replace(...args)),
      merge: (...args) => unlessDead(() => cluster.merge(...args)),
      delete: (...args) => unlessDead(() => cluster.delete(...args)),
      has: (...args) => unlessDead(() => cluster.has(...args)),
      watch: (kind, selection, signal) => untilDead((stop) => cluster.watch(kind, selection, stop), signal),
      logs: (pod, options, signal) => untilDead((stop) => cluster.logs(pod, options, stop), signal),
    },
  };
}

/** What the pods do is looked at anew before an answer is given, so that a test that asks at once is told the truth. */
function afterLooking(
  engine: Engine,
  look: () => Promise<void>,
): Pick<Engine, "runBatch" | "rollOut" | "endRun" | "removeService"> {
  const looked = async <T>(answer: Promise<T>): Promise<T> => {
    const given = await answer;
    await look();
    return given;
  };
  return {
    runBatch: (...args) => looked(engine.runBatch(...args)),
    rollOut: (...args) => looked(engine.rollOut(...args)),
    endRun: (...args) => looked(engine.endRun(...args)),
    removeService: (...args) => looked(engine.removeService(...args)),
  };
}

type Task = BatchTask | ServiceTask;

async function lookAtPods(cluster: Cluster, namespace: string) {
  const stop = new AbortController();
  const there = new Map<string, KubernetesObject>();
  /** Uid → how often its container was started, and whose it is. */
  const started = new Map<
    string,
    { readonly times: number; readonly labels: Readonly<Record<string, string>> }
  >();
  const note = (pod: KubernetesObject): void => {
    const { uid = "", labels: its = {} } = pod.metadata;
    there.set(uid, pod);
    const state = podState(pod);
    const times = "restarts" in state ? state.restarts + 1 : state.kind === "ended" ? 1 : 0;
    if (times > (started.get(uid)?.times ?? 0)) started.set(uid, { times, labels: its });
  };
  const look = async (): Promise<void> => {
    const pods = await cluster.list(kinds.pod, { namespace });
    there.clear();
    pods.forEach(note);
  };
  void (async () => {
    for await (const event of cluster.watch(kinds.pod, { namespace }, stop.signal)) {
      if (event.type === "listed") event.objects.forEach(note);
      else if (event.type === "changed") note(event.object);
      else there.delete(event.object.metadata.uid ?? "");
    }
  })().catch(() => {});
  return {
    look,
    close: () => stop.abort(),
    starts: (task: Task): number =>
      [...started.values()]
        .filter((one) => isOf(task, one.labels))
        .reduce((sum, { times }) => sum + times, 0),
    runs: (task: Task): boolean =>
      [...there.values()].some(
        (pod) => isOf(task, pod.metadata.labels ?? {}) && podState(pod).kind === "running",
      ),
    async begun(task: Task): Promise<void> {
      for (;;) {
        const pod = [...there.values()].find((one) => isOf(task, one.metadata.labels ?? {}));
        if (pod !== undefined && podState(pod).kind === "running") {
          const place = { namespace, name: pod.metadata.name };
          const found = new AbortController();
          for await (const text of cluster.logs(place, { follow: true }, found.signal)) {
            if (text.includes("Attempting to run")) return found.abort();
          }
        }
        await systemClock.sleep(50);
      }
    },
  };
}

function isOf(task: Task, its: Readonly<Record<string, string>>): boolean {
  const wanted = {
    ...runLabels(task),
    ...("attempt" in task ? { [labels.attempt]: String(task.attempt) } : {}),
  };
  return Object.entries(wanted).every(([label, value]) => its[label] === value);
}
