import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";

import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import type { Fault, ScriptedApi } from "../../../support/scripted-api.ts";
import { configMap, follow, scripted } from "./scripted.ts";

const wait = { timeout: 10_000, interval: 20 };

function watched(parts: Awaited<ReturnType<typeof scripted>>, labels?: string): ReturnType<typeof follow> {
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  return follow(parts.cluster.watch(kinds.configMap, { namespace: "default", labels }, stop.signal));
}

function listsOf(api: ScriptedApi): readonly number[] {
  return api.requests
    .filter(({ path }) => path.includes("configmaps?") && !path.includes("watch=true"))
    .map(({ at }) => at);
}

function watchesOf(api: ScriptedApi): number {
  return api.requests.filter(({ path }) => path.includes("watch=true")).length;
}

/** Until the server has the watch: what happens later comes as an event. */
async function untilWatched(api: ScriptedApi, count = 1): Promise<void> {
  await vi.waitFor(() => expect(watchesOf(api)).toBeGreaterThanOrEqual(count), wait);
  await sleep(50);
}

/** A client that goes on watching from where it began, whatever it is told. */
async function watchNaively(
  api: ScriptedApi,
  version: string,
  names: Set<string>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const query = `watch=true&allowWatchBookmarks=true&resourceVersion=${version}`;
    const answer = await fetch(`${api.url}/api/v1/namespaces/default/configmaps?${query}`, {
      headers: { Authorization: "Bearer token" },
      signal,
    });
    const decoder = new TextDecoder();
    for await (const chunk of answer.body ?? []) {
      for (const line of decoder.decode(chunk as Uint8Array).split("\n")) {
        if (line === "") continue;
        const { type, object } = JSON.parse(line) as { type: string; object: { metadata: { name: string } } };
        if (type === "ADDED") names.add(object.metadata.name);
        if (type === "DELETED") names.delete(object.metadata.name);
      }
    }
  }
}

test("a watch lists what is there, then tells what changes and goes", async () => {
  const parts = await scripted();
  parts.api.put(configMap("a"));
  const seen = watched(parts);
  await untilWatched(parts.api);
  parts.api.put(configMap("b"));
  parts.api.remove(kinds.configMap, { namespace: "default", name: "a" });
  await vi.waitFor(() => expect(seen.names()).toEqual(["b"]), wait);
  expect(seen.lists()).toBe(1);
});

test("an object whose labels no longer fit is gone", async () => {
  const parts = await scripted();
  const place = { namespace: "default", name: "a" };
  parts.api.put(configMap("a", { metadata: { ...place, labels: { app: "bodywork" } } }));
  const seen = watched(parts, "app=bodywork");
  await untilWatched(parts.api);
  expect(seen.names()).toEqual(["a"]);
  parts.api.put(configMap("a", { metadata: { ...place, labels: {} } }));
  await vi.waitFor(() => expect(seen.names()).toEqual([]), wait);
});

const faults: readonly (readonly [string, Fault])[] = [
  ["too old, as a status", { kind: "status", status: 410, reason: "Expired" }],
  ["too old, as an event", { kind: "error-event", code: 410 }],
  ["too old, as an event of an answer that stays open", { kind: "error-event", code: 410, staysOpen: true }],
  ["broken within an event", { kind: "cut-stream", bytes: 30 }],
  ["ended too early", { kind: "end-stream", bytes: 0 }],
  ["ended within an event", { kind: "half-line" }],
  ["silent", { kind: "silence" }],
];

test.each(faults)("a watch that is %s misses nothing: everything is listed again", async (_what, fault) => {
  const watchSilence = fault.kind === "silence" ? 1_500 : 60_000;
  const parts = await scripted({ watchSilence, bookmarkPeriod: 200 });
  parts.api.put(configMap("a"));
  parts.api.on({ path: /watch=true/, fault });
  const seen = watched(parts);
  await untilWatched(parts.api);
  parts.api.remove(kinds.configMap, { namespace: "default", name: "a" });
  parts.api.put(configMap("b"));
  await vi.waitFor(() => expect(seen.names()).toEqual(["b"]), wait);
  expect(seen.lists()).toBeGreaterThanOrEqual(2);
});

