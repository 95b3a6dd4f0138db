import { describe, expect, test } from "vitest";

import { ClusterError, type KubernetesObject } from "../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../src/engines/kubernetes/client/kinds.ts";
import { leaveNamespace, prepareNamespace } from "../../../src/engines/kubernetes/namespaces.ts";
import { programObject } from "../../../src/engines/kubernetes/pod/program.ts";
import { namespaceObject } from "../../support/fake-cluster.ts";
import { calm, type FakeRooms, fakeRooms, listen } from "./support/rooms.ts";

const never = new AbortController().signal;
const plan = { namespace: "my_space", deployment: "story" };
const account = "Creating k8s service account = bodywork-stage";

async function prepared(rooms: FakeRooms, of = plan): Promise<readonly string[]> {
  const observer = listen();
  await prepareNamespace(of, observer, never, rooms);
  return observer.notes;
}

async function left(
  rooms: FakeRooms,
  namespace = "my_space",
  deployment = "story",
): Promise<readonly string[]> {
  const observer = listen();
  await leaveNamespace(namespace, deployment, observer, rooms);
  return observer.notes;
}

const namespaces = ({ cluster }: FakeRooms): readonly string[] =>
  cluster.objects(kinds.namespace).map(({ metadata }) => metadata.name);

const secret = (name: string, change: Partial<KubernetesObject["metadata"]> = {}): KubernetesObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace: "my-space", ...change },
});

describe("preparing a namespace", () => {
  test("makes it, and the account that stages run as", async () => {
    const rooms = fakeRooms();
    expect(await prepared(rooms)).toEqual(["Creating k8s namespace = my-space", account]);
    const [made] = rooms.cluster
      .objects(kinds.namespace)
      .filter(({ metadata }) => metadata.name === "my-space");
    expect(made?.metadata.annotations).toEqual({ "bodywork.io/created-for": "story" });
    for (const kind of [kinds.serviceAccount, kinds.role, kinds.roleBinding]) {
      expect(rooms.cluster.objects(kind, "my-space").map(({ metadata }) => metadata.name)).toEqual([
        "bodywork-stage",
      ]);
    }
  });

  test("changes nothing when all is there", async () => {
    const rooms = fakeRooms();
    await prepared(rooms);
    const before = rooms.cluster.dump();
    expect(await prepared(rooms)).toEqual(["Using k8s namespace = my-space"]);
    expect(rooms.cluster.dump()).toEqual(before);
  });

  test("uses one that is there without making it ours, and mends what is missing", async () => {
    const rooms = fakeRooms();
    rooms.cluster.put(namespaceObject("my-space"));
    expect(await prepared(rooms)).toEqual(["Using k8s namespace = my-space", account]);
    rooms.cluster.remove(kinds.roleBinding, { namespace: "my-space", name: "bodywork-stage" });
    expect(await prepared(rooms)).toEqual(["Using k8s namespace = my-space"]);
    expect(rooms.cluster.objects(kinds.roleBinding, "my-space")).toHaveLength(1);
    const found = rooms.cluster.objects(kinds.namespace).find(({ metadata }) => metadata.name === "my-space");
    expect(found?.metadata.annotations).toBeUndefined();
  });

  test("waits for one that is being deleted, and makes it anew", async () => {
    const rooms = fakeRooms();
    rooms.cluster.put({ ...namespaceObject("my-space"), status: { phase: "Terminating" } });
    const observer = listen();
    const done = prepareNamespace(plan, observer, never, rooms);
    await calm();
    expect(observer.notes).toEqual(["Waiting until k8s namespace = my-space is gone: it is being deleted"]);
    rooms.cluster.remove(kinds.namespace, { name: "my-space" });
    await done;
    expect(observer.notes[1]).toBe("Creating k8s namespace = my-space");
  });

  test("gives up on one that does not go, and says what keeps it", async () => {
    const rooms = fakeRooms();
    const message = "Some content in the namespace has finalizers remaining";
    rooms.cluster.put({
      ...namespaceObject("my-space"),
      status: { phase: "Terminating", conditions: [{ type: "x", status: "True", message }] },
    });
    const done = prepareNamespace(plan, listen(), never, rooms);
    const failure = expect(done).rejects.toMatchObject({
      code: "cluster-refused",
      message: expect.stringContaining("Unable to setup namespace: my-space - it is being deleted"),
      details: [message],
    });
    await calm();
    rooms.clock.pass(61);
    await failure;
  });

  test("that the cluster refuses says so in the original's words", async () => {
    const rooms = fakeRooms();
    rooms.cluster.before = ({ verb, kind }) => {
      if (verb === "create" && kind === "Namespace") {
        throw new ClusterError("forbidden", 'namespaces is forbidden: User "ci" cannot create', {
          status: 403,
        });
      }
    };
    await expect(prepared(rooms)).rejects.toMatchObject({
      message: expect.stringMatching(/^Unable to setup namespace: my-space - .*cannot create/),
    });
  });

  test("of another name is refused where the settings keep us in one, and nothing beyond that is asked", async () => {
    const rooms = fakeRooms({ single_namespace: "space" });
    await expect(prepared(rooms)).rejects.toMatchObject({ code: "cluster-refused" });
    expect(await prepared(rooms, { namespace: "space", deployment: "story" })).toEqual([
      "Using k8s namespace = space",
      account,
    ]);
    expect(rooms.cluster.calls.filter((call) => call.includes(" Namespace"))).toEqual([]);
  });
});

