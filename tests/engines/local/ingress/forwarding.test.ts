import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Address } from "../../../../src/engines/local/addresses.ts";
import { ask, askRaw } from "./support/ask.ts";
import { startPlane } from "./support/plane.ts";
import { loopbackAddress, routeTo } from "./support/routes.ts";
import { bodyOf, startCannedUpstream, startTcpUpstream, startUpstream } from "./support/upstream.ts";

/** Answers with what it was asked. */
async function startEcho(): Promise<Address> {
  const { address } = await startUpstream(async (request, response) => {
    const body = (await bodyOf(request)).toString();
    const { method, url, headers, rawTrailers } = request;
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ method, url, headers, body, rawTrailers }));
  });
  return address;
}

test("a request reaches its service with the prefix taken off, the query as it was, and who sent it", async () => {
  const { address } = await startPlane([routeTo([await startEcho()])]);
  const answer = await ask(address, "/shop//stage-1//v1/predict?a=//b&c=%2f%20", {
    headers: { Host: "models.example", "X-Own": "kept", Cookie: "a=b" },
  });
  expect(answer.status).toBe(200);
  expect(answer.headers["x-bodywork-release"]).toBe("7");
  const seen = JSON.parse(answer.body);
  expect(seen).toMatchObject({ method: "GET", url: "/v1/predict?a=//b&c=%2f%20", body: "" });
  expect(seen.headers).toMatchObject({
    host: "models.example",
    "x-own": "kept",
    cookie: "a=b",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-proto": "http",
    "x-forwarded-host": "models.example",
    "x-forwarded-prefix": "/shop/stage-1",
  });
});

test("the service's own address leads to it with the path as it is, also when it is not open to the outside", async () => {
  const route = routeTo([await startEcho()], { ingress: false });
  const { address } = await startPlane([route]);
  expect(await ask(address, "/shop/stage-1/")).toMatchObject({ status: 404 });
  const answer = await ask(route.address, "/v2//predict?x", { headers: { Host: "stage-1:5000" } });
  expect(answer.headers["x-bodywork-release"]).toBe("7");
  const seen = JSON.parse(answer.body);
  expect(seen.url).toBe("/v2//predict?x");
  expect(seen.headers["x-forwarded-host"]).toBe("stage-1:5000");
  expect(seen.headers).not.toHaveProperty("x-forwarded-prefix");
});

test("nobody but the ingress says where a request comes from, in no spelling, and hop-by-hop headers end there", async () => {
  const { address } = await startPlane([routeTo([await startEcho()])]);
  const answer = await ask(address, "/shop/stage-1/", {
    headers: {
      "X-Forwarded-For": "6.6.6.6",
      X_Forwarded_For: "6.6.6.6",
      "x-forwarded-host": "evil",
      Forwarded: "for=6.6.6.6",
      "X-Real-IP": "6.6.6.6",
      "X-Forwarded-Prefix": "/evil",
      Content_Length: "7",
      Connection: "close, X-Hop, Keep-Alive",
      "X-Hop": "1",
      "Keep-Alive": "timeout=9",
      TE: "trailers",
      "Proxy-Authorization": "Basic eDp5",
    },
  });
  const { headers } = JSON.parse(answer.body);
  expect(Object.keys(headers).sort()).toEqual(
    [
      "connection",
      "host",
      "x-forwarded-for",
      "x-forwarded-host",
      "x-forwarded-prefix",
      "x-forwarded-proto",
    ].sort(),
  );
  expect(JSON.stringify(headers)).not.toMatch(/6\.6\.6\.6|evil/);
});

test("the answer comes as the service gave it, less its hop-by-hop headers and its own idea of the release", async () => {
  const address = await startCannedUpstream(
    "HTTP/1.1 418 Short and stout\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: X-Hop\r\nX-Hop: 1\r\n" +
      "Keep-Alive: timeout=1\r\nX-Bodywork-Release: 99\r\nDate: then\r\nContent-Length: 3\r\n\r\ntea",
  );
  const { address: front } = await startPlane([routeTo([address])]);
  const text = await askRaw(front, "GET /shop/stage-1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  expect(text).toBe(
    "HTTP/1.1 418 Short and stout\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nDate: then\r\nContent-Length: 3\r\n" +
      "X-Bodywork-Release: 7\r\nConnection: close\r\n\r\ntea",
  );
});

