import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type Address, addressKey, createAddresses } from "../../../../src/engines/local/addresses.ts";
import { checkReadiness, type Readiness } from "../../../../src/engines/local/readiness.ts";
import type { Environment } from "../../../../src/ports/environments.ts";
import { eventually } from "../../../support/bodywork.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { hookedEnvironment, serversAndClients } from "./support/environment.ts";
import { hookForTest, type RunningProgram, startProgram, textAt, unusedPort } from "./support/programs.ts";
import { serviceStage } from "./support/stages.ts";

/** A server as its authors document it; `port` is part of its program or command, never an address of ours. */
type Server = (python: string, port: number, replica: string) => readonly string[];

const module =
  (...args: readonly string[]): Server =>
  (python, port) => [python, "-m", ...args.map((arg) => arg.replace("PORT", String(port)))];
const script =
  (...args: readonly string[]): Server =>
  (python) => [python, ...args];

const frameworks: Readonly<Record<string, Server>> = {
  "Flask's own server": script("wsgi_app.py"),
  "Flask with the reloader": script("wsgi_app.py", "--debug"),
  "FastAPI on uvicorn with uvloop": script("asgi_app.py"),
  "uvicorn with two workers": module(
    ...["uvicorn", "asgi_app:app", "--host", "0.0.0.0", "--port", "PORT", "--workers", "2"],
  ),
  "uvicorn on asyncio, IPv6": module(
    ...["uvicorn", "asgi_app:app", "--host", "::", "--port", "PORT", "--loop", "asyncio"],
  ),
  gunicorn: module("gunicorn", "wsgi_app:app", "--bind", "0.0.0.0:PORT", "--workers", "2"),
  waitress: module("waitress", "--listen=*:PORT", "wsgi_app:app"),
  hypercorn: module("hypercorn", "asgi_app:app", "--bind", "0.0.0.0:PORT"),
  tornado: script("other_servers.py", "tornado"),
  aiohttp: script("other_servers.py", "aiohttp"),
};

const standardLibrary: Readonly<Record<string, Server>> = {
  "http.server": (python, port, replica) => [python, "-m", "http.server", String(port), "-d", site(replica)],
  "http.server on all IPv6 addresses": (python, port, replica) => [
    ...[python, "-m", "http.server", String(port), "--bind", "::", "-d", site(replica)],
  ],
  ThreadingHTTPServer: script("other_servers.py", "threading_http_server"),
  "asyncio.start_server": script("other_servers.py", "asyncio_streams"),
  "asyncio.start_server on 0.0.0.0 and ::": script("other_servers.py", "asyncio_both_families"),
  "asyncio.start_server on localhost": script("other_servers.py", "asyncio_localhost"),
  uvloop: script("other_servers.py", "uvloop_streams"),
  "uvloop on IPv6": script("other_servers.py", "uvloop_ipv6"),
  "a socket on no particular address": script("other_servers.py", "plain_any"),
  "a socket on 127.0.0.1": script("other_servers.py", "plain_loopback"),
  "a socket on ::": script("other_servers.py", "plain_ipv6"),
  "a socket on the machine's own name": script("other_servers.py", "plain_own_name"),
};

let environment: Environment;
beforeAll(async () => {
  environment = await hookedEnvironment(serversAndClients);
}, 300_000);

describe("servers with one hard-coded port", () => {
  test.each([
    ["of the frameworks", frameworks],
    ["of the standard library and uvloop", standardLibrary],
  ])(
    "%s run side by side, each found ready and answering on an address of its own",
    async (_, servers) => {
      const port = await unusedPort();
      const addresses = await createAddresses();
      const taken = new Set<string>();
      const started: { name: string; address: Address; program: RunningProgram }[] = [];
      for (const [name, server] of Object.entries(servers)) {
        const address = await addresses.choose(port, taken);
        taken.add(address.host);
        started.push({ name, address, program: startServer(server, name, port, address) });
      }

      const answers: Record<string, string> = {};
      for (const { name, address, program } of started) {
        const readiness = await becomesReady(program, address, port);
        expect([name, readiness]).toEqual([name, { kind: "ready", target: address }]);
        answers[name] = await textAt(address);
      }
      const ownNames = Object.fromEntries(started.map(({ name }) => [name, name]));
      expect(trimmed(answers)).toEqual(ownNames);
      expect(new Set(started.map(({ address }) => addressKey(address))).size).toBe(started.length);
    },
    120_000,
  );

  test("of the same kind collide when the hook is off", async () => {
    const port = await unusedPort();
    const env = { FIXED_PORT: String(port), REPLICA: "a" };
    const server = [environment.python, "other_servers.py", "plain_any"];
    const first = startProgram(server, env);
    await eventually(async () => textAt({ host: "127.0.0.1", port }));
    const second = startProgram(server, env);
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain("Address already in use");
    expect(first.pids()).toHaveLength(1);
  });

  test("keep a bind to another port than the service's as it is", async () => {
    const [port, other] = [await unusedPort(), await unusedPort()];
    const address = await (await createAddresses()).choose(port, new Set());
    const program = startServer(script("other_servers.py", "plain_any"), "metrics", port, address, other);
    expect(await eventually(async () => textAt({ host: "127.0.0.1", port: other }))).toBe("metrics");
    expect(await checkReadiness(program.pids(), address, serviceStage(port))).toEqual({
      kind: "not-yet",
      reason: `nothing listens on port ${port} (it listens on 0.0.0.0:${other})`,
      wrongPort: `0.0.0.0:${other}`,
    });
  });

  test("reach themselves by loopback and the port they believe they have", async () => {
    const port = await unusedPort();
    const address = await (await createAddresses()).choose(port, new Set());
    const program = startServer(script("other_servers.py", "asks_itself"), "myself", port, address);
    await becomesReady(program, address, port);
    expect(await eventually(async () => textAt(address))).toBe("127.0.0.1 ::1 localhost");
  });

  test("have another port where the platform has one loopback address only", async () => {
    const [port, otherPort] = [await unusedPort(), await unusedPort()];
    const address = { host: "127.0.0.1", port: otherPort };
    const program = startServer(script("asgi_app.py"), "moved", port, address);
    expect(await becomesReady(program, address, port)).toEqual({ kind: "ready", target: address });
    expect(await textAt(address)).toBe("moved");
  });
});

function startServer(
  server: Server,
  name: string,
  port: number,
  address: Address,
  fixedPort = port,
): RunningProgram {
  const bind = [{ port, address: address.host, addressPort: address.port }];
  return startProgram(server(environment.python, port, name), {
    ...hookForTest().variables(bind),
    FIXED_PORT: String(fixedPort),
    REPLICA: name,
  });
}

async function becomesReady(program: RunningProgram, address: Address, port: number): Promise<Readiness> {
  let last: Readiness | undefined;
  const ready = async (): Promise<Readiness | undefined> => {
    last = await checkReadiness(program.pids(), address, serviceStage(port));
    return last.kind === "ready" ? last : undefined;
  };
  try {
    return await eventually(ready, 60);
  } catch {
    throw new Error(`not ready (${JSON.stringify(last)}):\n${program.output()}`);
  }
}

/** A folder for `http.server`, whose front page is the replica's name. */
function site(replica: string): string {
  const folder = temporaryFolder("site");
  writeFileSync(join(folder, "index.html"), replica);
  return folder;
}

function trimmed(answers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(answers).map(([name, text]) => [name, text.trim()]));
}