test("a client that trusts a silent watch learns of nothing", async () => {
  const { api } = await scripted({ bookmarkPeriod: 200 });
  api.on({ path: /watch=true/, fault: { kind: "silence" } });
  const stop = new AbortController();
  const names = new Set<string>();
  const ended = watchNaively(api, "100", names, stop.signal).catch(() => {});
  await untilWatched(api);
  api.put(configMap("b"));
  await sleep(2_500);
  expect([...names]).toEqual([]);
  stop.abort();
  await ended;
});

test("a watch whose history is gone, again and again, lists at most once a second", async () => {
  const parts = await scripted();
  parts.api.on({ path: /watch=true/, times: 1_000, fault: { kind: "error-event", code: 410 } });
  const seen = watched(parts);
  await sleep(4_500);
  const lists = listsOf(parts.api);
  const periods = lists.slice(1).map((at, index) => at - (lists[index] ?? 0));
  expect(lists.length).toBeGreaterThanOrEqual(2);
  expect(Math.min(...periods)).toBeGreaterThanOrEqual(990);
  // With the time, it asks less and less often.
  expect(lists.length).toBeLessThanOrEqual(3);
  expect(seen.lists()).toBe(lists.length);
});

test("a client that only watches again after that asks many times a second, and misses what went", async () => {
  const { api } = await scripted();
  api.put(configMap("a"));
  api.on({ path: /watch=true/, times: 100_000, fault: { kind: "error-event", code: 410 } });
  const stop = new AbortController();
  const names = new Set(["a"]);
  const ended = watchNaively(api, "101", names, stop.signal).catch(() => {});
  api.remove(kinds.configMap, { namespace: "default", name: "a" });
  await sleep(1_000);
  stop.abort();
  await ended;
  expect(watchesOf(api)).toBeGreaterThan(10);
  expect([...names]).toEqual(["a"]);
});

test("a watch survives an outage", async () => {
  const parts = await scripted();
  parts.api.put(configMap("a"));
  const seen = watched(parts);
  await untilWatched(parts.api);
  await parts.api.pause();
  parts.api.put(configMap("b"));
  await sleep(500);
  await parts.api.resume();
  await vi.waitFor(() => expect(seen.names()).toEqual(["a", "b"]), wait);
});

test("everything is listed again from time to time, even if all is well", async () => {
  const parts = await scripted({ watchTime: 1_000, bookmarkPeriod: 200 });
  const seen = watched(parts);
  await vi.waitFor(() => expect(seen.lists()).toBeGreaterThanOrEqual(2), wait);
});

test("bookmarks keep a quiet watch alive", async () => {
  const parts = await scripted({ watchSilence: 600, bookmarkPeriod: 100 });
  const seen = watched(parts);
  await sleep(2_500);
  expect(seen.lists()).toBe(1);
});

test("a watch that may not be had fails", async () => {
  const parts = await scripted();
  parts.api.on({ path: /configmaps/, fault: { kind: "status", status: 403, message: "no" } });
  await expect(watched(parts).ended).rejects.toMatchObject({
    kind: "forbidden",
    message: "may not list configmaps in namespace default: no",
  });
});

test.each(["watches", "lists", "waits for the server"])(
  "an aborted watch ends while it %s",
  async (state) => {
    const { api, cluster } = await scripted();
    const stop = new AbortController();
    if (state === "lists") api.on({ path: /configmaps/, fault: { kind: "hang" } });
    if (state === "waits for the server") await api.pause();
    const { ended } = follow(cluster.watch(kinds.configMap, {}, stop.signal));
    await sleep(300);
    stop.abort();
    await ended;
  },
);
