import { gzipSync } from "node:zlib";
import { expect, test, vi } from "vitest";
import type { Deployment, Release, Run } from "../../../../src/core/run-state.ts";
import { ClusterError, type KubernetesObject } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import { createClusterStore } from "../../../../src/engines/kubernetes/records/cluster-store.ts";
import type { ClusterStore } from "../../../../src/engines/kubernetes/records/records.ts";
import { labels, managementNamespace } from "../../../../src/engines/kubernetes/vocabulary.ts";
import { systemClock } from "../../../../src/lib/system-clock.ts";
import { aDeployment, aRelease, aRun, aStage } from "../../../store/records.ts";
import { type FakeCluster, fakeCluster } from "../../../support/fake-cluster.ts";

const at = new Date("2026-11-23T19:05:12Z");
const id = (number: number): string => `20261123-190512${String(number).padStart(3, "0")}-k3f9`;

function storeOf(cluster: FakeCluster, onWarning?: (text: string) => void): ClusterStore {
  return createClusterStore({
    cluster,
    clock: systemClock,
    ...(onWarning === undefined ? {} : { onWarning }),
  });
}

const secretsOf = (cluster: FakeCluster): readonly KubernetesObject[] =>
  cluster.objects(kinds.secret, managementNamespace);

const recorded = (cluster: FakeCluster): readonly string[] =>
  secretsOf(cluster).map(({ metadata }) => metadata.name.replace(/-[0-9a-f]{16}$/, ""));

/** A run that has made a release, with all that is recorded of it. */
function release(store: ClusterStore, number: number, runId = `run-${number}`, namespace = "ml"): void {
  store.saveRun(aRun(runId, { status: "running", namespace, release: number }));
  store.saveRelease(aRelease(number, { runId, namespace }), aDeployment(number, { namespace }));
  store.saveRun(aRun(runId, { namespace, release: number }));
}

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no failure",
    (error: unknown) => error,
  );

/** As the answer to all calls that change something. */
function refusing(
  cluster: FakeCluster,
  error: () => Error,
  of: (name: string) => boolean = () => true,
): void {
  cluster.before = ({ verb, name }) => {
    if (!["get", "list"].includes(verb) && of(name)) throw error();
  };
}

const forbidden = (): Error =>
  new ClusterError("forbidden", 'secrets is forbidden: User "x" cannot create resource "secrets"', {
    status: 403,
  });

test("all that was saved is in the cluster once it is settled, each thing as one Secret that can be found", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  const run = { ...aRun(id(1), { status: "running" }), request: { ...aRun("").request, job: "weekly-1" } };
  store.saveRun(run);
  store.saveRelease(aRelease(1, { runId: id(1) }), aDeployment(1));
  store.saveDocument("outcomes", `${id(1)}/train/1`, { outcome: 1 });
  expect(secretsOf(cluster)).toEqual([]);
  await store.settled();
  const found = secretsOf(cluster);
  expect(recorded(cluster)).toEqual([
    "bodywork-deployment-ml-iris",
    `bodywork-document-outcomes-${id(1)}-train-1`,
    "bodywork-release-ml-iris-1",
    `bodywork-run-${id(1)}`,
  ]);
  expect(found.map(({ type }) => type)).toEqual(Array(4).fill("bodywork.io/record"));
  expect(found.at(-1)?.metadata.labels).toMatchObject({
    [labels.record]: "run",
    [labels.run]: id(1),
    [labels.namespace]: "ml",
    [labels.deployment]: "iris",
    [labels.finished]: "false",
    "bodywork.io/job": "weekly-1",
  });
  expect(found[1]?.metadata.labels).toMatchObject({ [labels.run]: id(1), [labels.namespace]: "ml" });
});

