import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";

import type { KubernetesObject } from "../../../src/engines/kubernetes/client/cluster.ts";
import { ClusterError } from "../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../src/engines/kubernetes/client/kinds.ts";
import { logReference, moduleLines, placeOf } from "../../../src/engines/kubernetes/logs.ts";
import { pod, running, terminated } from "./read-status/statuses.ts";
import { calm, fakeRooms } from "./support/rooms.ts";

const place = { namespace: "space", pod: "train-x1", runId: "run-1", node: "train#2", source: "attempt 1" };
const reference = logReference(place);
const podPlace = { namespace: "space", name: "train-x1" };
const runs = pod({ phase: "Running" }, { container: running() });
const ended = pod({ phase: "Failed" }, { container: { state: { terminated: terminated(3) } } });

async function read(texts: AsyncIterable<string>): Promise<string> {
  let all = "";
  for await (const text of texts) all += text;
  return all;
}

test("a reference names the pod, the run, the node and the attempt", () => {
  expect(reference).toBe("pod/space/train-x1?run=run-1&node=train%232&source=attempt+1");
  expect(placeOf(reference)).toEqual(place);
  expect(placeOf("runs/x/log")).toBeUndefined();
});

describe("the lines of a module", () => {
  const begin = "[25/11/26 12:00:00] INFO     Attempting to run module = train.py";
  const end = "[25/11/26 12:00:01] ERROR    Stage train failed - exit 3";
  test.each([
    ["between its beginning and the program's last word", `x\n${begin}\na\nb\n${end}\n`, ["a", "b"]],
    ["to the end while it goes on", `x\n${begin}\na\nb`, ["a", "b"]],
    ["none when it has printed none", `x\n${begin}\n${end}\n`, []],
    ["all lines when it never began", `x\ny\n${end}\n`, ["x", "y"]],
    ["with what it prints itself of that kind", `${begin}\n${begin}\na\n`, [begin, "a"]],
    ["none of an empty log", "", []],
  ])("are those %s", (_, log, lines) => {
    expect(moduleLines(log, 20)).toEqual(lines);
  });

  test("are the last ones", () => {
    expect(moduleLines(`${begin}\n1\n2\n3\n`, 2)).toEqual(["2", "3"]);
  });
});

describe("a log", () => {
  test("is its pod's while that is there, and the kept one afterwards", async () => {
    const { cluster, logs } = fakeRooms();
    cluster.put(ended);
    cluster.setLog(podPlace, "one\ntwo\n");
    expect(await read(logs.read(reference, { follow: false }))).toBe("one\ntwo\n");
    expect(await logs.keep(place, "story")).toEqual({ text: "one\ntwo\n", problem: undefined });
    cluster.remove(kinds.pod, podPlace);
    expect(await read(logs.read(reference, { follow: false }))).toBe("one\ntwo\n");
    expect(await read(logs.read(reference, { follow: false, tail: 1 }))).toBe("two\n");
    expect(await read(logs.read(reference, { follow: true }))).toBe("one\ntwo\n");
    await logs.removeRun("run-1");
    expect(await read(logs.read(reference, { follow: false }))).toBe("");
  });

  test("of another run stays when one is removed", async () => {
    const { cluster, logs } = fakeRooms();
    cluster.put(ended);
    cluster.setLog(podPlace, "one\n");
    await logs.keep(place, "story");
    await logs.removeRun("run-2");
    expect(cluster.objects(kinds.secret)).toHaveLength(1);
  });

  test("that is long is kept from its end on, in whole lines", async () => {
    const { cluster, logs } = fakeRooms();
    cluster.put(ended);
    const line = `${"x".repeat(99)}\n`;
    cluster.setLog(podPlace, `first\n${line.repeat(20_000)}last\n`);
    const { text } = await logs.keep(place, "story");
    expect(text.length).toBeLessThanOrEqual(1024 * 1024);
    expect(text.startsWith(line)).toBe(true);
    expect(text.endsWith("last\n")).toBe(true);
  });

  test("that can't be compressed is kept in part: a Secret holds no more than a mebibyte", async () => {
    const { cluster, logs } = fakeRooms();
    cluster.put(ended);
    const lines = Array.from({ length: 20_000 }, () => randomBytes(36).toString("base64"));
    cluster.setLog(podPlace, `${lines.join("\n")}\nlast\n`);
    expect((await logs.keep(place, "story")).problem).toBeUndefined();
    const [record] = cluster.objects(kinds.secret) as readonly (KubernetesObject & {
      data: { log: string };
    })[];
    expect(Buffer.from(record?.data.log ?? "", "base64").length).toBeLessThanOrEqual(700 * 1024);
    cluster.remove(kinds.pod, podPlace);
    expect(await read(logs.read(reference, { follow: false }))).toMatch(/last\n$/);
  });

  test("that the cluster does not take is told, and read all the same", async () => {
    const { cluster, logs } = fakeRooms();
    cluster.put(ended);
    cluster.setLog(podPlace, "one\n");
    cluster.before = ({ verb, kind }) => {
      if (verb === "create" && kind === "Secret") throw new ClusterError("forbidden", "exceeded quota");
    };
    expect(await logs.keep(place, "story")).toEqual({ text: "one\n", problem: "exceeded quota" });
  });

  test("that was never written is empty, and nothing is kept of it", async () => {
    const { cluster, logs } = fakeRooms();
    cluster.put(pod({}));
    expect((await logs.keep(place, "story")).text).toBe("");
    expect(cluster.objects(kinds.secret)).toEqual([]);
    expect(await read(logs.read("another engine's", { follow: false }))).toBe("");
  });

  test("that is followed comes whole to its end, also what was kept after its pod had gone", async () => {
    const { cluster, logs } = fakeRooms();
    cluster.put(ended);
    cluster.setLog(podPlace, "one\ntwo\n");
    await logs.keep(place, "story");
    cluster.put(runs);
    cluster.logs = async function* () {
      yield "one\n";
      // The connection breaks as the pod goes.
      cluster.remove(kinds.pod, podPlace);
      throw new ClusterError("not-found", "pods train-x1 not found");
    };
    expect(await read(logs.read(reference, { follow: true }))).toBe("one\ntwo\n");
  });

  test("that nobody follows any more ends with what it holds by then", async () => {
    const { cluster, logs, clock } = fakeRooms();
    cluster.put(runs);
    const stop = new AbortController();
    let asked = 0;
    cluster.logs = async function* (_, { follow }, signal) {
      asked += 1;
      yield "one\n";
      if (!follow) yield "two\n";
      else await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    };
    const all = read(logs.read(reference, { follow: true, signal: stop.signal }));
    await calm();
    stop.abort();
    expect(await all).toBe("one\ntwo\n");
    expect(asked).toBe(2);
    expect(clock.monotonic()).toBe(0);
  });

  test("goes on with the container that is started anew", async () => {
    const { cluster, logs, clock } = fakeRooms();
    const container = (containerID: string) =>
      pod({ phase: "Running" }, { container: running({ containerID }), restartPolicy: "Always" });
    cluster.put(container("a"));
    let round = 0;
    cluster.logs = async function* () {
      round += 1;
      if (round === 2)
        cluster.put(pod({ phase: "Succeeded" }, { container: { state: { terminated: terminated(0) } } }));
      yield round === 1 ? "of the first\n" : "of the next\n";
    };
    const all = read(logs.read(reference, { follow: true }));
    await calm();
    cluster.put(container("b"));
    clock.pass(1);
    expect(await all).toBe("of the first\nof the next\n");
  });
});
