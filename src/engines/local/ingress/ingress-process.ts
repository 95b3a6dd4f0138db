/**
 * The program that carries the requests of this machine's services. Started by its holder with the folder of the
 * ingress, the path of its control socket and its version; its routes are in the folder, so that it needs no server.
 */

import { statSync } from "node:fs";
import type { Server } from "node:net";

import { type Address, addressKey } from "../addresses.ts";
import {
  type ControlReply,
  type ControlRequest,
  type IngressProgram,
  type NotListening,
  serveControl,
} from "./control.ts";
import { createDataPlane } from "./data-plane.ts";
import type { FromHolder, ToHolder } from "./holder-messages.ts";
import { writeIngressState } from "./ingress-state.ts";
import { readRoutes, routesPath } from "./routes.ts";

const [folder = "", control = "", version = ""] = process.argv.slice(2);
const plane = createDataPlane();
const holder = process.ppid;

/** Milliseconds after which an address that could not be opened is tried again. */
const retryTime = 1_000;
/** Milliseconds that requests have to end when this process is told to leave by others than its holder. */
const leaveTime = 30_000;

const waiting = new Map<number, (opened: OpenedSocket | RefusedSocket) => void>();
let lastId = 0;
let predecessors = 0;
let onReplaced = (_done: boolean): void => {};
let predecessorsGone: (() => void)[] = [];
let leaving = false;
let controlServer: Server | undefined;
let retry: NodeJS.Timeout | undefined;
let turn: Promise<unknown> = Promise.resolve();

process.on("message", onHolder);
process.on("disconnect", onOrphaned);
process.on("SIGTERM", () => {
  // As long as there is a holder, it is the one that says so: it sees to a successor first, or ends with us.
  if (!process.connected) void leave(leaveTime);
});
process.on("SIGINT", () => {});

await apply();
controlServer = await serveControl(control, answer);
writeIngressState(folder, { ingress: process.pid, holder, control, version });
ask({ do: "serving" });

async function answer(request: ControlRequest): Promise<ControlReply> {
  switch (request.do) {
    case "hello":
      return { kind: "hello", version, pid: process.pid };
    case "apply":
      return { kind: "applied", failed: await apply() };
    case "open": {
      const opened = await inTurn(() => open(request.address, "public"));
      return "code" in opened
        ? { kind: "not-opened", code: opened.code }
        : { kind: "opened", address: opened.address };
    }
    case "drain":
      await drain(request.targets, request.milliseconds);
      return { kind: "done" };
    case "stats":
      return { kind: "stats", stats: plane.stats() };
    case "replace":
      return (await replacedBy(request.program))
        ? { kind: "done" }
        : { kind: "error", message: "the program that was to replace it ended as soon as it was started" };
    case "leave":
      void leave(leaveTime);
      return { kind: "done" };
  }
}

function apply(): Promise<readonly NotListening[]> {
  return inTurn(applyNow);
}

/** One change of the listeners at a time, so that the last one says what is open in the end. */
function inTurn<T>(change: () => Promise<T>): Promise<T> {
  const result = turn.then(change);
  turn = result.catch(() => {});
  return result;
}

/** New listeners are opened before old ones are closed; the routes change between the two, at once. */
async function applyNow(): Promise<readonly NotListening[]> {
  const file = readRoutes(folder);
  const wanted = new Map<string, readonly [Address, "public" | "service"]>();
  for (const { address } of file.routes) wanted.set(addressKey(address), [address, "service"]);
  if (file.listen !== undefined) wanted.set(addressKey(file.listen), [file.listen, "public"]);
  const failed: NotListening[] = [];
  for (const [address, kind] of wanted.values()) {
    const opened = await open(address, kind);
    if ("code" in opened) failed.push({ address, code: opened.code });
  }
  plane.route(file.routes);
  for (const address of plane.listening()) {
    if (wanted.has(addressKey(address))) continue;
    plane.close(address);
    ask({ do: "close", address });
  }
  clearTimeout(retry);
  if (failed.length > 0) retry = setTimeout(() => void apply(), retryTime).unref();
  return failed;
}

interface RefusedSocket {
  readonly code: string;
}

interface OpenedSocket {
  readonly address: Address;
  readonly socket: object;
}

async function open(
  address: Address,
  kind: "public" | "service",
): Promise<{ readonly address: Address } | NotListening> {
  if (plane.listening().some((open) => addressKey(open) === addressKey(address))) return { address };
  if (!process.connected) return { address, code: "EPIPE" };
  const id = ++lastId;
  const opened = await new Promise<OpenedSocket | RefusedSocket>((resolve) => {
    waiting.set(id, resolve);
    ask({ do: "open", id, address });
  });
  if ("code" in opened) return { address, code: opened.code };
  try {
    await plane.listen(opened.address, opened.socket, kind);
    return { address: opened.address };
  } catch (error) {
    ask({ do: "close", address: opened.address });
    return { address, code: (error as NodeJS.ErrnoException).code ?? "EINVAL" };
  }
}

function replacedBy(program: IngressProgram): Promise<boolean> {
  return new Promise((resolve) => {
    onReplaced = resolve;
    ask({ do: "replace", program });
  });
}

/** Ingresses that leave may still be at work on these targets. */
async function drain(targets: readonly Address[], milliseconds: number): Promise<void> {
  const until = performance.now() + milliseconds;
  await Promise.all([
    plane.drain(targets, milliseconds),
    Promise.race([
      withoutPredecessors(),
      new Promise((resolve) => setTimeout(resolve, until - performance.now()).unref()),
    ]),
  ]);
}

async function withoutPredecessors(): Promise<void> {
  while (predecessors > 0) await new Promise<void>((resolve) => predecessorsGone.push(resolve));
}

function onHolder(message: unknown, socket: unknown): void {
  const told = message as FromHolder;
  switch (told.tell) {
    case "socket": {
      const resolve = waiting.get(told.id);
      waiting.delete(told.id);
      resolve?.(
        told.code === undefined ? { address: told.address, socket: socket as object } : { code: told.code },
      );
      break;
    }
    case "predecessors":
      predecessors = told.count;
      for (const resolve of predecessorsGone) resolve();
      predecessorsGone = [];
      break;
    case "not-replaced":
      onReplaced(false);
      break;
    case "leave":
      onReplaced(true);
      void leave(told.milliseconds);
      break;
  }
}

/** The holder was killed. We go on with the sockets that we have, until the server starts both anew. */
function onOrphaned(): void {
  process.stderr.write(`${new Date().toISOString()} The holder (process ${holder}) is gone.\n`);
  for (const resolve of waiting.values()) resolve({ code: "EPIPE" });
  waiting.clear();
}

/** Nobody tells us of new routes while we leave, so we look whether the file is another before each request. */
async function leave(milliseconds: number): Promise<void> {
  if (leaving) return;
  leaving = true;
  clearTimeout(retry);
  controlServer?.close();
  let seen = fileMark();
  await plane.leave(milliseconds, () => {
    const mark = fileMark();
    if (mark === seen) return;
    seen = mark;
    plane.route(readRoutes(folder).routes);
  });
  process.exit(0);
}

function fileMark(): string {
  const found = statSync(routesPath(folder), { throwIfNoEntry: false });
  return `${found?.ino} ${found?.mtimeMs}`;
}

function ask(message: ToHolder): void {
  if (process.connected) process.send?.(message);
}
