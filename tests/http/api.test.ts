import { expect, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import type { CronjobSpec } from "../../src/core/job-state.ts";
import type { DeployRequest } from "../../src/core/run-state.ts";
import { SecretValue } from "../../src/core/secret-value.ts";
import type { Operations } from "../../src/operations/operations.ts";
import { ask, bearing, localToken, status, testApi } from "./support/test-api.ts";

const request: DeployRequest = {
  url: "https://forge.test/x",
  branch: undefined,
  strict: true,
  group: "prod",
  startedBy: "command",
};
const key = "0f".repeat(16);
const credentials = { sshKey: new SecretValue("the key"), keep: true };
const cronjob: CronjobSpec = {
  ...{ name: "nightly", schedule: "@daily", timezone: "Europe/Berlin", request, retries: 1 },
  ...{ historyLimit: 3, concurrency: "forbid", catchUp: "latest", suspended: false },
};
const data = { USER: new SecretValue("me"), PASSWORD: new SecretValue("s3cret") };

/** Each verb: how it is called, and the arguments with which it arrives. */
const calls: readonly (readonly [
  Exclude<keyof Operations, "followRun" | "logs" | "jobLog">,
  (client: Operations) => Promise<unknown>,
  readonly unknown[],
])[] = [
  ["deploy", (to) => to.deploy(request, credentials), [request, credentials]],
  ["deploy", (to) => to.deploy(request), [request, undefined]],
  ["deploy", (to) => to.deploy({ ...request, key }), [{ ...request, key }, undefined]],
  ["plan", (to) => to.plan(request, credentials), [request, credentials]],
  ["cancelRun", (to) => to.cancelRun("a run", "Ctrl-C"), ["a run", "Ctrl-C"]],
  ["deleteDeployment", (to) => to.deleteDeployment("a/b c"), ["a/b c"]],
  ["deleteService", (to) => to.deleteService("a", "stage_%2F"), ["a", "stage_%2F"]],
  ["cleanEnvironments", (to) => to.cleanEnvironments({ unusedDays: 30 }), [{ unusedDays: 30 }]],
  [
    "createJob",
    (to) => to.createJob({ name: undefined, request, retries: 2 }, credentials),
    [{ name: undefined, request, retries: 2 }, credentials],
  ],
  ["deleteJob", (to) => to.deleteJob("async-workflow-x"), ["async-workflow-x"]],
  ["createCronjob", (to) => to.createCronjob(cronjob, credentials), [cronjob, credentials]],
  [
    "updateCronjob",
    (to) => to.updateCronjob("nightly", { schedule: "@hourly", suspended: undefined, request }),
    ["nightly", { schedule: "@hourly", request }, undefined],
  ],
  ["deleteCronjob", (to) => to.deleteCronjob("x".repeat(250)), ["x".repeat(250)]],
  ["createSecret", (to) => to.createSecret("prod", "db", data), ["prod", "db", data]],
  ["updateSecret", (to) => to.updateSecret("prod", "a b", data), ["prod", "a b", data]],
  ["deleteSecret", (to) => to.deleteSecret("prod", "db"), ["prod", "db"]],
  ["deleteSecretGroup", (to) => to.deleteSecretGroup("prod"), ["prod"]],
  ["readSecrets", (to) => to.readSecrets({ group: "prod" }), [{ group: "prod" }]],
  ["deployments", (to) => to.deployments({ name: "a&b=c", namespace: undefined }), [{ name: "a&b=c" }]],
  ["deployments", (to) => to.deployments({}), [{}]],
  ["runs", (to) => to.runs({ deployment: "a", limit: 5 }), [{ deployment: "a", limit: 5 }]],
  ["run", (to) => to.run("2026"), ["2026"]],
  ["environments", (to) => to.environments(), []],
  ["secrets", (to) => to.secrets({ group: "prod", name: "db" }), [{ group: "prod", name: "db" }]],
  ["cronjobs", (to) => to.cronjobs({ name: "nightly" }), [{ name: "nightly" }]],
  ["jobs", (to) => to.jobs({ cronjob: null, limit: 3 }), [{ cronjob: null, limit: 3 }]],
  ["jobs", (to) => to.jobs({ cronjob: "nightly" }), [{ cronjob: "nightly", limit: 1_000 }]],
  ["jobs", (to) => to.jobs({}), [{ cronjob: undefined, limit: 1_000 }]],
];

test.each(calls)("%s arrives as it was called, and its answer comes back", async (name, call, expected) => {
  let seen: readonly unknown[] = [];
  const { client } = await testApi({
    [name]: async (...given: readonly unknown[]) => {
      seen = given;
      return answerOf(name);
    },
  });
  expect(await call(client())).toEqual(name === "cancelRun" ? undefined : answerOf(name));
  expect(revealed(seen)).toEqual(revealed(expected));
});

test("every verb that is no stream is in that table", async () => {
  const { client } = await testApi();
  const own = ["status", "listen", "stop", "createToken", "tokens", "revokeToken", "audit", "backup"];
  const streams = ["followRun", "logs", "jobLog", "rotateKey"];
  const verbs = Object.keys(client()).filter((name) => !own.includes(name) && !streams.includes(name));
  expect([...new Set(calls.map(([name]) => name as string))].sort()).toEqual(verbs.sort());
});

test("a failure comes back whole, whatever verb it is of", async () => {
  const failure = new Failure("not-found", "There is no run x y.", {
    hint: "bodywork get runs",
    details: ["a"],
  });
  const { client } = await testApi({ cancelRun: () => Promise.reject(failure) });
  await expect(client().cancelRun("x y", "Ctrl-C")).rejects.toMatchObject({
    ...{ code: failure.code, message: failure.message, hint: failure.hint, details: ["a"] },
  });
});

test("a fault of ours is told to the client, and with its stack in the server's log", async () => {
  const { client, log } = await testApi({ environments: () => Promise.reject(new Error("boom")) });
  await expect(client().environments()).rejects.toMatchObject({ code: "internal", message: "boom" });
  expect(log.join("\n")).toMatch(/GET \/api\/v1\/environments: Error: boom\n +at /);
});

test("the server itself is looked after", async () => {
  const { client, told } = await testApi();
  expect(await client().status()).toEqual(JSON.parse(JSON.stringify(status)));
  expect(await client().listen("0.0.0.0:80")).toMatchObject({ running: true });
  await client().stop({ services: true });
  expect(told).toEqual(["listen 0.0.0.0:80", "stop true"]);
});

test("a request that is not of the API's form is a usage failure that says where, and repeats no value", async () => {
  const { api } = await testApi();
  const canary = "c4n4ry";
  const post = (path: string, body: unknown) =>
    ask(`${api}/api/v1${path}`, { method: "POST", headers: bearing(localToken), body });
  const bad: readonly (readonly [string, unknown, RegExp])[] = [
    ["/runs", {}, /request/],
    ["/runs", { request: { url: "" } }, /url/],
    ["/runs", { request: { url: "x", strict: "no" } }, /strict/],
    ["/runs", { request: { url: "x", key: "1" } }, /key/],
    ["/jobs", { request: { url: "x", key }, retries: 1 }, /key/],
    ["/runs", { request: { url: "x", sshKeyFile: canary } }, /sshKeyFile/],
    ["/runs", { request: { url: "x" }, credentials: { sshKey: [canary] } }, /sshKey/],
    ["/secrets", { group: "g", name: "n", data: { A: [canary] } }, /data/],
    ["/secrets", `{"data": "${canary}`, /JSON/],
    ["/jobs", { request: { url: "x" }, retries: -1 }, /retries/],
  ];
  for (const [path, body, where] of bad) {
    const answer = await post(path, body);
    expect(answer.status, answer.body).toBe(422);
    expect(JSON.parse(answer.body).error.code).toBe("usage");
    expect(answer.body).toMatch(where);
    expect(answer.body).not.toContain(canary);
  }
  expect((await post("/secrets", `"${"x".repeat(5_000_000)}"`)).status).toBe(422);
  const text = await ask(`${api}/api/v1/server/stop`, {
    method: "POST",
    headers: { ...bearing(localToken), "content-type": "text/plain" },
    body: '{"services": true}',
  });
  expect(text.status).toBe(422);
  const misspelt = await ask(`${api}/api/v1/runs?deploiment=x`, { headers: bearing(localToken) });
  expect(misspelt.status).toBe(422);
});

test("every route is in the OpenAPI document, with what it takes", async () => {
  const { api, routes } = await testApi();
  const { body } = await ask(`${api}/api/v1/openapi.json`, { headers: bearing(localToken) });
  const { paths } = JSON.parse(body) as { paths: Record<string, Record<string, { description?: string }>> };
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, { description }]) => `${method.toUpperCase()} ${path} ${description}`,
    ),
  );
  const served = routes
    .filter(({ path }) => path.startsWith("/api/v1/") && !path.endsWith("openapi.json"))
    .map(({ method, path, scope }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")} Scope: \`${scope}\`.`);
  expect(described.sort()).toEqual(served.sort());
  expect(served.length).toBeGreaterThan(25);
  expect(paths["/api/v1/runs"]?.post).toMatchObject({
    requestBody: {
      content: { "application/json": { schema: { properties: { request: { type: "object" } } } } },
    },
  });
});

