import net from "node:net";
import { onTestFinished } from "vitest";
import type { Address } from "../../../../../src/engines/local/addresses.ts";
import { createDataPlane, type DataPlane } from "../../../../../src/engines/local/ingress/data-plane.ts";
import type { Route } from "../../../../../src/engines/local/ingress/routes.ts";
import { loopbackAddress } from "./routes.ts";

/** What carries the requests, in this process: a public listener, and one for each of these services. */
export async function startPlane(routes: readonly Route[]): Promise<{ plane: DataPlane; address: Address }> {
  const plane = createDataPlane();
  const address = loopbackAddress(8080);
  plane.route(routes);
  await plane.listen(address, boundSocket(address), "public");
  for (const route of routes) await plane.listen(route.address, boundSocket(route.address), "service");
  onTestFinished(() => plane.leave(0, () => {}));
  return { plane, address };
}

function boundSocket({ host, port }: Address): object {
  const create = (net as unknown as { _createServerHandle(host: string, port: number, type: 4): object })
    ._createServerHandle;
  return create(host, port, 4);
}
