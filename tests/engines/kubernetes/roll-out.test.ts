import { describe, expect, test } from "vitest";

import type { ServiceTask } from "../../../src/core/run-state.ts";
import type { KubernetesObject } from "../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../src/engines/kubernetes/client/kinds.ts";
import { at } from "../../../src/engines/kubernetes/client/objects.ts";
import {
  endRollOuts,
  forgetSnapshots,
  removeService,
  rollOut,
} from "../../../src/engines/kubernetes/roll-out.ts";
import type { FakeCluster } from "../../support/fake-cluster.ts";
import {
  calm,
  type FakeRooms,
  fakeRooms,
  listen,
  nextController,
  only,
  type PodChange,
  putPod,
  runs,
  serveTask,
} from "./support/rooms.ts";

const never = new AbortController().signal;
const name = { namespace: "space", stage: "serve" };
const ready: PodChange = { ...runs, container: { ready: true } };
const began = "[25/11/26 12:00:00] INFO     Attempting to run module = serve.py\n";

/** Plays the cluster: the Deployment's pods are there and ready, and those of the release before are gone. */
function serve(cluster: FakeCluster, podName = "serve-1"): void {
  const deployment = only(cluster, "deployment");
  for (const { metadata } of cluster.objects(kinds.pod, "space")) {
    cluster.remove(kinds.pod, { namespace: "space", name: metadata.name });
  }
  putPod(cluster, deployment, { name: podName, ...ready });
  complete(cluster);
}

function complete(cluster: FakeCluster): void {
  const deployment = only(cluster, "deployment");
  const replicas = (deployment.spec as { readonly replicas: number }).replicas;
  const counts = { updatedReplicas: replicas, replicas, availableReplicas: replicas };
  cluster.put({ ...deployment, status: { observedGeneration: deployment.metadata.generation, ...counts } });
}

async function rolledOut(rooms: FakeRooms, task: ServiceTask, podName?: string) {
  const observer = listen();
  const outcome = rollOut(task, observer, never, rooms);
  await calm();
  serve(rooms.cluster, podName);
  return { outcome: await outcome, observer };
}

/** As its controller takes it: new pods of a template that failed are gone when the template is. */
async function failing(rooms: FakeRooms, task: ServiceTask, play: () => void | Promise<void>) {
  const observer = listen();
  const outcome = rollOut(task, observer, never, rooms);
  await calm();
  await play();
  await calm();
  for (const { metadata } of rooms.cluster.objects(kinds.pod, "space")) {
    if (metadata.labels?.["bodywork.io/run"] !== task.runId) continue;
    rooms.cluster.remove(kinds.pod, { namespace: "space", name: metadata.name });
  }
  return { outcome: await outcome, observer };
}

/** The API server in memory leaves maps behind whose fields are gone. */
function withoutEmpty(object: KubernetesObject): KubernetesObject {
  const text = JSON.stringify(object, (_, value: unknown) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    const filled = Object.entries(value).filter(
      ([, one]) => !/^\{(?:"\w+":\{\},?)*\}$/.test(JSON.stringify(one)),
    );
    return Object.fromEntries(filled);
  });
  return JSON.parse(text) as KubernetesObject;
}

const two = (change: Partial<ServiceTask["stage"]> = {}) => serveTask({ runId: "run-2", release: 2 }, change);
const templateOf = (deployment: KubernetesObject): unknown =>
  (deployment.spec as { readonly template: unknown }).template;

