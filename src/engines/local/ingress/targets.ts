import { connect, type Socket } from "node:net";

import { type Address, addressKey } from "../addresses.ts";

/** What a connection to a replica is used for at the moment. */
export interface ConnectionUse {
  /** The chunk is only good until this returns: its memory is used again for the next. */
  received(chunk: Buffer): void;
  /** What was written has gone out. */
  drained(): void;
  /** The replica has closed its side, in good order. */
  ended(): void;
  /** The connection is gone. */
  closed(error: Error | undefined): void;
  /** Ends it now, as cleanly as its client can be told: its replica is about to be stopped. */
  cut(): void;
}

/** A connection to a replica: one request at a time, or one tunnel. */
export interface Connection {
  readonly socket: Socket;
  use: ConnectionUse | undefined;
  idleSince: number;
}

/** A replica as the ingress sees it. */
export interface Target {
  readonly key: string;
  readonly address: Address;
  /** What is in flight: every use from the moment that this target is chosen for it. */
  readonly inFlight: Set<ConnectionUse>;
  /** When it last refused a connection, in milliseconds of `performance.now`. */
  refusedAt: number;
  /** Opens a connection; `onOpen` or the use's `closed` follows. */
  open(use: ConnectionUse, onOpen: () => void): Connection;
  /** A connection that waits for a request, the last used first. */
  takeIdle(use: ConnectionUse): Connection | undefined;
  /** Keeps a connection whose answer is whole for the next request. */
  keep(connection: Connection): void;
  /** Ends a use. */
  release(use: ConnectionUse): void;
  /** Resolves when nothing is in flight. */
  idle(): Promise<void>;
  closeIdle(): void;
}

/** The replicas that are routed to, and those that still answer what they were asked. */
export interface Targets {
  get(address: Address): Target;
  all(): readonly Target[];
  /** Forgets all but these, each once it has nothing in flight. */
  retain(addresses: readonly Address[]): void;
}

/** Idle connections that are kept of each replica. */
const keptConnections = 128;
/** Milliseconds; gunicorn closes an idle connection after 2 s, uvicorn and Node after 5. */
const idleTime = 1_500;
const connectTime = 5_000;
/** One for all connections: what is read is dealt with before the next read, and a buffer for each read costs more. */
const readBuffer = Buffer.alloc(64 * 1024);

export function createTargets(): Targets {
  const targets = new Map<string, Target>();
  let retained = new Set<string>();
  return {
    get(address) {
      const key = addressKey(address);
      const target = targets.get(key) ?? createTarget(key, address);
      targets.set(key, target);
      return target;
    },
    all: () => [...targets.values()],
    retain(addresses) {
      retained = new Set(addresses.map(addressKey));
      for (const target of targets.values()) if (!retained.has(target.key)) void forget(target);
    },
  };

  async function forget(target: Target): Promise<void> {
    await target.idle();
    target.closeIdle();
    if (!retained.has(target.key)) targets.delete(target.key);
  }
}

function createTarget(key: string, address: Address): Target {
  const inFlight = new Set<ConnectionUse>();
  let pool: Connection[] = [];
  let waiting: (() => void)[] = [];
  let sweep: NodeJS.Timeout | undefined;

  const sweepIdle = (): void => {
    const oldest = performance.now() - idleTime;
    for (const connection of pool) if (connection.idleSince < oldest) connection.socket.destroy();
    pool = pool.filter((connection) => !connection.socket.destroyed);
    if (pool.length === 0) {
      clearInterval(sweep);
      sweep = undefined;
    }
  };

  const target: Target = {
    key,
    address,
    inFlight,
    refusedAt: Number.NEGATIVE_INFINITY,
    open: (use, onOpen) => openConnection(address, use, onOpen),
    takeIdle(use) {
      for (let connection = pool.pop(); connection !== undefined; connection = pool.pop()) {
        if (connection.socket.destroyed || !connection.socket.writable) continue;
        connection.use = use;
        return connection;
      }
      return undefined;
    },
    keep(connection) {
      connection.use = undefined;
      if (pool.length >= keptConnections) {
        connection.socket.destroy();
        return;
      }
      connection.idleSince = performance.now();
      pool.push(connection);
      sweep ??= setInterval(sweepIdle, idleTime / 3).unref();
    },
    release(use) {
      inFlight.delete(use);
      if (inFlight.size > 0) return;
      for (const resolve of waiting) resolve();
      waiting = [];
    },
    async idle() {
      while (inFlight.size > 0) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    closeIdle() {
      for (const { socket } of pool) socket.destroy();
      pool = [];
    },
  };
  return target;
}

/**
 * Made only when there is a request to send: a server that takes one connection at a time (gunicorn's sync worker) waits
 * for the request of whatever connection it has accepted, and would be kept from all others by one that says nothing.
 */
function openConnection({ host, port }: Address, use: ConnectionUse, onOpen: () => void): Connection {
  const socket = connect({
    host,
    port,
    noDelay: true,
    autoSelectFamily: false,
    onread: {
      buffer: readBuffer,
      callback(length) {
        // An answer to no request, or a late one: nothing on this connection can be told apart any more.
        if (connection.use === undefined) socket.destroy();
        else connection.use.received(readBuffer.subarray(0, length));
        return true;
      },
    },
  });
  const connection: Connection = { socket, use, idleSince: 0 };
  let failed: Error | undefined;
  socket.setTimeout(connectTime, () =>
    socket.destroy(new Error(`no connection within ${connectTime / 1000} s`)),
  );
  socket.once("connect", () => {
    socket.setTimeout(0);
    onOpen();
  });
  socket.on("drain", () => connection.use?.drained());
  socket.on("end", () => {
    if (connection.use === undefined) socket.destroy();
    else connection.use.ended();
  });
  socket.on("error", (error) => {
    failed = error;
  });
  socket.on("close", () => connection.use?.closed(failed));
  return connection;
}
