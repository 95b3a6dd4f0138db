import type { FastifyInstance, FastifyRequest } from "fastify";

import { allows } from "../operations/access-tokens.ts";
import type { Caller } from "./access.ts";

export interface HealthParts {
  readonly starting: () => boolean;
  /** Why the server is not ready, one line each. */
  readonly readiness: () => readonly string[];
  /** In the text format of Prometheus. */
  readonly metrics?: (() => Promise<string>) | undefined;
  readonly callerOf: (request: FastifyRequest) => Caller | undefined;
}

/** What watches the server asks these: `/healthz` whether it answers, `/readyz` whether it can work, `/metrics` how much. */
export function serveHealth(
  app: FastifyInstance,
  { starting, readiness, metrics, callerOf }: HealthParts,
): void {
  app.get("/healthz", { config: { scope: "anyone" }, schema: { hide: true } }, async () => ({
    healthy: true,
  }));
  app.get("/readyz", { config: { scope: "anyone" }, schema: { hide: true } }, async (request, reply) => {
    const reasons = starting() ? ["The server is starting."] : readiness();
    const mayKnow = allows(callerOf(request)?.scopes ?? [], "read");
    return reply
      .code(reasons.length === 0 ? 200 : 503)
      .send({ ready: reasons.length === 0, ...(mayKnow ? { reasons } : {}) });
  });
  if (metrics === undefined) return;
  app.get("/metrics", { config: { scope: "read" }, schema: { hide: true } }, async (_request, reply) =>
    reply.type("text/plain; version=0.0.4; charset=utf-8").send(await metrics()),
  );
}