describe("a roll-out", () => {
  test("makes the Deployment and the Service, and tells it in the original's words", async () => {
    const rooms = fakeRooms();
    const { outcome, observer } = await rolledOut(rooms, serveTask());
    expect(outcome).toEqual({ kind: "serving" });
    expect(observer.logs).toEqual(["replica 1"]);
    expect(observer.notes).toEqual([
      "Creating k8s deployment and service for stage = serve",
      expect.stringMatching(/^Monitoring k8s deployments, timeout at \[.*\] \(150s\)$/),
      "Successfully created k8s deployment for stage = serve",
      "Exposing stage = serve at http://serve.space.svc.cluster.local:5000",
    ]);
    expect(rooms.cluster.objects(kinds.service, "space")).toHaveLength(1);
    expect(rooms.services.current(name)).toEqual(serveTask());
    expect(rooms.services.statuses()).toMatchObject([{ state: "serving", release: 1, readyReplicas: 1 }]);
  });

  test("has the record of what was there before it changes anything", async () => {
    const rooms = fakeRooms();
    let recorded: number | undefined;
    rooms.cluster.before = ({ verb }) => {
      if (verb === "apply") recorded ??= rooms.store.documents("snapshots").size;
    };
    await rolledOut(rooms, serveTask());
    expect(recorded).toBe(1);
    expect(rooms.store.documents("snapshots").size).toBe(0);
  });

  test("of what serves already changes nothing of its pods, by the next controller neither", async () => {
    const rooms = fakeRooms();
    await rolledOut(rooms, serveTask());
    const before = templateOf(only(rooms.cluster, "deployment"));
    rooms.clock.pass(60);
    for (const controller of [rooms, nextController(rooms)]) {
      const observer = listen();
      expect(await rollOut(serveTask(), observer, never, controller)).toEqual({ kind: "serving" });
      expect(observer.notes).toEqual([]);
    }
    expect(templateOf(only(rooms.cluster, "deployment"))).toEqual(before);
  });

  test("that another controller has begun is gone on with, and can still be undone", async () => {
    const rooms = fakeRooms();
    await rolledOut(rooms, serveTask());
    void rollOut(two(), listen(), never, rooms);
    await calm();
    const next = nextController(rooms);
    const template = templateOf(only(rooms.cluster, "deployment"));
    const { outcome } = await failing(next, two(), () => {
      expect(templateOf(only(rooms.cluster, "deployment"))).toEqual(template);
      const terminated = { exitCode: 1, reason: "Error" };
      putPod(rooms.cluster, only(rooms.cluster, "deployment"), {
        name: "serve-2",
        state: { waiting: { reason: "CrashLoopBackOff" } },
        container: { restartCount: 2, lastState: { terminated } },
      });
    });
    expect(outcome.kind).toBe("failed");
    expect(next.services.current(name)).toEqual(serveTask());
  });

  test("of a new release starts new pods, and tells the original's time-out for it", async () => {
    const rooms = fakeRooms();
    await rolledOut(rooms, serveTask({}, { replicas: 3 }));
    const before = templateOf(only(rooms.cluster, "deployment"));
    rooms.clock.pass(60);
    const { observer } = await rolledOut(rooms, two({ replicas: 3 }), "serve-2");
    expect(templateOf(only(rooms.cluster, "deployment"))).not.toEqual(before);
    expect(observer.notes[0]).toBe("Updating k8s deployment for stage = serve");
    expect(observer.notes[1]).toContain("(210s)");
    expect(rooms.services.statuses()).toMatchObject([{ release: 2, runId: "run-2" }]);
  });

  test("whose replica keeps ending is undone, with its last lines", async () => {
    const rooms = fakeRooms();
    await rolledOut(rooms, serveTask());
    const before = only(rooms.cluster, "deployment");
    const { outcome, observer } = await failing(rooms, two({ replicas: 2 }), () => {
      rooms.cluster.setLog({ namespace: "space", name: "serve-2" }, `${began}it dies\n`);
      putPod(rooms.cluster, only(rooms.cluster, "deployment"), {
        name: "serve-2",
        status: { phase: "Running" },
        state: { waiting: { reason: "CrashLoopBackOff" } },
        container: { restartCount: 2, lastState: { terminated: { exitCode: 1, reason: "Error" } } },
      });
    });
    expect(outcome).toEqual({ kind: "failed", reason: "keeps ending (exit 1)", lastLines: ["it dies"] });
    expect(observer.notes.at(-1)).toBe("Rolled-back k8s deployment for stage = serve");
    const after = only(rooms.cluster, "deployment");
    expect([after.spec, after.metadata.labels, after.metadata.annotations]).toEqual([
      before.spec,
      before.metadata.labels,
      before.metadata.annotations,
    ]);
    expect(rooms.services.current(name)).toEqual(serveTask());
    // The budget of two replicas was new.
    expect(rooms.cluster.objects(kinds.disruptionBudget, "space")).toEqual([]);
  });

  test("that is not ready in its time is undone; the time counts from when the module runs", async () => {
    const rooms = fakeRooms();
    await rolledOut(rooms, serveTask());
    const { outcome } = await failing(rooms, two({ maxStartupTimeSeconds: 5 }), async () => {
      const pod = putPod(rooms.cluster, only(rooms.cluster, "deployment"), { name: "serve-2", ...runs });
      await calm();
      rooms.clock.pass(30);
      await calm();
      expect(only(rooms.cluster, "deployment").metadata.labels?.["bodywork.io/run"]).toBe("run-2");
      // A container that was started anew has its log looked at anew.
      rooms.cluster.setLog({ namespace: "space", name: "serve-2" }, `${began}it waits\n`);
      rooms.cluster.put({
        ...pod,
        status: {
          phase: "Running",
          containerStatuses: [{ name: "bodywork", ...runs, restartCount: 1 }],
        },
      });
      await calm();
      rooms.clock.pass(4);
      await calm();
      expect(only(rooms.cluster, "deployment").metadata.labels?.["bodywork.io/run"]).toBe("run-2");
      rooms.clock.pass(1.1);
    });
    expect(outcome).toMatchObject({ kind: "failed", reason: "not ready within 5 s" });
  });

  test("that fails the first time leaves nothing", async () => {
    const rooms = fakeRooms();
    const { outcome, observer } = await failing(rooms, serveTask(), () => {
      const waiting = { reason: "InvalidImageName", message: "couldn't parse image name" };
      putPod(rooms.cluster, only(rooms.cluster, "deployment"), { state: { waiting } });
    });
    expect(outcome.kind).toBe("failed");
    expect(observer.notes.at(-1)).toBe("Rolled-back k8s deployment for stage = serve");
    for (const kind of [kinds.deployment, kinds.service])
      expect(rooms.cluster.objects(kind, "space")).toEqual([]);
    expect(rooms.services.current(name)).toBeUndefined();
  });

  test("that is cancelled is undone, and returns when its pods are gone", async () => {
    const rooms = fakeRooms();
    await rolledOut(rooms, serveTask());
    const cancel = new AbortController();
    let returned = false;
    const outcome = rollOut(two(), listen(), cancel.signal, rooms).finally(() => {
      returned = true;
    });
    await calm();
    putPod(rooms.cluster, only(rooms.cluster, "deployment"), { name: "serve-2", ...runs });
    await calm();
    cancel.abort();
    await calm();
    expect(rooms.cluster.objects(kinds.deployment)[0]?.metadata.labels?.["bodywork.io/run"]).toBe("run-1");
    expect(returned).toBe(false);
    rooms.cluster.remove(kinds.pod, { namespace: "space", name: "serve-2" });
    expect(await outcome).toEqual({ kind: "cancelled" });
  });

  test("that was cancelled before it began changes nothing", async () => {
    const rooms = fakeRooms();
    expect(await rollOut(serveTask(), listen(), AbortSignal.abort(), rooms)).toEqual({ kind: "cancelled" });
    expect(rooms.cluster.objects(kinds.deployment)).toEqual([]);
  });

  test("fails when somebody else deletes what is rolled out", async () => {
    const rooms = fakeRooms();
    const { outcome } = await failing(rooms, serveTask(), () => {
      rooms.cluster.remove(kinds.deployment, { namespace: "space", name: "serve" });
    });
    expect(outcome).toMatchObject({
      kind: "failed",
      reason: expect.stringContaining("deleted by somebody else"),
    });
  });

  test("refuses the service of another pipeline, and what is not Bodywork's", async () => {
    const rooms = fakeRooms();
    await rolledOut(rooms, serveTask());
    const before = rooms.cluster.dump();
    const other = serveTask({ runId: "run-9", deployment: "another" });
    await expect(rollOut(other, listen(), never, rooms)).rejects.toMatchObject({
      code: "namespace-taken",
      message: expect.stringContaining("the deployment story's"),
    });
    expect(rooms.cluster.dump()).toEqual(before);

    const foreign = fakeRooms();
    foreign.cluster.put({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "serve", namespace: "space" },
      spec: { ports: [{ port: 80 }] },
    });
    await expect(rollOut(serveTask(), listen(), never, foreign)).rejects.toMatchObject({
      code: "namespace-taken",
    });
  });

  test("of another port leaves the old one until the new replicas are there", async () => {
    const rooms = fakeRooms();
    await rolledOut(rooms, serveTask());
    const portNow = (): unknown =>
      at(rooms.cluster.objects(kinds.service, "space")[0], "spec", "ports", 0, "port");
    const outcome = rollOut(two({ port: 6000 }), listen(), never, rooms);
    await calm();
    expect(portNow()).toBe(5000);
    serve(rooms.cluster, "serve-2");
    await outcome;
    expect(portNow()).toBe(6000);
  });

  test("of one replica in place of two takes the budget for two away", async () => {
    const rooms = fakeRooms();
    await rolledOut(rooms, serveTask({}, { replicas: 2 }));
    expect(rooms.cluster.objects(kinds.disruptionBudget, "space")).toHaveLength(1);
    await rolledOut(rooms, two({ replicas: 1 }), "serve-2");
    expect(rooms.cluster.objects(kinds.disruptionBudget, "space")).toEqual([]);
  });

  test("of no replicas is over at once", async () => {
    const rooms = fakeRooms();
    const outcome = rollOut(serveTask({}, { replicas: 0 }), listen(), never, rooms);
    await calm();
    complete(rooms.cluster);
    expect(await outcome).toEqual({ kind: "serving" });
    expect(rooms.services.statuses()).toMatchObject([{ state: "stopped", wantedReplicas: 0 }]);
  });
});

