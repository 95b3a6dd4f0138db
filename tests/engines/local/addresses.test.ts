import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Address, addressKey, createAddresses } from "../../../src/engines/local/addresses.ts";

const linux = process.platform === "linux";

describe("the address of a replica", () => {
  test.skipIf(!linux)("keeps the port and is one of 127.64.0.0 to 127.127.255.255 (Linux only)", async () => {
    const addresses = await createAddresses();
    const { host, port } = await addresses.choose(45_678, new Set());
    expect(port).toBe(45_678);
    const [first, second, , last] = host.split(".").map(Number);
    expect(first).toBe(127);
    expect(second).toBeGreaterThanOrEqual(64);
    expect(second).toBeLessThan(128);
    expect(last).not.toBe(0);
    expect(last).not.toBe(255);
  });

  test.skipIf(!linux)("is never at the edge of a network, whatever chance says (Linux only)", async () => {
    expect(await (await createAddresses(() => 0)).choose(45_678, new Set())).toMatchObject({
      host: "127.64.0.1",
    });
    expect(await (await createAddresses(() => 0.999_999)).choose(45_678, new Set())).toMatchObject({
      host: "127.127.255.254",
    });
  });

  test.skipIf(!linux)("is none that was given out already (Linux only)", async () => {
    const draws = [0, 0, 0, 0, 0, 0.5];
    const addresses = await createAddresses(() => draws.shift() ?? 0);
    expect(await addresses.choose(45_678, new Set(["127.64.0.1"]))).toEqual({
      host: "127.64.0.128",
      port: 45_678,
    });
  });

  test.skipIf(!linux)("is none that somebody listens on (Linux only)", async () => {
    const server = await listen({ host: "127.64.0.1", port: 0 });
    const { port } = server.address() as { port: number };
    const draws = [0, 0, 0, 0, 0, 0.5];
    const addresses = await createAddresses(() => draws.shift() ?? 0);
    expect(await addresses.choose(port, new Set())).toEqual({ host: "127.64.0.128", port });
  });

  test.skipIf(!linux)("can't be had when chance always gives one that is taken (Linux only)", async () => {
    const addresses = await createAddresses(() => 0);
    await expect(addresses.choose(45_678, new Set(["127.64.0.1"]))).rejects.toMatchObject({
      code: "port-taken",
      message: "Cannot find a free loopback address for port 45678: 50 were taken.",
    });
  });

  test("can be listened on", async () => {
    const address = await (await createAddresses()).choose(45_678, new Set());
    expect((await listen(address)).listening).toBe(true);
  });
});

test("An address is told from others by host and port", () => {
  expect(addressKey({ host: "127.71.0.3", port: 5000 })).toBe("127.71.0.3:5000");
});

async function listen({ host, port }: Address): Promise<Server> {
  const server = createServer().listen(port, host);
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
  });
  return server;
}
