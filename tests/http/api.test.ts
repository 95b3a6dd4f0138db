import { type IncomingMessage, request } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import type { DeployRequest, RunEvent } from "../../src/core/run-state.ts";
import { createClient, type ServerClient } from "../../src/http/client.ts";
import { createApi } from "../../src/http/server.ts";
import type { ServerStatus } from "../../src/operations/operations.ts";
import type { RunActions } from "../../src/operations/run-actions.ts";
import { testActions } from "./support/test-actions.ts";

const token = "a".repeat(64);
const status: ServerStatus = {
  running: true,
  pid: 1,
  version: "4.0.0",
  home: "/home/me/.bodywork",
  api: "",
  ingress: undefined,
  ingressRunning: false,
  startedAt: undefined,
};

interface Served {
  readonly api: string;
  readonly client: ServerClient;
  readonly told: string[];
}

/** The real API on a loopback port. */
async function served(given: Partial<RunActions> = {}, sshKey?: string): Promise<Served> {
  const told: string[] = [];
  const api = createApi({
    actions: testActions(given),
    token,
    status: () => status,
    async listen(address) {
      if (address === "taken:1")
        throw new Failure("port-taken", "Port 1 is taken.", { hint: "Choose another." });
      told.push(`listen ${address}`);
    },
    async stop({ services }) {
      told.push(`stop ${services}`);
    },
  });
  const address = await api.listen({ host: "127.0.0.1", port: 0 });
  onTestFinished(() => api.close());
  return { api: address, client: createClient({ api: address, token }, sshKey), told };
}

