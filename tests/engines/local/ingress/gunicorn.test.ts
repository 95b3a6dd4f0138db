import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import type { Address } from "../../../../src/engines/local/addresses.ts";
import { connects } from "../../../../src/engines/local/readiness.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { hookedEnvironment, machineVariables, serversAndClients } from "../name-hook/support/environment.ts";
import { ask } from "./support/ask.ts";
import { startPlane } from "./support/plane.ts";
import { loopbackAddress, routeTo } from "./support/routes.ts";

const workTime = 0.2;
const app = `
import time

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"].endswith("/work"):
        time.sleep(${workTime})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d bytes" % len(body)]
`;

test("clients that abort do not keep others from a server that takes one connection at a time", async () => {
  const gunicorn = await startGunicorn();
  const { address } = await startPlane([routeTo([gunicorn])]);
  const direct = await timeAfterAborts(gunicorn, "");
  const through = await timeAfterAborts(address, "/shop/stage-1");
  // What is lost in such a stall is seconds; what the work that was begun takes is in both.
  expect(through - direct).toBeLessThan(2_000);
}, 300_000);

test("the guard matters: a connection that is opened ahead and says nothing keeps everybody from such a server", async () => {
  const gunicorn = await startGunicorn();
  const silent = connect(gunicorn);
  await once(silent, "connect");
  await sleep(100);
  const asked = ask(gunicorn, "/").then(() => "answered");
  expect(await Promise.race([asked, sleep(1_500).then(() => "waiting")])).toBe("waiting");
  silent.destroy();
  expect(await asked).toBe("answered");
}, 300_000);

test("uploads in chunks and with a length reach it whole, and connections are not kept where it keeps none", async () => {
  const { address } = await startPlane([routeTo([await startGunicorn()])]);
  const body = Buffer.alloc(300_000, "x");
  const chunked = { method: "POST", body, headers: { "Transfer-Encoding": "chunked" } };
  expect((await ask(address, "/shop/stage-1/", chunked)).body).toBe("300000 bytes");
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      ask(address, "/shop/stage-1/", index % 2 === 0 ? {} : { method: "POST", body }),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
}, 300_000);

/** Milliseconds until an answer, when eight clients have just given up on theirs. */
async function timeAfterAborts(address: Address, prefix: string): Promise<number> {
  const start = performance.now();
  for (let client = 0; client < 8; client++) {
    const socket = connect(address);
    socket.on("error", () => {});
    const upload = client % 2 === 0 ? "Content-Length: 10\r\n\r\nhalf" : "\r\n";
    socket.write(`${client % 2 === 0 ? "POST" : "GET"} ${prefix}/work HTTP/1.1\r\nHost: x\r\n${upload}`);
    await sleep(50);
    socket.destroy();
  }
  expect((await ask(address, `${prefix}/`)).body).toBe("0 bytes");
  return performance.now() - start;
}

async function startGunicorn(): Promise<Address> {
  const { python } = await hookedEnvironment(serversAndClients);
  const folder = temporaryFolder("gunicorn");
  writeFileSync(join(folder, "service.py"), app);
  const address = loopbackAddress();
  const bind = `${address.host}:${address.port}`;
  const args = ["-m", "gunicorn", "--workers", "1", "--bind", bind, "--graceful-timeout", "1", "service:app"];
  const server = spawn(python, args, { cwd: folder, env: machineVariables(), stdio: "ignore" });
  onTestFinished(async () => {
    const ended = once(server, "exit");
    server.kill("SIGTERM");
    await ended;
  });
  await expect.poll(() => connects(address), { timeout: 60_000, interval: 100 }).toBeUndefined();
  return address;
}
