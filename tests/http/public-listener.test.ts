import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { type ApiSettings, parseSettings } from "../../src/core/settings.ts";
import { createClient } from "../../src/http/client.ts";
import { hostsOf, openPublicListener } from "../../src/http/public-listener.ts";
import { createApi } from "../../src/http/server.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { listening } from "./support/cutting-proxy.ts";
import { apiParts, localToken } from "./support/test-api.ts";

function settings(api: object): ApiSettings {
  return parseSettings(JSON.stringify({ api }), "settings.yaml").api;
}

/** A certificate that signs itself, for localhost and 127.0.0.1, as files in the folder. */
function makeCertificate(folder: string, name: string): void {
  const command = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=${name} -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout ${name}.key -out ${name}.crt`;
  execFileSync("openssl", command.split(" "), { cwd: folder, stdio: "ignore" });
}

async function listener(home: string, api: object, log: string[] = []) {
  const { app } = await createApi(apiParts());
  onTestFinished(() => app.close());
  const opened = await openPublicListener({
    settings: settings(api),
    home,
    answer: app.routing,
    report: (text) => log.push(text),
    lookEvery: 20,
  });
  onTestFinished(() => opened?.close());
  return opened;
}

/** The name in the certificate that is shown to who connects now. */
function shownTo(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

test("the same API is served over TLS, to who trusts its certificate", async () => {
  const home = temporaryFolder("home");
  makeCertificate(home, "one");
  const { address } = (await listener(home, {
    ...{ listen: "127.0.0.1:0", tls_cert: "one.crt", tls_key: join(home, "one.key") },
  })) as { address: string };
  expect(address).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
  const ca = readFileSync(join(home, "one.crt"), "utf8");
  for (const api of [address, address.replace("127.0.0.1", "localhost")]) {
    const client = createClient({ api, token: localToken, ca, version: "4.1.0" });
    expect((await client.status()).running).toBe(true);
    await expect(createClient({ api, token: "wrong", ca }).runs({})).rejects.toMatchObject({
      code: "not-allowed",
    });
  }
  await expect(createClient({ api: address, token: localToken }).status()).rejects.toMatchObject({
    code: "server-unreachable",
    message: expect.stringContaining("self-signed certificate"),
    hint: expect.stringContaining("--ca-file"),
  });
  const plain = createClient({ api: address.replace("https", "http"), token: localToken });
  await expect(plain.status()).rejects.toMatchObject({ code: "server-unreachable" });
});

test("a certificate that is replaced is used for the next connections, one that is half replaced is not", async () => {
  const home = temporaryFolder("home");
  for (const name of ["one", "two"]) makeCertificate(home, name);
  for (const kind of ["crt", "key"]) symlinkSync(`one.${kind}`, join(home, `api.${kind}`));
  const log: string[] = [];
  const api = { listen: "127.0.0.1:0", tls_cert: "api.crt", tls_key: "api.key" };
  const opened = await listener(home, api, log);
  const port = Number(new URL(opened?.address ?? "").port);
  expect(await shownTo(port)).toBe("one");
  const turn = (kind: string, to: string) => {
    symlinkSync(to, join(home, "new"));
    renameSync(join(home, "new"), join(home, `api.${kind}`));
  };
  turn("crt", "two.crt");
  while (log.length === 0) await sleep(5);
  await sleep(100);
  expect(await shownTo(port)).toBe("one");
  expect(log).toEqual([
    expect.stringMatching(/^Cannot use the certificate api\.crt .* The one before is used\.$/),
  ]);
  turn("key", "two.key");
  while (log.length === 1) await sleep(5);
  expect(await shownTo(port)).toBe("two");
  rmSync(join(home, "api.key"));
  while (log.length === 2) await sleep(5);
  expect(await shownTo(port)).toBe("two");
});

test("who connects and says nothing is cut off before the handshake", async () => {
  const home = temporaryFolder("home");
  makeCertificate(home, "a");
  const { app } = await createApi(apiParts());
  onTestFinished(() => app.close());
  const opened = await openPublicListener({
    settings: settings({ listen: "127.0.0.1:0", tls_cert: "a.crt", tls_key: "a.key" }),
    home,
    answer: app.routing,
    report: () => {},
    handshakeTime: 50,
  });
  onTestFinished(() => opened?.close());
  const socket = connect(Number(new URL(opened?.address ?? "").port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.resume();
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
});

test("listening beyond this machine without TLS is refused, unless it is said to be meant", async () => {
  const home = temporaryFolder("home");
  for (const listen of ["0.0.0.0:0", "[::]:0", "192.0.2.1:1", "example.com:1", "127.evil.test:1"]) {
    await expect(listener(home, { listen }), listen).rejects.toMatchObject({
      code: "usage",
      message: `The API may not listen on ${listen} without TLS.`,
    });
  }
  expect((await listener(home, { listen: "0.0.0.0:0", insecure: true }))?.address).toMatch(
    /^http:\/\/0\.0\.0\.0:\d/,
  );
  expect((await listener(home, { listen: "localhost:0" }))?.address).toMatch(/^http:\/\/localhost:\d/);
  expect(await listener(home, {})).toBeUndefined();
});

test("what can't be listened with is told before anything is started", async () => {
  const home = temporaryFolder("home");
  for (const name of ["one", "two"]) makeCertificate(home, name);
  writeFileSync(join(home, "empty.crt"), "");
  copyFileSync(join(home, "one.crt"), join(home, "three.crt"));
  for (const [tls_cert, tls_key] of [
    ["missing.crt", "one.key"],
    ["one.crt", "missing.key"],
    ["one.crt", "two.key"],
    ["empty.crt", "one.key"],
  ]) {
    const api = { listen: "127.0.0.1:0", tls_cert, tls_key };
    await expect(listener(home, api), `${tls_cert} ${tls_key}`).rejects.toMatchObject({ code: "usage" });
  }
  const taken = await listening(createServer());
  await expect(listener(home, { listen: `127.0.0.1:${taken}` })).rejects.toMatchObject({
    code: "port-taken",
    message: `The API cannot listen on 127.0.0.1:${taken}: EADDRINUSE.`,
  });
});

test("the server is called by the names of the settings, and by the address it listens on", () => {
  expect(hostsOf(settings({ listen: "Bodywork.example.com:8443", hosts: ["Other"] }))).toEqual([
    "other",
    "bodywork.example.com",
  ]);
  expect(hostsOf(settings({ listen: "[2001:db8::1]:8443" }))).toEqual(["[2001:db8::1]"]);
  expect(hostsOf(settings({ listen: "0.0.0.0:8443" }))).toEqual([]);
  expect(hostsOf(settings({ listen: "[::]:8443" }))).toEqual([]);
  expect(hostsOf(settings({}))).toEqual([]);
});

test("settings of the API that do not go together are refused with their names", () => {
  expect(() => settings({ tls_cert: "x" })).toThrow(
    expect.objectContaining({ details: ["api: tls_cert and tls_key go together"] }),
  );
  for (const listen of ["8443", "host", "host:", "a b:1", "::1:80", "host:123456"]) {
    expect(() => settings({ listen }), listen).toThrow(
      expect.objectContaining({ details: ["api.listen: must be HOST:PORT"] }),
    );
  }
});
