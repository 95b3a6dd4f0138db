import { expect, test } from "vitest";
import { ClusterError } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import { type ClusterLeases, createLeases } from "../../../../src/engines/kubernetes/records/lease.ts";
import { managementNamespace } from "../../../../src/engines/kubernetes/vocabulary.ts";
import { type FakeCluster, fakeCluster } from "../../../support/fake-cluster.ts";
import { createRandom } from "../../../support/random.ts";
import { createWorld, type Process, type World } from "./world.ts";

const never = new AbortController().signal;

interface Controller {
  readonly process: Process;
  readonly leases: ClusterLeases;
}

function controller(world: World, cluster: FakeCluster, identity: string, skew = 0): Controller {
  const process = world.process(skew);
  return { process, leases: createLeases({ cluster, clock: process.clock, identity }) };
}

/** Begins to take the lease; `got` is when. */
function taking({ leases }: Controller, world: World, namespace = "ml", holder = "run 1", signal = never) {
  const heard: string[] = [];
  const state: { got?: number; error?: unknown; lease?: Awaited<ReturnType<ClusterLeases["take"]>> } = {};
  void leases
    .take(namespace, holder, signal, (whom) => heard.push(whom))
    .then(
      (lease) => Object.assign(state, { lease, got: world.now() }),
      (error: unknown) => Object.assign(state, { error }),
    );
  return { heard, state };
}

const leaseOf = (cluster: FakeCluster) => cluster.objects(kinds.lease, managementNamespace)[0];

test("one has it, the other waits and is told for whom, and gets it soon after it was given back", async () => {
  const world = createWorld();
  const cluster = fakeCluster();
  const [one, two] = [controller(world, cluster, "one"), controller(world, cluster, "two")];
  const first = taking(one, world, "ml", "run 1");
  await world.advance(100);
  expect(first.state.lease?.lost.aborted).toBe(false);
  const second = taking(two, world, "ml", "run 2");
  await world.advance(120_000);
  expect([second.heard, second.state]).toEqual([["run 1"], {}]);
  expect(first.state.lease?.lost.aborted).toBe(false);
  expect(await two.leases.lookAt("ml")).toEqual({ kind: "held", holder: "run 1" });
  await first.state.lease?.release();
  expect(await two.leases.holder("ml")).toBeUndefined();
  await world.advance(2_100);
  expect(second.state.got).toBeDefined();
  expect(await one.leases.holder("ml")).toBe("run 2");
  expect(leaseOf(cluster)?.spec).toMatchObject({
    holderIdentity: expect.stringContaining("two"),
    leaseDurationSeconds: 30,
    leaseTransitions: 1,
    renewTime: expect.stringMatching(/\.\d{6}Z$/),
  });
});

test("namespaces have leases of their own, named by them", async () => {
  const world = createWorld();
  const cluster = fakeCluster();
  const taken = ["ml", "x"].map((name) => taking(controller(world, cluster, name), world, name));
  await world.advance(100);
  expect(taken.map(({ state }) => state.got)).toEqual([expect.any(Number), expect.any(Number)]);
  const names = cluster.objects(kinds.lease).map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
  expect(names).toEqual([`${managementNamespace}/ml`, `${managementNamespace}/x`]);
});

for (const skew of [-3_600_000, 0, 3_600_000]) {
  test(`the lease of a controller that died is free when it was seen for 30 s, clocks ${skew / 60_000} min apart`, async () => {
    const world = createWorld();
    const cluster = fakeCluster();
    const [one, two] = [controller(world, cluster, "one"), controller(world, cluster, "two", skew)];
    taking(one, world);
    await world.advance(15_000);
    one.process.pause("stopped");
    await world.advance(600_000);
    const begun = world.now();
    const second = taking(two, world, "ml", "run 2");
    await world.advance(29_500);
    expect(second.state.got).toBeUndefined();
    await world.advance(3_000);
    expect((second.state.got ?? 0) - begun).toBeGreaterThanOrEqual(30_000);
  });
}