test("names of all sorts make legal Secrets, each its own", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  const names = ["iris", "Iris", "iris_", "-", "ü", "a b/c", "x".repeat(300), "a.b", "a-b"];
  for (const name of names) {
    const namespace = name;
    store.saveRun(aRun(`run of ${name}`, { deployment: name, namespace }));
    store.saveRelease(aRelease(1, { deployment: name, namespace }), aDeployment(1, { name, namespace }));
    store.saveDocument(name, name, name);
  }
  await store.settled();
  expect(new Set(recorded(cluster).map((_, index) => secretsOf(cluster)[index]?.metadata.name)).size).toBe(
    4 * names.length,
  );
  const other = storeOf(cluster);
  for (const namespace of names) await other.refresh({ kind: "namespace", namespace });
  expect(other.deployments()).toEqual(store.deployments());
  expect(other.runs({})).toEqual(store.runs({}));
});

test("a thing that changes while it waits is written once, as it is then, and never twice at one time", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  let underWay = 0;
  let most = 0;
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  cluster.before = async () => {
    underWay += 1;
    most = Math.max(most, underWay);
    await gate;
  };
  cluster.after = () => {
    underWay -= 1;
  };
  store.saveRun(aRun("1", { status: "queued" }));
  await turn();
  for (const status of ["preparing", "running", "failed"] as const) {
    await turn();
    store.saveRun(aRun("1", { status }), { event: { kind: "run", status }, at });
  }
  open();
  await store.settled();
  expect(cluster.calls.filter((call) => !call.startsWith("get"))).toEqual([
    expect.stringContaining("create Secret"),
    expect.stringContaining("replace Secret"),
  ]);
  expect(most).toBe(1);
  const other = storeOf(cluster);
  await other.refresh({ kind: "run", id: "1" });
  expect([other.run("1")?.status, other.events("1", 0).length]).toEqual(["failed", 3]);
});

test("a thing that changed while the write of it failed is written once at a time, too", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  cluster.before = ({ verb }) => {
    if (verb !== "create") return;
    cluster.before = undefined;
    store.saveDocument("a", "b", 2);
    throw forbidden();
  };
  store.saveDocument("a", "b", 1);
  expect(await failureOf(store.settled())).toMatchObject({ code: "not-allowed" });
  let underWay = 0;
  cluster.before = async () => {
    underWay += 1;
    expect(underWay).toBe(1);
    await turn();
  };
  cluster.after = () => {
    underWay -= 1;
  };
  await store.settled();
  const reader = storeOf(cluster);
  cluster.before = undefined;
  await reader.refresh({ kind: "unfinished" });
  expect(reader.document("a", "b")).toBe(2);
});

test("documents that wait are written side by side", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  let underWay = 0;
  let most = 0;
  cluster.before = async () => {
    underWay += 1;
    most = Math.max(most, underWay);
    await new Promise((resolve) => setTimeout(resolve, 20));
  };
  cluster.after = () => {
    underWay -= 1;
  };
  for (let number = 0; number < 40; number += 1) store.saveDocument("outcomes", String(number), number);
  await store.settled();
  expect(most).toBeGreaterThan(4);
  expect(most).toBeLessThanOrEqual(16);
  expect(secretsOf(cluster).length).toBe(40);
});

test("settled waits for what was saved before, not for what is saved later", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  cluster.before = ({ name }) => (name.includes("later") ? new Promise(() => {}) : undefined);
  store.saveDocument("a", "sooner", 1);
  const settled = store.settled();
  store.removeDocument("b", "later");
  await settled;
  expect(recorded(cluster)).toEqual(["bodywork-document-a-sooner"]);
});

test("a write that can't be done fails what waits for it, keeps what is behind it back, and is tried again", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  refusing(cluster, forbidden, (name) => name.includes("run-1"));
  store.saveRun(aRun("1"));
  store.saveDocument("outcomes", "1/train/1", {});
  expect(await failureOf(store.settled())).toMatchObject({
    code: "not-allowed",
    message: expect.stringContaining("record run 1"),
  });
  expect(await failureOf(store.settled())).toMatchObject({ code: "not-allowed" });
  store.saveDocument("outcomes", "1/train/2", {});
  expect(secretsOf(cluster)).toEqual([]);
  cluster.before = undefined;
  await store.settled();
  expect(secretsOf(cluster).length).toBe(3);
  expect(store.run("1")?.id).toBe("1");
});

