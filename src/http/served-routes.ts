import type { FastifyInstance } from "fastify";

import type { Scope } from "../ports/access-store.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** What a token needs for the route; `anyone` asks for none. */
    scope?: Scope | "anyone";
  }
}

export interface ServedRoute {
  readonly method: string;
  /** The whole path, with `:name` for parameters. */
  readonly path: string;
  readonly scope: Scope | "anyone";
}

/** Fills as routes are added. One that does not say whom it lets in is not taken. */
export function listRoutes(app: FastifyInstance): readonly ServedRoute[] {
  const routes: ServedRoute[] = [];
  app.addHook("onRoute", ({ method, url, config }) => {
    const scope = config?.scope;
    if (scope === undefined) throw new Error(`The route ${method} ${url} has no scope.`);
    for (const one of [method].flat()) routes.push({ method: one, path: url, scope });
  });
  return routes;
}
