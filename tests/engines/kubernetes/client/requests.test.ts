import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";

import type { ClusterError, KubernetesObject } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import type { Rule } from "../../../support/scripted-api.ts";
import { configMap, connected, scripted } from "./scripted.ts";

const place = { namespace: "default", name: "x" };
const attemptLabels = { "bodywork.io/run": "r1", "bodywork.io/node": "n1", "bodywork.io/attempt": "1" };

function job(labels: Readonly<Record<string, string>>): KubernetesObject {
  return { apiVersion: "batch/v1", kind: "Job", metadata: { ...place, labels }, spec: {} };
}

function errorOf(promise: Promise<unknown>): Promise<ClusterError> {
  return promise.then(
    () => expect.unreachable("it did not fail"),
    (error: ClusterError) => error,
  );
}

test.each([429, 503])(
  "a server that says %i is asked again, not before the time it names",
  async (status) => {
    const { api, cluster } = await scripted();
    const before = api.requests.length;
    api.on({ path: /configmaps\/x/, fault: { kind: "status", status, retryAfter: 1 } });
    api.put(configMap("x"));
    expect(await cluster.get(kinds.configMap, place)).toMatchObject({ data: { a: "1" } });
    const [first, second] = api.requests.slice(before).map(({ at }) => at);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(990);
  },
);

test("whoever asks again at once comes before the time that the server named", async () => {
  const { api } = await scripted();
  const before = api.requests.length;
  api.on({ path: /configmaps\/x/, fault: { kind: "status", status: 429, retryAfter: 1 } });
  const naive = (): Promise<Response> =>
    fetch(`${api.url}/api/v1/namespaces/default/configmaps/x`, {
      headers: { Authorization: "Bearer token" },
    });
  await naive();
  await naive();
  const [first, second] = api.requests.slice(before).map(({ at }) => at);
  expect((second ?? 0) - (first ?? 0)).toBeLessThan(900);
});

test("a burst of errors inside the server goes by", async () => {
  const { api, cluster } = await scripted();
  api.on({ method: "POST", times: 4, fault: { kind: "status", status: 500, reason: "InternalError" } });
  await cluster.create(configMap("x"));
  expect(api.objects(kinds.configMap)).toHaveLength(1);
});

test("a server that stays busy is given up when patience ends, with its own words", async () => {
  const { api, cluster } = await scripted({ patience: 800 });
  api.on({ path: /configmaps/, times: 1_000, fault: { kind: "status", status: 503, message: "come later" } });
  const error = await errorOf(cluster.get(kinds.configMap, place));
  expect(error).toMatchObject({ kind: "unreachable", status: 503, message: "come later" });
});

test("what the server refuses is not asked again", async () => {
  const { api, cluster } = await scripted();
  const before = api.requests.length;
  api.on({ method: "POST", times: 10, fault: { kind: "status", status: 422, message: "no such field" } });
  expect(await errorOf(cluster.create(configMap("x")))).toMatchObject({ kind: "invalid" });
  expect(api.requests).toHaveLength(before + 1);
});

const breaks: readonly (readonly [string, Rule["fault"]])[] = [
  ["before it is done", { kind: "cut-before" }],
  ["after it is done", { kind: "cut-after" }],
];

test.each(breaks)("every change survives a connection that breaks %s", async (_when, fault) => {
  const { api, cluster } = await scripted();
  for (const method of ["PATCH", "PUT", "DELETE"]) api.on({ method, fault });
  await cluster.apply(configMap("x"));
  await cluster.merge(kinds.configMap, place, { data: { b: "2" } });
  await cluster.replace(configMap("x", { data: { a: "3" } }));
  expect(api.objects(kinds.configMap)[0]?.data).toEqual({ a: "3" });
  expect(await cluster.delete(kinds.configMap, place)).toBe(true);
  expect(api.objects(kinds.configMap)).toEqual([]);
});

test("an attempt's Job whose creation was never answered is found to be our own", async () => {
  const { api, cluster } = await scripted();
  api.on({ method: "POST", path: /jobs/, fault: { kind: "cut-after" } });
  const made = await cluster.create(job(attemptLabels));
  expect(api.objects(kinds.job)).toEqual([made]);
});

test("whoever takes the second answer at its word is told that a Job of its own is another's", async () => {
  const { api } = await scripted();
  api.on({ method: "POST", path: /jobs/, fault: { kind: "cut-after" } });
  const naive = (): Promise<Response> =>
    fetch(`${api.url}/apis/batch/v1/namespaces/default/jobs`, {
      method: "POST",
      headers: { Authorization: "Bearer token" },
      body: JSON.stringify(job(attemptLabels)),
    });
  await expect(naive()).rejects.toThrow();
  expect((await naive()).status).toBe(409);
});