test("nothing fails behind the back of who does not wait", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  refusing(cluster, forbidden);
  store.saveRun(aRun("1"));
  const tries = (): number => cluster.calls.filter((call) => call.startsWith("create")).length;
  await vi.waitFor(() => expect(tries()).toBe(1));
  store.saveRun(aRun("1", { status: "failed" }));
  await turn(20);
  expect(tries()).toBe(1);
});

test("what could not be written is tried again with what is saved ten seconds later, not sooner", async () => {
  const cluster = fakeCluster();
  let now = 0;
  const store = createClusterStore({ cluster, clock: { ...systemClock, monotonic: () => now } });
  refusing(cluster, forbidden);
  store.saveRun(aRun("1"));
  await failureOf(store.settled());
  cluster.before = undefined;
  now = 9_000;
  store.saveRun(aRun("2"));
  await turn(20);
  expect(secretsOf(cluster)).toEqual([]);
  now = 10_000;
  store.saveRun(aRun("3"));
  await vi.waitFor(() => expect(secretsOf(cluster).length).toBe(3));
});

test("what was written though the answer was lost is written", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  const lost = new Set<string>();
  cluster.after = ({ verb, name }) => {
    if (lost.has(`${verb} ${name}`) || verb === "delete") return;
    lost.add(`${verb} ${name}`);
    // As the client's second try is answered.
    throw new ClusterError(verb === "create" ? "already-exists" : "conflict", "changed", { status: 409 });
  };
  release(store, 1);
  await store.settled();
  release(store, 2);
  store.saveDocument("a", "b", 1);
  await store.settled();
  store.saveDocument("a", "b", 2);
  await store.settled();
  expect(lost.size).toBeGreaterThan(6);
  const other = storeOf(cluster);
  await other.refresh({ kind: "namespace", namespace: "ml" });
  expect([other.deployment("ml", "iris")?.liveRelease, other.document("a", "b")]).toEqual([2, 2]);
});

const fencing: Record<string, (cluster: FakeCluster) => Promise<[ClusterStore, ClusterStore]>> = {
  "the first release": async (cluster) => [storeOf(cluster), storeOf(cluster)],
  "a later release": async (cluster) => {
    const stores = [storeOf(cluster), storeOf(cluster)] as const;
    release(stores[0], 1);
    await stores[0].settled();
    await stores[1].refresh({ kind: "namespace", namespace: "ml" });
    return [...stores];
  },
};

for (const [which, make] of Object.entries(fencing)) {
  test(`of two controllers that make ${which}, the second is superseded and writes nothing over it`, async () => {
    const cluster = fakeCluster();
    const [one, two] = await make(cluster);
    const number = (one.releases("ml", "iris")[0]?.number ?? 0) + 1;
    release(one, number, "run-of-one");
    await one.settled();
    release(two, number, "run-of-two");
    expect(await failureOf(two.settled())).toMatchObject({
      code: "superseded",
      message: expect.stringContaining("run-of-one"),
    });
    await seesOnly("run-of-one", number, cluster);
  });

  test(`of two controllers that make ${which} at the very same time, one is superseded`, async () => {
    const cluster = fakeCluster();
    const stores = await make(cluster);
    const number = (stores[0].releases("ml", "iris")[0]?.number ?? 0) + 1;
    cluster.before = () => turn(); // Every call of one is between two of the other.
    for (const [index, store] of stores.entries()) release(store, number, `run-of-${index}`);
    const failures = await Promise.all(stores.map((store) => failureOf(store.settled())));
    const won = failures.indexOf("no failure");
    expect(failures[1 - won]).toMatchObject({ code: "superseded" });
    await seesOnly(`run-of-${won}`, number, cluster);
  });
}