function ask(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<{ status: number | undefined; body: string; message: IncomingMessage }> {
  return new Promise((resolve, reject) => {
    const asked = request(
      url,
      { method: options.method ?? "GET", headers: options.headers ?? {} },
      (message) => {
        const chunks: Buffer[] = [];
        message.on("data", (chunk: Buffer) => chunks.push(chunk));
        message.on("end", () =>
          resolve({ status: message.statusCode, body: Buffer.concat(chunks).toString(), message }),
        );
      },
    );
    asked.once("error", reject);
    asked.end(options.body);
  });
}

const routes: readonly (readonly [method: string, path: string])[] = [
  ["GET", "/v1/server"],
  ["POST", "/v1/server/stop"],
  ["PUT", "/v1/server/listen"],
  ["POST", "/v1/runs"],
  ["GET", "/v1/runs/x/events"],
  ["POST", "/v1/runs/x/cancel"],
  ["DELETE", "/v1/deployments/x"],
  ["POST", "/v1/environments/clean"],
  ["GET", "/no/such/route"],
];

test.each(routes)(
  "%s %s is for nobody without the token, under no name but loopback's",
  async (method, path) => {
    const { api, told } = await served();
    const authorization = `Bearer ${token}`;
    const refused = [
      [401, {}],
      [401, { authorization: "Bearer " }],
      [401, { authorization: `Bearer ${"b".repeat(64)}` }],
      [401, { authorization: token }],
      [421, { authorization, host: "evil.test" }],
      [421, { authorization, host: "127.0.0.1.evil.test:80" }],
      [421, { host: "localhost.evil.test" }],
    ] as const;
    for (const [expected, headers] of refused) {
      const { status: found, body } = await ask(`${api}${path}`, { method, headers: { ...headers } });
      expect(found).toBe(expected);
      expect(body).not.toContain(token);
    }
    expect(told).toEqual([]);
  },
);

test("every route in the table is one that the server has", async () => {
  const { api } = await served();
  const { port } = new URL(api);
  for (const name of ["127.0.0.1", "localhost"]) {
    const { status: found } = await ask(`${api}/v1/server`, {
      headers: { authorization: `Bearer ${token}`, host: `${name}:${port}` },
    });
    expect(found).toBe(200);
  }
  for (const [method, path] of routes.slice(0, -1)) {
    const { status: found } = await ask(`${api}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(method === "GET" || method === "DELETE" ? {} : { body: "[]" }),
    });
    expect(found, `${method} ${path}`).not.toBe(404);
  }
});

test("a request that is not of the API's form is a usage failure that says where", async () => {
  const { api } = await served();
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const bad = [
    "{}",
    '{"request": {"url": ""}}',
    '{"request": {"url": 1, "strict": "no", "startedBy": "x"}}',
    "nonsense",
  ];
  for (const body of bad) {
    const answer = await ask(`${api}/v1/runs`, { method: "POST", headers, body });
    expect(answer.status).toBe(422);
    expect(JSON.parse(answer.body)).toMatchObject({ error: { code: "usage" } });
  }
  const huge = await ask(`${api}/v1/runs`, { method: "POST", headers, body: `"${"x".repeat(2_000_000)}"` });
  expect(huge.status).toBe(422);
});

test("the verbs arrive as they were called, and their failures come back whole", async () => {
  const seen: unknown[] = [];
  const wanted: DeployRequest = {
    url: "https://forge.test/x",
    branch: undefined,
    strict: true,
    startedBy: "command",
  };
  const { client, told } = await served(
    {
      async deploy(deployment, sshKey) {
        seen.push(deployment, sshKey);
        return { runId: "20261123-1" };
      },
      async cancelRun(id, why) {
        seen.push(why);
        throw new Failure("not-found", `There is no run ${id}.`, { hint: "bodywork get runs" });
      },
      async deleteDeployment(name) {
        seen.push(name);
        return { found: true };
      },
      async cleanEnvironments(options) {
        seen.push(options);
        return [];
      },
    },
    "the key",
  );
  expect(await client.deploy(wanted)).toEqual({ runId: "20261123-1" });
  expect(await client.deleteDeployment("a/b c")).toEqual({ found: true });
  expect(await client.cleanEnvironments({ unusedDays: 30 })).toEqual([]);
  await expect(client.cancelRun("x y", "Ctrl-C")).rejects.toMatchObject({
    code: "not-found",
    message: "There is no run x y.",
    hint: "bodywork get runs",
  });
  expect(seen).toEqual([wanted, "the key", "a/b c", { unusedDays: 30 }, "Ctrl-C"]);
  expect(await client.listen("0.0.0.0:80")).toEqual(JSON.parse(JSON.stringify(status)));
  await expect(client.listen("taken:1")).rejects.toMatchObject({
    code: "port-taken",
    hint: "Choose another.",
  });
  await client.stop({ services: true });
  expect(told).toEqual(["listen 0.0.0.0:80", "stop true"]);
});

test("a run is followed line by line, from where the follower is, to its end", async () => {
  const { promise: more, resolve: goOn } = Promise.withResolvers<void>();
  const { client } = await served({
    async *followRun(runId, after) {
      yield notice(after + 1, `of ${runId}\nwith a line break`);
      await more;
      yield notice(after + 2, "ü".repeat(100_000));
    },
  });
  const texts: (string | undefined)[] = [];
  for await (const event of client.followRun("a run", 7)) {
    texts.push(event.kind === "notice" ? `${event.seq} ${event.text.slice(0, 30)}` : undefined);
    goOn();
  }
  expect(texts).toEqual(["8 of a run\nwith a line break", `9 ${"ü".repeat(30)}`]);
});

test("a follower who leaves is left, and one who does not read holds nothing up but himself", async () => {
  let produced = 0;
  const gone = Promise.withResolvers<void>();
  const { api, client } = await served({
    async *followRun(_runId, _after, signal) {
      signal?.addEventListener("abort", () => gone.resolve());
      for (; !signal?.aborted; produced++) {
        yield notice(produced, "x".repeat(10_000));
        if (produced % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    },
  });
  const { port } = new URL(api);
  const stalled = connect(Number(port), "127.0.0.1");
  stalled.write(
    `GET /v1/runs/x/events HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${token}\r\n\r\n`,
  );
  stalled.pause();
  let before = -1;
  while (produced !== before || produced === 0) {
    before = produced;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  expect(produced).toBeLessThan(5_000);
  expect((await client.status()).running).toBe(true);
  stalled.destroy();
  await gone.promise;
});

test("a connection that is cut, or a feed that breaks, is not taken for the end of the run", async () => {
  for (const how of ["throws", "server closes"] as const) {
    const { client, api } = await served({
      async *followRun() {
        yield notice(1, "one");
        if (how === "throws") throw new Error("the store is gone");
        await new Promise(() => {});
      },
    });
    const proxy = await cuttableProxy(Number(new URL(api).port));
    const through = how === "throws" ? client : createClient({ api: proxy.api, token });
    const texts: string[] = [];
    const following = (async () => {
      for await (const event of through.followRun("x", 0)) {
        texts.push(event.kind);
        if (how === "server closes") proxy.cut();
      }
    })();
    await expect(following).rejects.toMatchObject({ code: "server-unreachable" });
    if (how === "server closes") expect(texts).toEqual(["notice"]);
  }
});

test("leaving by the signal ends the following without a failure", async () => {
  const { client } = await served({
    async *followRun(_id, _after, signal) {
      yield notice(1, "one");
      await new Promise((resolve) => signal?.addEventListener("abort", resolve));
    },
  });
  const leave = new AbortController();
  const seen: RunEvent[] = [];
  for await (const event of client.followRun("x", 0, leave.signal)) {
    seen.push(event);
    leave.abort();
  }
  expect(seen).toHaveLength(1);
});

test("nobody there is server-unreachable; so is one who says nothing, or nonsense, or half of it", async () => {
  const nobody = createClient({ api: "http://127.0.0.1:9", token });
  await expect(nobody.deleteDeployment("x")).rejects.toMatchObject({ code: "server-unreachable" });
  const answers = [
    "",
    "nonsense\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{",
  ];
  for (const answer of answers) {
    const server = createServer((socket) => socket.on("error", () => {}).end(answer));
    const client = createClient({ api: `http://127.0.0.1:${await listening(server)}`, token });
    await expect(client.deleteDeployment("x"), answer).rejects.toMatchObject({ code: "server-unreachable" });
  }
});

test("a server that accepts and never answers is not waited for when it is asked how it is", async () => {
  const silent = createServer(() => {});
  const client = createClient({ api: `http://127.0.0.1:${await listening(silent)}`, token });
  await expect(client.status()).rejects.toMatchObject({ code: "server-unreachable" });
}, 20_000);

function notice(seq: number, text: string): RunEvent {
  return { kind: "notice", seq, at: "2026-11-23T19:00:00.000Z", level: "info", text };
}

/** Passes bytes on until it cuts all connections. */
async function cuttableProxy(port: number): Promise<{ readonly api: string; cut(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const onward = connect(port, "127.0.0.1");
    for (const one of [socket, onward]) {
      sockets.add(one);
      one.on("error", () => {});
    }
    socket.pipe(onward);
    onward.pipe(socket);
  });
  return {
    api: `http://127.0.0.1:${await listening(server)}`,
    cut() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
