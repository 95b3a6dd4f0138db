import { once } from "node:events";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import type { ServiceStage } from "../../../src/core/project.ts";
import { type Address, createAddresses } from "../../../src/engines/local/addresses.ts";
import { checkReadiness, connects } from "../../../src/engines/local/readiness.ts";
import { unusedPort } from "./name-hook/support/programs.ts";
import { serviceStage } from "./name-hook/support/stages.ts";

/** This process stands for the replica. */
const own = [process.pid];

describe("a replica is ready when", () => {
  test("it listens on its own address, with no health path", async () => {
    const address = await ownAddress();
    await listen(address);
    expect(await check(address)).toEqual({ kind: "ready", target: address });
  });

  test("its health path answers with 200 to 299", async () => {
    const address = await ownAddress();
    const paths: (string | undefined)[] = [];
    await answer(address, (request, response) => {
      paths.push(request.url);
      response.writeHead(204).end();
    });
    expect(await check(address, { healthPath: "health?deep=1" })).toEqual({ kind: "ready", target: address });
    expect(paths).toEqual(["/health?deep=1"]);
  });

  test("it listens on every address itself and is the only replica", async () => {
    const address = await ownAddress();
    await listen({ host: "0.0.0.0", port: address.port });
    expect(await check(address)).toEqual({
      kind: "ready",
      target: { host: "127.0.0.1", port: address.port },
    });
  });
});

describe("a replica is not ready", () => {
  test("when it does not listen", async () => {
    const address = await ownAddress();
    expect(await checkReadiness([2 ** 22 + 1], address, serviceStage(address.port))).toEqual({
      kind: "not-yet",
      reason: `nothing listens on port ${address.port}`,
    });
  });

  test("when it listens on another port, which the reason names", async () => {
    const address = await ownAddress();
    const other = await unusedPort();
    await listen({ host: "127.0.0.1", port: other });
    expect(await check(address)).toMatchObject({
      kind: "not-yet",
      reason: expect.stringMatching(
        new RegExp(`nothing listens on port ${address.port} \\(it listens on .+\\)`),
      ),
    });
  });

  test("when another process listens on its address", async () => {
    const address = await ownAddress();
    await listen(address);
    expect(await connects(address)).toBeUndefined();
    expect(await checkReadiness([2 ** 22 + 1], address, serviceStage(address.port))).toMatchObject({
      kind: "not-yet",
    });
  });

  test.each([
    [503, "/health answers 503"],
    [404, "/health answers 404"],
    [302, "/health answers 302"],
  ])("while its health path answers %i", async (status, reason) => {
    const address = await ownAddress();
    await answer(address, (_, response) => response.writeHead(status).end());
    expect(await check(address, { healthPath: "/health" })).toEqual({ kind: "not-yet", reason });
  });

  test("while its health path does not answer", async () => {
    const address = await ownAddress();
    await answer(address, () => {});
    expect(await check(address, { healthPath: "/health" })).toEqual({
      kind: "not-yet",
      reason: "/health did not answer within 2 s",
    });
  });

  test("while its health path drops the connection", async () => {
    const address = await ownAddress();
    await answer(address, (request) => request.socket.destroy());
    expect(await check(address, { healthPath: "/health" })).toEqual({
      kind: "not-yet",
      reason: "/health: socket hang up",
    });
  });
});

test("One of several replicas that listens on every address is in the way of the others, and says how to mend it", async () => {
  const address = await ownAddress();
  await listen({ host: "0.0.0.0", port: address.port });
  const readiness = await check(address, { replicas: 2 });
  expect(readiness.kind).toBe("elsewhere");
  expect(readiness).toMatchObject({
    reason: expect.stringContaining(`listens on 0.0.0.0:${address.port} itself`),
  });
  expect(readiness).toMatchObject({ reason: expect.stringContaining("HOST and PORT") });
});

async function ownAddress(): Promise<Address> {
  return (await createAddresses()).choose(await unusedPort(), new Set());
}

function check(address: Address, change: Partial<ServiceStage> = {}) {
  return checkReadiness(own, address, serviceStage(address.port, change));
}

async function listen({ host, port }: Address): Promise<void> {
  const server = createServer().listen(port, host);
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
  });
}

async function answer({ host, port }: Address, listener: RequestListener): Promise<void> {
  const server = createHttpServer(listener).listen(port, host);
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
}