test("every answer says which version gave it, and that nobody keeps it", async () => {
  const { api } = await testApi();
  for (const headers of [{}, bearing(localToken), bearing("wrong"), { host: "evil.test" }]) {
    const answer = await ask(`${api}/api/v1/server`, { headers });
    expect(answer.headers).toMatchObject({ "bodywork-version": "4.1.0", "cache-control": "no-store" });
  }
});

test("who watches the server needs no token, and learns no details without one", async () => {
  const reasons = ["Port 80 was taken."];
  let starting = true;
  const { api, token } = await testApi(
    {},
    { starting: () => starting, readiness: () => reasons, metrics: async () => "bodywork_up 1\n" },
  );
  const get = async (path: string, headers = {}) => {
    const { status, body } = await ask(`${api}${path}`, { headers });
    return [status, path === "/metrics" ? body : JSON.parse(body)];
  };
  expect(await get("/healthz")).toEqual([200, { healthy: true }]);
  expect(await get("/readyz", bearing(localToken))).toEqual([
    503,
    { ready: false, reasons: ["The server is starting."] },
  ]);
  expect(await get("/api/v1/server", bearing(localToken))).toMatchObject([
    503,
    { error: { code: "server-unreachable" } },
  ]);
  starting = false;
  expect(await get("/readyz")).toEqual([503, { ready: false }]);
  expect(await get("/readyz", bearing(token(["read"])))).toEqual([503, { ready: false, reasons }]);
  expect(await get("/readyz", bearing(token(["secrets:read"])))).toEqual([503, { ready: false }]);
  reasons.pop();
  expect(await get("/readyz")).toEqual([200, { ready: true }]);
  expect((await ask(`${api}/metrics`)).status).toBe(401);
  expect(await get("/metrics", bearing(token(["read"])))).toEqual([200, "bodywork_up 1\n"]);
});

function answerOf(name: string): unknown {
  if (name === "readSecrets") return [{ group: "prod", name: "db", version: 1, keys: ["USER"], data }];
  if (name === "deploy") return { runId: "20261123-1" };
  if (name === "deleteSecretGroup") return ["a", "b"];
  return name.startsWith("delete") && name !== "deleteService" ? { found: true } : { answered: name };
}

/** With its secrets in clear, for all of them are alike otherwise. */
function revealed(value: unknown): unknown {
  if (value instanceof SecretValue) return { revealed: value.reveal() };
  if (Array.isArray(value)) return value.map(revealed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revealed(inner)]));
}