test("what it says of a lease whose holder died takes 30 s, of one that is renewed a few, whatever the clocks say", async () => {
  const world = createWorld();
  const cluster = fakeCluster();
  const one = controller(world, cluster, "one");
  const first = taking(one, world, "ml", "run 1");
  await world.advance(5_000);
  const looked = async (skew: number): Promise<[unknown, number]> => {
    const begun = world.now();
    const other = controller(world, cluster, `other ${skew}`, skew);
    let state: unknown;
    void other.leases.lookAt("ml").then((found) => (state = found));
    while (state === undefined) await world.advance(100);
    return [state, world.now() - begun];
  };
  expect(await looked(0)).toEqual([{ kind: "held", holder: "run 1" }, 100]);
  for (const skew of [-3_600_000, 3_600_000]) {
    const [state, time] = await looked(skew);
    expect([state, time < 11_100]).toEqual([{ kind: "held", holder: "run 1" }, true]);
  }
  one.process.pause("stopped");
  await world.advance(13_000);
  for (const skew of [-3_600_000, 0, 3_600_000]) {
    const [state, time] = await looked(skew);
    expect([state, time >= 30_000, time < 31_500]).toEqual([
      { kind: "expired", holder: "run 1" },
      true,
      true,
    ]);
  }
  expect(first.state.lease?.lost.aborted).toBe(false);
});

for (const how of ["stopped", "asleep"] as const) {
  test(`a controller that was ${how} for longer than it may has lost the lease when it wakes, and does not take it back`, async () => {
    const world = createWorld();
    const cluster = fakeCluster();
    const one = controller(world, cluster, "one");
    const first = taking(one, world);
    await world.advance(5_000);
    one.process.pause(how);
    await world.advance(28_000);
    const before = leaseOf(cluster)?.metadata.resourceVersion;
    one.process.resume();
    expect(first.state.lease?.lost.aborted).toBe(false); // No timer of it has run yet.
    one.leases.check();
    expect(first.state.lease?.lost.aborted).toBe(true);
    await world.advance(60_000);
    await first.state.lease?.release();
    expect(leaseOf(cluster)?.metadata.resourceVersion).toBe(before);
  });

  test(`a controller that was ${how} for a moment still has it`, async () => {
    const world = createWorld();
    const cluster = fakeCluster();
    const one = controller(world, cluster, "one");
    const first = taking(one, world);
    await world.advance(5_000);
    one.process.pause(how);
    await world.advance(15_000);
    one.process.resume();
    await world.advance(60_000);
    expect(first.state.lease?.lost.aborted).toBe(false);
  });
}

const silences: Record<string, () => Promise<never>> = {
  "can't reach the cluster": async () => {
    throw new ClusterError("unreachable", "ECONNREFUSED");
  },
  "hears nothing from the cluster": () => new Promise(() => {}),
};

for (const [what, answer] of Object.entries(silences)) {
  test(`a controller that ${what} gives the lease up 5 s before another may take it`, async () => {
    const world = createWorld();
    const cluster = fakeCluster();
    const one = controller(world, cluster, "one");
    const first = taking(one, world);
    await world.advance(10_500); // It was renewed half a second ago.
    cluster.before = answer;
    one.process.setClock(-3_600_000);
    await world.advance(24_000);
    expect(first.state.lease?.lost.aborted).toBe(false);
    await world.advance(1_000);
    expect(first.state.lease?.lost.aborted).toBe(true);
  });
}

test("a renewal that fails is tried again until it is done", async () => {
  const world = createWorld();
  const cluster = fakeCluster();
  const first = taking(controller(world, cluster, "one"), world);
  await world.advance(5_000);
  cluster.before = () => {
    throw new ClusterError("unreachable", "ECONNREFUSED");
  };
  await world.advance(15_000);
  cluster.before = undefined;
  await world.advance(120_000);
  expect(first.state.lease?.lost.aborted).toBe(false);
});

test("a lease that somebody labels is still ours, one that was taken or removed is not", async () => {
  const world = createWorld();
  const cluster = fakeCluster();
  const labelled = taking(controller(world, cluster, "one"), world, "a");
  const taken = taking(controller(world, cluster, "two"), world, "b");
  const removed = taking(controller(world, cluster, "three"), world, "c");
  await world.advance(5_000);
  const [a, b, c] = cluster.objects(kinds.lease, managementNamespace);
  if (a === undefined || b === undefined || c === undefined) throw new Error("no leases");
  cluster.put({ ...a, metadata: { ...a.metadata, labels: { team: "x" } } });
  cluster.put({ ...b, spec: { ...(b.spec as object), holderIdentity: "kubectl" } });
  cluster.remove(kinds.lease, { namespace: managementNamespace, name: c.metadata.name });
  await world.advance(60_000);
  expect([labelled, taken, removed].map(({ state }) => state.lease?.lost.aborted)).toEqual([
    false,
    true,
    true,
  ]);
  await taken.state.lease?.release();
  expect(cluster.objects(kinds.lease, managementNamespace)[1]?.spec).toMatchObject({
    holderIdentity: "kubectl",
  });
});

