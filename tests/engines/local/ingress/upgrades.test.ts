import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import type { Address } from "../../../../src/engines/local/addresses.ts";
import { followFrames } from "../../../../src/engines/local/ingress/websocket-frames.ts";
import { ask, askRaw } from "./support/ask.ts";
import { startPlane } from "./support/plane.ts";
import { loopbackAddress, routeTo } from "./support/routes.ts";
import { startUpstream } from "./support/upstream.ts";

const handshake = (path = "/shop/stage-1/ws?room=//1"): string =>
  `GET ${path} HTTP/1.1\r\nHost: chat.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n` +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/** A replica that agrees to switch and hands its sockets out. */
async function startSwitcher(onSwitched: (socket: Duplex, path: string) => void): Promise<Address> {
  const { address, server } = await startUpstream((_request, response) => response.end("plain"));
  server.on("upgrade", (request, socket, first) => {
    socket.on("error", () => {});
    onTestFinished(() => void socket.destroy());
    if (request.url === "/no") {
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nnobody");
      return;
    }
    const accept = createHash("sha1").update(
      `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`,
    );
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept.digest("base64")}\r\n\r\n`,
    );
    if (first.length > 0) socket.unshift(first);
    onSwitched(socket, request.url ?? "");
  });
  return address;
}

async function open(address: Address, bytes = handshake()): Promise<{ socket: Socket; text: () => string }> {
  let text = "";
  const socket = connect(address);
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  socket.write(bytes);
  await expect.poll(() => text).toContain("\r\n\r\n");
  onTestFinished(() => void socket.destroy());
  return { socket, text: () => text.slice(text.indexOf("\r\n\r\n") + 4) };
}

test("a websocket goes through with the prefix taken off, and bytes pass both ways as they are", async () => {
  let path = "";
  const upstream = await startSwitcher((socket, asked) => {
    path = asked;
    socket.pipe(socket);
  });
  const { address } = await startPlane([routeTo([upstream])]);
  let head = "";
  const socket = connect(address);
  socket.once("data", (chunk) => {
    head = chunk.toString();
  });
  socket.write(handshake());
  await expect.poll(() => head).toMatch(/^HTTP\/1\.1 101 /);
  expect(head).toContain("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
  expect(head).toContain("X-Bodywork-Release: 7\r\n");
  expect(path).toBe("/ws?room=//1");
  const sent = randomBytes(3_000_000);
  const received: Buffer[] = [];
  socket.on("data", (chunk) => received.push(chunk));
  socket.write(sent);
  await expect.poll(() => received.reduce((sum, { length }) => sum + length, 0)).toBe(sent.length);
  expect(Buffer.concat(received).equals(sent)).toBe(true);
  socket.end();
});

test("what a client sends behind its request waits until the service has agreed", async () => {
  let seen = "";
  const upstream = await startSwitcher((socket) => socket.on("data", (chunk) => (seen += chunk.toString())));
  const { address } = await startPlane([routeTo([upstream])]);
  await open(address, `${handshake()}early bytes`);
  await expect.poll(() => seen).toBe("early bytes");
});

test("a service that does not switch answers like any other, and nothing behind the request reaches it", async () => {
  const upstream = await startSwitcher(() => {});
  const { address } = await startPlane([routeTo([upstream])]);
  const refused = await askRaw(
    address,
    `${handshake("/shop/stage-1/no")}GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n`,
    3_000,
  );
  expect(refused).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
  expect(refused).toMatch(/Connection: close\r\n\r\nnobody$/);
});

test("an upgrade to what nobody speaks here is a plain request", async () => {
  const upstream = await startSwitcher(() => {});
  const { address } = await startPlane([routeTo([upstream])]);
  const answer = await ask(address, "/shop/stage-1/", { headers: { Connection: "Upgrade", Upgrade: "h2c" } });
  expect(answer).toMatchObject({ status: 200, body: "plain" });
});

test("no route and no replica are told to websockets as to others", async () => {
  const { address } = await startPlane([routeTo([loopbackAddress()])]);
  expect(await askRaw(address, handshake("/shop/none/"), 2_000)).toMatch(/^HTTP\/1\.1 404 /);
  expect(await askRaw(address, handshake(), 2_000)).toMatch(/^HTTP\/1\.1 503 /);
});

test("when one side of a websocket goes, so does the other", async () => {
  const sockets: Duplex[] = [];
  const upstream = await startSwitcher((socket) => sockets.push(socket.resume()));
  const { address } = await startPlane([routeTo([upstream])]);
  const first = await open(address);
  first.socket.destroy();
  await expect.poll(() => sockets[0]?.readableEnded).toBe(true);
  const second = await open(address);
  sockets[1]?.destroy();
  await expect.poll(() => second.socket.destroyed).toBe(true);
});

test("draining waits for a websocket, and closes it with 1001 between two frames when the time is over", async () => {
  const sockets: Duplex[] = [];
  const upstream = await startSwitcher((socket) => sockets.push(socket.resume()));
  const { address, plane } = await startPlane([routeTo([upstream])]);
  const { socket, text } = await open(address);
  sockets[0]?.write(Buffer.from([0x81, 0x05, ...Buffer.from("hello")]));
  await expect.poll(text).toBe("\x81\x05hello");
  let drained = false;
  const drain = plane.drain([upstream], 500).then(() => {
    drained = true;
  });
  await sleep(200);
  expect(drained).toBe(false);
  await drain;
  await expect.poll(() => socket.destroyed).toBe(true);
  expect(text()).toBe("\x81\x05hello\x88\x02\x03\xe9");
});

test("in the middle of a frame no other is put: the connection just ends", async () => {
  const upstream = await startSwitcher((socket) => {
    socket.resume();
    socket.write(Buffer.from([0x81, 0x05, ...Buffer.from("hel")]));
  });
  const { address, plane } = await startPlane([routeTo([upstream])]);
  const { socket, text } = await open(address);
  await expect.poll(text).toBe("\x81\x05hel");
  await plane.drain([upstream], 0);
  await expect.poll(() => socket.destroyed).toBe(true);
  expect(text()).toBe("\x81\x05hel");
});

test("frames of every length are followed, however they are cut", () => {
  const frames = [
    Buffer.from([0x81, 0x00]),
    Buffer.from([0x82, 0x7d, ...Buffer.alloc(125)]),
    Buffer.from([0x82, 0x7e, 0x01, 0x00, ...Buffer.alloc(256)]),
    Buffer.from([0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0, ...Buffer.alloc(65_536)]),
    Buffer.from([0x81, 0x83, 1, 2, 3, 4, ...Buffer.alloc(3)]),
  ];
  const ends = new Set<number>([0]);
  let length = 0;
  for (const frame of frames) {
    length += frame.length;
    ends.add(length);
  }
  const all = Buffer.concat(frames);
  for (const size of [1, 2, 3, 127, 70_000]) {
    const follower = followFrames();
    for (let at = 0; at < all.length; at += size) {
      follower.push(all.subarray(at, at + size));
      expect(follower.betweenFrames()).toBe(ends.has(Math.min(all.length, at + size)));
    }
  }
});

test("Node calls what is no websocket an upgrade too, when it is not told better", async () => {
  let upgrades = 0;
  const server = createServer((_request, response) => response.end());
  server.on("upgrade", (_request, socket) => {
    upgrades++;
    socket.destroy();
  });
  const address = loopbackAddress();
  await new Promise<void>((resolve) => server.listen(address, resolve));
  onTestFinished(() => void server.close());
  await askRaw(address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
  expect(upgrades).toBe(1);
});
