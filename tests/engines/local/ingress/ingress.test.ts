import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { controlPath } from "../../../../src/engines/local/ingress/control.ts";
import { readIngressState } from "../../../../src/engines/local/ingress/ingress-state.ts";
import { processesBelow } from "../../../support/orphans.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { ask } from "./support/ask.ts";
import { startLoad } from "./support/load.ts";
import { occupy } from "./support/occupy.ts";
import {
  addressOf,
  ingressFolder,
  ingressOf,
  isAlive,
  mostMemory,
  pidsOf,
  startReplica,
} from "./support/processes.ts";
import { loopbackAddress, routeTo } from "./support/routes.ts";
import { startUpstream } from "./support/upstream.ts";

test("nothing runs before there is something to route, and after the ingress was stopped", async () => {
  const folder = ingressFolder();
  const ingress = ingressOf(folder);
  expect(readIngressState(folder)).toEqual({ running: false });
  await ingress.start();
  await ingress.apply([]);
  expect(ingress.running()).toBe(false);
  expect(ingress.publicUrl()).toBeUndefined();

  const { address } = await startReplica();
  await ingress.apply([routeTo([address])]);
  const url = ingress.publicUrl() as string;
  expect(readIngressState(folder)).toEqual({ publicUrl: url, running: true });
  expect(await (await fetch(`${url}/shop/stage-1/a`)).text()).toBe("GET /a 0\n");
  const { ingress: pid, holder } = pidsOf(folder);
  await ingress.stop();
  expect(ingress.running()).toBe(false);
  await vi.waitFor(() => expect([isAlive(pid), isAlive(holder)]).toEqual([false, false]));
  expect(readIngressState(folder)).toEqual({ publicUrl: url, running: false });
  await expect(fetch(url)).rejects.toThrow();
});

test("a damaged routes file is named, with what to do", async () => {
  const folder = ingressFolder();
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "routes.json"), "{");
  expect(() => ingressOf(folder)).toThrow(expect.objectContaining({ code: "store-damaged" }));
  expect(readIngressState(folder)).toEqual({ running: false });
});

test("an ingress that does not come up is told with its log, and leaves no process", async () => {
  const folder = ingressFolder();
  mkdirSync(join(folder, "state.json"), { recursive: true });
  const broken = ingressOf(folder);
  await expect(broken.apply([routeTo([])])).rejects.toMatchObject({
    code: "internal",
    details: expect.arrayContaining([expect.stringContaining("EISDIR")]),
  });
  await expect.poll(() => processesBelow(folder), { timeout: 5_000 }).toEqual([]);
}, 60_000);

test("its files and its control socket are for this user only", async () => {
  const folder = ingressFolder();
  const ingress = ingressOf(folder);
  await ingress.apply([routeTo([])]);
  const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);
  expect(mode(folder)).toBe("700");
  for (const name of ["control.sock", "routes.json", "state.json", "ingress.log"]) {
    expect(`${name} ${mode(join(folder, name))}`).toBe(`${name} 600`);
  }
});

test("a home whose path is too long for a socket has its control socket elsewhere", async () => {
  const folder = join(temporaryFolder("long"), "x".repeat(100), "ingress");
  expect(controlPath(folder).startsWith(folder)).toBe(false);
  expect(Buffer.byteLength(controlPath(folder))).toBeLessThanOrEqual(90);
  const ingress = ingressOf(folder);
  await ingress.apply([routeTo([])]);
  expect(ingress.running()).toBe(true);
});

test("killed with -9 under load, it is back at once: what was in flight fails, nothing is refused, others wait", async () => {
  const folder = ingressFolder();
  const ingress = ingressOf(folder);
  const [one, two] = [await startReplica(), await startReplica()];
  await ingress.apply([routeTo([one.address, two.address])]);
  const connections = 10;
  const kills = 4;
  const load = startLoad({
    address: addressOf(ingress.publicUrl()),
    path: "/shop/stage-1/",
    kinds: ["GET", "GET", "POST"],
    connections,
  });
  for (let kill = 1; kill <= kills; kill++) {
    const before = pidsOf(folder);
    await load.until(load.answered() + 500);
    process.kill(before.ingress, "SIGKILL");
    await load.until(load.answered() + 500);
    expect(pidsOf(folder).holder).toBe(before.holder);
    expect(pidsOf(folder).ingress).not.toBe(before.ingress);
  }
  const { failures, slowest } = await load.stop();
  expect(Object.keys(failures)).toEqual(["ECONNRESET"]);
  expect(failures.ECONNRESET).toBeLessThanOrEqual(connections * kills);
  // The promise is half a second on a quiet machine; this one may be busy with other tests.
  expect(slowest).toBeLessThan(3_000);
}, 90_000);