test.each([
  ["of another attempt", { ...attemptLabels, "bodywork.io/attempt": "2" }, attemptLabels],
  ["that says nothing of an attempt", {}, {}],
])("a Job %s is another's, whatever happened to our request", async (_which, theirs, ours) => {
  const { api, cluster } = await scripted();
  api.put(job(theirs));
  api.on({ method: "POST", path: /jobs/, fault: { kind: "cut-before" } });
  expect(await errorOf(cluster.create(job(ours)))).toMatchObject({ kind: "already-exists" });
});

test("a Job of the same attempt that was there before our first request is not created by us", async () => {
  const { api, cluster } = await scripted();
  api.put(job(attemptLabels));
  expect(await errorOf(cluster.create(job(attemptLabels)))).toMatchObject({ kind: "already-exists" });
});

test("deleting what is not there, or is another object of that name by now, says so", async () => {
  const { api, cluster } = await scripted();
  expect(await cluster.delete(kinds.configMap, place)).toBe(false);
  api.put(configMap("x"));
  expect(await cluster.delete(kinds.configMap, place, { uid: "another" })).toBe(false);
  expect(api.objects(kinds.configMap)).toHaveLength(1);
});

test("a request that is never answered is made again", async () => {
  const { api, cluster } = await scripted({ requestTime: 300 });
  api.put(configMap("x"));
  api.on({ path: /configmaps/, fault: { kind: "hang" } });
  expect(await cluster.get(kinds.configMap, place)).toBeDefined();
});

test("an outage is waited for", async () => {
  const { api, cluster } = await scripted();
  api.put(configMap("x"));
  await api.pause();
  const found = cluster.get(kinds.configMap, place);
  setTimeout(() => void api.resume(), 1_500);
  expect(await found).toBeDefined();
});

test("closing ends whatever is waited for", async () => {
  const { api, cluster } = await scripted();
  await api.pause();
  const error = errorOf(cluster.get(kinds.configMap, place));
  cluster.close();
  expect(await error).toMatchObject({
    kind: "unreachable",
    message: "The connection to the cluster is closed",
  });
});

test("a server that never answered is given up soon, whatever patience there is for outages", async () => {
  const { api } = await scripted();
  await api.pause();
  const begun = performance.now();
  await expect(connected(api, { firstPatience: 500 })).rejects.toMatchObject({
    code: "cluster-unreachable",
    message: expect.stringMatching(/Failed to connect to the Kubernetes API \(http:\S+ connect ECONNREFUSED/),
  });
  expect(performance.now() - begun).toBeLessThan(5_000);
});

test("an address that takes connections and keeps silent is given up soon, too", async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const { api } = await scripted();
  const { port } = silent.address() as AddressInfo;
  writeFileSync(
    api.kubeconfig,
    JSON.stringify({
      "current-context": "c",
      contexts: [{ name: "c", context: { cluster: "c" } }],
      clusters: [{ name: "c", cluster: { server: `http://127.0.0.1:${port}` } }],
    }),
  );
  await expect(connected(api, { firstPatience: 500 })).rejects.toMatchObject({ code: "cluster-unreachable" });
});

test("a token that was renewed in its file is read again when the old one is refused", async () => {
  const { api, cluster } = await scripted();
  api.put(configMap("x"));
  writeFileSync(api.tokenFile, "renewed\n");
  api.token = "renewed";
  expect(await cluster.get(kinds.configMap, place)).toBeDefined();
});

test("a token that stays refused is told after one further try", async () => {
  const { api, cluster } = await scripted();
  api.token = "another";
  const before = api.requests.length;
  expect(await errorOf(cluster.get(kinds.configMap, place))).toMatchObject({ kind: "unauthorized" });
  expect(api.requests).toHaveLength(before + 2);
});

test("a refused right names the verb and the resource, even if the server does not", async () => {
  const { api, cluster } = await scripted();
  api.on({ method: "POST", fault: { kind: "status", status: 403, message: "no" } });
  expect(await errorOf(cluster.create(job({})))).toMatchObject({
    kind: "forbidden",
    message: "may not create jobs.batch in namespace default: no",
  });
});

test("access reviews, discovery and the version are as the server says", async () => {
  const { api, cluster } = await scripted();
  api.allowed = ({ verb, resource, group }) => verb === "get" && resource === "jobs" && group === "batch";
  api.unserved.add("httproutes.gateway.networking.k8s.io").add("gateways.gateway.networking.k8s.io");
  expect(await cluster.may("get", kinds.job, "default")).toBe(true);
  expect(await cluster.may("create", kinds.job)).toBe(false);
  expect(await cluster.has(kinds.deployment)).toBe(true);
  expect(await cluster.has(kinds.httpRoute)).toBe(false);
  expect(await cluster.version()).toBe("v1.34.4");
});

test("requests say which tool and version they come from", async () => {
  const { api, cluster } = await scripted();
  await cluster.get(kinds.configMap, place);
  expect(api.requests.at(-1)?.userAgent).toBe("bodywork/4.0.0");
});
