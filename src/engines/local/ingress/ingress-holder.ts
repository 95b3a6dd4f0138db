/**
 * The program that holds the ingress' listening sockets, as its parent: it opens and closes them when asked, starts the
 * ingress again when it ends, and does nothing else, so that it has no reason to end itself. It never accepts: what
 * connects while there is no ingress waits in the system's queue.
 *
 * When it is killed nevertheless, the ingress goes on with the sockets it has, and the next `apply` or check by the
 * server starts both anew; only then are connections refused, for as long as that takes (well below a second).
 */

import net, { isIPv6 } from "node:net";
import { join } from "node:path";
import { getSystemErrorName } from "node:util";

import { forkModule } from "../../../lib/spawn-detached.ts";
import { type Address, addressKey } from "../addresses.ts";
import type { IngressProgram } from "./control.ts";
import type { FromHolder, ToHolder } from "./holder-messages.ts";

type Ingress = ReturnType<typeof forkModule>;

/** A socket that is bound and not accepted from; Node has no documented name for it that every version 24 knows. */
interface BoundSocket {
  getsockname(address: { address?: string; port?: number }): number;
  close(): void;
}

const [folder = "", firstProgram = ""] = process.argv.slice(2);
const sockets = new Map<string, BoundSocket>();
/** All that run; those that were replaced; the one that takes requests. */
const ingresses = new Set<Ingress>();
const leaving = new Set<Ingress>();
let serving: Ingress | undefined;
let program = JSON.parse(firstProgram) as IngressProgram;
let stopping = false;

/** Milliseconds: an ingress that lives shorter than this is started again after a pause. */
const soundLife = 1_000;
const longestPause = 5_000;
/** Milliseconds that requests in flight have when the ingress is replaced, and when it is stopped. */
const replaceTime = 30_000;
const stopTime = 2_000;
let pause = 0;

process.on("SIGTERM", stop);
process.on("SIGINT", stop);
start(program);

function start(next: IngressProgram): void {
  const started = performance.now();
  // What a fork takes its executable and flags from: those of a newer version may be others than ours.
  process.execPath = next.node;
  process.execArgv = [...next.flags];
  const ingress = forkModule(next.module, next.args, {
    env: {},
    logFile: join(folder, "ingress.log"),
    cwd: folder,
  });
  ingresses.add(ingress);
  const end = (): void => {
    if (ingresses.delete(ingress)) ended(ingress, performance.now() - started);
  };
  ingress.once("exit", end);
  ingress.on("error", (error) => {
    process.stderr.write(`${new Date().toISOString()} ${error.message}\n`);
    if (ingress.pid === undefined) end(); // It could not be started at all.
  });
  ingress.on("message", (message) => onMessage(ingress, next, message as ToHolder));
}

function onMessage(ingress: Ingress, itsProgram: IngressProgram, message: ToHolder): void {
  switch (message.do) {
    case "open":
      open(ingress, message.id, message.address);
      break;
    case "close":
      sockets.get(addressKey(message.address))?.close();
      sockets.delete(addressKey(message.address));
      break;
    case "serving":
      program = itsProgram;
      if (serving !== undefined && serving !== ingress) {
        leaving.add(serving);
        tell(serving, { tell: "leave", milliseconds: replaceTime });
      }
      serving = ingress;
      tell(ingress, { tell: "predecessors", count: leaving.size });
      break;
    case "replace":
      start(message.program);
      break;
  }
}

function open(ingress: Ingress, id: number, address: Address): void {
  const found = sockets.get(addressKey(address));
  if (found !== undefined) {
    tell(ingress, { tell: "socket", id, address }, found);
    return;
  }
  const opened = bind(address);
  if ("code" in opened) {
    tell(ingress, { tell: "socket", id, address, code: opened.code });
    return;
  }
  sockets.set(addressKey(opened.address), opened.socket);
  tell(ingress, { tell: "socket", id, address: opened.address }, opened.socket);
}

function bind({
  host,
  port,
}: Address): { readonly socket: BoundSocket; readonly address: Address } | { readonly code: string } {
  const createHandle = (
    net as unknown as { _createServerHandle(host: string, port: number, type: 4 | 6): BoundSocket | number }
  )._createServerHandle;
  const socket = createHandle(host, port, isIPv6(host) ? 6 : 4);
  if (typeof socket === "number") return { code: getSystemErrorName(socket) };
  const bound: { address?: string; port?: number } = {};
  // That the address is taken is only told when one asks for it.
  const error = socket.getsockname(bound);
  if (error === 0) return { socket, address: { host, port: bound.port ?? port } };
  socket.close();
  return { code: getSystemErrorName(error) };
}

function ended(ingress: Ingress, lifeTime: number): void {
  const wasStarting = !leaving.has(ingress) && ingress !== serving;
  if (leaving.delete(ingress)) {
    if (serving !== undefined) tell(serving, { tell: "predecessors", count: leaving.size });
  } else if (ingress === serving) {
    serving = undefined;
  }
  if (stopping) {
    endWhenAlone();
    return;
  }
  // Another one is at work, or will be: what ended was replaced, or was to replace it.
  if (ingresses.size > leaving.size) {
    if (wasStarting && serving !== undefined) tell(serving, { tell: "not-replaced" });
    return;
  }
  pause = lifeTime >= soundLife ? 0 : Math.min(longestPause, Math.max(50, pause * 2));
  setTimeout(() => {
    if (!stopping) start(program);
  }, pause);
}

function stop(): void {
  if (stopping) return;
  stopping = true;
  for (const socket of sockets.values()) socket.close();
  sockets.clear();
  for (const ingress of ingresses) tell(ingress, { tell: "leave", milliseconds: stopTime });
  setTimeout(() => {
    for (const ingress of ingresses) ingress.kill("SIGKILL");
  }, stopTime * 2);
  endWhenAlone();
}

function endWhenAlone(): void {
  if (ingresses.size === 0) process.exit(0);
}

function tell(ingress: Ingress, message: FromHolder, socket?: BoundSocket): void {
  if (!ingress.connected) return;
  ingress.send(message, socket as never, () => {
    // It ended while we wrote to it; its exit is dealt with where it is told.
  });
}
