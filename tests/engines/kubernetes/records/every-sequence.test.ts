import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import type { Run } from "../../../../src/core/run-state.ts";
import { createClusterStore } from "../../../../src/engines/kubernetes/records/cluster-store.ts";
import type { ClusterStore } from "../../../../src/engines/kubernetes/records/records.ts";
import { systemClock } from "../../../../src/lib/system-clock.ts";
import type { RunStore } from "../../../../src/ports/run-store.ts";
import { openStore } from "../../../../src/store/sqlite-store.ts";
import { aDeployment, aRelease, aRun, aService, aStage } from "../../../store/records.ts";
import { type FakeCluster, fakeCluster } from "../../../support/fake-cluster.ts";
import { createRandom, type Random } from "../../../support/random.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const at = new Date("2026-11-23T19:05:12Z");
const namespaces = ["ml", "x"];
const names = ["iris", "wine"];
const ids = Array.from({ length: 8 }, (_, index) => `20261123-19051200${index}-k3f9`);
const keys = ["own", ...ids.map((id) => `${id}/train/1`)];

const storeOf = (cluster: FakeCluster): ClusterStore => createClusterStore({ cluster, clock: systemClock });

type Change = (store: RunStore) => unknown;

/** One call of the store; numbers of releases are one run's each. */
function anyChange(random: Random): Change {
  const id = random.pick(ids);
  const namespace = random.pick(namespaces);
  const name = random.pick(names);
  const number = 1 + random.below(3);
  const key = random.pick(keys);
  const release = aRelease(number, { namespace, deployment: name, runId: ids[number] ?? "" });
  switch (random.below(12)) {
    case 0:
    case 1:
    case 2: {
      const run = anyRun(id, random);
      const told = random.chance(0.5)
        ? undefined
        : { event: { kind: "run", status: run.status } as const, at };
      return (store) => store.saveRun(run, told);
    }
    case 3:
      return (store) => store.addEvent(id, { kind: "notice", level: "info", text: `about ${id}` }, at);
    case 4:
    case 5: {
      const live = random.chance(0.8) ? number : 1 + random.below(3);
      return (store) => store.saveRelease(release, aDeployment(live, { namespace, name }));
    }
    case 6:
      return (store) => store.removeRelease(release);
    case 7:
      if (random.chance(0.6)) return () => undefined;
      return (store) => [...store.removeDeployment(namespace, name)].sort();
    case 8: {
      const keep = random.below(3);
      return (store) => [...store.removeOldRuns(keep)].sort();
    }
    case 9: {
      const some = [random.pick(ids), "unknown", id].filter((one, index, all) => all.indexOf(one) === index);
      return (store) => store.removeRuns(some);
    }
    case 10: {
      const value = { number: random.below(10), none: undefined };
      return (store) => store.saveDocument("outcomes", key, value);
    }
    default:
      return (store) => store.removeDocument("outcomes", key);
  }
}

function anyRun(id: string, random: Random): Run {
  const isPlaced = random.chance(0.8);
  return aRun(id, {
    status: random.pick(["queued", "running", "failed", "succeeded"]),
    namespace: isPlaced ? random.pick(namespaces) : undefined,
    deployment: isPlaced ? random.pick(names) : undefined,
    reason: random.chance(0.3) ? "why" : undefined,
    stages: random.chance(0.5) ? [aStage("one"), aStage("two")] : [],
  });
}

/** All that can be asked. */
function view(store: RunStore): unknown {
  const pipelines = namespaces.flatMap((namespace) => names.map((name) => [namespace, name] as const));
  return JSON.parse(
    JSON.stringify({
      runs: store.runs({}),
      some: store.runs({ namespace: "ml", limit: 2 }),
      ids: store.runIds("2026", 5),
      byId: ids.map((id) => store.run(id) ?? null),
      unfinished: store.unfinishedRuns(),
      events: ids.map((id) => store.events(id, 1)),
      deployments: store.deployments(),
      deployment: pipelines.map((of) => store.deployment(...of) ?? null),
      releases: pipelines.map((of) => store.releases(...of)),
      release: pipelines.map((of) => [1, 2, 3].map((number) => store.release(...of, number) ?? null)),
      documents: [...store.documents("outcomes")],
      document: keys.map((key) => store.document("outcomes", key) ?? null),
    }),
  );
}

async function refreshAll(store: ClusterStore): Promise<void> {
  for (const namespace of namespaces) await store.refresh({ kind: "namespace", namespace });
  for (const id of ids) await store.refresh({ kind: "run", id });
}

test.each(Array.from({ length: 20 }, (_, index) => index))(
  "after any calls the record in a cluster is what the one on this machine is, also for the next process (seed %i)",
  async (seed) => {
    const random = createRandom(seed + 1);
    const file = join(temporaryFolder("store"), "store.db");
    const model = openStore(file);
    const cluster = fakeCluster();
    let store = storeOf(cluster);
    for (let step = 0; step < 60; step += 1) {
      const change = anyChange(random);
      expect(JSON.stringify(change(store)) ?? null).toEqual(JSON.stringify(change(model)) ?? null);
      if (random.chance(0.15)) await new Promise((resolve) => setImmediate(resolve));
      if (random.chance(0.1)) await store.settled();
      if (random.chance(0.05)) await store.refresh({ kind: "namespace", namespace: random.pick(namespaces) });
      if (random.chance(0.05)) {
        await store.settled();
        store = storeOf(cluster);
        await refreshAll(store);
      }
    }
    expect(view(store)).toEqual(view(model));
    await store.settled();
    expect(view(store)).toEqual(view(model));
    const next = storeOf(cluster);
    await refreshAll(next);
    expect(view(next)).toEqual(view(model));
    model.close();
    rmSync(dirname(file), { recursive: true });
  },
);

