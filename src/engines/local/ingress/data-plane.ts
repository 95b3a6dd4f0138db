import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Server as NetServer } from "node:net";
import type { Duplex } from "node:stream";

import type { IngressStats } from "../../../core/ingress-stats.ts";
import { type Address, addressKey } from "../addresses.ts";
import { answer, answerText, type OwnAnswer } from "./answers.ts";
import type { RoutedService } from "./choose-target.ts";
import { forward, type Way } from "./forward.ts";
import { forwardUpgrade } from "./forward-upgrade.ts";
import { hasBody, requestProblem } from "./message-heads.ts";
import { createRequestCounts } from "./request-counts.ts";
import { createRouteTable, originForm, type RouteTable } from "./route-table.ts";
import type { Route } from "./routes.ts";
import { createTargets, type Target } from "./targets.ts";

/** What carries the requests: the listeners, and the routes of the moment. */
export interface DataPlane {
  /** Takes connections from a socket that is bound to the address. Rejects when it can't listen. */
  listen(address: Address, socket: object, kind: "public" | "service"): Promise<void>;
  listening(): readonly Address[];
  /** Takes no new connections there; those that are open go on. */
  close(address: Address): void;
  /** From now on every request goes by these routes. */
  route(routes: readonly Route[]): void;
  /** What was counted since it was made. */
  stats(): IngressStats;
  /**
   * Resolves when nothing is in flight to these targets. What still is after the time is ended: streams in good order,
   * websockets with 1001, other requests with 503.
   */
  drain(targets: readonly Address[], milliseconds: number): Promise<void>;
  /**
   * Takes no new connections, lets those that are open come to their end (their answers say that they close), and
   * resolves when all are gone, at the latest after the time. `beforeRequest` is called before each.
   */
  leave(milliseconds: number, beforeRequest: () => void): Promise<void>;
}

/** Bytes; more is answered by 431. */
const headerLimit = 16 * 1024;
/** Milliseconds for the head of a request, also for the first on a connection; after that 408. */
const headTime = 10_000;
/** A connection waits this long for another request: longer than the balancers that may stand before us (60 s). */
const keepAliveTime = 75_000;
/** What a client on an idle connection has to notice that we leave, before it is closed under its hands. */
const idleGrace = 2_000;
/** What a client has to read of an answer that was cut, before its connection is closed. */
const cutGrace = 500;