test("what is routed nowhere is 404 and says why; a service without a replica that answers is 503 with Retry-After", async () => {
  const { address } = await startPlane([routeTo([loopbackAddress(), loopbackAddress()])]);
  const lost = await ask(address, "/shop/nothing/");
  expect(lost.status).toBe(404);
  expect(JSON.parse(lost.body).error.message).toBe('There is no service "nothing" in the namespace "shop".');
  const down = await ask(address, "/shop/stage-1/", { method: "POST", body: "x" });
  expect(down.status).toBe(503);
  expect(Number(down.headers["retry-after"])).toBeGreaterThan(0);
  expect(JSON.parse(down.body).error.code).toBe("unavailable");
});

test("a replica that refuses connections is passed over, for any request", async () => {
  const { address } = await startPlane([routeTo([loopbackAddress(), await startEcho(), loopbackAddress()])]);
  for (let turn = 0; turn < 12; turn++) {
    const method = turn % 2 === 0 ? "GET" : "POST";
    const answer = await ask(address, "/shop/stage-1/", {
      method,
      ...(method === "POST" ? { body: "once" } : {}),
    });
    expect(answer.status).toBe(200);
  }
});

test("requests go to the replica that has least to do", async () => {
  const slow = await startUpstream((_request, response) => setTimeout(() => response.end("slow"), 400));
  const quick = await startUpstream((_request, response) => response.end("quick"));
  const { address } = await startPlane([routeTo([slow.address, quick.address])]);
  const held = [0, 1].map(() => ask(address, "/shop/stage-1/"));
  await sleep(50);
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask(address, "/shop/stage-1/")));
  expect(answers.filter(({ body }) => body === "quick").length).toBeGreaterThanOrEqual(8);
  await Promise.all(held);
});

test("HEAD, 204 and 304 have no body, and the connection goes on", async () => {
  const upstream = await startUpstream((request, response) => {
    if (request.url === "/204") response.writeHead(204).end();
    else if (request.url === "/304") response.writeHead(304, { ETag: '"x"' }).end();
    else response.writeHead(200, { "Content-Length": 5 }).end("hello");
  });
  const { address } = await startPlane([routeTo([upstream.address])]);
  const line = (method: string, path: string): string =>
    `${method} /shop/stage-1${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const text = await askRaw(
    address,
    line("HEAD", "/") + line("GET", "/204") + line("GET", "/304") + line("GET", "/"),
  );
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual([
    "HTTP/1.1 200",
    "HTTP/1.1 204",
    "HTTP/1.1 304",
    "HTTP/1.1 200",
  ]);
  expect(text.match(/hello/g)).toHaveLength(1);
  expect(text.match(/Content-Length: 5/gi)).toHaveLength(2);
});

test("bodies and trailers in chunks pass both ways", async () => {
  const upstream = await startUpstream(async (request, response) => {
    const body = await bodyOf(request);
    response.writeHead(200, { Trailer: "X-Sum" });
    response.write(body);
    response.addTrailers({ "X-Sum": `${request.trailers["x-check"]} ${request.trailers["content-length"]}` });
    response.end("!");
  });
  const { address } = await startPlane([routeTo([upstream.address])]);
  const text = await askRaw(
    address,
    "POST /shop/stage-1/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\nConnection: close\r\n\r\n" +
      "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Check: 42\r\n\r\n",
  );
  expect(text).toContain("\r\nTrailer: X-Sum\r\n");
  expect(text).toMatch(/5\r\nabcde\r\n1\r\n!\r\n0\r\nX-Sum: 42 undefined\r\n\r\n$/);
});

test("a client of HTTP/1.0 gets an answer that ends with the connection", async () => {
  const upstream = await startUpstream((_request, response) => {
    response.write("in two ");
    response.end("parts");
  });
  const { address } = await startPlane([routeTo([upstream.address])]);
  const text = await askRaw(address, "GET /shop/stage-1/ HTTP/1.0\r\n\r\n", 2_000);
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(text).not.toMatch(/transfer-encoding/i);
  expect(text).toMatch(/\r\n\r\nin two parts$/);
});

test("100 Continue and early hints are the service's to give", async () => {
  const upstream = await startUpstream(() => {});
  upstream.server.on("checkContinue", async (request: IncomingMessage, response) => {
    if (request.headers["content-length"] === "9") {
      response.writeHead(413, { Connection: "close" }).end("too large");
      return;
    }
    response.writeEarlyHints({ link: "</style.css>; rel=preload" });
    response.writeContinue();
    response.end(await bodyOf(request));
  });
  const { address } = await startPlane([routeTo([upstream.address])]);
  const head = (length: number): string =>
    `POST /shop/stage-1/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;
  const socket = connect(address);
  socket.write(head(5));
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
    if (text.endsWith("100 Continue\r\n\r\n")) socket.write("hello");
  });
  await expect.poll(() => text).toMatch(/hello$/);
  socket.destroy();
  expect(text).toMatch(
    /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/style\.css>; rel=preload\r\n\r\nHTTP\/1\.1 100 /,
  );
  const refused = await askRaw(address, head(9));
  expect(refused).toMatch(/^HTTP\/1\.1 413 /);
  expect(refused).toMatch(/Connection: close/i);
});