/** Some runs of two pipelines, one after the other in each, as the operations record them. */
function* life(random: Random): Generator<Change> {
  const numbers = new Map<string, number>();
  for (let index = 0; index < 12; index += 1) {
    const id = `20261123-1905120${String(index).padStart(2, "0")}-k3f9`;
    const namespace = "ml";
    const name = random.pick(names);
    const number = (numbers.get(name) ?? 0) + 1;
    const of = { namespace, deployment: name };
    const run = (status: Run["status"], more: Partial<Run> = {}): Change => {
      const told = { event: { kind: "run", status } as const, at };
      return (store) => store.saveRun(aRun(id, { status, ...of, ...more }), told);
    };
    yield run("queued");
    yield run("running", { release: number });
    yield (store) => store.saveDocument("outcomes", `${id}/train/1`, { outcome: "succeeded" });
    yield (store) => store.addEvent(id, { kind: "notice", level: "info", text: "on its way" }, at);
    if (random.chance(0.3)) {
      yield run("failed", { release: number });
    } else {
      numbers.set(name, number);
      const deployment = aDeployment(number, { namespace, name, updatedAt: `${index}` });
      yield (store) => store.saveRelease(aRelease(number, { ...of, runId: id }), deployment);
      yield run("succeeded", { release: number });
    }
    yield (store) => store.removeDocument("outcomes", `${id}/train/1`);
    if (random.chance(0.2)) yield (store) => store.removeOldRuns(2);
    if (random.chance(0.3)) {
      yield (store) => store.removeRelease({ namespace, deployment: name, number: number - 2 });
    }
    if (random.chance(0.15)) {
      numbers.delete(name);
      yield (store) => store.removeDeployment(namespace, name);
    }
  }
}

/**
 * What no process may ever find, whenever the one before it was killed. `outcomes`: keys that were there
 * before.
 */
async function disorder(found: FakeCluster, outcomes: Set<string>): Promise<readonly string[]> {
  const store = storeOf(found);
  await store.refresh({ kind: "namespace", namespace: "ml" });
  const wrong: string[] = [];
  for (const { namespace, name, liveRelease } of store.deployments()) {
    const live = liveRelease === undefined ? undefined : store.release(namespace, name, liveRelease);
    if (live === undefined) wrong.push(`the live release ${liveRelease} of ${name} is missing`);
    else if (store.run(live.runId) === undefined) wrong.push(`release ${liveRelease} of ${name} has no run`);
    if (liveRelease !== store.releases(namespace, name)[0]?.number) wrong.push(`${name} has a newer release`);
  }
  for (const run of store.runs({})) {
    if (run.status !== "succeeded" || run.release === undefined || run.deployment === undefined) continue;
    // Older releases may have been removed.
    const live = store.deployment("ml", run.deployment)?.liveRelease;
    if (live !== undefined && live < run.release) wrong.push(`run ${run.id} succeeded without its release`);
  }
  for (const key of store.documents("outcomes").keys()) {
    const [runId = ""] = key.split("/");
    if (store.run(runId) === undefined) wrong.push(`an outcome of run ${runId}, which is missing`);
  }
  for (const { id } of store.unfinishedRuns()) {
    const key = `${id}/train/1`;
    const isThere = store.document("outcomes", key) !== undefined;
    if (isThere) outcomes.add(key);
    else if (outcomes.has(key)) wrong.push(`run ${id} goes on and has lost its outcome`);
  }
  return wrong;
}

test.each(Array.from({ length: 25 }, (_, index) => index))(
  "whenever the process is killed between two writes, what is there is in order (seed %i)",
  async (seed) => {
    const random = createRandom(seed + 1);
    const cluster = fakeCluster();
    const dumps: FakeCluster[] = [];
    cluster.after = () => {
      dumps.push(fakeCluster({ objects: cluster.dump() }));
    };
    const store = storeOf(cluster);
    for (const change of life(random)) {
      change(store);
      // From writing each change by itself to writing all of them at the end.
      if (random.chance((seed % 5) / 4)) await new Promise((resolve) => setImmediate(resolve));
    }
    await store.settled();
    expect(dumps.length).toBeGreaterThan(10);
    const outcomes = new Set<string>();
    for (const found of dumps) expect(await disorder(found, outcomes)).toEqual([]);
  },
);

test("states of services are in memory only, as they were saved", () => {
  const store = storeOf(fakeCluster());
  store.saveServiceStatus(aService("serve"));
  store.saveServiceStatus(aService("another"));
  expect(store.services().map(({ stage }) => stage)).toEqual(["another", "serve"]);
  store.removeServiceStatus("ml", "serve");
  expect(store.services().map(({ stage }) => stage)).toEqual(["another"]);
});
