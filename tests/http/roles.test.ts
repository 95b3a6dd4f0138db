import Fastify from "fastify";
import { expect, test } from "vitest";
import { listRoutes } from "../../src/http/served-routes.ts";
import { allows } from "../../src/operations/access-tokens.ts";
import type { Scope } from "../../src/ports/access-store.ts";
import { ask, bearing, localToken, testApi } from "./support/test-api.ts";

/** What a token of each kind may ask for. A route that is not in here is not let pass by the test. */
const needed: Readonly<Record<string, Scope | "anyone">> = {
  "GET /healthz": "anyone",
  "GET /readyz": "anyone",
  "GET /metrics": "read",
  "GET /api/v1/openapi.json": "read",
  "GET /api/v1/server": "read",
  "GET /api/v1/deployments": "read",
  "GET /api/v1/logs": "read",
  "GET /api/v1/runs": "read",
  "GET /api/v1/runs/:id": "read",
  "GET /api/v1/runs/:id/events": "read",
  "GET /api/v1/jobs": "read",
  "GET /api/v1/jobs/:id/log": "read",
  "GET /api/v1/cronjobs": "read",
  "GET /api/v1/secrets": "read",
  "GET /api/v1/environments": "read",
  "POST /api/v1/runs": "deploy",
  "POST /api/v1/plans": "deploy",
  "POST /api/v1/runs/:id/cancel": "deploy",
  "DELETE /api/v1/deployments/:name": "deploy",
  "DELETE /api/v1/deployments/:name/services/:service": "deploy",
  "POST /api/v1/environments/clean": "deploy",
  "POST /api/v1/jobs": "deploy",
  "DELETE /api/v1/jobs/:id": "deploy",
  "POST /api/v1/cronjobs": "deploy",
  "PATCH /api/v1/cronjobs/:name": "deploy",
  "DELETE /api/v1/cronjobs/:name": "deploy",
  "POST /api/v1/secrets": "deploy",
  "PATCH /api/v1/secrets/:group/:name": "deploy",
  "DELETE /api/v1/secrets/:group/:name": "deploy",
  "DELETE /api/v1/secrets/:group": "deploy",
  "POST /api/v1/secrets/reveal": "secrets:read",
  "POST /api/v1/server/stop": "admin",
  "PUT /api/v1/server/listen": "admin",
  "POST /api/v1/server/tokens": "admin",
  "GET /api/v1/server/tokens": "admin",
  "DELETE /api/v1/server/tokens/:id": "admin",
  "GET /api/v1/server/audit": "admin",
  "GET /api/v1/server/backup": "admin",
  "POST /api/v1/server/rotate-key": "admin",
};

const roles: readonly (readonly Scope[])[] = [
  ["read"],
  ["deploy"],
  ["admin"],
  ["secrets:read"],
  ["read", "secrets:read"],
];

test("the routes of the server are those of the table, each with its scope", async () => {
  const { routes } = await testApi({}, { metrics: async () => "" });
  const served = Object.fromEntries(routes.map(({ method, path, scope }) => [`${method} ${path}`, scope]));
  expect(served).toEqual(needed);
});

test("every route lets in who has its scope, and nobody else", async () => {
  const { api, routes, token, told } = await testApi({}, { metrics: async () => "" });
  const tokens = roles.map((scopes) => [scopes, token(scopes)] as const);
  for (const { method, path, scope } of routes) {
    const url = `${api}${path.replaceAll(/:\w+/g, "x")}`;
    // A body that fits no route: who is let in is told so, and nothing is done.
    const body = method === "GET" || method === "DELETE" ? undefined : "[]";
    const statusOf = async (headers: Readonly<Record<string, string>>) =>
      (await ask(url, { method, headers, body })).status;
    const open = scope === "anyone";
    expect(await statusOf({}), `${method} ${path}, no token`).toBe(open ? 200 : 401);
    expect(await statusOf(bearing("wrong")), `${method} ${path}, wrong token`).toBeOneOf([401, 429]);
    for (const [scopes, given] of tokens) {
      const may = open || allows(scopes, scope);
      const expected = may ? expect.not.toBeOneOf([401, 403, 404, 421, 429]) : 403;
      expect(await statusOf(bearing(given)), `${method} ${path}, ${scopes}`).toEqual(expected);
    }
  }
  expect(told).toEqual([]);
});

test("of read, deploy and admin each includes those before it, and none lets secrets be read", () => {
  const all: readonly Scope[] = ["read", "deploy", "admin", "secrets:read"];
  const allowed = (scopes: readonly Scope[]) => all.filter((wanted) => allows(scopes, wanted));
  expect(allowed(["read"])).toEqual(["read"]);
  expect(allowed(["deploy"])).toEqual(["read", "deploy"]);
  expect(allowed(["admin"])).toEqual(["read", "deploy", "admin"]);
  expect(allowed(["secrets:read"])).toEqual(["secrets:read"]);
  expect(allowed([])).toEqual([]);
});

test("a route that does not say whom it lets in is not taken", async () => {
  const app = Fastify();
  const routes = listRoutes(app);
  app.get("/closed", { config: { scope: "read" } }, async () => "");
  expect(() => app.get("/open", async () => "")).toThrow("The route GET /open has no scope.");
  expect(routes).toContainEqual({ method: "GET", path: "/closed", scope: "read" });
});

test("what is no route is for nobody without a token either", async () => {
  const { api } = await testApi();
  expect((await ask(`${api}/no/such`)).status).toBe(401);
  expect((await ask(`${api}/no/such`, { headers: bearing(localToken) })).status).toBe(404);
});