async function seesOnly(runId: string, number: number, cluster: FakeCluster): Promise<void> {
  cluster.before = undefined;
  const reader = storeOf(cluster);
  await reader.refresh({ kind: "namespace", namespace: "ml" });
  expect(reader.releases("ml", "iris")[0]).toMatchObject({ number, runId });
  const ended = reader.runs({}).filter((run) => run.release === number && run.status === "succeeded");
  expect(ended.map((run) => run.id)).toEqual([runId]);
  const lister = storeOf(cluster);
  await lister.refresh({ kind: "deployments" });
  expect(lister.release("ml", "iris", number)?.runId).toBe(runId);
}

test("a release of a number that only its own Secret tells of is not made again", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  release(store, 1, "first");
  await store.settled();
  const [deployment] = secretsOf(cluster).filter(({ metadata }) => metadata.name.includes("-deployment-"));
  cluster.remove(kinds.secret, { namespace: managementNamespace, name: deployment?.metadata.name ?? "" });
  const other = storeOf(cluster);
  release(other, 1, "second");
  expect(await failureOf(other.settled())).toMatchObject({ code: "superseded" });
  expect(recorded(cluster).filter((name) => name.includes("-deployment-"))).toEqual([]);
});

test("a run that another controller has taken over is not written over", async () => {
  const cluster = fakeCluster();
  const [one, two] = [storeOf(cluster), storeOf(cluster)];
  one.saveRun(aRun("1", { status: "running" }));
  await one.settled();
  await two.refresh({ kind: "unfinished" });
  two.saveRun(aRun("1", { status: "cancelled" }));
  await two.settled();
  one.addEvent("1", { kind: "notice", level: "info", text: "still here" }, at);
  expect(await failureOf(one.settled())).toMatchObject({ code: "superseded" });
  await two.refresh({ kind: "run", id: "1" });
  expect(two.run("1")?.status).toBe("cancelled");
});

test("a label that somebody has put on a record is no reason to stop", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  release(store, 1);
  await store.settled();
  for (const secret of secretsOf(cluster)) {
    cluster.put({ ...secret, metadata: { ...secret.metadata, annotations: { seen: "yes" } } });
  }
  release(store, 2);
  store.addEvent("run-1", { kind: "notice", level: "info", text: "late" }, at);
  await store.settled();
});

test("the end of a run that another controller did not carry out leaves the release that was made since", async () => {
  const cluster = fakeCluster();
  const [one, two] = [storeOf(cluster), storeOf(cluster)];
  release(one, 1);
  await one.settled();
  await two.refresh({ kind: "namespace", namespace: "ml" });
  release(one, 2, "run-2");
  await one.settled();
  for (const runId of ["run-3", "run-4"]) {
    two.saveRun(aRun(runId, { status: "failed" }));
    await turn();
  }
  await two.settled();
  expect(two.deployment("ml", "iris")?.liveRelease).toBe(2);
  const reader = storeOf(cluster);
  await reader.refresh({ kind: "deployments" });
  expect(reader.deployment("ml", "iris")?.liveRelease).toBe(2);
  expect(reader.runs({ deployment: "iris", limit: 1 })[0]?.id).toBe("run-4");
});

test("a run that has ended and was removed elsewhere is not brought back", async () => {
  const cluster = fakeCluster();
  const [one, two] = [storeOf(cluster), storeOf(cluster)];
  one.saveRun(aRun("1"));
  await one.settled();
  await two.refresh({ kind: "run", id: "1" });
  expect(two.removeRuns(["1"])).toEqual(["1"]);
  await two.settled();
  one.addEvent("1", { kind: "notice", level: "info", text: "late" }, at);
  await one.settled();
  expect(secretsOf(cluster)).toEqual([]);
});

