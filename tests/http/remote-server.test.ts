import { chmodSync, chownSync, statSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Failure } from "../../src/core/failure.ts";
import { SecretValue } from "../../src/core/secret-value.ts";
import { createClient } from "../../src/http/client.ts";
import { createLogins, readLogin } from "../../src/http/login-file.ts";
import { addressOfRemote, createRemoteControl, createRemoteMachine } from "../../src/http/remote-server.ts";
import { parseServerUrl } from "../../src/http/server-url.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { listening } from "./support/cutting-proxy.ts";
import { localToken, testApi } from "./support/test-api.ts";

const version = "4.1.0";

test("a login asks the server, then keeps address and token where only the user can read them", async () => {
  const { api, token } = await testApi();
  const home = join(temporaryFolder(), "home");
  const logins = createLogins({ home, version });
  const given = token(["deploy"]);
  const wanted = { token: new SecretValue(given), caFile: undefined, insecureHttp: false };
  await expect(logins.login({ ...wanted, url: api, token: new SecretValue("wrong") })).rejects.toMatchObject({
    code: "not-allowed",
  });
  expect(readLogin(home)).toBeUndefined();
  expect(await logins.login({ ...wanted, url: `${api}/` })).toEqual({ url: api, version });
  expect(readLogin(home)).toEqual({ url: api, token: given, insecureHttp: false });
  expect(statSync(join(home, "login.json")).mode & 0o777).toBe(0o600);
  expect(await logins.logout()).toBe(api);
  expect(await logins.logout()).toBeUndefined();
  expect(readLogin(home)).toBeUndefined();
});

test("a login that others may read, or that is not whole, is refused rather than passed over", async () => {
  const home = temporaryFolder("home");
  const file = join(home, "login.json");
  const logins = createLogins({ home, version });
  writeFileSync(file, JSON.stringify({ url: "https://a.test", token: "t", insecureHttp: false }), {
    mode: 0o644,
  });
  expect(() => readLogin(home)).toThrow(expect.objectContaining({ code: "home-unsafe" }));
  chmodSync(file, 0o600);
  expect(readLogin(home)?.url).toBe("https://a.test");
  for (const text of ["", "{", "{}", '{"url": 1}']) {
    writeFileSync(file, text);
    expect(() => readLogin(home), text).toThrow(expect.objectContaining({ code: "usage" }));
  }
  expect(await logins.logout()).toBe(file);
  expect(readLogin(home)).toBeUndefined();
});

test.skipIf(process.getuid?.() !== 0)("a login that another user has put there is refused", () => {
  const home = temporaryFolder("home");
  const file = join(home, "login.json");
  writeFileSync(file, JSON.stringify({ url: "https://a.test", token: "t", insecureHttp: false }), {
    mode: 0o600,
  });
  chownSync(file, 65_534, 65_534);
  expect(() => readLogin(home)).toThrow(expect.objectContaining({ code: "home-unsafe" }));
});

test("certificates are kept with the login as they were", async () => {
  const { api } = await testApi();
  const home = temporaryFolder("home");
  const caFile = join(home, "ca.pem");
  const wanted = { url: api, token: new SecretValue(localToken), caFile, insecureHttp: false };
  const logins = createLogins({ home, version });
  await expect(logins.login(wanted)).rejects.toMatchObject({ code: "usage" });
  writeFileSync(caFile, "no certificate");
  await expect(logins.login(wanted)).rejects.toMatchObject({
    message: `There is no certificate in ${caFile}.`,
  });
});

test("the token of a login goes to its own server and to no other", () => {
  const login = { url: "https://a.test:8443", token: "kept", ca: "PEM", insecureHttp: false };
  const facts = { token: undefined, caFile: undefined, insecureHttp: false, login, version };
  expect(addressOfRemote({ ...facts, url: "https://A.test:8443/" })).toEqual({
    ...{ api: "https://a.test:8443", token: "kept", ca: "PEM", insecureHttp: false, version },
  });
  expect(addressOfRemote({ ...facts, url: login.url, token: "given" }).token).toBe("given");
  for (const url of ["https://a.test", "https://b.test:8443", "https://a.test:8443/other"]) {
    expect(() => addressOfRemote({ ...facts, url }), url).toThrow(
      expect.objectContaining({ code: "usage", hint: expect.stringContaining("BODYWORK_TOKEN") }),
    );
    expect(addressOfRemote({ ...facts, url, token: "given" })).toMatchObject({
      token: "given",
      ca: undefined,
    });
  }
});

test("plain http goes to this machine alone, unless it is said to be meant", () => {
  const secure = { insecureHttp: false };
  for (const url of ["http://127.0.0.1:1", "http://localhost", "http://[::1]:80", "https://a.test"]) {
    expect(parseServerUrl(url, secure)).toBe(new URL(url).origin);
  }
  const refused = [
    ...["http://a.test", "http://192.0.2.1", "http://127.0.0.1.evil.test", "http://localhost.evil.test"],
    ...[
      "ftp://a.test",
      "a.test:8443",
      "",
      "https://",
      "https://me:pw@a.test",
      "https://a.test?x",
      "https://a.test#x",
    ],
  ];
  for (const url of refused) {
    expect(() => parseServerUrl(url, secure), url).toThrow(expect.objectContaining({ code: "usage" }));
  }
  expect(parseServerUrl("http://a.test/x/", { insecureHttp: true })).toBe("http://a.test/x");
  const address = { url: "http://a.test", token: "t", caFile: undefined, login: undefined, version };
  expect(() => addressOfRemote({ ...address, insecureHttp: false })).toThrow("plain http");
  expect(addressOfRemote({ ...address, insecureHttp: true }).insecureHttp).toBe(true);
  const login = { url: "http://a.test", token: "t", insecureHttp: true };
  expect(addressOfRemote({ ...address, login, insecureHttp: false }).api).toBe("http://a.test");
});