test("a stream of events arrives event by event, the head before the first of them", async () => {
  let more = (_text: string): void => {};
  const upstream = await startUpstream((_request, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.flushHeaders();
    more = (text) => response.write(text);
  });
  const { address } = await startPlane([routeTo([upstream.address])]);
  const asked = request({ ...address, path: "/shop/stage-1/", agent: false }).end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  for (const text of ["data: 1\n\n", "data: 2\n\n"]) {
    const next = once(response, "data");
    more(text);
    expect(String((await next)[0])).toBe(text);
  }
  asked.destroy();
});

test("100 MB go up and down again unchanged", async () => {
  const upstream = await startUpstream((request, response) => request.pipe(response));
  const { address } = await startPlane([routeTo([upstream.address])]);
  const [sent, received] = [createHash("sha256"), createHash("sha256")];
  const asked = request({ ...address, path: "/shop/stage-1/", method: "POST", agent: false });
  const answered = once(asked, "response") as Promise<[IncomingMessage]>;
  const reading = answered.then(async ([response]) => {
    for await (const chunk of response) received.update(chunk as Buffer);
  });
  for (let part = 0; part < 400; part++) {
    const chunk = Buffer.alloc(256 * 1024, part);
    sent.update(chunk);
    if (!asked.write(chunk)) await once(asked, "drain");
  }
  asked.end();
  await reading;
  expect(received.digest("hex")).toBe(sent.digest("hex"));
});