describe("the way in from outside", () => {
  const nginx = {
    apiVersion: "networking.k8s.io/v1",
    kind: "IngressClass",
    metadata: { name: "nginx" },
    spec: { controller: "k8s.io/ingress-nginx" },
  };
  const withNginx = (): FakeRooms => {
    const rooms = fakeRooms({ url: "https://models.example.com/" });
    rooms.cluster.unserved.add("Gateway").add("HTTPRoute").add("Middleware");
    rooms.cluster.put(nginx);
    return rooms;
  };

  test("is made with a service that has one, and told", async () => {
    const rooms = withNginx();
    const { observer } = await rolledOut(rooms, serveTask({}, { ingress: true }));
    expect(rooms.cluster.objects(kinds.ingress, "space")).toHaveLength(1);
    expect(observer.notes.at(-1)).toBe(
      "Requests from outside reach stage = serve at https://models.example.com/space/serve",
    );
    expect(rooms.services.statuses()).toMatchObject([
      { ingressRoute: "/space/serve", url: "https://models.example.com/space/serve" },
    ]);
  });

  test("goes with the release that has none", async () => {
    const rooms = withNginx();
    await rolledOut(rooms, serveTask({}, { ingress: true }));
    await rolledOut(rooms, two({ ingress: false }), "serve-2");
    expect(rooms.cluster.objects(kinds.ingress, "space")).toEqual([]);
  });

  test("that a cluster does not have is a warning", async () => {
    const rooms = fakeRooms();
    rooms.cluster.unserved.add("Gateway");
    const { outcome, observer } = await rolledOut(rooms, serveTask({}, { ingress: true }));
    expect(outcome.kind).toBe("serving");
    expect(observer.notes.at(-1)).toContain("Stage = serve is not to be reached from outside: ");
  });
});