test("the guard matters: a program that holds its socket itself refuses connections when it is killed", async () => {
  const address = loopbackAddress();
  const first = await startReplica(address);
  const load = startLoad({ address, path: "/", kinds: ["GET"], connections: 10 });
  await load.until(200);
  await first.stop();
  await startReplica(address);
  await load.until(load.answered() + 200);
  expect(Object.keys((await load.stop()).failures)).toContain("ECONNREFUSED");
}, 60_000);

test("it goes on without a server, and the next server takes it up as it is", async () => {
  const folder = ingressFolder();
  const first = ingressOf(folder);
  const { address } = await startReplica();
  await first.apply([routeTo([address])]);
  const before = pidsOf(folder);
  first.release();
  process.kill(before.ingress, "SIGKILL");
  expect(await (await fetch(`${first.publicUrl()}/shop/stage-1/x`)).text()).toBe("GET /x 0\n");

  const second = ingressOf(folder);
  expect(second.publicUrl()).toBe(first.publicUrl());
  const found = pidsOf(folder);
  await second.start();
  expect(pidsOf(folder)).toEqual(found);
  await second.apply([routeTo([address], { release: "8" })]);
  expect(pidsOf(folder)).toEqual(found);
  const answer = await fetch(`${second.publicUrl()}/shop/stage-1/`);
  expect(answer.headers.get("x-bodywork-release")).toBe("8");
}, 60_000);

test("after the machine was off, the services are routed as before", async () => {
  const folder = ingressFolder();
  const first = ingressOf(folder);
  const { address } = await startReplica();
  const route = routeTo([address]);
  await first.apply([route]);
  await first.stop();
  const second = ingressOf(folder);
  await second.start();
  expect(second.publicUrl()).toBe(first.publicUrl());
  expect((await ask(addressOf(second.publicUrl()), "/shop/stage-1/")).status).toBe(200);
  expect((await ask(route.address, "/")).status).toBe(200);
}, 60_000);

test("when its holder is killed it goes on, and the next change starts both anew", async () => {
  const folder = ingressFolder();
  const ingress = ingressOf(folder);
  const { address } = await startReplica();
  const route = routeTo([address]);
  await ingress.apply([route]);
  const before = pidsOf(folder);
  process.kill(before.holder, "SIGKILL");
  await expect.poll(() => isAlive(before.holder)).toBe(false);
  const public_ = addressOf(ingress.publicUrl());
  expect((await ask(public_, "/shop/stage-1/")).status).toBe(200);
  await ingress.apply([{ ...route, release: "8" }]);
  const after = pidsOf(folder);
  expect(after.holder).not.toBe(before.holder);
  expect((await ask(public_, "/shop/stage-1/")).headers["x-bodywork-release"]).toBe("8");
  await expect.poll(() => isAlive(before.ingress), { timeout: 10_000 }).toBe(false);
}, 60_000);

test("the server notices by itself that the holder was killed, with the ingress or without it", async () => {
  const folder = ingressFolder();
  const ingress = ingressOf(folder);
  const { address } = await startReplica();
  await ingress.apply([routeTo([address])]);
  for (const both of [true, false]) {
    const before = pidsOf(folder);
    process.kill(before.holder, "SIGKILL");
    if (both) process.kill(before.ingress, "SIGKILL");
    await expect.poll(() => pidsOf(folder).holder, { timeout: 10_000 }).not.toBe(before.holder);
    expect((await fetch(`${ingress.publicUrl()}/shop/stage-1/`)).status).toBe(200);
  }
}, 60_000);

test("told to end by others than its holder, it stays", async () => {
  const folder = ingressFolder();
  const ingress = ingressOf(folder);
  await ingress.apply([routeTo([])]);
  const before = pidsOf(folder);
  process.kill(before.ingress, "SIGTERM");
  process.kill(before.ingress, "SIGINT");
  await sleep(300);
  expect((await fetch(`${ingress.publicUrl()}/shop/stage-1/`)).status).toBe(503);
  expect(pidsOf(folder)).toEqual(before);
});

