import { type ClientRequest, request as openRequest } from "node:http";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { followRunToEnd } from "../../src/cli/follow-run.ts";
import { Failure } from "../../src/core/failure.ts";
import type { RunEvent } from "../../src/core/run-state.ts";
import { createClient } from "../../src/http/client.ts";
import type { LogText, Operations } from "../../src/operations/operations.ts";
import { createServerAdmin } from "../../src/operations/server-admin.ts";
import { aRun } from "../cli/support/records.ts";
import { cuttingProxy, listening } from "./support/cutting-proxy.ts";
import { testAdmin } from "./support/test-actions.ts";
import { apiParts, ask, bearing, localToken, testApi } from "./support/test-api.ts";

test("a run is followed line by line, from where the follower is, to its end", async () => {
  const { promise: more, resolve: goOn } = Promise.withResolvers<void>();
  const { client } = await testApi({
    async *followRun(runId, after) {
      yield notice(after + 1, `of ${runId}\nwith a line break\u2028and others\u0085`);
      await more;
      yield notice(after + 2, "ü".repeat(100_000));
    },
  });
  const texts: string[] = [];
  for await (const event of client().followRun("a run", 7)) {
    if (event.kind === "notice") texts.push(`${event.seq} ${event.text.slice(0, 50)}`);
    goOn();
  }
  expect(texts).toEqual(["8 of a run\nwith a line break\u2028and others\u0085", `9 ${"ü".repeat(50)}`]);
});

test("logs arrive as they were asked for, and so does the story of a job", async () => {
  const seen: unknown[] = [];
  const text: LogText = { node: "train", stage: "train", source: "attempt 1", text: "epoch 1\n" };
  const { client } = await testApi({
    async *logs(asked) {
      seen.push(asked);
      yield text;
    },
    async *jobLog(id) {
      seen.push(id);
      yield notice(1, "one");
    },
  });
  const asked = { deployment: "a", stage: "train", runId: "r/1", tail: 0, follow: false };
  expect(await collected(client().logs(asked))).toEqual([text]);
  expect(await collected(client().logs({ deployment: "a", follow: true }))).toEqual([text]);
  expect(await collected(client().jobLog("async-workflow-x"))).toEqual([notice(1, "one")]);
  const all = { stage: undefined, runId: undefined, tail: undefined };
  expect(seen).toEqual([asked, { deployment: "a", ...all, follow: true }, "async-workflow-x"]);
});

test("a stream that fails at once has the failure's status, one that fails later has it as its last line", async () => {
  const failure = new Failure("not-found", "There is no stage x.", { hint: "There is: train." });
  let after = 0;
  const { api, client } = await testApi({
    async *logs() {
      for (let line = 0; line < after; line++) yield { node: "a", stage: "a", source: "b", text: "c" };
      throw failure;
    },
  });
  for (after of [0, 3]) {
    const answer = await ask(`${api}/api/v1/logs?deployment=a`, { headers: bearing(localToken) });
    expect(answer.status).toBe(after === 0 ? 404 : 200);
    const texts: LogText[] = [];
    const reading = (async () => {
      for await (const text of client().logs({ deployment: "a", follow: false })) texts.push(text);
    })();
    await expect(reading).rejects.toMatchObject({
      code: "not-found",
      message: failure.message,
      hint: failure.hint,
    });
    expect(texts).toHaveLength(after);
  }
});

test("a connection that is cut, or a feed that breaks, is not taken for the end of the run", async () => {
  for (const how of ["throws", "is cut"] as const) {
    const { client, api } = await testApi({
      async *followRun() {
        yield notice(1, "one");
        if (how === "throws") throw new Error("the store is gone");
        await new Promise(() => {});
      },
    });
    const proxy = await cuttingProxy(Number(new URL(api).port));
    const through = how === "throws" ? client() : createClient({ api: proxy.api, token: localToken });
    const kinds: string[] = [];
    const following = (async () => {
      for await (const event of through.followRun("x", 0)) {
        kinds.push(event.kind);
        if (how === "is cut") proxy.cut();
      }
    })();
    await expect(following).rejects.toMatchObject({ code: "server-unreachable" });
    if (how === "is cut") expect(kinds).toEqual(["notice"]);
  }
});