describe("what a dead controller has left", () => {
  test("of an update is undone when its run is ended", async () => {
    const rooms = fakeRooms();
    await rolledOut(rooms, serveTask());
    void rollOut(two(), listen(), never, rooms);
    await calm();
    const next = nextController(rooms);
    await endRollOuts("run-1", next);
    expect(only(rooms.cluster, "deployment").metadata.labels?.["bodywork.io/run"]).toBe("run-2");
    await endRollOuts("run-2", next);
    expect(only(rooms.cluster, "deployment").metadata.labels?.["bodywork.io/run"]).toBe("run-1");
    expect(rooms.store.documents("snapshots").size).toBe(0);
  });

  test("of a first roll-out goes", async () => {
    const rooms = fakeRooms();
    void rollOut(serveTask(), listen(), never, rooms);
    await calm();
    await endRollOuts("run-1", nextController(rooms));
    expect(rooms.cluster.objects(kinds.deployment)).toEqual([]);
  });

  test("is left alone when a later run has it", async () => {
    const rooms = fakeRooms();
    void rollOut(serveTask(), listen(), never, rooms);
    await calm();
    const snapshot = rooms.store.document("snapshots", "run-1/serve");
    await rolledOut(nextController(rooms), two());
    rooms.store.saveDocument("snapshots", "run-1/serve", snapshot);
    await endRollOuts("run-1", nextController(rooms));
    expect(only(rooms.cluster, "deployment").metadata.labels?.["bodywork.io/run"]).toBe("run-2");
  });
});

