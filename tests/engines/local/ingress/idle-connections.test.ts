import { Agent } from "node:http";
import { expect, test } from "vitest";
import type { Address } from "../../../../src/engines/local/addresses.ts";
import { startLoad } from "./support/load.ts";
import { startNaiveProxy } from "./support/naive-proxy.ts";
import { startPlane } from "./support/plane.ts";
import { routeTo } from "./support/routes.ts";
import { startTcpUpstream, startUpstream } from "./support/upstream.ts";

/**
 * Keeps connections open, and closes each after three milliseconds without having said so. What it is sent meanwhile it
 * has not read: to a client that is what happens when both act at one moment.
 */
function startHastyUpstream(): Promise<Address> {
  return startTcpUpstream((socket) => {
    let text = "";
    let answered = false;
    socket.setNoDelay();
    socket.on("data", (chunk) => {
      if (answered) {
        socket.destroy();
        return;
      }
      text += chunk.toString("latin1");
      const head = text.indexOf("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      if (head === -1 || text.length < head + 4 + length) return;
      answered = true;
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      setTimeout(() => socket.destroy(), 3);
    });
  });
}

const thinkTime = 3;

test("a replica that closes idle connections at any moment costs no request, whether it may be repeated or not", async () => {
  const { address } = await startPlane([routeTo([await startHastyUpstream()])]);
  for (const method of ["GET", "POST"] as const) {
    const load = startLoad({ address, path: "/shop/stage-1/", kinds: [method], connections: 10, thinkTime });
    await load.until(2_000);
    expect((await load.stop()).failures).toEqual({});
  }
}, 60_000);

test("the guard matters: the naive way loses requests of both kinds to the same replica", async () => {
  const address = await startNaiveProxy(await startHastyUpstream());
  for (const method of ["GET", "POST"] as const) {
    const load = startLoad({ address, path: "/", kinds: [method], connections: 10, thinkTime });
    await load.until(1_000);
    expect(Object.keys((await load.stop()).failures)).not.toEqual([]);
  }
}, 60_000);

test("requests that may be repeated share connections, others have their own", async () => {
  let connections = 0;
  const upstream = await startUpstream((request, response) => {
    request.resume().on("end", () => response.end("ok"));
  });
  upstream.server.on("connection", () => connections++);
  const { address } = await startPlane([routeTo([upstream.address])]);
  const agent = new Agent({ keepAlive: true });
  const get = startLoad({ address, path: "/shop/stage-1/", kinds: ["GET"], connections: 2, agent });
  await get.until(200);
  await get.stop();
  expect(connections).toBeLessThanOrEqual(2);
  const post = startLoad({ address, path: "/shop/stage-1/", kinds: ["POST"], connections: 2, agent });
  await post.until(20);
  const { answered } = await post.stop();
  expect(connections).toBeGreaterThanOrEqual(answered);
  agent.destroy();
});
