import type { Address } from "../../../../../src/engines/local/addresses.ts";
import type { Route } from "../../../../../src/engines/local/ingress/routes.ts";

/** A service `stage-1` of the namespace `shop`, release 7, open to the outside. */
export function routeTo(targets: readonly Address[], more: Partial<Route> = {}): Route {
  return {
    namespace: "shop",
    stage: "stage-1",
    rawStage: "stage_1",
    release: "7",
    ingress: true,
    address: loopbackAddress(),
    targets,
    ...more,
  };
}

let last = 0;

/** A loopback address of this process's own; each test file runs in a process. */
export function loopbackAddress(port = 5000): Address {
  last++;
  return { host: `127.${64 + (process.pid % 64)}.${(process.pid >> 6) % 256}.${last}`, port };
}
