import { isIP } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { Failure } from "../../../core/failure.ts";
import type { IngressStats } from "../../../core/ingress-stats.ts";
import { type Address, addressKey } from "../addresses.ts";
import type { FrontDoor } from "../local-engine.ts";
import {
  askControl,
  type ControlReply,
  controlPath,
  type IngressProgram,
  type NotListening,
} from "./control.ts";
import { ask, endProcesses, ensureRunning, isHeld, isRunning } from "./ingress-launch.ts";
import {
  listenerNote,
  type PublicListener,
  publicUrlOf,
  type RoutesFile,
  readRoutes,
  writeRoutes,
} from "./routes.ts";

export interface IngressOptions {
  /** Where its routes, its state, its log and its control socket are. */
  readonly folder: string;
  /** Ours. An ingress of another version is replaced. */
  readonly version: string;
  /** Where it listens before the user says otherwise; 127.0.0.1:8080 by default. When that is taken, the next free port. */
  readonly listen?: Address;
  /**
   * `HOST:PORT` of the user's settings. It counts when it is another than the last that was applied, and then as if
   * asked for by `listen`; otherwise the listener stays where it is. Where it can't be opened in place of one that was
   * open before, that one stays, `note` says so, and the next start tries again.
   */
  readonly setting?: string | undefined;
  /** Node's executable; the one that runs us by default. */
  readonly node?: string;
  /** Gets one line when something happened that the user should know. */
  readonly notify?: (text: string) => void;
}

/**
 * The HTTP front door of this machine's services: `/NAMESPACE/STAGE/…` on the public address, and each service's own
 * stable address. HTTP/1.1 and websockets only: a service that speaks anything else over TCP is not reached through its
 * name or its route.
 *
 * It is two processes that outlive the server: the ingress, and the holder of its listening sockets. A killed ingress is
 * started again by its holder; meanwhile connections wait. What happens to the holder is said in ingress-holder.ts.
 */
export interface Ingress extends FrontDoor {
  /** Takes up what an earlier server left, replacing one of another version; starts one when services are routed. */
  start(): Promise<void>;
  /** Moves the public listener to `HOST:PORT` (port 0: any free one), which stays so. The old one closes after it. */
  listen(address: string): Promise<void>;
  running(): boolean;
  /** What it has counted; undefined when none runs, or when it doesn't answer in a second or knows no counts. */
  stats(): Promise<IngressStats | undefined>;
  /** Ends both processes; requests in flight have 2 s. */
  stop(): Promise<void>;
  /** Lets go of it: this process ends, the ingress does not. */
  release(): void;
}

/** Milliseconds between looks whether the holder is still there. */
const checkTime = 2_000;
/** Under load: 100 MB less than with Node's default, and no more work. */
export const ingressFlags: readonly string[] = ["--max-semi-space-size=8"];
/** Milliseconds that the ingress has to say that it has drained, after the time for it. */
const drainAnswerTime = 5_000;
/** Milliseconds that the ingress has to say what it has counted. */
const statsTime = 1_000;
/** How many ports are tried from the first on. */
const portsTried = 100;