describe("a service that the original has deployed", () => {
  const original = (): KubernetesObject => {
    const labels = {
      app: "bodywork",
      stage: "serve",
      "deployment-name": "story",
      "git-commit-hash": "abc1234",
      "git-branch": "",
    };
    const args = ["https://forge.test/me/my-project", "serve"];
    return {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "serve", namespace: "space", labels, annotations: { port: "5000" } },
      spec: {
        replicas: 1,
        selector: { matchLabels: { stage: "serve" } },
        template: {
          metadata: { labels, annotations: { "last-updated": "2022-07-01T10:00:00" } },
          spec: { containers: [{ name: "bodywork", image: "bodyworkml/bodywork-core:latest", args }] },
        },
      },
      status: { observedGeneration: 1, updatedReplicas: 1, replicas: 1, availableReplicas: 1 },
    };
  };

  test("is listed with what it says of itself", async () => {
    const rooms = fakeRooms();
    rooms.cluster.put(original());
    putPod(rooms.cluster, only(rooms.cluster, "deployment"), ready);
    await rooms.services.load();
    expect(rooms.services.statuses()).toMatchObject([
      {
        ...{ namespace: "space", deployment: "story", stage: "serve", release: 0, port: 5000 },
        ...{ gitUrl: "https://forge.test/me/my-project", commit: "abc1234", branch: undefined },
        ...{ state: "serving", readyReplicas: 1 },
      },
    ]);
  });

  test("is replaced, and put back as it was when a later stage of the run fails", async () => {
    const rooms = fakeRooms();
    rooms.cluster.put(original());
    const before = only(rooms.cluster, "deployment");
    await rooms.services.load();
    const previous = rooms.services.current(name);
    if (previous === undefined) throw new Error("it is not known");
    await rolledOut(rooms, two(), "serve-2");
    expect(rooms.services.current(name)).toEqual(two());
    await endRollOuts("run-2", rooms);
    expect(rooms.services.current(name)).toEqual(two());

    const next = nextController(rooms);
    const back = rollOut(JSON.parse(JSON.stringify(previous)), listen(), never, next);
    await calm();
    rooms.cluster.remove(kinds.pod, { namespace: "space", name: "serve-2" });
    expect(await back).toEqual({ kind: "serving" });
    const after = withoutEmpty(only(rooms.cluster, "deployment"));
    expect([after.spec, after.metadata.labels, after.metadata.annotations]).toEqual([
      before.spec,
      before.metadata.labels,
      before.metadata.annotations,
    ]);
    expect(await rollOut(previous, listen(), never, next)).toEqual({ kind: "serving" });
  });

  test("is forgotten with the run that has replaced it", async () => {
    const rooms = fakeRooms();
    rooms.cluster.put(original());
    await rolledOut(rooms, two(), "serve-2");
    expect(rooms.store.documents("snapshots").size).toBe(1);
    forgetSnapshots("run-2", rooms);
    expect(rooms.store.documents("snapshots").size).toBe(0);
  });
});

describe("removing a service", () => {
  test("takes all of it away, and returns when its pods are gone", async () => {
    const rooms = fakeRooms();
    await rolledOut(rooms, serveTask({}, { replicas: 2 }));
    const { spec } = only(rooms.cluster, "deployment");
    // A pod that still answers what it had begun.
    putPod(
      rooms.cluster,
      { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "serve", namespace: "space" }, spec },
      { name: "serve-last", ...ready },
    );
    let returned = false;
    const removed = removeService(name, nextController(rooms)).finally(() => {
      returned = true;
    });
    await calm();
    for (const kind of [kinds.deployment, kinds.service, kinds.disruptionBudget]) {
      expect(rooms.cluster.objects(kind, "space")).toEqual([]);
    }
    expect(returned).toBe(false);
    rooms.cluster.remove(kinds.pod, { namespace: "space", name: "serve-last" });
    await removed;
    await removeService(name, rooms);
    expect(rooms.services.statuses()).toEqual([]);
  });

  test("that is not there, or not Bodywork's, does nothing", async () => {
    const rooms = fakeRooms();
    rooms.cluster.put({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "serve", namespace: "space" },
      spec: {},
    });
    await removeService(name, rooms);
    expect(rooms.cluster.objects(kinds.deployment)).toHaveLength(1);
  });
});