test("a list of deployments is one list of them and one of what runs, with live releases and newest runs", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  release(store, 1);
  release(store, 2);
  store.saveRun(aRun("run-3", { status: "failed", reason: "no data" }));
  release(store, 1, "run-x", "x");
  store.saveRun(aRun("run-y", { namespace: "x", status: "running", stages: [aStage("train")] }));
  store.saveRun(aRun("run-4", { status: "failed", code: "namespace-taken" }));
  await store.settled();
  const reader = storeOf(cluster);
  cluster.calls.length = 0;
  await reader.refresh({ kind: "deployments" });
  expect(cluster.calls.map((call) => call.split(" ")[0])).toEqual(["list", "list"]);
  expect(reader.deployments()).toEqual(store.deployments());
  expect(reader.release("ml", "iris", 2)?.runId).toBe("run-2");
  const newest = (namespace: string): Run | undefined => reader.runs({ namespace, limit: 1 })[0];
  expect([newest("ml")?.id, newest("ml")?.reason]).toEqual(["run-3", "no data"]);
  expect([newest("x")?.id, newest("x")?.stages.length]).toEqual(["run-y", 1]);
  // Only what was loaded whole can be asked for, or gone on with.
  expect([reader.run("run-3"), reader.unfinishedRuns().length]).toEqual([undefined, 1]);
});

test("each scope brings what it says, and no run that could be removed though it made a live release", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  release(store, 1, id(1));
  release(store, 2, id(2));
  store.saveRun(aRun(id(3), { status: "running" }), { event: { kind: "run", status: "running" }, at });
  store.saveRun(aRun(id(4), { namespace: undefined, deployment: undefined, status: "failed" }));
  store.saveDocument("outcomes", `${id(3)}/train/1`, { n: 3 });
  store.saveDocument("outcomes", `${id(2)}/train/1`, { n: 2 });
  store.saveDocument("engine", "own", {});
  release(store, 1, id(5), "x");
  await store.settled();
  const seen = async (scope: Parameters<ClusterStore["refresh"]>[0]): Promise<unknown> => {
    const reader = storeOf(cluster);
    await reader.refresh(scope);
    const removable = reader.removeRuns([id(2), id(5)]);
    return {
      runs: [1, 2, 3, 4, 5].filter((number) => reader.run(id(number)) !== undefined),
      documents: [...reader.documents("outcomes").keys(), ...reader.documents("engine").keys()].map((key) =>
        key.replace(/.*(\d)-k3f9.*/, "$1"),
      ),
      releases: reader.releases("ml", "iris").map(({ number }) => number),
      removable,
    };
  };
  const removable: string[] = [];
  expect(await seen({ kind: "namespace", namespace: "ml" })).toEqual({
    runs: [1, 2, 3, 4],
    documents: ["2", "3", "own"],
    releases: [2, 1],
    removable,
  });
  expect(await seen({ kind: "deployment", name: "iris" })).toMatchObject({ runs: [1, 2, 3, 5], removable });
  expect(await seen({ kind: "unfinished" })).toEqual({
    runs: [3],
    documents: ["3", "own"],
    releases: [],
    removable,
  });
  expect(await seen({ kind: "run", id: id(2) })).toMatchObject({ runs: [2], documents: ["2"], removable });
  expect(await seen({ kind: "run", id: id(2).slice(0, 16) })).toMatchObject({
    runs: [1, 2, 3, 4, 5],
    removable,
  });
  expect(await seen({ kind: "runs", limit: 2 })).toMatchObject({ runs: [4, 5], removable });
});

test("what others have written and removed is seen by the next reading, what was saved here meanwhile stays", async () => {
  const cluster = fakeCluster();
  const [one, two] = [storeOf(cluster), storeOf(cluster)];
  release(one, 1);
  one.saveRun(aRun("7", { status: "running" }));
  await one.settled();
  await two.refresh({ kind: "namespace", namespace: "ml" });
  await two.refresh({ kind: "unfinished" });
  one.removeDeployment("ml", "iris");
  one.saveRun(aRun("7", { status: "failed" }));
  await one.settled();
  cluster.before = ({ verb }) => {
    if (verb === "list") two.saveRun(aRun("8"));
  };
  await two.refresh({ kind: "unfinished" });
  expect(two.run("7")?.status).toBe("failed");
  await two.refresh({ kind: "namespace", namespace: "ml" });
  expect([two.deployments(), two.releases("ml", "iris")]).toEqual([[], []]);
  expect(two.runs({}).map((run) => run.id)).toEqual(["8", "7"]);
});

