import { expect, test } from "vitest";
import { abandonedRuns } from "../../../../src/engines/kubernetes/records/claims.ts";
import { createClusterStore } from "../../../../src/engines/kubernetes/records/cluster-store.ts";
import { createLeases } from "../../../../src/engines/kubernetes/records/lease.ts";
import type { RunStore } from "../../../../src/ports/run-store.ts";
import { aRun } from "../../../store/records.ts";
import { type FakeCluster, fakeCluster } from "../../../support/fake-cluster.ts";
import { createWorld, type World } from "./world.ts";

const never = new AbortController().signal;

/** A command that looks for abandoned runs; how long it took in milliseconds. */
async function found(world: World, cluster: FakeCluster): Promise<[readonly string[], number]> {
  const { clock } = world.process();
  const store = createClusterStore({ cluster, clock });
  await store.refresh({ kind: "unfinished" });
  const begun = world.now();
  let runs: readonly string[] | undefined;
  void abandonedRuns(store, createLeases({ cluster, clock, identity: "looker" }), clock).then(
    (left) => (runs = left.map(({ id }) => id)),
  );
  while (runs === undefined) {
    await world.advance(100);
    // What reads Secrets takes real time.
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return [runs, world.now() - begun];
}

async function aController(world: World, cluster: FakeCluster, identity: string) {
  const process = world.process();
  const { clock } = process;
  const store = createClusterStore({ cluster, clock });
  const leases = createLeases({ cluster, clock, identity });
  return {
    process,
    leases,
    async save(change: (store: RunStore) => unknown) {
      change(store);
      await store.settled();
    },
  };
}

const running = (id: string, namespace: string | undefined, createdAt = "2026-11-25T12:00:00Z") =>
  aRun(id, { status: namespace === undefined ? "preparing" : "running", namespace, createdAt });

test("runs of a controller that lives are not abandoned, nor those that wait for it", async () => {
  const world = createWorld();
  const cluster = fakeCluster();
  const one = await aController(world, cluster, "one");
  await one.save((store) => store.saveRun(running("1", "ml")));
  await one.leases.take("ml", "run 1", never, () => {});
  await one.save((store) => store.saveRun(running("2", "ml")));
  await world.advance(5_000);
  expect(await found(world, cluster)).toEqual([[], 100]);
});

test("the run that had the lease when its controller died is abandoned, one that waits for it may not be", async () => {
  const world = createWorld();
  const cluster = fakeCluster();
  const one = await aController(world, cluster, "one");
  await one.save((store) => store.saveRun(running("1", "ml")));
  await one.save((store) => store.saveRun(running("2", "ml")));
  await one.leases.take("ml", "run 1", never, () => {});
  await world.advance(5_000);
  one.process.pause("stopped");
  await world.advance(60_000);
  const [runs, time] = await found(world, cluster);
  expect([runs, time >= 30_000 && time < 32_000]).toEqual([["1"], true]);
});

test("runs of a namespace whose lease nobody has and nobody takes are abandoned", async () => {
  const world = createWorld();
  const cluster = fakeCluster();
  const one = await aController(world, cluster, "one");
  await one.save((store) => store.saveRun(running("1", "ml")));
  expect(await found(world, cluster)).toEqual([["1"], 5_100]);
});

test("not those of whoever is about to take it, or tells something of the run", async () => {
  const world = createWorld();
  const cluster = fakeCluster();
  const one = await aController(world, cluster, "one");
  await one.save((store) => store.saveRun(running("1", "ml")));
  await one.save((store) => store.saveRun(running("2", "x")));
  const looked = found(world, cluster);
  await one.leases.take("ml", "run 1", never, () => {});
  await one.save((store) => store.saveRun({ ...running("2", "x"), reason: "going on" }));
  expect((await looked)[0]).toEqual([]);
});

test("a run without a namespace is abandoned ten minutes after it was asked for", async () => {
  const world = createWorld();
  const cluster = fakeCluster();
  const one = await aController(world, cluster, "one");
  await one.save((store) => store.saveRun(running("1", undefined)));
  await world.advance(9 * 60_000);
  expect(await found(world, cluster)).toEqual([[], 100]);
  await world.advance(2 * 60_000);
  expect((await found(world, cluster))[0]).toEqual(["1"]);
});