export function createDataPlane(): DataPlane {
  const targets = createTargets();
  const counts = createRequestCounts();
  const servers = new Map<string, { readonly address: Address; readonly server: Server }>();
  const closing = new Map<Server, Promise<void>>();
  let table: RouteTable = createRouteTable([]);
  let services = new Map<string, RoutedService>();
  let beforeRequest: (() => void) | undefined;

  return {
    listen,
    listening: () => [...servers.values()].map(({ address }) => address),
    close,
    route(routes) {
      table = createRouteTable(routes);
      services = new Map();
      counts.route(routes);
      targets.retain(routes.flatMap((route) => route.targets));
    },
    stats: counts.stats,
    drain: (addresses, milliseconds) => drain(addresses.map(targets.get), milliseconds),
    leave,
  };

  function listen(address: Address, socket: object, kind: "public" | "service"): Promise<void> {
    const server = createServer({
      maxHeaderSize: headerLimit,
      headersTimeout: headTime,
      // A large upload over a slow line takes as long as it takes.
      requestTimeout: 0,
      keepAliveTimeout: keepAliveTime,
      connectionsCheckingInterval: 1_000,
      insecureHTTPParser: false,
      shouldUpgradeCallback: isWebsocket,
    });
    const wayOf = kind === "public" ? publicWay : (request: IncomingMessage) => serviceWay(address, request);
    const handle = (request: IncomingMessage, response: ServerResponse): void => {
      const way = admit(request, wayOf);
      if (!("status" in way)) {
        forward(request, response, way);
        return;
      }
      counts.addUnrouted(way.status);
      answer(response, way, { close: way.status !== 404 || beforeRequest !== undefined });
    };
    server.on("request", handle);
    server.on("checkContinue", handle);
    server.on("upgrade", (request, client, first) => {
      const way = hasBody(request) ? upgradeWithBody : admit(request, wayOf);
      if (!("status" in way)) {
        forwardUpgrade(request, client, first, way);
        return;
      }
      counts.addUnrouted(way.status);
      refuseUpgrade(client, way);
    });
    servers.set(addressKey(address), { address, server });
    return new Promise((resolve, reject) => {
      server.once("error", (error) => {
        servers.delete(addressKey(address));
        reject(error);
      });
      server.listen(socket, resolve);
    });
  }

  function close(address: Address): void {
    const found = servers.get(addressKey(address));
    if (found === undefined) return;
    servers.delete(addressKey(address));
    const { server } = found;
    const gone = new Promise<void>((resolve) => {
      // The way of `http.Server` would also close connections that wait for a request, under the hands of clients.
      NetServer.prototype.close.call(server, () => {
        closing.delete(server);
        server.close(() => {}); // Stops its timer.
        resolve();
      });
    });
    closing.set(server, gone);
    setTimeout(() => server.closeIdleConnections(), idleGrace).unref();
  }

  /** Where the request goes, or why it goes nowhere. */
  function admit(
    request: IncomingMessage,
    wayOf: (request: IncomingMessage) => Way | OwnAnswer,
  ): Way | OwnAnswer {
    beforeRequest?.();
    const refused = requestProblem(request);
    if (refused === undefined) return wayOf(request);
    return { status: refused.status, code: "bad-request", message: refused.problem };
  }

  function publicWay(request: IncomingMessage): Way | OwnAnswer {
    const found = table.ofPublic(request.url ?? "/");
    if (found.kind === "unknown") return { status: 404, code: "not-found", message: found.problem };
    return way(found.key, found.target, found.prefix);
  }

  function serviceWay(address: Address, request: IncomingMessage): Way | OwnAnswer {
    const key = table.ofAddress(address);
    if (key === undefined) return { status: 404, code: "not-found", message: "No service has this address." };
    return way(key, originForm(request.url ?? "/"), undefined);
  }

  function way(key: string, target: string, prefix: string | undefined): Way {
    return {
      service: () => serviceOf(key),
      target,
      prefix,
      leaving: () => beforeRequest !== undefined,
      counts: counts.of(key),
    };
  }

  function serviceOf(key: string): RoutedService | undefined {
    const known = services.get(key);
    if (known !== undefined) return known;
    const route = table.route(key);
    if (route === undefined) return undefined;
    const service = { release: route.release, targets: route.targets.map(targets.get) };
    services.set(key, service);
    return service;
  }

  async function drain(drained: readonly Target[], milliseconds: number): Promise<void> {
    const timer = setTimeout(() => {
      for (const target of drained) for (const use of [...target.inFlight]) use.cut();
    }, milliseconds);
    await Promise.all(drained.map((target) => target.idle()));
    clearTimeout(timer);
    for (const target of drained) target.closeIdle();
  }

  async function leave(milliseconds: number, before: () => void): Promise<void> {
    beforeRequest = before;
    for (const { address } of [...servers.values()]) close(address);
    const left = [...closing.keys()];
    const idle = setInterval(
      () => {
        for (const server of left) server.closeIdleConnections();
      },
      Math.min(idleGrace, milliseconds / 4),
    );
    const cut = setTimeout(() => {
      for (const target of targets.all()) for (const use of [...target.inFlight]) use.cut();
    }, milliseconds);
    const end = setTimeout(() => {
      for (const server of left) server.closeAllConnections();
    }, milliseconds + cutGrace);
    await Promise.all(closing.values());
    clearInterval(idle);
    clearTimeout(cut);
    clearTimeout(end);
  }
}

/** Whether what follows such a head is a body or the new protocol can be read in two ways. */
const upgradeWithBody: OwnAnswer = {
  status: 400,
  code: "bad-request",
  message: "A request to switch protocols has no body.",
};

function isWebsocket(request: IncomingMessage): boolean {
  return request.method === "GET" && request.headers.upgrade?.toLowerCase() === "websocket";
}

function refuseUpgrade(client: Duplex, own: OwnAnswer): void {
  client.on("error", () => client.destroy());
  client.end(answerText(own));
}
