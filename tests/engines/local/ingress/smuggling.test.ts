import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Address } from "../../../../src/engines/local/addresses.ts";
import { askRaw } from "./support/ask.ts";
import { startPlane } from "./support/plane.ts";
import { routeTo } from "./support/routes.ts";
import { startTcpUpstream } from "./support/upstream.ts";

/** Everything that reaches a replica which answers each request that it sees with its number. */
async function startRecorder(): Promise<{
  address: Address;
  requests: () => readonly string[];
  bytes: () => string;
}> {
  let bytes = "";
  const requestLine = /^(?:GET|POST|PUT|DELETE|HEAD|OPTIONS) \S+ HTTP\/1\.1$/gm;
  const requests = (): readonly string[] =>
    [...bytes.replaceAll("\r", "").matchAll(requestLine)].map(([line]) => line);
  const address = await startTcpUpstream((socket) => {
    socket.on("data", (chunk) => {
      bytes += chunk.toString("latin1");
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
  });
  return { address, requests, bytes: () => bytes };
}

const hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
const post = (headers: string, body: string, version = "1.1"): string =>
  `POST /shop/stage-1/ HTTP/${version}\r\nHost: x\r\n${headers}\r\n\r\n${body}`;

const vectors: readonly (readonly [what: string, bytes: string, status: number])[] = [
  ["a length and chunks", post(`Content-Length: 4\r\nTransfer-Encoding: chunked`, `0\r\n\r\n${hidden}`), 400],
  ["chunks and a length", post(`Transfer-Encoding: chunked\r\nContent-Length: 4`, `0\r\n\r\n${hidden}`), 400],
  ["two lengths", post("Content-Length: 0\r\nContent-Length: 36", hidden), 400],
  ["a list of lengths", post("Content-Length: 0, 36", hidden), 400],
  ["a length with a sign", post("Content-Length: +36", hidden), 400],
  ["a negative length", post("Content-Length: -1", hidden), 400],
  ["a hexadecimal length", post("Content-Length: 0x24", hidden), 400],
  ["a space before the colon", post("Content-Length : 36", hidden), 400],
  ["chunked that is not last", post("Transfer-Encoding: chunked, identity", `0\r\n\r\n${hidden}`), 400],
  ["another encoding first", post("Transfer-Encoding: gzip, chunked", `0\r\n\r\n${hidden}`), 501],
  [
    "an encoding of two lines",
    post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", `0\r\n\r\n${hidden}`),
    501,
  ],
  ["an encoding that is none", post("Transfer-Encoding: xchunked", `0\r\n\r\n${hidden}`), 501],
  [
    "an encoding behind a tab and a form feed",
    post("Transfer-Encoding: \x0bchunked", `0\r\n\r\n${hidden}`),
    400,
  ],
  ["a folded encoding", post("Transfer-Encoding:\r\n chunked", `0\r\n\r\n${hidden}`), 400],
  ["a header split by a bare carriage return", post("X: a\rTransfer-Encoding: chunked", hidden), 400],
  ["a header split by a bare line feed", post("X: a\nTransfer-Encoding: chunked", `0\r\n\r\n${hidden}`), 400],
  ["a NUL in a header", post("X: a\0b\r\nContent-Length: 0", hidden), 400],
  ["chunks in HTTP/1.0", post("Transfer-Encoding: chunked", `0\r\n\r\n${hidden}`, "1.0"), 400],
  ["a chunk size with a sign", post("Transfer-Encoding: chunked", `+0\r\n\r\n${hidden}`), 400],
  ["a chunk size that overflows", post("Transfer-Encoding: chunked", `10000000000000000\r\n${hidden}`), 400],
  ["a chunk that ends in a bare line feed", post("Transfer-Encoding: chunked", `1\nx\n0\n\n${hidden}`), 400],
  ["a chunk longer than it says", post("Transfer-Encoding: chunked", `1\r\nxyz\r\n0\r\n\r\n${hidden}`), 400],
  [
    "a length among the trailers",
    post("Transfer-Encoding: chunked", `0\r\nContent-Length: 36\r\n\r\n${hidden}`),
    400,
  ],
  ["two hosts", `GET /shop/stage-1/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`, 400],
  ["no host", "GET /shop/stage-1/ HTTP/1.1\r\n\r\n", 400],
  ["a space in the target", "GET /shop/stage-1/ /hidden HTTP/1.1\r\nHost: x\r\n\r\n", 400],
  ["a header before the first line", " GET /shop/stage-1/ HTTP/1.1\r\nHost: x\r\n\r\n", 400],
  [
    "a body with an upgrade",
    `GET /shop/stage-1/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 36\r\n\r\n${hidden}`,
    400,
  ],
];

test.each(vectors)("%s smuggles nothing", async (_, bytes, status) => {
  const recorder = await startRecorder();
  const { address } = await startPlane([routeTo([recorder.address])]);
  const text = await askRaw(address, bytes);
  expect(text.match(/HTTP\/1\.1 (\d+)/)?.[1]).toBe(String(status));
  expect(text.match(/HTTP\/1\.1 \d+/g)).toHaveLength(1);
  expect(recorder.requests().filter((line) => line.includes("hidden"))).toEqual([]);
});

test("what follows a request with a body goes by its own route, not after it to its replica", async () => {
  const recorder = await startRecorder();
  const { address } = await startPlane([routeTo([recorder.address])]);
  const text = await askRaw(address, post("Content-Length: 3", `abc${hidden}`));
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 404"]);
  expect(recorder.requests()).toEqual(["POST / HTTP/1.1"]);
});

test("the recorder sees a second request that is there: without the ingress each of these bytes would reach it", async () => {
  const recorder = await startRecorder();
  await askRaw(recorder.address, post("Content-Length: 0", hidden));
  expect(recorder.requests().filter((line) => line.includes("hidden"))).toHaveLength(1);
});

test("trailers do not become headers", async () => {
  const recorder = await startRecorder();
  const { address } = await startPlane([routeTo([recorder.address])]);
  const trailers = "Host: evil\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_Host: evil\r\nX-Sum: 1";
  await askRaw(address, post("Transfer-Encoding: chunked", `1\r\nx\r\n0\r\n${trailers}\r\n\r\n`));
  expect(recorder.bytes()).toMatch(/0\r\nX-Sum: 1\r\n\r\n$/);
});

test("a head of more than 16 KiB is refused with 431", async () => {
  const recorder = await startRecorder();
  const { address } = await startPlane([routeTo([recorder.address])]);
  const withHeader = (length: number): string =>
    `GET /shop/stage-1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ${"x".repeat(length)}\r\n\r\n`;
  expect(await askRaw(address, withHeader(15 * 1024))).toMatch(/^HTTP\/1\.1 200 /);
  expect(await askRaw(address, withHeader(17 * 1024))).toMatch(/^HTTP\/1\.1 431 /);
});

test("a tunnel is none of ours to open", async () => {
  const recorder = await startRecorder();
  const { address } = await startPlane([routeTo([recorder.address])]);
  expect(
    await askRaw(address, `CONNECT ${recorder.address.host}:5000 HTTP/1.1\r\nHost: x\r\n\r\n${hidden}`),
  ).toBe("");
  expect(recorder.bytes()).toBe("");
});

test("clients that send a head byte by byte, or nothing, are let go after ten seconds, others meanwhile served", async () => {
  const recorder = await startRecorder();
  const { address } = await startPlane([routeTo([recorder.address])]);
  let closed = 0;
  const slow = Array.from({ length: 50 }, (_, index) => {
    const socket = connect(address);
    socket.on("error", () => {}).resume();
    socket.on("close", () => closed++);
    if (index % 2 === 0) socket.write("GET /shop/stage-1/ HTTP/1.1\r\nX: ");
    return socket;
  });
  const drip = setInterval(() => {
    for (const socket of slow) if (socket.bytesWritten > 0 && socket.writable) socket.write("x");
  }, 500);
  await sleep(5_000);
  expect(closed).toBe(0);
  expect(await askRaw(address, "GET /shop/stage-1/ HTTP/1.1\r\nHost: x\r\n\r\n")).toMatch(/^HTTP\/1\.1 200 /);
  await expect.poll(() => closed, { timeout: 15_000, interval: 200 }).toBe(50);
  clearInterval(drip);
}, 40_000);
