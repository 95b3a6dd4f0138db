import type { Server } from "node:http";
import { expect, test } from "vitest";
import type { Ingress } from "../../../../src/engines/local/ingress/ingress.ts";
import { type Load, startLoad } from "./support/load.ts";
import {
  addressOf,
  ingressFolder,
  ingressOf,
  type ReplicaProcess,
  startReplica,
} from "./support/processes.ts";
import { routeTo } from "./support/routes.ts";
import { startUpstream } from "./support/upstream.ts";

const route = routeTo([]);
/** Of twenty requests: fourteen GET, four POST, a slow POST, an upload of half a megabyte. */
const kinds = [
  ...(["GET", "GET", "GET", "POST", "GET", "GET", "GET", "slow", "GET", "POST"] as const),
  ...(["GET", "GET", "POST", "GET", "GET", "GET", "upload", "GET", "GET", "POST"] as const),
];

test("8 roll-outs under load of 20,000 requests drop none", async () => {
  const ingress = ingressOf(ingressFolder());
  const swaps = 8;
  let replicas = await startBoth();
  await ingress.apply([routed(replicas, 0)]);
  const load = startLoad({
    address: addressOf(ingress.publicUrl()),
    path: "/shop/stage-1/",
    kinds,
    connections: 20,
  });
  for (let swap = 1; swap <= swaps; swap++) {
    await load.until((20_000 / (swaps + 1)) * swap);
    const next = await startBoth();
    await ingress.apply([routed(next, swap)]);
    await ingress.drain(
      replicas.map(({ address }) => address),
      30_000,
    );
    await Promise.all(replicas.map((replica) => replica.stop()));
    replicas = next;
  }
  await load.until(20_000);
  const { failures, answered, releases } = await load.stop();
  expect(failures).toEqual({});
  expect(answered).toBeGreaterThanOrEqual(20_000);
  expect(releases).toHaveLength(swaps + 1);
}, 180_000);

test("the guard matters: without draining, the same roll-outs drop some", async () => {
  const ingress = ingressOf(ingressFolder());
  let replicas = await startBoth();
  await ingress.apply([routed(replicas, 0)]);
  const load = startLoad({
    address: addressOf(ingress.publicUrl()),
    path: "/shop/stage-1/",
    kinds,
    connections: 20,
  });
  for (let swap = 1; swap <= 3; swap++) {
    await settle(load);
    const next = await startBoth();
    await ingress.apply([routed(next, swap)]);
    await Promise.all(replicas.map((replica) => replica.stop()));
    replicas = next;
  }
  expect(Object.keys((await load.stop()).failures)).not.toEqual([]);
}, 120_000);

test("from the moment that new routes are applied, no request is answered by the old release", async () => {
  const ingress: Ingress = ingressOf(ingressFolder());
  const replicas = await startBoth();
  await ingress.apply([routed(replicas, 1)]);
  for (let release = 2; release <= 30; release++) {
    await ingress.apply([routed(replicas, release)]);
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => fetch(`${ingress.publicUrl()}/shop/stage-1/`)),
    );
    expect(new Set(answers.map(({ headers }) => headers.get("x-bodywork-release")))).toEqual(
      new Set([String(release)]),
    );
  }
}, 60_000);

test("draining ends when the time is over: an endless answer is ended in good order, another request is told to come again", async () => {
  const ingress = ingressOf(ingressFolder());
  const upstream = await startUpstream((request, response) => {
    if (request.url === "/events") response.write("data: 1\n\n");
  });
  await ingress.apply([{ ...route, targets: [upstream.address] }]);
  const url = `${ingress.publicUrl()}/shop/stage-1`;
  const events = await fetch(`${url}/events`);
  const endless = events.text();
  const never = fetch(`${url}/never`);
  const started = performance.now();
  await ingress.drain([upstream.address], 1_000);
  expect(performance.now() - started).toBeGreaterThan(900);
  expect(await endless).toBe("data: 1\n\n");
  const told = await never;
  expect(told.status).toBe(503);
  expect(told.headers.has("retry-after")).toBe(true);
  expect(await connectionsOf(upstream.server)).toBe(0);
}, 60_000);

function startBoth(): Promise<readonly ReplicaProcess[]> {
  return Promise.all([startReplica(), startReplica()]);
}

function routed(replicas: readonly ReplicaProcess[], release: number): typeof route {
  return { ...route, release: String(release), targets: replicas.map(({ address }) => address) };
}

async function settle(load: Load): Promise<void> {
  await load.until(load.answered() + 1_000);
}

function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
  );
}