test("a listing that began before a write of ours does not bring back what was there before it", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  store.saveRun(aRun("1", { status: "running" }));
  await store.settled();
  const stale = secretsOf(cluster);
  const reader = {
    ...cluster,
    list: async () => {
      store2.saveRun(aRun("1", { status: "failed" }));
      await store2.settled();
      return stale;
    },
  };
  const store2 = createClusterStore({ cluster: reader, clock: systemClock });
  await store2.refresh({ kind: "run", id: "1" });
  await store2.refresh({ kind: "unfinished" });
  expect(store2.run("1")?.status).toBe("failed");
});

const spoiled: Record<string, (secret: KubernetesObject) => Partial<KubernetesObject>> = {
  "has no content": () => ({ data: {} }),
  "is cut off": ({ data }) => ({ data: { ...(data as object), record: recordOf(data).slice(0, 40) } }),
  "is no gzip": () => ({ data: { record: Buffer.from("{}").toString("base64") } }),
  "is no JSON": () => ({ data: { record: gzipSync("{").toString("base64") } }),
  "is of another kind": () => ({ data: { record: gzipSync('{"kind":"cake"}').toString("base64") } }),
  "lacks what counts": () => ({
    data: { record: gzipSync('{"kind":"deployment","deployment":{},"releases":[]}').toString("base64") },
  }),
  "is of another type": () => ({ type: "Opaque" }),
};
const recordOf = (data: unknown): string => (data as { record: string }).record;

for (const [what, spoil] of Object.entries(spoiled)) {
  test(`a Secret that ${what} is left alone with a warning, and the others are read`, async () => {
    const cluster = fakeCluster();
    const store = storeOf(cluster);
    release(store, 1);
    release(store, 1, "run-x", "x");
    await store.settled();
    const victim = secretsOf(cluster).find(({ metadata }) => metadata.name.includes("-deployment-ml-"));
    if (victim === undefined) throw new Error("no such record");
    cluster.put({ ...victim, ...spoil(victim) });
    const warnings: string[] = [];
    const reader = storeOf(cluster, (text) => warnings.push(text));
    await reader.refresh({ kind: "deployments" });
    await reader.refresh({ kind: "deployments" });
    expect(reader.deployments().map(({ namespace }) => namespace)).toEqual(["x"]);
    expect(warnings).toEqual([expect.stringContaining(victim.metadata.name)]);
    // And nothing is written over it.
    release(reader, 2, "run-2");
    expect(await failureOf(reader.settled())).toMatchObject({ code: "store-damaged" });
  });
}

test("a copy of a record under another name counts once", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  store.saveRun(aRun("1"));
  await store.settled();
  const [secret] = secretsOf(cluster);
  if (secret === undefined) throw new Error("no record");
  cluster.put({ ...secret, metadata: { ...secret.metadata, name: "copy", uid: "other" } });
  const warnings: string[] = [];
  const reader = storeOf(cluster, (text) => warnings.push(text));
  await reader.refresh({ kind: "runs", limit: 10 });
  expect([reader.runs({}).length, warnings.length]).toEqual([1, 1]);
});

test("a record that a newer Bodywork wrote is refused, and left as it is", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  store.saveRun(aRun("1"));
  await store.settled();
  const [secret] = secretsOf(cluster);
  if (secret === undefined) throw new Error("no record");
  cluster.put({ ...secret, data: { format: Buffer.from("99").toString("base64"), record: "" } });
  const reader = storeOf(cluster);
  expect(await failureOf(reader.refresh({ kind: "runs", limit: 10 }))).toMatchObject({
    code: "version-mismatch",
    message: expect.stringContaining("version 99"),
  });
  reader.saveRun(aRun("1"));
  expect(await failureOf(reader.settled())).toMatchObject({ code: "version-mismatch" });
});

/** Text that does not get shorter. */
const noise = (length: number, seed: number): string => {
  let state = seed + 1;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return String.fromCharCode(33 + ((state >>> 16) % 90));
  }).join("");
};

