import type { Connection, ConnectionUse, Target } from "./targets.ts";

/** A service at one moment. */
export interface RoutedService {
  readonly release: string;
  readonly targets: readonly Target[];
}

/** A replica that took the connection, and whether it had carried requests before. */
export interface Placed {
  readonly service: RoutedService;
  readonly target: Target;
  readonly connection: Connection;
  readonly reused: boolean;
}

/** Milliseconds that a replica which refused a connection is asked last. */
const avoidTime = 1_000;

/**
 * The replica with the fewest requests in flight, those that lately refused a connection last; `turn` goes round among
 * equals. Undefined when none is left that this request has not tried.
 */
export function chooseTarget(
  targets: readonly Target[],
  tried: ReadonlySet<Target> | undefined,
  turn: number,
  now: number,
): Target | undefined {
  let best: Target | undefined;
  let bestRank = Number.POSITIVE_INFINITY;
  for (let offset = 0; offset < targets.length; offset++) {
    const target = targets[(turn + offset) % targets.length] as Target;
    if (tried?.has(target)) continue;
    const rank = target.inFlight.size + (now - target.refusedAt < avoidTime ? 1e6 : 0);
    if (rank < bestRank) {
      best = target;
      bestRank = rank;
    }
  }
  return best;
}

let turn = 0;

/** What asks for a connection. Its `closed` is only called for the connection that it was given. */
export interface Placement {
  /** The service as it is routed at this moment: asked before each try, for a roll-out may come between two. */
  readonly service: () => RoutedService | undefined;
  readonly use: ConnectionUse;
  /** Whether a connection that has carried requests will do. */
  readonly reuse: boolean;
  readonly placed: (placed: Placed) => void;
  /** No replica took the connection. The service is undefined when it is no longer routed. */
  readonly failed: (service: RoutedService | undefined) => void;
}

/** The search for a connection while it lasts. */
export interface Search {
  giveUp(): void;
}

/**
 * Finds a connection to a replica. One that can't be established says nothing about the request, whatever its method, so
 * the next replica is asked.
 */
export function place(placement: Placement): Search {
  let tried: Set<Target> | undefined;
  let giveUp = (): void => {};
  tryNext();
  return { giveUp: () => giveUp() };

  function tryNext(): void {
    const service = placement.service();
    const target =
      service === undefined ? undefined : chooseTarget(service.targets, tried, turn++, performance.now());
    if (service === undefined || target === undefined) {
      placement.failed(service);
      return;
    }
    const { use } = placement;
    target.inFlight.add(use);
    const idle = placement.reuse ? target.takeIdle(use) : undefined;
    if (idle !== undefined) {
      placement.placed({ service, target, connection: idle, reused: true });
      return;
    }
    const opening: ConnectionUse = {
      received: () => {},
      drained: () => {},
      ended: () => {},
      closed() {
        target.refusedAt = performance.now();
        target.release(use);
        tried = (tried ?? new Set()).add(target);
        tryNext();
      },
      cut: () => {},
    };
    const connection = target.open(opening, () => {
      connection.use = use;
      placement.placed({ service, target, connection, reused: false });
    });
    giveUp = () => {
      connection.use = undefined;
      connection.socket.destroy();
      target.release(use);
    };
  }
}
