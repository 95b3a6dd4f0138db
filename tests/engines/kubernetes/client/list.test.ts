import { expect, test } from "vitest";

import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import type { ScriptedApi } from "../../../support/scripted-api.ts";
import { configMap, scripted } from "./scripted.ts";

function fill(api: ScriptedApi, count: number): void {
  for (let index = 0; index < count; index++) api.put(configMap(`c-${String(index).padStart(5, "0")}`));
}

test("ten thousand objects come in pages of five hundred, each once, with their kind", async () => {
  const { api, cluster } = await scripted();
  fill(api, 10_000);
  const before = api.requests.length;
  const objects = await cluster.list(kinds.configMap, { namespace: "default" });
  expect(api.requests).toHaveLength(before + 20);
  expect(new Set(objects.map(({ metadata }) => metadata.name)).size).toBe(10_000);
  expect(objects[0]).toMatchObject({ apiVersion: "v1", kind: "ConfigMap" });
});

test("a list that grew too old between two pages is begun anew, and is whole", async () => {
  const { api, cluster } = await scripted();
  fill(api, 1_200);
  api.on({ path: /continue=/, after: 1, fault: { kind: "status", status: 410, reason: "Expired" } });
  const objects = await cluster.list(kinds.configMap);
  expect(objects.map(({ metadata }) => metadata.name)).toEqual(
    api.objects(kinds.configMap).map(({ metadata }) => metadata.name),
  );
});

test("a list that always grows too old is asked for in one piece", async () => {
  const { api, cluster } = await scripted();
  fill(api, 600);
  api.on({ path: /continue=/, times: 100, fault: { kind: "status", status: 410, reason: "Expired" } });
  expect(await cluster.list(kinds.configMap)).toHaveLength(600);
});

test("whoever goes on with the page that is too old gets half a list", async () => {
  const { api } = await scripted();
  fill(api, 600);
  const first = await get(api, "limit=500");
  api.compact();
  const { continue: next } = first.metadata as { continue: string };
  expect(await get(api, `limit=500&continue=${next}`)).toMatchObject({ code: 410 });
});

async function get(api: ScriptedApi, query: string): Promise<Record<string, unknown>> {
  const answer = await fetch(`${api.url}/api/v1/configmaps?${query}`, {
    headers: { Authorization: "Bearer token" },
  });
  return (await answer.json()) as Record<string, unknown>;
}

test("labels and fields choose", async () => {
  const { api, cluster } = await scripted();
  fill(api, 3);
  api.put(configMap("l", { metadata: { namespace: "default", name: "l", labels: { app: "bodywork" } } }));
  const byLabel = await cluster.list(kinds.configMap, { labels: "app=bodywork" });
  const byField = await cluster.list(kinds.configMap, { fields: "metadata.name=c-00001" });
  expect([byLabel, byField].flat().map(({ metadata }) => metadata.name)).toEqual(["l", "c-00001"]);
});