test("a client that does not read stops the service from sending, and loses nothing", async () => {
  let written = 0;
  const total = 64 * 1024 * 1024;
  const upstream = await startUpstream(async (_request, response) => {
    response.writeHead(200, { "Content-Length": total });
    for (const chunk = Buffer.alloc(256 * 1024, "x"); written < total; ) {
      written += chunk.length;
      if (!response.write(chunk)) await once(response, "drain");
    }
    response.end();
  });
  const { address } = await startPlane([routeTo([upstream.address])]);
  const socket = connect(address);
  socket.write("GET /shop/stage-1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  await once(socket, "readable");
  const settled = await settles(() => written);
  expect(settled).toBeLessThan(24 * 1024 * 1024);
  let read = 0;
  for await (const chunk of socket) read += (chunk as Buffer).length;
  expect(read).toBeGreaterThan(total);
  expect(written).toBe(total);
});

test("a service that does not read stops the client from sending", async () => {
  let upstreamSocket: Socket | undefined;
  const upstream = await startTcpUpstream((socket) => {
    upstreamSocket = socket.pause();
  });
  const { address } = await startPlane([routeTo([upstream])]);
  const socket = connect(address);
  socket.on("error", () => {});
  const total = 64 * 1024 * 1024;
  socket.write(`POST /shop/stage-1/ HTTP/1.1\r\nHost: x\r\nContent-Length: ${total}\r\n\r\n`);
  for (let sent = 0; sent < total; sent += 1024 * 1024) socket.write(Buffer.alloc(1024 * 1024));
  const taken = await settles(() => socket.bytesWritten - socket.writableLength);
  expect(taken).toBeLessThan(24 * 1024 * 1024);
  let read = 0;
  upstreamSocket?.on("data", (chunk) => {
    read += chunk.length;
  });
  upstreamSocket?.resume();
  await expect.poll(() => read, { timeout: 15_000 }).toBeGreaterThan(total);
  socket.destroy();
});

test("clients that go away take their requests with them, and harm nobody else", async () => {
  let open = 0;
  const upstream = await startUpstream((request, response) => {
    if (request.url === "/quick") {
      response.end("quick");
      return;
    }
    open++;
    response.once("close", () => open--);
    if (request.url === "/half") response.write("half");
  });
  const { address } = await startPlane([routeTo([upstream.address])]);
  await ask(address, "/shop/stage-1/quick");
  const before = openFiles();
  for (let round = 0; round < 10; round++) {
    const sockets = Array.from({ length: 50 }, (_, index) => {
      const socket = connect(address);
      socket.on("error", () => {});
      const upload = index % 3 === 0;
      socket.write(
        `${upload ? "POST" : "GET"} /shop/stage-1/${index % 2 === 0 ? "half" : "never"} HTTP/1.1\r\nHost: x\r\n` +
          `${upload ? "Content-Length: 1000\r\n\r\nsome" : "\r\n"}`,
      );
      return socket;
    });
    await expect.poll(() => open).toBe(50);
    for (const [index, socket] of sockets.entries()) {
      if (index % 2 === 0) socket.destroy();
      else socket.resetAndDestroy();
    }
    expect((await ask(address, "/shop/stage-1/quick")).body).toBe("quick");
    await expect.poll(() => open).toBe(0);
  }
  await expect.poll(openFiles).toBeLessThanOrEqual(before + 5);
}, 60_000);

test("a service that stops in the middle of its answer is not taken for one that has finished", async () => {
  const fixed = await startTcpUpstream((socket) => {
    socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
  });
  const chunked = await startTcpUpstream((socket) => {
    socket.once("data", () =>
      socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    );
  });
  const silent = await startTcpUpstream((socket) => {
    socket.once("data", () => socket.destroy());
  });
  const garbled = await startCannedUpstream("this is no HTTP\r\n\r\n");
  const { address } = await startPlane([
    routeTo([fixed], { rawStage: "fixed" }),
    routeTo([chunked], { rawStage: "chunked", stage: "chunked" }),
    routeTo([silent], { rawStage: "silent", stage: "silent" }),
    routeTo([garbled], { rawStage: "garbled", stage: "garbled" }),
  ]);
  await expect(ask(address, "/shop/fixed/")).rejects.toThrow();
  await expect(ask(address, "/shop/chunked/")).rejects.toThrow();
  expect(await ask(address, "/shop/silent/")).toMatchObject({ status: 502 });
  expect((await ask(address, "/shop/garbled/")).body).toContain(
    "does not begin with an HTTP/1.1 status line",
  );
});

/** The value once it has stopped to change. */
async function settles(value: () => number): Promise<number> {
  for (let last = -1; last !== value(); await sleep(400)) last = value();
  return value();
}

function openFiles(): number {
  return readdirSync("/proc/self/fd").length;
}
