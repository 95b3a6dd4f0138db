import { expect, test } from "vitest";
import { fencedCluster } from "../../../../src/engines/kubernetes/client/fence.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import { fakeCluster, namespaceObject } from "../../../support/fake-cluster.ts";

const place = { namespace: "shop", name: "settings" };
const object = {
  ...{ apiVersion: "v1", kind: "ConfigMap", metadata: place },
  data: { a: "1" },
};

function world() {
  const there = fakeCluster();
  there.put(namespaceObject("shop"));
  return { there, ...fencedCluster(there) };
}

test("until the fence is up everything goes through it", async () => {
  const { cluster } = world();
  await cluster.create(object);
  await cluster.merge(kinds.configMap, place, { data: { a: "2" } });
  expect(await cluster.delete(kinds.configMap, place)).toBe(true);
});

test("behind the fence nothing is changed any more, and all can still be looked at", async () => {
  const { there, cluster, fence } = world();
  await cluster.create(object);
  fence(new Error("another has taken over"));
  const before = there.objects(kinds.configMap, "shop");
  const changes = [
    () => cluster.create({ ...object, metadata: { ...place, name: "other" } }),
    () => cluster.apply({ ...object, data: { a: "2" } }),
    () => cluster.replace({ ...object, data: { a: "2" } }),
    () => cluster.merge(kinds.configMap, place, { data: { a: "2" } }),
    () => cluster.delete(kinds.configMap, place),
  ];
  for (const change of changes) await expect(change()).rejects.toThrow("another has taken over");
  expect(there.objects(kinds.configMap, "shop")).toEqual(before);
  expect(await cluster.get(kinds.configMap, place)).toBeDefined();
});

test("before each change it is asked whether the lease still holds, for timers of a stopped process come late", async () => {
  const { there, cluster, fence, checkWith } = world();
  checkWith(() => fence(new Error("it has run out meanwhile")));
  await expect(cluster.create(object)).rejects.toThrow("it has run out meanwhile");
  expect(there.objects(kinds.configMap, "shop")).toEqual([]);
});