test("a server of another version refuses before it does anything, and both sides say which is to be updated", async () => {
  let deployed = 0;
  const { api } = await testApi({
    async deploy() {
      deployed++;
      return { runId: "1" };
    },
  });
  const request = { url: "https://forge.test/x", branch: undefined, strict: false, startedBy: "command" };
  const deploy = (client: string) =>
    createClient({ api, token: localToken, version: client }).deploy(request);
  await expect(deploy("4.0.9")).rejects.toMatchObject({
    code: "version-mismatch",
    message: `The server ${api} is of version 4.1.0, and this command of 4.0.9: they do not work together.`,
    hint: "Update the command: npm install --global bodywork@4.1",
  });
  await expect(deploy("4.2.0")).rejects.toMatchObject({
    code: "version-mismatch",
    hint: expect.stringContaining("Have the server updated to 4.2"),
  });
  expect(deployed).toBe(0);
  for (const fine of ["4.1.0", "4.1.9"]) expect(await deploy(fine)).toEqual({ runId: "1" });
});

test("a client that does not check is refused by the server all the same", async () => {
  const { client, api } = await testApi({ runs: async () => [] });
  const answer = await fetch(`${api}/api/v1/runs`, {
    headers: { authorization: `Bearer ${localToken}`, "bodywork-version": "3.9.0" },
  });
  expect(answer.status).toBe(422);
  expect(await answer.json()).toMatchObject({ error: { code: "version-mismatch" } });
  expect(await client().runs({})).toEqual([]);
});

test("what is no Bodywork server is told so, and a redirect is never followed", async () => {
  const asked: string[] = [];
  const serving = (answer: RequestListener) =>
    listening(
      createServer((request, response) => {
        asked.push(String(request.headers.authorization));
        answer(request, response);
      }),
    );
  const elsewhere = await serving((_, response) => response.end("{}"));
  const answers: readonly RequestListener[] = [
    (_, response) => response.writeHead(307, { location: `http://127.0.0.1:${elsewhere}/` }).end(),
    (_, response) => response.writeHead(404).end("<html>"),
    (_, response) => response.writeHead(200).end("{}"),
  ];
  for (const answer of answers) {
    const api = `http://127.0.0.1:${await serving(answer)}`;
    await expect(createClient({ api, token: "t", version }).runs({})).rejects.toMatchObject({
      code: "server-unreachable",
      message: expect.stringContaining(`What answers at ${api} is no Bodywork server`),
    });
  }
  expect(asked).toHaveLength(answers.length);
  const local = `http://127.0.0.1:${await serving(answers[0] as RequestListener)}`;
  await expect(createClient({ api: local, token: "t" }).runs({})).rejects.toMatchObject({ name: "Failure" });
  expect(asked).toHaveLength(answers.length + 1);
});

test("a server that speaks no TLS is told so, whatever else its port says", async () => {
  for (const answer of [
    createServer(),
    createTcpServer((socket) => socket.on("error", () => {}).end("SSH-2.0-x\r\n")),
  ]) {
    const api = `https://127.0.0.1:${await listening(answer)}`;
    await expect(createClient({ api, token: "t", version }).runs({}), api).rejects.toMatchObject({
      message: `Cannot reach the Bodywork server at ${api}: what answers there does not speak TLS.`,
      hint: "Use http:// for a server without TLS, or check the port.",
    });
  }
});

test("where nobody answers, the hint is about the machine that was asked", async () => {
  const hintOf = async (api: string) =>
    createClient({ api, token: "t", version })
      .runs({})
      .catch((error: unknown) => (error as Failure).hint);
  expect(await hintOf("https://gone.invalid")).toBe("Check the address, and whether the server runs there.");
  const closed = createServer();
  const port = await listening(closed);
  await new Promise((resolve) => closed.close(resolve));
  expect(await hintOf(`http://127.0.0.1:${port}`)).toContain("bodywork server status");
});

test("a server below a path is reached there", async () => {
  const paths: string[] = [];
  const port = await listening(
    createServer((request, response) => {
      paths.push(String(request.url));
      response.setHeader("bodywork-version", version).end("[]");
    }),
  );
  const client = createClient({ api: `http://127.0.0.1:${port}/bodywork/`, token: "t", version });
  expect(await client.runs({ limit: 3 })).toEqual([]);
  expect(paths).toEqual(["/bodywork/api/v1/runs?limit=3"]);
});

test("a server on another machine is asked how it is, and neither started, stopped, installed nor restored", async () => {
  const { api, client, told } = await testApi();
  const control = createRemoteControl(client(), api);
  const machine = createRemoteMachine(api);
  expect((await control.status()).running).toBe(true);
  const unit = { scope: "user", listenApi: undefined, force: false, printOnly: true } as const;
  for (const refused of [
    control.start({}),
    control.stop({ services: true }),
    machine.installUnit(unit),
    machine.restore("x"),
  ]) {
    await expect(refused).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining(`The server ${api} is on another machine`),
    });
  }
  expect(told).toEqual([]);
});