test("a lease whose renewal was done though its answer was lost is kept", async () => {
  const world = createWorld();
  const cluster = fakeCluster();
  const first = taking(controller(world, cluster, "one"), world);
  await world.advance(5_000);
  let lost = 0;
  cluster.after = ({ verb }) => {
    if (verb !== "replace" || lost > 0) return;
    lost += 1;
    throw new ClusterError("conflict", "changed", { status: 409 });
  };
  await world.advance(60_000);
  expect([lost, first.state.lease?.lost.aborted]).toEqual([1, false]);
});

test("who is told to stop waits no longer, and leaves no lease behind", async () => {
  const world = createWorld();
  const cluster = fakeCluster();
  const stop = new AbortController();
  const first = taking(controller(world, cluster, "one"), world);
  await world.advance(100);
  const second = taking(controller(world, cluster, "two"), world, "ml", "run 2", stop.signal);
  await world.advance(5_000);
  stop.abort(new Error("Ctrl-C"));
  await world.advance(100);
  expect(second.state.error).toMatchObject({ message: "Ctrl-C" });
  await first.state.lease?.release();
  const late = new AbortController();
  cluster.after = ({ verb }) => {
    if (verb === "replace") late.abort(new Error("too late"));
  };
  const third = taking(controller(world, cluster, "three"), world, "ml", "run 3", late.signal);
  await world.advance(100);
  expect(third.state.error).toMatchObject({ message: "too late" });
  expect(leaseOf(cluster)?.spec).toMatchObject({ holderIdentity: "" });
});

test("a cluster without the namespace of the leases says what to do", async () => {
  const world = createWorld();
  const cluster = fakeCluster();
  cluster.remove(kinds.namespace, { name: managementNamespace });
  const first = taking(controller(world, cluster, "one"), world);
  await world.advance(100);
  expect(first.state.error).toMatchObject({ hint: expect.stringContaining("configure-cluster") });
});

interface Act {
  readonly at: number;
  readonly term: string;
}

/** Three controllers that want the same lease again and again, and are stopped or asleep at times. */
async function race(seed: number, checked: boolean): Promise<readonly Act[]> {
  const random = createRandom(seed);
  const world = createWorld();
  const cluster = fakeCluster();
  const acts: Act[] = [];
  const over = new AbortController();
  const controllers = ["one", "two", "three"].map((name) =>
    controller(world, cluster, name, (random.below(7) - 3) * 600_000),
  );
  for (const [index, { process, leases }] of controllers.entries())
    void live(index, process, leases).catch(() => {});
  while (world.now() < 400_000) {
    const { process } = random.pick(controllers);
    process.pause(random.pick(["stopped", "asleep"]));
    await world.advance(100 * (1 + random.below(random.chance(0.5) ? 600 : 100)));
    process.resume();
    await world.advance(100 * random.below(80));
  }
  over.abort();
  return acts;

  async function live(index: number, { clock }: Process, leases: ClusterLeases): Promise<void> {
    for (let term = 1; !over.signal.aborted; term += 1) {
      const lease = await leases.take("ml", `${index}`, over.signal, () => {});
      const until = clock.monotonic() + 100 * (50 + random.below(300));
      while (clock.monotonic() < until) {
        if (checked) {
          leases.check();
          if (lease.lost.aborted) break;
        }
        acts.push({ at: world.now(), term: `${index}/${term}` });
        await clock.sleep(100 * (1 + random.below(5)), over.signal);
      }
      await lease.release();
    }
  }
}

/** Terms that acted after a later one had begun to. */
function overlaps(acts: readonly Act[]): readonly string[] {
  const over = new Set<string>();
  const wrong: string[] = [];
  let last: string | undefined;
  for (const { at, term } of acts) {
    if (over.has(term)) wrong.push(`${term} at ${at}`);
    if (last !== undefined && last !== term) over.add(last);
    last = term;
  }
  return wrong;
}

const seeds = Array.from({ length: 12 }, (_, index) => index + 1);

test("of controllers that are stopped and asleep at any time, never do two act in turn", async () => {
  for (const seed of seeds) {
    const acts = await race(seed, true);
    expect(overlaps(acts)).toEqual([]);
    expect(new Set(acts.map(({ term }) => term)).size).toBeGreaterThan(5);
  }
});

test("they would, if they did not look whether they have lost it", async () => {
  const wrong = await Promise.all(seeds.map(async (seed) => overlaps(await race(seed, false))));
  expect(wrong.filter((found) => found.length > 0).length).toBeGreaterThan(6);
});
