import { randomBytes } from "node:crypto";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Cluster } from "../../src/engines/kubernetes/client/cluster.ts";
import { connectCluster } from "../../src/engines/kubernetes/client/connect.ts";
import { createClusterStore } from "../../src/engines/kubernetes/records/cluster-store.ts";
import { createLeases } from "../../src/engines/kubernetes/records/lease.ts";
import type { ClusterStore } from "../../src/engines/kubernetes/records/records.ts";
import { systemClock as clock } from "../../src/lib/system-clock.ts";
import { aDeployment, aRelease, aRun, aStage } from "../store/records.ts";
import { cluster as testCluster } from "../support/cluster.ts";

describe.skipIf(testCluster === undefined)("records in a real cluster", () => {
  test("1,000 deployments are listed in under 2 s, each with its live release and its newest run", async () => {
    const { cluster, namespace } = await place();
    const writers = Array.from({ length: 20 }, () => storeOf(cluster, namespace));
    for (let number = 0; number < 1_000; number += 1) {
      const writer = writers[number % writers.length] as ClusterStore;
      const name = `pipeline-${number}`;
      const of = { deployment: name, namespace: `ns-${number}` };
      const runId = `run-${number}`;
      const stages = ["prepare", "train", "serve"].map(aStage);
      writer.saveRun(aRun(runId, { ...of, status: "running", stages }));
      writer.saveRelease(aRelease(1, { ...of, runId }), aDeployment(1, { namespace: of.namespace, name }));
      writer.saveRun(aRun(runId, { ...of, stages }));
    }
    await Promise.all(writers.map((writer) => writer.settled()));
    const reader = storeOf(cluster, namespace);
    const begun = performance.now();
    await reader.refresh({ kind: "deployments" });
    const views = reader.deployments().map((found) => ({
      release: reader.release(found.namespace, found.name, found.liveRelease ?? 0),
      lastRun: reader.runs({ namespace: found.namespace, deployment: found.name, limit: 1 })[0],
    }));
    const time = performance.now() - begun;
    expect(views.length).toBe(1_000);
    expect(views.every(({ release, lastRun }) => release?.runId === lastRun?.id)).toBe(true);
    expect(views.every(({ lastRun }) => lastRun?.status === "succeeded")).toBe(true);
    expect(time).toBeLessThan(2_000);
  }, 180_000);

  test("what one process has recorded another reads, and of two that make a release one is superseded", async () => {
    const { cluster, namespace } = await place();
    const [one, two] = [storeOf(cluster, namespace), storeOf(cluster, namespace)];
    for (const [index, store] of [one, two].entries()) {
      store.saveRun(aRun(`run-${index}`, { status: "running" }));
      store.saveRelease(aRelease(1, { runId: `run-${index}` }), aDeployment(1));
      store.saveRun(aRun(`run-${index}`));
    }
    const results = await Promise.allSettled([one.settled(), two.settled()]);
    const won = results.findIndex(({ status }) => status === "fulfilled");
    expect(results[1 - won]).toMatchObject({ status: "rejected", reason: { code: "superseded" } });
    const reader = storeOf(cluster, namespace);
    await reader.refresh({ kind: "namespace", namespace: "ml" });
    expect(reader.releases("ml", "iris").map(({ runId }) => runId)).toEqual([`run-${won}`]);
    expect(reader.run(`run-${1 - won}`)?.status).toBe("running");
  }, 60_000);

  test("a record of the size that is allowed fits into a Secret", async () => {
    const { cluster, namespace } = await place();
    const store = storeOf(cluster, namespace);
    // It does not get shorter than its bytes.
    const text = randomBytes(890 * 1024).toString("base64");
    store.saveDocument("a", "b", text);
    await store.settled();
    const reader = storeOf(cluster, namespace);
    await reader.refresh({ kind: "unfinished" });
    expect(reader.document("a", "b")).toEqual(text);
  }, 60_000);

  test("a lease is one controller's, and another's when it was given back", async () => {
    const { cluster, namespace } = await place();
    const leasesOf = (identity: string) =>
      createLeases({ cluster, clock, identity, namespace, duration: 6_000, renew: 500 });
    const never = new AbortController().signal;
    const first = await leasesOf("one").take("ml", "run 1", never, () => {});
    const heard: string[] = [];
    const second = leasesOf("two").take("ml", "run 2", never, (holder) => heard.push(holder));
    await clock.sleep(8_000);
    expect([heard, first.lost.aborted]).toEqual([["run 1"], false]);
    await first.release();
    const lease = await second;
    expect(await leasesOf("three").holder("ml")).toBe("run 2");
    await lease.release();
    expect(await leasesOf("three").holder("ml")).toBeUndefined();
  }, 60_000);
});

async function place(): Promise<{ readonly cluster: Cluster; readonly namespace: string }> {
  if (testCluster === undefined) throw new Error("no cluster");
  const namespace = await testCluster.namespace("records");
  const cluster = await connectCluster({
    kubeconfigFiles: testCluster.kubeconfig,
    inCluster: false,
    version: "test",
  });
  onTestFinished(() => cluster.close());
  return { cluster, namespace };
}

function storeOf(cluster: Cluster, namespace: string): ClusterStore {
  return createClusterStore({ cluster, clock, namespace });
}
