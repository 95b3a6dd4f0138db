import { z } from "zod";

import type { ServerStatus } from "../../operations/operations.ts";
import { type Route, route } from "../route.ts";

/** The server's own process. */
export interface ServerProcess {
  readonly status: () => ServerStatus;
  /** Moves the public listener of the ingress, `HOST:PORT`. */
  readonly listen: (address: string) => Promise<void>;
  /** Ends this process soon after it returns; the services too when asked. */
  readonly stop: (options: { readonly services: boolean }) => Promise<void>;
}

/** The first two are how commands of any version find out whom they talk to, and replace it: they never change. */
export function serverRoutes(server: ServerProcess): readonly Route[] {
  return [
    route({
      method: "GET",
      path: "/server",
      scope: "read",
      summary: "How the server is",
      json: async () => server.status(),
    }),
    route({
      method: "POST",
      path: "/server/stop",
      scope: "admin",
      summary: "End the server, and the services too when asked",
      body: z.object({ services: z.boolean() }),
      audit: { what: "stop server", on: ({ body }) => (body.services ? "server and services" : "server") },
      json: async ({ body }) => {
        await server.stop(body);
        return {};
      },
    }),
    route({
      method: "PUT",
      path: "/server/listen",
      scope: "admin",
      summary: "Move the public address of the ingress",
      body: z.strictObject({ listen: z.string().max(256) }),
      audit: { what: "move ingress", on: ({ body }) => body.listen },
      json: async ({ body }) => {
        await server.listen(body.listen);
        return server.status();
      },
    }),
  ];
}