describe("leaving a namespace", () => {
  test("that we have made deletes it, with all that is ours", async () => {
    const rooms = fakeRooms();
    await prepared(rooms);
    rooms.cluster.put(programObject("my-space"));
    rooms.cluster.put(secret("credentials", { labels: { group: "dev" } }));
    expect(await left(rooms)).toEqual(["Deleting k8s namespace = my-space"]);
    expect(namespaces(rooms)).not.toContain("my-space");
  });

  test("that the original has made for the pipeline deletes it; one of the pipeline's name that somebody else has made stays", async () => {
    for (const [manager, stays] of [
      ["OpenAPI-Generator", false],
      ["kubectl-create", true],
    ] as const) {
      const rooms = fakeRooms();
      const { metadata, ...rest } = namespaceObject("my-space");
      const managedFields = [{ manager, operation: "Update" as const }];
      rooms.cluster.put({ ...rest, metadata: { ...metadata, managedFields } });
      await left(rooms, "my_space", "my_space");
      expect(namespaces(rooms).includes("my-space")).toBe(stays);
    }
  });

  test.each([
    ["pod", { apiVersion: "v1", kind: "Pod", metadata: { name: "x", namespace: "my-space" } }],
    ["secret", secret("somebodys")],
    ["claim", { ...secret("data"), kind: "PersistentVolumeClaim" }],
    ["service", { ...secret("db"), kind: "Service" }],
    ["set of pods", { ...secret("db"), apiVersion: "apps/v1", kind: "StatefulSet" }],
    ["configuration", { ...secret("settings"), kind: "ConfigMap" }],
  ])("keeps it when somebody else has a %s in it, and takes only what is ours away", async (_, other) => {
    const rooms = fakeRooms();
    await prepared(rooms);
    rooms.cluster.put(programObject("my-space"));
    rooms.cluster.put(other as KubernetesObject);
    const notes = await left(rooms);
    expect(notes[0]).toContain("Keeping k8s namespace = my-space: it has something else in it");
    expect(namespaces(rooms)).toContain("my-space");
    const inside = rooms.cluster.dump().filter(({ metadata }) => metadata.namespace === "my-space");
    expect(inside.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
      `${other.kind} ${other.metadata.name}`,
    ]);
  });

  test("that stays takes copies of secrets away, and leaves what they were copied from", async () => {
    const rooms = fakeRooms();
    rooms.cluster.put(namespaceObject("my-space"));
    const labels = { group: "dev", "app.kubernetes.io/managed-by": "bodywork" };
    rooms.cluster.put(secret("dev-credentials", { labels }));
    const annotations = { "bodywork.io/copied-from": "my-space/dev-credentials" };
    rooms.cluster.put(secret("credentials", { labels, annotations }));
    await left(rooms);
    expect(rooms.cluster.objects(kinds.secret, "my-space").map(({ metadata }) => metadata.name)).toEqual([
      "dev-credentials",
    ]);
  });

  test("what every namespace has does not keep it", async () => {
    const rooms = fakeRooms();
    await prepared(rooms);
    rooms.cluster.put({ ...secret("kube-root-ca.crt"), kind: "ConfigMap" });
    rooms.cluster.put({ ...secret("default"), kind: "ServiceAccount" });
    rooms.cluster.put({ ...secret("default-token"), type: "kubernetes.io/service-account-token" });
    expect(await left(rooms)).toEqual(["Deleting k8s namespace = my-space"]);
  });

  test("keeps one that was there before", async () => {
    const rooms = fakeRooms();
    rooms.cluster.put(namespaceObject("my-space"));
    await prepared(rooms);
    expect(await left(rooms)).toEqual([
      "Keeping k8s namespace = my-space: it was there before Bodywork came",
    ]);
    expect(rooms.cluster.objects(kinds.serviceAccount, "my-space")).toEqual([]);
  });

  test.each(["default", "kube-system", "bodywork-deployment-jobs"])("never deletes %s", async (name) => {
    const rooms = fakeRooms();
    rooms.cluster.put({
      ...namespaceObject(name),
      metadata: { name, annotations: { "bodywork.io/created-for": name } },
    });
    await left(rooms, name, name);
    expect(namespaces(rooms)).toContain(name);
  });

  test("does nothing while something of Bodywork's runs there", async () => {
    const rooms = fakeRooms();
    await prepared(rooms);
    const labels = { app: "bodywork", stage: "other" };
    rooms.cluster.put({ ...secret("other", { labels }), apiVersion: "apps/v1", kind: "Deployment" });
    const before = rooms.cluster.dump();
    expect(await left(rooms)).toEqual([]);
    expect(rooms.cluster.dump()).toEqual(before);
  });

  test("that is not there does nothing", async () => {
    expect(await left(fakeRooms(), "never", "never")).toEqual([]);
  });
});
