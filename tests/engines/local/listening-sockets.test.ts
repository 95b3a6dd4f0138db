import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { describe, expect, onTestFinished, test } from "vitest";
import { listeningSockets, parseAddress, parseLsof } from "../../../src/engines/local/listening-sockets.ts";

const linux = process.platform === "linux";
const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ family }) => family === "IPv6"),
);

describe("the listening sockets of a process", () => {
  test("are found by address and port", async () => {
    const port = await listen("127.0.0.1");
    expect(await ownSockets(port)).toEqual([{ host: "127.0.0.1", port, pid: process.pid }]);
  });

  test.skipIf(!linux)("are found on another loopback address (Linux only)", async () => {
    const port = await listen("127.71.0.3");
    expect(await ownSockets(port)).toEqual([{ host: "127.71.0.3", port, pid: process.pid }]);
  });

  test.skipIf(!hasIpv6)("are found on IPv6 (skipped: this machine has none)", async () => {
    const port = await listen("::1");
    expect(await ownSockets(port)).toEqual([{ host: "::1", port, pid: process.pid }]);
  });

  test.skipIf(!linux || !hasIpv6)("are plain where IPv4 is mapped into IPv6 (Linux only)", async () => {
    const port = await listen("::ffff:127.71.0.4");
    expect(await ownSockets(port)).toEqual([{ host: "127.71.0.4", port, pid: process.pid }]);
  });

  test("do not include connections", async () => {
    const port = await listen("127.0.0.1");
    const client = connect(port, "127.0.0.1");
    await once(client, "connect");
    onTestFinished(() => {
      client.destroy();
    });
    expect(await ownSockets(port)).toHaveLength(1);
    expect(await ownSockets(client.localPort as number)).toEqual([]);
  });

  test("are gone when they are closed", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, "close");
    expect(await ownSockets(port)).toEqual([]);
  });

  test("are none for a process that is gone, and for no process", async () => {
    expect(await listeningSockets([2 ** 22 + 1])).toEqual([]);
    expect(await listeningSockets([])).toEqual([]);
  });

  test("are found among very many others", async () => {
    const ports = await Promise.all(Array.from({ length: 300 }, () => listen("127.0.0.1")));
    const found = new Set((await listeningSockets([process.pid])).map(({ port }) => port));
    expect(ports.filter((port) => !found.has(port))).toEqual([]);
  });
});

test("An address of /proc/net is read in the machine's byte order", () => {
  expect(parseAddress("0300477F:1388")).toEqual({ host: "127.71.0.3", port: 5000 });
  expect(parseAddress("00000000:0050")).toEqual({ host: "0.0.0.0", port: 80 });
  expect(parseAddress("00000000000000000000000000000000:1388")).toEqual({ host: "::", port: 5000 });
  expect(parseAddress("00000000000000000000000001000000:1388")).toEqual({ host: "::1", port: 5000 });
  expect(parseAddress("0000000000000000FFFF00000300477F:1388")).toEqual({ host: "127.71.0.3", port: 5000 });
});

test("The output of lsof is read for several processes and both families", () => {
  const text = [
    ...["p4711", "f3", "n127.0.0.1:5000", "f4", "n*:8080"],
    ...["p4712", "f7", "n[::1]:9000", "f8", "n[::ffff:127.0.0.1]:9001", ""],
  ].join("\n");
  expect(parseLsof(text)).toEqual([
    { host: "127.0.0.1", port: 5000, inode: undefined, pid: 4711 },
    { host: "0.0.0.0", port: 8080, inode: undefined, pid: 4711 },
    { host: "::1", port: 9000, inode: undefined, pid: 4712 },
    { host: "127.0.0.1", port: 9001, inode: undefined, pid: 4712 },
  ]);
  expect(parseLsof("")).toEqual([]);
});

async function ownSockets(port: number) {
  const all = await listeningSockets([process.pid]);
  return all
    .filter((socket) => socket.port === port)
    .map(({ host, port: own, pid }) => ({ host, port: own, pid }));
}

async function listen(host: string): Promise<number> {
  const server: Server = createServer().listen(0, host);
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
  });
  return (server.address() as { port: number }).port;
}
