import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";

import type { Cluster, LogOptions } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { linesOf } from "../../../../src/engines/kubernetes/client/lines.ts";
import { createLogPosition, stampedLine } from "../../../../src/engines/kubernetes/client/log-position.ts";
import type { ScriptedApi } from "../../../support/scripted-api.ts";
import { scripted } from "./scripted.ts";

const pod = { namespace: "default", name: "p" };

function putPod(
  api: ScriptedApi,
  state: Readonly<Record<string, unknown>> = { terminated: { exitCode: 0 } },
): void {
  const status = { containerStatuses: [{ name: "bodywork", state }] };
  api.put({ apiVersion: "v1", kind: "Pod", metadata: pod, spec: {}, status });
}

async function textOf(cluster: Cluster, options: Partial<LogOptions> = {}): Promise<string> {
  const texts: string[] = [];
  const all = { container: "bodywork", follow: true, ...options };
  for await (const text of cluster.logs(pod, all, new AbortController().signal)) texts.push(text);
  return texts.join("");
}

/** Lines of the same and of different moments, some of them alike. */
function lines(count: number): { readonly text: string; readonly write: (api: ScriptedApi) => void } {
  const all = Array.from({ length: count }, (_, index) => ({
    time: `2026-11-25T12:00:0${Math.floor((index * 9) / count)}.${String(index - (index % 3)).padStart(9, "0")}Z`,
    line: index % 3 === 0 ? "zeile über zeile\n" : `${index} ☃\n`,
  }));
  return {
    text: all.map(({ line }) => line).join(""),
    write: (api) => {
      for (const { time, line } of all) api.log(pod).write(line, time);
    },
  };
}

test("a log comes whole and without the times it was asked for with", async () => {
  const { api, cluster } = await scripted();
  putPod(api);
  const { text, write } = lines(100);
  write(api);
  api.log(pod).end();
  expect(await textOf(cluster)).toBe(text);
  expect(await textOf(cluster, { tail: 2 })).toBe("98 ☃\nzeile über zeile\n");
});

test("a followed log comes as it is written, until the container has ended", async () => {
  const { api, cluster } = await scripted();
  putPod(api, { running: { startedAt: "2026-11-25T12:00:00Z" } });
  const log = api.log(pod);
  const text = textOf(cluster);
  await sleep(200);
  log.write("one\n");
  await sleep(200);
  log.write("two\nno end");
  putPod(api);
  log.end();
  expect(await text).toBe("one\ntwo\nno end");
});

test.each(["cut-stream", "end-stream"] as const)(
  "a log whose answer breaks off three times (%s) has every line once",
  async (kind) => {
    const { api, cluster } = await scripted();
    putPod(api, { running: { startedAt: "2026-11-25T11:00:00Z" } });
    const { text, write } = lines(300);
    write(api);
    api.on({ path: /\/log/, fault: { kind, bytes: 997 } });
    api.on({ path: /\/log/, fault: { kind, bytes: 3_001 } });
    api.on({ path: /\/log/, fault: { kind, bytes: 5_003 } });
    const read = textOf(cluster);
    await sleep(4_000);
    putPod(api);
    api.log(pod).end();
    expect(await read).toBe(text);
  },
);

test("whoever only asks for the lines since the last one has some of them twice", async () => {
  const { api } = await scripted();
  putPod(api);
  const { text, write } = lines(300);
  write(api);
  const get = async (query: string): Promise<string> => {
    const url = `${api.url}/api/v1/namespaces/default/pods/p/log?timestamps=true&${query}`;
    return (await fetch(url, { headers: { Authorization: "Bearer token" } })).text();
  };
  const begin = (await get("")).split("\n").slice(0, 100);
  const since = begin.at(-1)?.split(" ")[0] ?? "";
  const rest = (await get(`sinceTime=${encodeURIComponent(since)}`)).split("\n");
  const naive = [...begin, ...rest].map((line) => line.replace(/^\S+ /, "")).join("\n");
  expect(naive.length).toBeGreaterThan(text.length);
});

test("the last lines of a log that breaks off are not preceded by those before them", async () => {
  const { api, cluster } = await scripted();
  putPod(api);
  const time = "2026-11-25T12:00:00.5Z";
  for (const name of ["a", "b", "c", "d"]) api.log(pod).write(`${name}\n`, time);
  api.log(pod).end();
  api.on({ path: /\/log/, fault: { kind: "cut-stream", bytes: 30 } });
  expect(await textOf(cluster, { tail: 2 })).toBe("c\nd\n");
});

test("the log of a pod that is not there fails, and one that goes meanwhile ends", async () => {
  const { api, cluster } = await scripted();
  await expect(textOf(cluster)).rejects.toMatchObject({ kind: "not-found" });
  putPod(api);
  api.log(pod).write("one\n");
  const text = textOf(cluster);
  await sleep(200);
  api.remove({ apiVersion: "v1", kind: "Pod", plural: "pods", namespaced: true }, pod);
  api.cut();
  expect(await text).toBe("one\n");
});

test("the container that was started after the last line is not read on in its place", async () => {
  const { api, cluster } = await scripted();
  putPod(api, { running: { startedAt: "2026-11-25T12:30:00Z" } });
  api.log(pod).write("of the first\n", "2026-11-25T12:00:00Z");
  api.log(pod).end();
  expect(await textOf(cluster)).toBe("of the first\n");
});

test.each(["follows", "waits for the server"])("an aborted log ends while it %s", async (state) => {
  const { api, cluster } = await scripted();
  putPod(api, { running: { startedAt: "2026-11-25T12:00:00Z" } });
  if (state === "waits for the server") await api.pause();
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 300);
  for await (const _ of cluster.logs(pod, { follow: true }, stop.signal)) expect.unreachable();
});

test("characters in two pieces are put together", async () => {
  const bytes = Buffer.from("über\nzwei ☃ drei\n\nende");
  const read: string[] = [];
  let rest = "";
  async function* single(): AsyncGenerator<Buffer> {
    for (const byte of bytes) yield Buffer.from([byte]);
  }
  const onRest = (text: string): void => {
    rest = text;
  };
  for await (const some of linesOf(single(), onRest)) read.push(...some);
  expect([read, rest]).toEqual([["über", "zwei ☃ drei", ""], "ende"]);
});

test("times are read to the nanosecond, with any zone, and lines of kubelet's own have none", () => {
  const stamped = stampedLine("2026-11-25T13:00:00.123456789+01:00 text of it");
  expect(stamped).toMatchObject({ time: Date.parse("2026-11-25T12:00:00.123Z"), text: "text of it" });
  expect(stampedLine("unable to retrieve container logs")).toMatchObject({
    time: undefined,
    text: "unable to retrieve container logs",
  });
  expect(stampedLine("2026-11-25T12:00:00Z ").text).toBe("");
});

test("lines that come out of order, or are alike to the nanosecond, count once each after a resumption", () => {
  const first = ["12:00:01.5Z b", "12:00:01.4Z a", "12:00:01.5Z b"].map((line) =>
    stampedLine(`2026-11-25T${line}`),
  );
  const position = createLogPosition();
  expect(position.resume()).toBeUndefined();
  expect(first.map(position.isNew)).toEqual([true, true, true]);
  expect(position.resume()).toBe("2026-11-25T11:59:59Z");
  const late = stampedLine("2026-11-25T12:00:01.45Z late");
  expect([...first, late, first[0] ?? late].map(position.isNew)).toEqual([false, false, false, true, true]);
});