test("leaving by the signal ends the following without a failure", async () => {
  const { client } = await testApi({
    async *followRun(_id, _after, signal) {
      yield notice(1, "one");
      await new Promise((resolve) => signal?.addEventListener("abort", resolve));
    },
  });
  const leave = new AbortController();
  const seen: RunEvent[] = [];
  for await (const event of client().followRun("x", 0, leave.signal)) {
    seen.push(event);
    leave.abort();
  }
  expect(seen).toHaveLength(1);
});

const cuts = [1, 150, 250, 300, 333, 400, 512, 700, 1_000];

test.each(cuts)(
  "a run whose connection is cut after %d bytes, over and over, is seen whole: each event and text once",
  async (bytes) => {
    const log = Array.from({ length: 12 }, (_, index) => `epoch ${index}: ü ${"x".repeat(index)}\n`);
    const { api } = await testApi(recordedRun(log));
    // The first connections bring little; from the seventh on the network is well.
    const proxy = await cuttingProxy(Number(new URL(api).port), (connection) =>
      connection < 6 ? bytes + connection * 37 : Number.POSITIVE_INFINITY,
    );
    const client = createClient({ api: proxy.api, token: localToken, version: "4.1.7" });
    const events: RunEvent[] = [];
    const run = await followRunToEnd("run", {
      io: { now: () => performance.now(), sleep: () => sleep(1) },
      operations: async () => client,
      onEvent: (event) => events.push(event),
      onLost: () => {},
      cancel: new AbortController().signal,
      leave: new AbortController().signal,
    });
    expect(run?.status).toBe("succeeded");
    expect(events.flatMap((event) => ("seq" in event ? [event.seq] : []))).toEqual([1, 2, 3, 4]);
    expect(events.map((event) => (event.kind === "log" ? event.text : "")).join("")).toBe(log.join(""));
  },
);

test("who follows quietly hears a sign of life at every beat, and is not bothered by it", async () => {
  const { api, client } = await testApi({ followRun: quiet }, { beat: 20 });
  const { answer, received } = await open(api, localToken);
  while (received().length < 5) await sleep(5);
  expect(received()).toMatch(/^\n+$/);
  answer.destroy();
  const leave = new AbortController();
  setTimeout(() => leave.abort(), 100);
  expect(await collected(client().followRun("x", 0, leave.signal))).toEqual([]);
});

test("when the store can't be read any more what is followed ends, and the server goes on", async () => {
  let damaged = false;
  const { access } = apiParts();
  const { api, client } = await testApi(
    { followRun: quiet },
    {
      beat: 20,
      access: {
        ...access,
        tokenOfHash() {
          if (damaged) throw new Failure("store-damaged", "it is damaged");
          return {
            id: "1",
            name: "ci",
            scopes: ["read"],
            createdAt: "",
            expiresAt: undefined,
            lastUsedAt: undefined,
          };
        },
      },
    },
  );
  const following = collected(client("bw_any").followRun("x", 0));
  const ended = expect(following).rejects.toMatchObject({ code: "server-unreachable" });
  await sleep(50);
  damaged = true;
  await ended;
  expect((await ask(`${api}/healthz`)).status).toBe(200);
});

test("what an expired or revoked token follows ends within a beat", async () => {
  for (const how of ["revoked", "expired"] as const) {
    const { api, store, token, advance } = await testApi({ followRun: quiet }, { beat: 20 });
    const given = token(["read"], { expiresAt: "2026-11-25T12:01:00.000Z" });
    const { received, closed } = await open(api, given);
    while (received().length < 3) await sleep(5);
    if (how === "revoked") store.removeToken("00000000");
    else advance(60_000);
    await closed;
  }
});