export function createIngress(options: IngressOptions): Ingress {
  const { folder } = options;
  const program: IngressProgram = {
    node: options.node ?? process.execPath,
    flags: ingressFlags,
    module: fileURLToPath(new URL("./ingress-process.ts", import.meta.url)),
    args: [folder, controlPath(folder), options.version],
  };
  let { listen, routes, setting }: Writable<RoutesFile> = readRoutes(folder);
  /** What the settings ask for anew. */
  let wish: Address | undefined;
  if (options.setting === undefined) setting = undefined;
  else if (options.setting !== setting) wish = parseAddress(options.setting);
  let refusedWish: string | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  let check: NodeJS.Timeout | undefined;

  /** One change after the other. */
  const inTurn = <T>(change: () => Promise<T>): Promise<T> => {
    const result = turn.then(change, change);
    turn = result.catch(() => {});
    return result;
  };

  return {
    start: () =>
      inTurn(async () => {
        if (isRunning(folder) || routes.length > 0) await bringUp();
      }),
    apply: (next) =>
      inTurn(async () => {
        routes = next;
        if (routes.length > 0 || isRunning(folder)) await bringUp();
        else if (listen !== undefined) save();
      }),
    listen: (address) => inTurn(() => moveTo(parseAddress(address))),
    drain,
    publicUrl: () => (listen === undefined ? undefined : publicUrlOf(listen)),
    note: () => refusedWish ?? listenerNote(listen),
    running: () => isRunning(folder),
    stats,
    stop: () => inTurn(stop),
    release: () => clearInterval(check),
  };

  /** Brings about that an ingress of our version runs, is open where it should be, and goes by our routes. */
  async function bringUp(): Promise<void> {
    save();
    await ensureRunning(folder, program, options.version);
    watch();
    // What can be opened is, before it is told what can't.
    const refused = await openPublic().then(
      () => undefined,
      (error: unknown) => error,
    );
    save();
    const [failed] = await applyFile();
    if (refused !== undefined) throw refused;
    if (failed !== undefined) throw notOpened(failed.address, failed.code, "the address of a service");
  }

  function save(): void {
    writeRoutes(folder, { listen, ...(setting === undefined ? {} : { setting }), routes });
  }

  async function applyFile(): Promise<readonly NotListening[]> {
    const reply = await ask(folder, { do: "apply" });
    if (reply.kind !== "applied") throw unexpected(reply);
    return reply.failed;
  }

  async function openPublic(): Promise<void> {
    if (wish !== undefined && (await openWished(wish))) return;
    const first: PublicListener = listen ?? {
      ...(options.listen ?? { host: "127.0.0.1", port: 8080 }),
      asked: false,
    };
    for (let port = first.port; port < Math.min(first.port + portsTried, 65_536); port++) {
      const reply = await ask(folder, { do: "open", address: { host: first.host, port } });
      if (reply.kind === "opened") {
        const moved = first.port !== 0 && port !== first.port;
        const insteadOf = first.insteadOf ?? (moved ? { host: first.host, port: first.port } : undefined);
        listen = {
          ...reply.address,
          asked: first.asked,
          ...(insteadOf === undefined ? {} : { insteadOf }),
        };
        if (moved) options.notify?.(listenerNote(listen) as string);
        return;
      }
      if (reply.kind !== "not-opened") throw unexpected(reply);
      if (reply.code !== "EADDRINUSE" || first.asked) throw notOpened(first, reply.code, "the ingress");
    }
    throw new Failure(
      "port-taken",
      `Cannot open the ingress: ports ${first.port} to ${first.port + portsTried - 1} of ${first.host} are all taken.`,
      { hint: "Choose a free one: bodywork server start --listen HOST:PORT" },
    );
  }

  /** False when it can't be opened, and there is another that stays. */
  async function openWished(address: Address): Promise<boolean> {
    const reply = await ask(folder, { do: "open", address });
    if (reply.kind === "opened") {
      settle(reply.address);
      return true;
    }
    if (reply.kind !== "not-opened") throw unexpected(reply);
    const refused = notOpened(address, reply.code, "the ingress as the settings have it");
    if (listen === undefined) throw refused;
    refusedWish = `${refused.message} It stays at ${publicUrlOf(listen)}.`;
    wish = undefined;
    options.notify?.(refusedWish);
    return false;
  }

  /** It is where the user wants it. */
  function settle(address: Address): void {
    listen = { ...address, asked: true };
    setting = options.setting;
    wish = undefined;
    refusedWish = undefined;
  }

  async function moveTo(address: Address): Promise<void> {
    if (listen !== undefined && addressKey(listen) === addressKey(address) && isRunning(folder)) {
      settle(address);
      return bringUp();
    }
    await ensureRunning(folder, program, options.version);
    watch();
    const reply = await ask(folder, { do: "open", address });
    if (reply.kind === "not-opened") throw notOpened(address, reply.code, "the ingress");
    if (reply.kind !== "opened") throw unexpected(reply);
    settle(reply.address);
    save();
    await applyFile();
  }

  async function drain(targets: readonly Address[], milliseconds: number): Promise<void> {
    const until = performance.now() + milliseconds;
    while (isRunning(folder)) {
      const left = Math.max(0, Math.round(until - performance.now()));
      try {
        await askControl(
          controlPath(folder),
          { do: "drain", targets, milliseconds: left },
          left + drainAnswerTime,
        );
        return;
      } catch {
        await sleep(20); // It was killed, and what was in flight with it: the next one is asked.
      }
      if (performance.now() > until) return;
    }
  }

  async function stats(): Promise<IngressStats | undefined> {
    if (!isRunning(folder)) return undefined;
    try {
      const reply = await askControl(controlPath(folder), { do: "stats" }, statsTime);
      return reply.kind === "stats" ? reply.stats : undefined;
    } catch {
      return undefined; // It is being started again, or is of a version that knows no such request.
    }
  }

  /** A holder can be killed too, and nobody but us would start it again. */
  function watch(): void {
    check ??= setInterval(() => {
      if (isHeld(folder)) return;
      inTurn(bringUp).catch((error: Error) =>
        options.notify?.(`The ingress could not be started again: ${error.message}`),
      );
    }, checkTime).unref();
  }

  async function stop(): Promise<void> {
    clearInterval(check);
    check = undefined;
    await endProcesses(folder);
  }
}

type Writable<T> = { -readonly [key in keyof T]: T[key] };

/** `HOST:PORT` with an IP address, `[::1]:8080`, or `localhost`. */
function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^[\]:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? (match?.[2] === "localhost" ? "127.0.0.1" : match?.[2]);
  const port = Number(match?.[3]);
  if (host !== undefined && isIP(host) !== 0 && port <= 65_535) return { host, port };
  throw new Failure("usage", `Cannot listen on "${text}": it is not HOST:PORT with an IP address.`, {
    hint: "For this machine only: --listen 127.0.0.1:8080. For others too: --listen 0.0.0.0:8080",
  });
}

function notOpened({ host, port }: Address, code: string, what: string): Failure {
  if (code === "EADDRINUSE") {
    return new Failure("port-taken", `Cannot open ${what}: ${addressKey({ host, port })} is taken.`, {
      hint: `See who listens there: ss -ltnp 'sport = :${port}'`,
    });
  }
  const reason =
    code === "EACCES"
      ? "this user may not listen there (ports below 1024 need a privilege)"
      : code === "EADDRNOTAVAIL"
        ? "the address is none of this machine's"
        : code;
  return new Failure("usage", `Cannot open ${what} on ${addressKey({ host, port })}: ${reason}.`);
}

function unexpected(reply: ControlReply): Failure {
  const found = reply.kind === "error" ? reply.message : `the answer was "${reply.kind}"`;
  return new Failure("internal", `The ingress could not do what it was asked: ${found}`);
}