test("a run that tells more than a Secret can hold loses its oldest events, and says so", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  store.saveRun(aRun("1", { status: "running" }));
  for (let number = 1; number <= 300; number += 1) {
    store.addEvent("1", { kind: "notice", level: "info", text: `${number} ${noise(8_000, number)}` }, at);
  }
  await store.settled();
  const reader = storeOf(cluster);
  await reader.refresh({ kind: "run", id: "1" });
  const [note, ...kept] = reader.events("1", 0);
  expect(note).toMatchObject({ kind: "notice", level: "warning", text: expect.stringContaining("not kept") });
  expect(kept.length).toBeGreaterThan(50);
  expect(kept.map((event) => (event.kind === "log" ? 0 : event.seq))).toEqual(
    kept.map((_, index) => 300 - kept.length + 1 + index),
  );
  expect(note).toMatchObject({ seq: 300 - kept.length });
  expect(reader.addEvent("1", { kind: "notice", level: "info", text: "on" }, at)).toMatchObject({ seq: 301 });
});

test("then it loses the last lines of its older attempts, then all; its states it never loses", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  const attempt = (number: number, length: number) => ({
    number,
    status: "failed" as const,
    reason: "exit 1",
    lastLines: [noise(length, number)],
    startedAt: at.toISOString(),
    endedAt: at.toISOString(),
    logs: [],
  });
  const stageOf = (length: number) => ({
    ...aStage("a"),
    attempts: [attempt(1, 800_000), attempt(2, length)],
  });
  store.saveRun(aRun("1", { stages: [stageOf(500_000)] }));
  store.saveRun(aRun("2", { stages: [stageOf(1_500_000)] }));
  await store.settled();
  const reader = storeOf(cluster);
  await reader.refresh({ kind: "runs", limit: 10 });
  const lengths = (runId: string) =>
    reader.run(runId)?.stages[0]?.attempts.map(({ lastLines: [line = ""] }) => line.length > 1000);
  expect([lengths("1"), lengths("2")]).toEqual([
    [false, true],
    [false, false],
  ]);
  expect(reader.run("2")?.stages[0]?.attempts.map(({ reason }) => reason)).toEqual(["exit 1", "exit 1"]);
});

test("what does not fit even so is refused, with its size", async () => {
  const store = storeOf(fakeCluster());
  store.saveDocument("a", "b", noise(2_000_000, 1));
  expect(await failureOf(store.settled())).toMatchObject({
    code: "cluster-refused",
    message: expect.stringContaining("900 KiB"),
  });
});

test("a record whose namespace is missing says what to do", async () => {
  const cluster = fakeCluster();
  cluster.remove(kinds.namespace, { name: managementNamespace });
  const reader = storeOf(cluster);
  await reader.refresh({ kind: "deployments" });
  expect(reader.deployments()).toEqual([]);
  reader.saveRun(aRun("1"));
  expect(await failureOf(reader.settled())).toMatchObject({
    hint: expect.stringContaining("configure-cluster"),
  });
});

test("a release whose deployment was written, and then nothing any more, is there and gets its own Secret later", async () => {
  const cluster = fakeCluster();
  const store = storeOf(cluster);
  cluster.before = ({ verb, name }) => {
    if (verb === "create" && name.includes("-release-")) throw forbidden();
  };
  release(store, 1);
  await failureOf(store.settled());
  cluster.before = undefined;
  const next = storeOf(cluster);
  await next.refresh({ kind: "namespace", namespace: "ml" });
  expect(next.releases("ml", "iris").map(({ number }) => number)).toEqual([1]);
  release(next, 2);
  await next.settled();
  const reader = storeOf(cluster);
  await reader.refresh({ kind: "namespace", namespace: "ml" });
  const releases: readonly Release[] = reader.releases("ml", "iris");
  expect(releases.map(({ number, runId }) => [number, runId])).toEqual([
    [2, "run-2"],
    [1, "run-1"],
  ]);
  expect(reader.deployments() satisfies readonly Deployment[]).toEqual([aDeployment(2)]);
});

/** Lets what is under way go on. */
async function turn(times = 1): Promise<void> {
  for (let number = 0; number < times; number += 1) await new Promise((resolve) => setImmediate(resolve));
}
