import { expect, test } from "vitest";

import type {
  Cluster,
  ClusterError,
  KubernetesObject,
} from "../../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import type { ScriptedApi } from "../../../support/scripted-api.ts";
import { configMap, scripted } from "./scripted.ts";

const place = { namespace: "default", name: "x" };

/** As the original's client, or another, would have made it. */
async function createdBy(manager: string, api: ScriptedApi, object: KubernetesObject): Promise<void> {
  const answer = await fetch(`${api.url}/api/v1/namespaces/default/configmaps?fieldManager=${manager}`, {
    method: "POST",
    headers: { Authorization: "Bearer token" },
    body: JSON.stringify(object),
  });
  expect(answer.status).toBe(201);
}

const labelled = { metadata: { ...place, labels: { app: "bodywork" } } };

function conflictOf(cluster: Cluster, object: KubernetesObject): Promise<ClusterError> {
  return cluster.apply(object).then(
    () => expect.unreachable("it did not fail"),
    (error: ClusterError) => error,
  );
}

test("an apply sets what it names, and removes what the apply before it named", async () => {
  const { api, cluster } = await scripted();
  await cluster.apply(configMap("x", { data: { a: "1", b: "2" } }));
  await cluster.apply(configMap("x", { data: { a: "3" } }));
  expect(api.objects(kinds.configMap)[0]?.data).toEqual({ a: "3" });
});

test("what was read can be applied again", async () => {
  const { cluster } = await scripted();
  const read = await cluster.apply(configMap("x"));
  await cluster.apply({ ...read, data: { a: "2" } });
  expect(await cluster.get(kinds.configMap, place)).toMatchObject({ data: { a: "2" } });
});

test("a field of another tool is left alone, and the conflict names the tool and the field", async () => {
  const { api, cluster } = await scripted();
  await createdBy("kubectl", api, configMap("x", labelled));
  const error = await conflictOf(cluster, configMap("x", { data: { a: "2" } }));
  expect(error).toMatchObject({ kind: "conflict", causes: ['.data.a: conflict with "kubectl" using v1'] });
  expect(api.objects(kinds.configMap)[0]?.data).toEqual({ a: "1" });
});

test("whoever forces an apply takes another tool's field", async () => {
  const { api } = await scripted();
  await createdBy("kubectl", api, configMap("x", labelled));
  await fetch(`${api.url}/api/v1/namespaces/default/configmaps/x?fieldManager=naive&force=true`, {
    method: "PATCH",
    headers: { Authorization: "Bearer token", "Content-Type": "application/apply-patch+yaml" },
    body: JSON.stringify(configMap("x", { data: { a: "2" } })),
  });
  expect(api.objects(kinds.configMap)[0]?.data).toEqual({ a: "2" });
});

test("fields of the original's client on an object of its own are taken over, once, and that is told", async () => {
  const { api, cluster } = await scripted();
  await createdBy("OpenAPI-Generator", api, configMap("x", { ...labelled, data: { a: "1", old: "1" } }));
  const told: string[] = [];
  const onTakeOver = (manager: string): void => void told.push(manager);
  const wanted = configMap("x", { ...labelled, data: { a: "2" } });
  await cluster.apply(wanted, { onTakeOver });
  await cluster.apply(configMap("x", { ...labelled, data: { a: "3" } }), { onTakeOver });
  expect(told).toEqual(["OpenAPI-Generator"]);
  const [live] = api.objects(kinds.configMap);
  expect(live?.data).toEqual({ a: "3" });
  expect(live?.metadata.managedFields).toMatchObject([{ manager: "bodywork", operation: "Apply" }]);
  expect(api.requests.filter(({ path }) => path.includes("force=true"))).toEqual([]);
});

test("an object that somebody changes while it is taken over is looked at again", async () => {
  const { api, cluster } = await scripted();
  await createdBy("OpenAPI-Generator", api, configMap("x", labelled));
  const conflict = {
    kind: "status",
    status: 409,
    reason: "Conflict",
    message: "the object has been modified",
  } as const;
  api.on({ method: "PATCH", path: /x\?fieldManager=bodywork$/, times: 2, fault: conflict });
  await cluster.apply(configMap("x", { ...labelled, data: { a: "2" } }));
  expect(api.objects(kinds.configMap)[0]?.data).toEqual({ a: "2" });
});

test.each([
  ["without its label", configMap("x")],
  ["that another tool has a say in", configMap("x", { ...labelled, data: { a: "1", b: "1" } })],
])("nothing is taken over on an object %s", async (which, object) => {
  const { api, cluster } = await scripted();
  await createdBy("OpenAPI-Generator", api, object);
  if (which.includes("another tool")) {
    await fetch(`${api.url}/api/v1/namespaces/default/configmaps/x?fieldManager=kubectl`, {
      method: "PATCH",
      headers: { Authorization: "Bearer token", "Content-Type": "application/merge-patch+json" },
      body: JSON.stringify({ data: { b: "theirs" } }),
    });
  }
  const before = api.objects(kinds.configMap);
  const error = await conflictOf(cluster, configMap("x", { data: { a: "2", b: "2" } }));
  expect(error.kind).toBe("conflict");
  expect(error.message).toContain("OpenAPI-Generator");
  expect(api.objects(kinds.configMap)).toEqual(before);
});

test("an apply that is only tried takes nothing over, and shows what it would come to", async () => {
  const { api, cluster } = await scripted();
  await createdBy("OpenAPI-Generator", api, configMap("x", labelled));
  const before = api.objects(kinds.configMap);
  const tried = await cluster.apply(configMap("x", { ...labelled, data: { a: "2" } }), { dryRun: true });
  expect(tried.data).toEqual({ a: "2" });
  expect(api.objects(kinds.configMap)).toEqual(before);
});

test("a replacement of what has changed since is refused, and can be made of what is there now", async () => {
  const { api, cluster } = await scripted();
  const read = await cluster.create(configMap("x"));
  api.put(configMap("x", { data: { a: "theirs" } }));
  await expect(cluster.replace({ ...read, data: { a: "2" } })).rejects.toMatchObject({ kind: "conflict" });
  const now = await cluster.get(kinds.configMap, place);
  await cluster.replace({ ...read, ...now, data: { a: "2" } });
  expect(api.objects(kinds.configMap)[0]?.data).toEqual({ a: "2" });
});