test("a follower who leaves is left, and one who does not read holds nothing up but himself, and not for long", async () => {
  let produced = 0;
  let ended = 0;
  const { api, client } = await testApi(
    {
      async *followRun(_runId, _after, signal) {
        try {
          for (; !signal?.aborted; produced++) {
            yield notice(produced, "x".repeat(10_000));
            if (produced % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
          }
        } finally {
          ended++;
        }
      },
    },
    { beat: 100 },
  );
  const { port } = new URL(api);
  const stalled = Array.from({ length: 100 }, () => {
    const socket = connect(Number(port), "127.0.0.1");
    socket.on("error", () => {});
    socket.write(
      `GET /api/v1/runs/x/events HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${localToken}\r\n\r\n`,
    );
    socket.pause();
    onTestFinished(() => void socket.destroy());
    return socket;
  });
  for (const socket of stalled.slice(0, 10)) setTimeout(() => socket.destroy(), 50);
  let before = -1;
  while (produced !== before || produced === 0) {
    before = produced;
    await sleep(200);
  }
  expect(produced).toBeLessThan(100 * 5_000);
  expect((await client().status()).running).toBe(true);
  while (ended < 100) await sleep(20);
}, 60_000);

test("one who reads slowly is not taken for one who does not read", async () => {
  const { api } = await testApi(
    {
      async *followRun() {
        for (let seq = 1; seq <= 300; seq++) yield notice(seq, "x".repeat(100_000));
      },
    },
    { beat: 50 },
  );
  const { answer } = await open(api, localToken, { paused: true });
  let bytes = 0;
  for await (const chunk of answer) {
    bytes += (chunk as Buffer).length;
    if (bytes % 7 === 0) await sleep(20);
  }
  expect(bytes).toBeGreaterThan(300 * 100_000);
}, 60_000);

test("nobody there is server-unreachable; so is one who says nothing, or nonsense, or half of it", async () => {
  const nobody = createClient({ api: "http://127.0.0.1:9", token: "x" });
  await expect(nobody.deleteDeployment("x")).rejects.toMatchObject({ code: "server-unreachable" });
  const answers = [
    "",
    "nonsense\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{",
  ];
  for (const answer of answers) {
    const server = createServer((socket) => socket.on("error", () => {}).end(answer));
    const client = createClient({ api: `http://127.0.0.1:${await listening(server)}`, token: "x" });
    await expect(client.deleteDeployment("x"), answer).rejects.toMatchObject({ code: "server-unreachable" });
  }
});

test("a server that accepts and never answers is not waited for when it is asked how it is", async () => {
  const silent = createServer(() => {});
  const client = createClient({ api: `http://127.0.0.1:${await listening(silent)}`, token: "x" });
  await expect(client.status()).rejects.toMatchObject({ code: "server-unreachable" });
}, 30_000);

test("a backup arrives whole or not at all", async () => {
  const bytes = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => index % 251));
  let fails: "no" | "at once" | "half way" = "no";
  const { store } = await testApi();
  const admin = createServerAdmin({
    ...testAdmin(),
    store,
    now: () => new Date(),
    async *backup() {
      if (fails === "at once") throw new Failure("disk-full", "The disk is full.");
      yield bytes.subarray(0, 500_000);
      if (fails === "half way") throw new Error("the disk is broken");
      yield bytes.subarray(500_000);
    },
  });
  const { client } = await testApi({}, { admin });
  expect(Buffer.concat(await collected(client().backup())).equals(bytes)).toBe(true);
  fails = "at once";
  await expect(collected(client().backup())).rejects.toMatchObject({ code: "disk-full" });
  fails = "half way";
  await expect(collected(client().backup())).rejects.toMatchObject({ code: "server-unreachable" });
});

function notice(seq: number, text: string): RunEvent {
  return { kind: "notice", seq, at: "2026-11-23T19:00:00.000Z", level: "info", text };
}

async function* quiet(_runId: string, _after: number, signal?: AbortSignal): AsyncGenerator<RunEvent> {
  await new Promise((resolve) => signal?.addEventListener("abort", resolve));
}

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** A run that is over: its events are on record, its log is read again from the beginning, as the server does it. */
function recordedRun(log: readonly string[]): Partial<Operations> {
  const told = [notice(1, "one"), notice(2, "zwei ü"), notice(3, "three"), notice(4, "four")];
  const place = { node: "train", source: "attempt 1" };
  return {
    async *followRun(_runId, after) {
      yield* told.filter((event) => "seq" in event && event.seq > after).slice(0, -1);
      for (const text of log) yield { kind: "log", at: "2026-11-23T19:00:00.000Z", ...place, text };
      yield* told.slice(-1);
    },
    async *logs() {
      for (const text of log) yield { ...place, stage: "train", text };
    },
    run: async () => aRun(),
  };
}

/** Follows without the client, to see what is really sent. */
async function open(api: string, token: string, { paused = false } = {}) {
  let text = "";
  const asked: ClientRequest = openRequest(`${api}/api/v1/runs/x/events`, {
    headers: bearing(token),
    agent: false,
  });
  asked.end();
  const answer = await new Promise<import("node:http").IncomingMessage>((resolve) =>
    asked.once("response", resolve),
  );
  const closed = new Promise<void>((resolve) => answer.once("close", resolve));
  answer.on("error", () => {});
  if (!paused) answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
  onTestFinished(() => void answer.destroy());
  return { answer, received: () => text, closed };
}
