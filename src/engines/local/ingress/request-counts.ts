import type { CountByCode, IngressStats, ServiceRequests } from "../../../core/ingress-stats.ts";
import { keyOf } from "./route-table.ts";
import type { Route } from "./routes.ts";

/** Counts requests: by service, status code and how long they took. Counting one makes nothing new. */
export interface RequestCounts {
  /** Counts for these from now on, with 0; what was counted for a service that is among them no more is forgotten. */
  route(routes: readonly Route[]): void;
  /** Of the service with this key. */
  of(key: string): ServiceCounts;
  /** A request that belongs to no service. */
  addUnrouted(status: number): void;
  stats(): IngressStats;
}

/** The status of a request whose client left before there was an answer, as nginx writes it. */
export const clientLeft = 499;

/** Seconds. A service that predicts takes milliseconds, one that streams minutes. */
const bounds: readonly number[] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const boundsInMilliseconds = bounds.map((seconds) => seconds * 1000);
/** What a replica answers may be any number of three digits. */
const codes = 1_000;

export function createRequestCounts(): RequestCounts {
  let byName = new Map<string, ServiceCounts>();
  let byKey = new Map<string, ServiceCounts>();
  const unrouted = new Float64Array(codes);
  return {
    route(routes) {
      const before = byName;
      byName = new Map();
      byKey = new Map();
      for (const route of routes) {
        // Two services whose names differ only before they are sanitised are one to whoever reads the counts.
        const name = `${route.namespace}/${route.stage}`;
        const counts =
          byName.get(name) ?? before.get(name) ?? new ServiceCounts(route.namespace, route.stage);
        byName.set(name, counts);
        byKey.set(keyOf(route), counts);
      }
    },
    of(key) {
      const found = byKey.get(key);
      if (found === undefined) throw new Error(`no service ${key} is routed`);
      return found;
    },
    addUnrouted(status) {
      unrouted[status] = (unrouted[status] as number) + 1;
    },
    stats: () => ({
      bounds,
      services: [...byName.values()].map((counts) => counts.read()),
      unrouted: byCode(unrouted),
    }),
  };
}

/** Of one service. A class with arrays of numbers, for it is used for each request. */
export class ServiceCounts {
  readonly #namespace: string;
  readonly #service: string;
  readonly #codes = new Float64Array(codes);
  readonly #buckets = new Float64Array(bounds.length + 1);
  #milliseconds = 0;

  constructor(namespace: string, service: string) {
    this.#namespace = namespace;
    this.#service = service;
  }

  add(status: number, milliseconds: number): void {
    let bucket = 0;
    while (bucket < bounds.length && milliseconds > (boundsInMilliseconds[bucket] as number)) bucket++;
    this.#codes[status] = (this.#codes[status] as number) + 1;
    this.#buckets[bucket] = (this.#buckets[bucket] as number) + 1;
    this.#milliseconds += milliseconds;
  }

  read(): ServiceRequests {
    return {
      namespace: this.#namespace,
      service: this.#service,
      codes: byCode(this.#codes),
      buckets: [...this.#buckets],
      seconds: this.#milliseconds / 1000,
    };
  }
}

function byCode(counts: Float64Array): CountByCode {
  const found: Record<string, number> = {};
  for (const [code, count] of counts.entries()) if (count > 0) found[code] = count;
  return found;
}
