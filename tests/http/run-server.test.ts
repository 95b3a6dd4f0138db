import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { SecretValue } from "../../src/core/secret-value.ts";
import { createClient } from "../../src/http/client.ts";
import { createLogins, readLogin } from "../../src/http/login-file.ts";
import { addressOfRemote } from "../../src/http/remote-server.ts";
import { createServerControl, type LocalServer } from "../../src/http/server-control.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { listening } from "./support/cutting-proxy.ts";

const program = join(import.meta.dirname, "support", "stand-in-server.ts");
const version = "4.1.0";

function control(home: string, api: object, start = 0): LocalServer {
  const made = createServerControl({
    home,
    version,
    command: [process.execPath, program, home, version, String(start), "0", JSON.stringify(api)],
    environment: { TMPDIR: process.env.TMPDIR ?? "" },
    offlineStatus: () => ({ ingress: undefined, ingressRunning: false }),
    sleep: (milliseconds) => sleep(milliseconds),
  });
  onTestFinished(async () => {
    await made.stop({ services: false });
  });
  return made;
}

test("a machine with nothing but address, token and certificate uses a server, until the token is revoked", async () => {
  const [home, elsewhere] = [temporaryFolder("home"), temporaryFolder("elsewhere")];
  const command =
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x -addext subjectAltName=IP:127.0.0.1 -keyout api.key -out api.crt";
  execFileSync("openssl", command.split(" "), { cwd: home, stdio: "ignore" });
  const server = control(home, { listen: "127.0.0.1:0", tls_cert: "api.crt", tls_key: "api.key" });
  const { publicApi = "" } = await server.start({});
  expect(publicApi).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
  const local = await server.client();
  const { record, token } = await local.createToken({ name: "ci", scopes: ["admin"], expiresInSeconds: 60 });

  const caFile = join(elsewhere, "ca.crt");
  writeFileSync(caFile, readFileSync(join(home, "api.crt")));
  const logins = createLogins({ home: elsewhere, version });
  await logins.login({ url: publicApi, token, caFile, insecureHttp: false });
  const login = readLogin(elsewhere);
  const facts = { url: publicApi, token: undefined, caFile: undefined, insecureHttp: false, login, version };
  const remote = createClient(addressOfRemote(facts));
  expect(await remote.status()).toMatchObject({ running: true, home, publicApi });
  expect(await remote.tokens()).toMatchObject([{ id: record.id, lastUsedAt: expect.any(String) }]);
  await local.revokeToken(record.id);
  await expect(remote.status()).rejects.toMatchObject({ code: "not-allowed" });
  const wrong = { url: publicApi, token: new SecretValue("bw_x"), caFile, insecureHttp: false };
  await expect(logins.login(wrong)).rejects.toMatchObject({ code: "not-allowed" });
  expect(readLogin(elsewhere)).toEqual(login);
  expect(
    (await local.audit({ limit: 10 })).toReversed().map(({ who, what, on }) => `${who}: ${what} ${on}`),
  ).toEqual([
    "this machine: create token token ci: admin",
    `this machine: revoke token token ${record.id}`,
    "unknown: refused token GET /api/v1/server",
    "unknown: refused token GET /api/v1/server",
  ]);
}, 60_000);

test("who watches a server that starts is told so, and nobody else is served until it has started", async () => {
  const home = temporaryFolder("home");
  const port = await freePort();
  const server = control(home, { listen: `127.0.0.1:${port}` }, 2_000);
  const starting = server.start({});
  const api = `http://127.0.0.1:${port}`;
  const statusOf = (path: string): Promise<number> =>
    fetch(`${api}${path}`).then(
      ({ status }) => status,
      () => 0,
    );
  while ((await statusOf("/healthz")) === 0) await sleep(20);
  expect([await statusOf("/healthz"), await statusOf("/readyz"), await statusOf("/api/v1/runs")]).toEqual([
    ...[200, 503, 401],
  ]);
  const { token } = JSON.parse(readFileSync(join(home, "server.json"), "utf8")) as { token: string };
  await expect(createClient({ api, token }).status()).rejects.toMatchObject({
    code: "server-unreachable",
    message: "The server is starting.",
  });
  await starting;
  expect(await statusOf("/readyz")).toBe(200);
}, 60_000);

test("a server that can't listen as it is told to does not start, and says why", async () => {
  const taken = await listening(createServer());
  const busy = control(temporaryFolder("home"), { listen: `127.0.0.1:${taken}` });
  await expect(busy.start({})).rejects.toMatchObject({
    details: expect.arrayContaining([expect.stringContaining("The API cannot listen on")]),
  });
  const open = control(temporaryFolder("home"), { listen: "0.0.0.0:0" });
  await expect(open.start({})).rejects.toMatchObject({
    details: expect.arrayContaining([expect.stringContaining("without TLS")]),
  });
}, 60_000);

/** A port that was free just now. */
async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