test("another version takes over in place, under load: same sockets, no request lost", async () => {
  const folder = ingressFolder();
  const old = ingressOf(folder, { version: "4.0.0" });
  const { address } = await startReplica();
  const route = routeTo([address]);
  await old.apply([route]);
  const before = pidsOf(folder);
  const load = startLoad({
    address: addressOf(old.publicUrl()),
    path: "/shop/stage-1/",
    kinds: ["GET", "POST", "GET", "slow", "GET", "upload"],
    connections: 10,
  });
  await load.until(300);
  old.release();
  const next = ingressOf(folder, { version: "4.1.0" });
  await next.start();
  await next.apply([{ ...route, release: "8" }]);
  await load.until(load.answered() + 100);
  const after = pidsOf(folder);
  expect([after.holder, after.ingress === before.ingress]).toEqual([before.holder, false]);
  await expect.poll(() => isAlive(before.ingress), { timeout: 10_000 }).toBe(false);
  const { failures, releases } = await load.stop();
  expect(failures).toEqual({});
  expect(releases).toEqual(["7", "8"]);
  await next.drain([address], 10_000);
}, 60_000);

test("a connection that is still with the replaced ingress goes by the new routes too, and is told to come again", async () => {
  const folder = ingressFolder();
  const old = ingressOf(folder, { version: "4.0.0" });
  const { address } = await startReplica();
  const route = routeTo([address]);
  await old.apply([route]);
  const socket = connect(addressOf(old.publicUrl()));
  onTestFinished(() => void socket.destroy());
  const asked = async (): Promise<string> => {
    socket.write("GET /shop/stage-1/ HTTP/1.1\r\nHost: x\r\n\r\n");
    return String((await once(socket, "data"))[0]);
  };
  expect(await asked()).toContain("X-Bodywork-Release: 7\r\nConnection: keep-alive\r\n");
  old.release();
  const next = ingressOf(folder, { version: "4.1.0" });
  await next.apply([{ ...route, release: "8" }]);
  expect(await asked()).toContain("X-Bodywork-Release: 8\r\nConnection: close\r\n");
}, 60_000);

test("a version that cannot start leaves the one that works at work", async () => {
  const folder = ingressFolder();
  const good = ingressOf(folder, { version: "4.0.0" });
  const { address } = await startReplica();
  await good.apply([routeTo([address])]);
  const before = pidsOf(folder);
  good.release();
  const broken = ingressOf(folder, { version: "4.1.0", node: "/bin/false" });
  await expect(broken.start()).rejects.toMatchObject({ code: "internal" });
  expect(pidsOf(folder)).toEqual(before);
  expect((await fetch(`${good.publicUrl()}/shop/stage-1/`)).status).toBe(200);
  process.kill(before.ingress, "SIGKILL");
  expect((await fetch(`${good.publicUrl()}/shop/stage-1/`)).status).toBe(200);
}, 60_000);

test("a port that is taken means the next free one, which is told, and stays", async () => {
  const folder = ingressFolder();
  const wanted = loopbackAddress(8080);
  const release = await occupy(wanted);
  await occupy({ ...wanted, port: 8081 });
  const told: string[] = [];
  const options = { listen: wanted, notify: (text: string) => told.push(text) };
  const ingress = ingressOf(folder, options);
  await ingress.apply([routeTo([])]);
  expect(ingress.publicUrl()).toBe(`http://${wanted.host}:8082`);
  const note = `Port 8080 of ${wanted.host} was taken: the ingress listens on http://${wanted.host}:8082. To choose another: bodywork server start --listen HOST:PORT`;
  expect(told).toEqual([note]);
  expect([ingress.note(), readIngressState(folder).note]).toEqual([note, note]);
  await ingress.stop();
  await release();
  const again = ingressOf(folder, options);
  await again.start();
  expect(again.publicUrl()).toBe(`http://${wanted.host}:8082`);
  expect([told.length, again.note()]).toEqual([1, note]);
  await again.listen(`${wanted.host}:8082`);
  expect([again.note(), readIngressState(folder).note], "now it is where it was asked for").toEqual([
    undefined,
    undefined,
  ]);
});

