import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import type { ServiceRequests } from "../../../../src/core/ingress-stats.ts";
import type { ControlReply } from "../../../../src/engines/local/ingress/control.ts";
import { controlPath, serveControl } from "../../../../src/engines/local/ingress/control.ts";
import type { DataPlane } from "../../../../src/engines/local/ingress/data-plane.ts";
import { ask, askRaw } from "./support/ask.ts";
import { startPlane } from "./support/plane.ts";
import { ingressFolder, ingressOf, pidsOf, startReplica } from "./support/processes.ts";
import { loopbackAddress, routeTo } from "./support/routes.ts";
import { startCannedUpstream, startUpstream } from "./support/upstream.ts";

test("requests are counted by service and code, on the public address and on the service's own", async () => {
  const { address: one } = await startUpstream((request, response) => {
    response.statusCode = request.url === "/bad" ? 418 : 200;
    response.end("x");
  });
  const routes = [
    routeTo([one]),
    routeTo([], { namespace: "ml", stage: "stage-2", rawStage: "stage_2" }),
    routeTo([], { stage: "quiet", rawStage: "quiet" }),
  ];
  const { plane, address } = await startPlane(routes);
  for (let request = 0; request < 3; request++) await ask(address, "/shop/stage-1/");
  await ask(address, "/shop/stage_1/bad");
  await ask(routes[0]?.address ?? address, "/");
  await ask(address, "/ml/stage-2/");

  await expect
    .poll(() => codes(plane))
    .toEqual({
      "shop/stage-1": { 200: 4, 418: 1 },
      "ml/stage-2": { 503: 1 },
      "shop/quiet": {},
    });
  expect(plane.stats().unrouted).toEqual({});
});

test("what belongs to no service is counted as one, whatever it was asked for", async () => {
  const { address: upstream } = await startUpstream((_request, response) => response.end());
  const { plane, address } = await startPlane([routeTo([upstream])]);
  for (const path of ["/", "/shop", "/shop/other/", "/a/b/c", "/d/e/f"]) await ask(address, path);
  await askRaw(address, "GET /shop/stage-1/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  expect(plane.stats().unrouted).toEqual({ 404: 5, 400: 1 });
  expect(codes(plane)).toEqual({ "shop/stage-1": {} });
});

test("a request is in the bucket of the time that it took, until its answer was whole", async () => {
  const waits = [0, 60, 300];
  const { address: upstream } = await startUpstream((request, response) => {
    response.write("begun");
    setTimeout(() => response.end("done"), Number(request.url?.slice(1)));
  });
  const { plane, address } = await startPlane([routeTo([upstream])]);
  for (const wait of waits) await ask(address, `/shop/stage-1/${wait}`);
  const { bounds, services } = plane.stats();
  const [{ buckets, seconds }] = services as [ServiceRequests];
  expect(buckets).toHaveLength(bounds.length + 1);
  expect(buckets.reduce((sum, count) => sum + count, 0)).toBe(3);
  const slowerThan = (bound: number): number =>
    buckets.slice(bounds.indexOf(bound) + 1).reduce((sum, count) => sum + count, 0);
  expect(slowerThan(0.05)).toBeGreaterThanOrEqual(2);
  expect(slowerThan(0.25)).toBeGreaterThanOrEqual(1);
  expect(seconds).toBeGreaterThanOrEqual(0.355);
});

test("a client that leaves before the answer, and a replica that gives none, are told from answers", async () => {
  const { address: silent, server } = await startUpstream(() => {});
  const rude = await startCannedUpstream("what?\r\n\r\n");
  const { plane, address } = await startPlane([
    routeTo([silent]),
    routeTo([rude], { stage: "rude", rawStage: "rude" }),
  ]);
  const socket = connect(address, () => socket.write("GET /shop/stage-1/ HTTP/1.1\r\nHost: x\r\n\r\n"));
  await once(server, "request");
  socket.destroy();
  await ask(address, "/shop/rude/");
  await expect.poll(() => codes(plane)).toEqual({ "shop/stage-1": { 499: 1 }, "shop/rude": { 502: 1 } });
});

test("a websocket is counted once, when it is answered: as 101, or as what it was refused with", async () => {
  const { address: upstream, server } = await startUpstream((_request, response) => response.end());
  server.on("upgrade", (request, socket) => {
    socket.on("error", () => {});
    if (request.url === "/no") socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    else
      socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
  });
  const { plane, address } = await startPlane([
    routeTo([upstream]),
    routeTo([loopbackAddress()], { stage: "gone", rawStage: "gone" }),
  ]);
  for (const path of ["/shop/stage-1/", "/shop/stage-1/no", "/shop/gone/", "/nowhere/"]) {
    await askRaw(
      address,
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    );
  }
  await expect
    .poll(() => codes(plane))
    .toEqual({
      "shop/stage-1": { 101: 1, 403: 1 },
      "shop/gone": { 503: 1 },
    });
  expect(plane.stats().unrouted).toEqual({ 404: 1 });
});

test("counts go on over a roll-out, and go with their service", async () => {
  const { address: upstream } = await startUpstream((_request, response) => response.end());
  const route = routeTo([upstream]);
  const { plane, address } = await startPlane([route]);
  await ask(address, "/shop/stage-1/");
  plane.route([{ ...route, release: "8" }]);
  await ask(address, "/shop/stage-1/");
  await expect.poll(() => codes(plane)).toEqual({ "shop/stage-1": { 200: 2 } });
  plane.route([]);
  expect(codes(plane)).toEqual({});
  plane.route([route]);
  expect(codes(plane)).toEqual({ "shop/stage-1": {} });
});

test("two services whose names differ only before they are sanitised are counted as one", async () => {
  const { address: upstream } = await startUpstream((_request, response) => response.end());
  const routes = [routeTo([upstream]), routeTo([upstream], { rawStage: "stage-1" })];
  const { plane } = await startPlane(routes);
  for (const { address } of routes) await ask(address, "/");
  await expect.poll(() => codes(plane)).toEqual({ "shop/stage-1": { 200: 2 } });
  expect(plane.stats().services).toHaveLength(1);
});

test("the server asks the ingress for its counts, which begin anew with each ingress", async () => {
  const folder = ingressFolder();
  const ingress = ingressOf(folder);
  expect(await ingress.stats()).toBeUndefined();
  const { address } = await startReplica();
  await ingress.apply([routeTo([address])]);
  await fetch(`${ingress.publicUrl()}/shop/stage-1/`);
  await expect.poll(async () => (await ingress.stats())?.services[0]?.codes).toEqual({ 200: 1 });
  const before = pidsOf(folder);
  process.kill(before.ingress, "SIGKILL");
  await expect.poll(async () => (await ingress.stats())?.services[0]?.codes, { timeout: 10_000 }).toEqual({});
}, 30_000);

test("an ingress that knows no counts, or does not answer, is asked in vain, and that is no failure", async () => {
  const folder = ingressFolder();
  const ingress = ingressOf(folder);
  await ingress.apply([routeTo([])]);
  // What an ingress of before answers: nothing.
  const older = await serveControl(controlPath(folder), async () => undefined as unknown as ControlReply);
  expect(await ingress.stats()).toBeUndefined();
  older.close();
  const silent = await serveControl(controlPath(folder), () => new Promise(() => {}));
  expect(await ingress.stats()).toBeUndefined();
  silent.close();
}, 30_000);

function codes(plane: DataPlane): Record<string, ServiceRequests["codes"]> {
  const { services } = plane.stats();
  return Object.fromEntries(
    services.map(({ namespace, service, codes: counted }) => [`${namespace}/${service}`, counted]),
  );
}