test("the public listener moves where the user says, opened before the old one closes; a taken port is refused", async () => {
  const folder = ingressFolder();
  const ingress = ingressOf(folder);
  const { address } = await startReplica();
  const route = routeTo([address]);
  await ingress.apply([route]);
  const before = addressOf(ingress.publicUrl());
  const taken = loopbackAddress(8080);
  await occupy(taken);
  await expect(ingress.listen(`${taken.host}:8080`)).rejects.toMatchObject({ code: "port-taken" });
  await expect(ingress.listen("nowhere")).rejects.toMatchObject({ code: "usage" });
  await expect(ingress.listen("192.0.2.1:8080")).rejects.toMatchObject({ code: "usage" });
  expect((await ask(before, "/shop/stage-1/")).status).toBe(200);

  const load = startLoad({ address: before, path: "/shop/stage-1/", kinds: ["GET"], connections: 5 });
  await load.until(50);
  const wanted = loopbackAddress(9090);
  await ingress.listen(`${wanted.host}:9090`);
  expect(ingress.publicUrl()).toBe(`http://${wanted.host}:9090`);
  expect((await ask(wanted, "/shop/stage-1/")).status).toBe(200);
  await load.until(load.answered() + 50); // Connections that are open go on.
  expect((await load.stop()).failures).toEqual({});
  await expect(ask(before, "/shop/stage-1/")).rejects.toThrow("ECONNREFUSED");

  await ingress.listen("127.0.0.1:0");
  expect(ingress.publicUrl()).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  await ingress.stop();
  await occupy(addressOf(ingress.publicUrl()));
  const again = ingressOf(folder);
  await expect(again.start()).rejects.toMatchObject({ code: "port-taken" });
  expect((await ask(route.address, "/")).status).toBe(200); // The services' own addresses are open all the same.
}, 60_000);

test("a service's address that is taken is told; all else is routed, and it is opened as soon as it is free", async () => {
  const ingress = ingressOf(ingressFolder());
  const { address } = await startReplica();
  const [free, taken] = [routeTo([address]), routeTo([address], { rawStage: "stage_2", stage: "stage-2" })];
  const release = await occupy(taken.address);
  await expect(ingress.apply([free, taken])).rejects.toMatchObject({
    code: "port-taken",
    message: expect.stringContaining(taken.address.host),
  });
  expect((await ask(free.address, "/")).status).toBe(200);
  expect((await ask(addressOf(ingress.publicUrl()), "/shop/stage-2/")).status).toBe(200);
  await release();
  await expect
    .poll(
      () =>
        ask(taken.address, "/").then(
          (answer) => answer.status,
          () => 0,
        ),
      { timeout: 5_000 },
    )
    .toBe(200);
});

test("addresses of removed services are closed", async () => {
  const ingress = ingressOf(ingressFolder());
  const { address } = await startReplica();
  const route = routeTo([address]);
  await ingress.apply([route]);
  expect((await ask(route.address, "/")).status).toBe(200);
  await ingress.apply([]);
  // A connection that the system had taken on before is cut; then there is nobody to connect to.
  await vi.waitFor(() => expect(ask(route.address, "/")).rejects.toThrow("ECONNREFUSED"));
  expect((await ask(addressOf(ingress.publicUrl()), "/shop/stage-1/")).status).toBe(404);
  await ingress.apply([route]);
  expect((await ask(route.address, "/")).status).toBe(200);
});

test("100 MB up and down again take it no more than 100 MB of memory, also when nobody reads for a while", async () => {
  const folder = ingressFolder();
  const ingress = ingressOf(folder);
  const upstream = await startUpstream((asked, response) => void asked.pipe(response));
  await ingress.apply([routeTo([upstream.address])]);
  const before = mostMemory(pidsOf(folder).ingress);
  const hashes = [createHash("sha256"), createHash("sha256")] as const;
  const address = addressOf(ingress.publicUrl());
  const asked = request({ ...address, path: "/shop/stage-1/", method: "POST", agent: false });
  const answered = once(asked, "response") as Promise<[IncomingMessage]>;
  const reading = answered.then(async ([response]) => {
    await sleep(500);
    for await (const chunk of response) hashes[1].update(chunk as Buffer);
  });
  for (let part = 0; part < 400; part++) {
    const chunk = Buffer.alloc(256 * 1024, part);
    hashes[0].update(chunk);
    if (!asked.write(chunk)) await once(asked, "drain");
  }
  asked.end();
  await reading;
  expect(hashes[1].digest("hex")).toBe(hashes[0].digest("hex"));
  expect(mostMemory(pidsOf(folder).ingress) - before).toBeLessThan(100);
}, 60_000);
